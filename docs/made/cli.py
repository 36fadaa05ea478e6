"""``reference/cli.md``: every command and option, from the command line itself (`mene COMMAND --help` says the same)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from mene.cli.app import app

PAGE = "reference/cli.md"
HEAD = """# Command line

Made from the commands themselves: `mene COMMAND --help` says the same. N is a whole number, X any number; an option with …
may be given several times. What stands in square brackets is the default, or where it comes from.

"""
KINDS = {
    "str": "TEXT",
    "int": "N",
    "float": "X",
    "path": "FILE",
}  # how the value of an option is written


def commands() -> Iterator[tuple[str, Any, Any]]:
    """(name with its parents, command, its context) of every command, those of a group behind it."""
    root: Any = typer.main.get_command(app)
    yield from _below(root, root.context_class(root, info_name="mene"))


def _below(group: Any, context: Any) -> Iterator[tuple[str, Any, Any]]:
    for name in group.list_commands(context):
        command = group.commands[name]
        inner = command.context_class(command, info_name=name, parent=context)
        yield inner.command_path, command, inner
        if hasattr(command, "commands"):
            yield from _below(command, inner)


def page() -> str:
    """Markdown of the reference."""
    return HEAD + "\n".join(section(*command) for command in commands())


def section(path: str, command: Any, context: Any) -> str:
    """Of one command: how it is called, what it does, what it takes."""
    level = "#" * len(path.split())
    arguments, options, names = [], [], []
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if record and param.param_type_name == "argument":
            arguments.append(record)
            names.append(name_of(record[0]) if param.required else f"[{name_of(record[0])}]")
        elif record and param.name != "help":
            options.append(record)
    if hasattr(command, "commands"):
        names.append("COMMAND …")
    usage = " ".join([path, *names, "[OPTIONS]" if options else ""]).strip()
    parts = [f"{level} {path}", f"```sh\n{usage}\n```", help_of(command.help or "")]
    parts += [
        table(title, rows) for title, rows in (("Argument", arguments), ("Option", options)) if rows
    ]
    return "\n\n".join(parts) + "\n"


def help_of(text: str) -> str:
    """A command's docstring, whose paragraphs are already those of a page."""
    return "\n\n".join(
        escaped(" ".join(part.split())) for part in text.replace("\b", "").split("\n\n")
    )


def table(title: str, rows: list[tuple[str, str]]) -> str:
    """Names and what they mean."""
    lines = [
        f"| `{name_of(name)}` | {escaped(' '.join(text.split()), cell=True)} |"
        for name, text in rows
    ]
    return "\n".join([f"| {title} | |", "| --- | --- |", *lines])


def name_of(text: str) -> str:
    """``--limit <int range>`` as ``--limit N``; an argument, which has a name, without its type."""
    many = " …" if "<list[" in text else ""
    kind = re.search(r"<(?:list\[)?(\w+)[^>]*>", text)
    shown = f" {KINDS.get(kind[1], kind[1].upper())}" if kind and text.startswith("-") else ""
    name = re.sub(r" *<[^>]*>|\[|\]|\.\.\.", "", text) if kind else text
    return f"{name if name.startswith('-') else name.upper()}{shown}{many}"


def escaped(text: str, cell: bool = False) -> str:
    """Words of a help text that Markdown would take for its own, outside of what stands in backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    plain = [
        part if part.startswith("`") else re.sub(r"([\\*_<>\[\]#])", r"\\\1", part)
        for part in parts
    ]
    return "".join(plain).replace("|", "\\|" if cell else "|")
