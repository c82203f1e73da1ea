"""The program: one group of commands; what escapes from them becomes one sentence and an exit code."""

from __future__ import annotations

import gc
import os

import click

from changedetect import __version__
from changedetect.cli import commands
from changedetect.cli.guard import GuardedGroup

# Scenes are the unit of parallel work; linear algebra on threads of its own only slows it. Before numpy is imported.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
# Else pydantic reads what every installed package says of itself, looking for plugins.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
# Importing makes a hundred thousand objects that stay: Python would look through them again and again.
gc.set_threshold(50_000, 20, 50)

HELP = """Find, date, class and count changes between satellite scenes of a place.

\b
changedetect run aoi/sergeyevka.yaml                simulated scenes, out of the box
changedetect scenes my-place.yaml --scenes imagery/ what is there, and can it be used?
changedetect run my-place.yaml --scenes imagery/    your own imagery
"""

EPILOG = """Results go to stdout, progress and warnings to stderr.

\b
Exit codes: 0 done (also when nothing changed), 2 usage or configuration, 3 input data unusable,
4 nothing to do, 5 part of a batch failed, 130 interrupted, 1 a bug.
"""


@click.group(
    name="changedetect",
    cls=GuardedGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=HELP,
    epilog=EPILOG,
)
@click.version_option(__version__, prog_name="changedetect")
def main() -> None:
    """Run the program; its help is `HELP`, because a docstring cannot hold click's mark for lines to keep."""


for command in commands.ALL:
    main.add_command(command)
