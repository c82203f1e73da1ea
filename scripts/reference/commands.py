"""The page of the commands: the help of each, as the program prints it."""

from __future__ import annotations

import click

from changedetect.cli.main import main

_INTRO = """# Commands

*Written from the code by `scripts/make_reference.py`.*

`python -m changedetect` is the same program. How to complete commands with the TAB key: [the terminal](../terminal.md).
"""


def commands_page() -> str:
    """Return the page."""
    parts = [_INTRO, _help(main, None)]
    top = click.Context(main, info_name="changedetect", terminal_width=80, max_content_width=80)
    for name, command in main.commands.items():
        parts += [f"## {name}", _help(command, top)]
    return "\n\n".join(parts) + "\n"


def _help(command: click.Command, parent: click.Context | None) -> str:
    name = "changedetect" if parent is None else command.name
    context = click.Context(command, info_name=name, parent=parent, terminal_width=80, max_content_width=80)
    return f"```text\n{command.get_help(context)}\n```"
