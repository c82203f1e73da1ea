"""The program: one group of commands; what escapes from them becomes one sentence and an exit code."""

from __future__ import annotations

import click

from changedetect import __version__
from changedetect.cli import commands
from changedetect.cli.guard import GuardedGroup


@click.group(
    name="changedetect",
    cls=GuardedGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="changedetect")
def main() -> None:
    r"""Find, date, class and count changes between satellite scenes of a place.

    \b
    changedetect run aoi/sergeyevka.yaml                    simulated scenes, out of the box
    changedetect run aoi/rason.yaml --scenes imagery/       your own imagery
    """


for command in commands.ALL:
    main.add_command(command)
