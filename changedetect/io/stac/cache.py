"""What was fetched, kept for the next run within a bound, and lent to a run for as long as it lasts.

A window's name is the digest of its address, of what the catalogue says of its version, and of the area. A run does
not read the kept files but hard links to them in a folder of its own, so that nothing another run throws out is lost.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from changedetect.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shapely.geometry.base import BaseGeometry

    from changedetect.io.stac.params import FetchParams

_LENT, _KEPT = "lent", "windows"
_STALE_S = 7 * 86_400
"""A run does not last so long: what is lent longer was left by one that was killed."""


def cache_folder(params: FetchParams) -> Path:
    """Return where fetched windows are kept."""
    if params.cache_dir:
        return Path(params.cache_dir).expanduser()
    if told := os.environ.get("CHANGEDETECT_CACHE"):
        return Path(told).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "changedetect"


def key_of(address: str, version: str, area: BaseGeometry, margin_m: float) -> str:
    """Return the name under which a window is kept: what is at an address, in this version, around this area."""
    bounds = " ".join(f"{number:.7f}" for number in area.bounds)
    return hashlib.sha256("\n".join((address, version, bounds, f"{margin_m:g}")).encode()).hexdigest()[:40]


@contextmanager
def lending(params: FetchParams) -> Iterator[Loan]:
    """Yield a folder of one run; it goes when the run ends, and what is kept beyond the bound goes with it.

    Raises
    ------
    OutputError
        Nothing can be written there.
    """
    root = cache_folder(params)
    try:
        (root / _KEPT).mkdir(parents=True, exist_ok=True)
        (root / _LENT).mkdir(parents=True, exist_ok=True)
        _forget_stale(root / _LENT)
        folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root / _LENT))
    except OSError as error:
        raise OutputError("what is fetched cannot be kept", where=str(root), found=error.strerror,
                          hint="CHANGEDETECT_CACHE=<a folder you may write to>") from error  # fmt: skip
    try:
        yield Loan(root / _KEPT, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        prune(root / _KEPT, int(params.cache_gb * 1e9))


class Loan:
    """The folder of one run, and what is kept."""

    def __init__(self, kept: Path, folder: Path) -> None:
        self.kept, self.folder = kept, folder

    def place_of(self, key: str) -> Path:
        """Return where a window is kept under its key."""
        return self.kept / f"{key}.tif"

    def lend(self, key: str, group: str, name: str) -> str | None:
        """Return a run's own path of what is kept under a key, named as it was at its address; None if it is not."""
        kept = self.place_of(key)
        safe = re.sub(r"[^\w.-]+", "_", name)[-120:] or "image.tif"
        own = self.folder / re.sub(r"[^\w.-]+", "_", group)[:120] / f"{key[:8]}" / safe
        try:
            os.utime(kept)
            own.parent.mkdir(parents=True, exist_ok=True)
            if not own.exists():
                _link(kept, own)
        except FileNotFoundError:
            return None
        return str(own)


def _link(kept: Path, own: Path) -> None:
    try:
        own.hardlink_to(kept)
    except OSError:
        if not kept.exists():
            raise FileNotFoundError(kept) from None
        shutil.copyfile(kept, own)


def _forget_stale(lent: Path) -> None:
    for folder in lent.iterdir():
        try:
            if time.time() - folder.stat().st_mtime > _STALE_S:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue


def prune(kept: Path, most_bytes: int) -> int:
    """Remove what was not used for the longest until no more than a bound is kept; return how many files went."""
    found = []
    for path in kept.iterdir():
        try:
            stat = path.stat()
        except OSError:
            continue
        if path.suffix == ".part" and time.time() - stat.st_mtime < _STALE_S:
            continue
        found.append((stat.st_mtime, stat.st_size, path))
    held, gone = sum(size for _, size, _ in found), 0
    for _, size, path in sorted(found):
        if held <= most_bytes:
            break
        path.unlink(missing_ok=True)
        held, gone = held - size, gone + 1
    return gone
