"""TOML text of bounded size, depth and numbers: reading it ends soon, with a table or an error."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from isacsim.errors import InvalidInput

MOST_BYTES = 2**20  # of a file: long sweeps take some thousand bytes, and data lie in files of their own
MOST_DEPTH = 32  # of tables and lists in each other; a scenario has 6
MOST_BITS = 128  # of a whole number: seeds have as many

# A key of more parts than a table may be deep; tomllib's time for it grows with the square of the parts.
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+"""
_LONG_KEY = re.compile(rf"(?<![\w-])(?:{_PART}\.[ \t]*+){{{MOST_DEPTH}}}")


def parsed(text: str, field: str) -> dict[str, Any]:
    """The table that ``text`` says.

    Args:
        text: TOML.
        field: What errors name.

    Raises:
        TOMLDecodeError: If it is no TOML.
        InvalidInput: If it is deeper, or has larger numbers, than a scenario can have.
    """
    deep = f"must have at most {MOST_DEPTH} tables and lists in each other"
    if _LONG_KEY.search(text):
        raise InvalidInput(field, deep, "a longer dotted key", "Shorten the key.")
    try:
        table = tomllib.loads(text)
        depth, bits = _measured(table)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # Python refuses decimal numbers of thousands of digits
        depth, bits = 0, MOST_BITS + 1
    except RecursionError:
        depth, bits = MOST_DEPTH + 1, 0
    if bits > MOST_BITS:
        raise InvalidInput(field, f"must have whole numbers of at most {MOST_BITS} bits", "", "Shorten the number.")
    if depth > MOST_DEPTH:
        raise InvalidInput(field, deep, "", "Remove brackets.")
    return table


def _measured(table: dict[str, Any]) -> tuple[int, int]:
    """How many tables and lists lie in each other, and the bits of the largest whole number."""
    level: list[Any] = [table]
    depth = bits = 0
    while level and depth <= MOST_DEPTH:
        depth += 1
        entries = [e for held in level for e in (held.values() if isinstance(held, dict) else held)]
        bits = max([bits, *(entry.bit_length() for entry in entries if isinstance(entry, int))])
        level = [entry for entry in entries if isinstance(entry, (dict, list))]
    return depth, bits


def read(path: Path) -> dict[str, Any]:
    """The table of a scenario file.

    Raises:
        InvalidInput: If the file cannot be read, or is no TOML of bounded size.
    """
    remedy = "Check the path; `isacsim init NAME` writes the file of a study that comes with isacsim."
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise InvalidInput("scenario", f"must have at most {MOST_BYTES} bytes", str(path), "Shorten the file.")
        # Some editors begin a file with a mark of the order of bytes, which UTF-8 has no use for.
        return parsed(content.decode("utf-8-sig").replace("\r\n", "\n"), "scenario")
    except InvalidInput as error:
        raise InvalidInput("scenario", error.args[1], str(path), error.args[3]) from None
    except tomllib.TOMLDecodeError as error:
        remedy = f"Mend the line{_line(str(error), content)}; text is quoted, complex numbers too."
        raise InvalidInput("scenario", f"must be valid TOML ({error})", str(path), remedy) from None
    except UnicodeDecodeError as error:
        rule = f"must be text in UTF-8 ({error.reason} in line {content[: error.start].count(10) + 1})"
        raise InvalidInput("scenario", rule, str(path), "Save it as UTF-8.") from None
    except OSError as error:
        raise InvalidInput("scenario", f"must be a readable file ({error.strerror})", str(path), remedy) from None
    except ValueError as error:  # a path with a null character
        raise InvalidInput("scenario", f"must be a readable file ({error})", str(path), remedy) from None


def _line(told: str, content: bytes) -> str:
    """The text of the line that an error of tomllib names, if it names one."""
    found = re.search(r"at line (\d+)", told)
    lines = content.decode("utf-8", errors="replace").splitlines()
    place = int(found[1]) if found else 0
    return f" {lines[place - 1].strip()!r}" if 0 < place <= len(lines) else ""
