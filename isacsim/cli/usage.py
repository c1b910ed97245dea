"""Options and arguments that a command does not have, each told with what to write instead."""

from __future__ import annotations

from typing import Any

from isacsim.errors import InvalidInput, one_of


def told(error: Any) -> str:
    """What is wrong with how a command was called, and the remedy.

    Args:
        error: What typer raises.
    """
    context, option = error.ctx, getattr(error, "option_name", None)
    message = str(error.format_message()).rstrip(".")
    if context is None:
        return f"{message}."
    command = f"`{context.command_path}`"
    if option is None:
        return f"{message}{'' if message.endswith('?') else '.'} `{context.command_path} --help` says what it takes."
    return str(InvalidInput(option, f"must be an option of {command}", "", _remedy(context, option)))


def _remedy(context: Any, option: str) -> str:
    """Where an option belongs that is none of this command: another spelling, a place of the scenario, a command."""
    from isacsim.engine.reader import keys_of
    from isacsim.engine.scenario import Scenario

    own = _options(context.command)
    words, key = [], option.lstrip("-").replace("-", "_")
    if "--set" in own and key in keys_of(Scenario):
        words.append(f"Write --set {key}=VALUE.")
    commands = getattr(context.find_root().command, "commands", {})
    others = [f"`isacsim {name}`" for name, command in commands.items() if option in _options(command)]
    if others:
        words.append(f"It is one of {', '.join(others)}.")
    return " ".join(words) or one_of(own, option)


def _options(command: Any) -> set[str]:
    """The long options of a command; of those that can be turned off the way on."""
    return {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
