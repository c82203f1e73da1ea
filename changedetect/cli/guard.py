"""What escapes from a command becomes one sentence on stderr and the exit code of the contract."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from changedetect.errors import ChangeDetectError

BUG, DATA, INTERRUPTED = 1, 3, 130


class GuardedGroup(click.Group):
    """A group of commands in their own order that never ends in a traceback unless asked with ``-v``."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the commands in the order they were added."""
        return list(self.commands)

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the program and exit with its code."""
        words = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        with _ending_like_ctrl_c():
            code = self._guarded(words, prog_name or "changedetect", extra)
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader of stdout that has left is no error."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            # here, because click would print an empty line before passing it on
            raise click.exceptions.Exit(_say("interrupted; earlier outputs are as they were", INTERRUPTED)) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return result

    def _guarded(self, words: Sequence[str], prog_name: str, extra: dict[str, Any]) -> int:
        try:
            code = super().main(list(words), prog_name, **extra)
        except ChangeDetectError as error:
            return _say(f"error: {error}", error.exit_code)
        except click.exceptions.NoArgsIsHelpError as error:
            return _say(error.format_message(), error.exit_code)
        except click.ClickException as error:
            return _say(f"error: {_sentence(error)}", error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            return _say("interrupted; earlier outputs are as they were", INTERRUPTED)
        except MemoryError:
            return _say(
                "error: the work does not fit in memory; try: --set grid.gsd_m=... (coarser) or a smaller AOI", DATA
            )
        except Exception as error:  # noqa: BLE001 (the one place where a bug is caught: to name it as one)
            return _bug(error, _is_verbose(words))
        return code if isinstance(code, int) else 0


@contextmanager
def _ending_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM unwind as Ctrl-C does, so that temporary files are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _sentence(error: click.ClickException) -> str:
    text = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{text}; try: {context.command_path} --help" if context else text


def _bug(error: Exception, verbose: bool) -> int:
    if verbose:
        traceback.print_exception(error)
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    ask = "please report it with the lines above" if verbose else "please run again with -v and report what it says"
    return _say(f"error: this is a bug ({what}); {ask}", BUG)


def _is_verbose(words: Sequence[str]) -> bool:
    return any(word == "--verbose" or (word[:1] == "-" and word[1:2] != "-" and "v" in word) for word in words)


def _say(text: str, code: int) -> int:
    click.echo(text, err=True)
    return code
