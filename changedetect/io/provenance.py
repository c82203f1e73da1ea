"""Where a result comes from: versions of the libraries and the identity of the files that were read."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import changedetect
from changedetect.io.files import hash_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LIBRARIES = ("numpy", "scipy", "scikit-image", "opencv-python-headless", "rasterio", "shapely", "pyproj", "geopandas")


def library_versions() -> dict[str, str]:
    """Return the versions of this program, of Python and of the libraries that shape its numbers."""
    found = {"changedetect": changedetect.__version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def describe_inputs(paths: Iterable[str | Path], hashing: Callable[[str], str] = hash_file) -> list[dict[str, Any]]:
    """Return path, size in bytes and sha256 of each file; a folder or a remote address has neither (None)."""
    return [_describe(path, hashing) for path in dict.fromkeys(map(str, paths))]


def _describe(path: str, hashing: Callable[[str], str]) -> dict[str, Any]:
    file = Path(path)
    if not file.is_file():
        return {"path": path, "size_bytes": None, "sha256": None}
    return {"path": path, "size_bytes": file.stat().st_size, "sha256": hashing(path)}
