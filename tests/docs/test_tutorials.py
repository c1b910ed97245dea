"""The tutorials do what they say: their files are written, their commands and code run, and what they show is seen."""

import doctest
import importlib
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from isacsim.cli.main import main

PAGES = Path(__file__).parents[2] / "docs" / "tutorials"
BLOCK = re.compile(r"^```(?P<kind>\{code-block\} )?(?P<language>\w+)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
LIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

pytestmark = pytest.mark.skipif(not PAGES.is_dir(), reason="the documentation is not installed")


class Reader:
    """Who does what a page says, in an empty folder."""

    def __init__(self, folder, monkeypatch, capsys):
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys
        self.namespace, self.seen, self.code = {"__name__": "page"}, "", 0
        (folder / "site").mkdir()
        monkeypatch.syspath_prepend(folder / "site")
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "80")

    def read(self, text):
        for block in BLOCK.finditer(text):
            language, body = block["language"], block["body"]
            if language == "text":
                self.sees(body)
                continue
            self.seen = ""  # what a block shows is that of all its commands
            if block["kind"]:
                self.saves(body)
            elif language == "sh":
                for command in body.replace("\\\n", " ").splitlines():
                    self.runs(command)
            elif language == "python":
                self.watched(lambda code=body: exec(compile(code, "page", "exec"), self.namespace))

    def saves(self, body):
        """Only a block with a caption is a file."""
        if found := re.match(r":caption: (\S+)\n", body):
            path = self.folder / found[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body[found.end() :].lstrip("\n"), encoding="utf-8")

    def watched(self, action):
        assert self.code == 0, self.seen  # the one before went well, or was shown not to
        self.capsys.readouterr()
        self.code = action() or 0
        told = self.capsys.readouterr()
        self.seen += told.out + ("" if self.code == 0 else told.err)

    def runs(self, command):
        program, *arguments = shlex.split(command, comments=True)
        if program == "isacsim":
            # Processes would take seconds to start. Numbers are the same.
            more = ["--executor", "serial"] if arguments[0] == "run" else []
            self.watched(lambda: main([*arguments, *more]))
        elif program == "pip":
            self.installs(self.folder / arguments[-1])
        elif arguments[:2] == ["-m", "pytest"]:
            self.watched(lambda: self.tests(self.folder / arguments[2]))
        elif program == "octave-cli":
            call = [program, *arguments]
            self.watched(lambda: print(subprocess.run(call, check=True, capture_output=True, text=True).stdout))
        else:
            raise AssertionError(f"no reader can do {command!r}")

    def installs(self, distribution):
        """What pip writes of an editable install."""
        project = tomllib.loads((distribution / "pyproject.toml").read_text("utf-8"))["project"]
        info = self.folder / "site" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        entries = "\n".join(f"{name} = {value}" for name, value in project["entry-points"]["isacsim"].items())
        (info / "entry_points.txt").write_text(f"[isacsim]\n{entries}\n")
        self.monkeypatch.syspath_prepend(distribution / "src")
        importlib.invalidate_caches()

    def tests(self, distribution):
        for file in sorted((distribution / "tests").glob("test_*.py")):
            for name, test in runpy.run_path(str(file)).items():
                if name.startswith("test_"):
                    test(self.folder) if test.__code__.co_argcount else test()

    def sees(self, expected):
        failed = expected.startswith("error: ")
        assert self.code == (2 if failed else 0), self.seen
        alike = doctest.OutputChecker().check_output(expected, self.seen, LIKE)
        assert alike, f"{expected}\nis shown, seen was\n{self.seen}"
        self.code = 0


@pytest.fixture
def reader(tmp_path, monkeypatch, capsys):
    known = set(sys.modules)
    yield Reader(tmp_path, monkeypatch, capsys)
    for name in set(sys.modules) - known:
        if name.startswith("isacsim_"):
            del sys.modules[name]


# Cone programs and estimated hardware take their time.
SLOW = ("custom-hardware", "custom-solver-and-problem", "results-to-paper")
STEMS = sorted(p.stem for p in PAGES.glob("*.md"))
TUTORIALS = [pytest.param(s, marks=[pytest.mark.slow] * (s in SLOW)) for s in STEMS if s != "index"]


@pytest.mark.parametrize("page", TUTORIALS)
def test_a_tutorial_does_what_it_says(reader, page):
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    if "octave" in text and shutil.which("octave-cli") is None:
        text = re.sub(r"```sh\noctave.*?```(\n\n```text\n.*?```)?", "", text, flags=re.DOTALL)
    reader.read(text)
    assert reader.code == 0, reader.seen


@pytest.mark.parametrize("page", STEMS)
def test_every_picture_and_page_that_a_tutorial_leads_to_is_there(page):
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert target.startswith("https://") or (PAGES / target).is_file(), target
