"""Put the map library of report.html into the package, as npm publishes it; nothing but Python is needed afterwards.

Run by hand when the version changes: it needs npm and the internet. The package is refused unless its bytes have the
digest written here, so a new version is a new digest, looked at by whoever writes it.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "leaflet@1.9.4"
SHA256 = "84c65a256e50657896f54c33bd857b6849ebe94c817803be818bf32a3dde0b77"
TAKEN = ("dist/leaflet.js", "dist/leaflet.css", "LICENSE")

TARGET = Path(__file__).parents[1] / "changedetect" / "report" / "static" / "leaflet"


def packed(folder: Path) -> Path:
    """Return the package's archive, fetched by npm into `folder`."""
    done = subprocess.run(
        ["npm", "pack", PACKAGE, "--silent"], cwd=folder, check=True, capture_output=True, text=True, timeout=300
    )
    return folder / done.stdout.strip().splitlines()[-1]


def taken(archive: Path) -> dict[str, bytes]:
    """Return the files that are taken, by name, from an archive whose digest is the one expected."""
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"{archive.name}: sha256 {found}, expected {SHA256}; nothing was written")
    with tarfile.open(archive) as tar:
        return {Path(name).name: tar.extractfile(f"package/{name}").read() for name in TAKEN}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", type=Path, help="An archive at hand instead of npm.")
    archive = parser.parse_args().archive
    with tempfile.TemporaryDirectory() as folder:
        files = taken(archive or packed(Path(folder)))
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (TARGET / name).write_bytes(data)
    sums = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())]
    (TARGET / "SHA256SUMS").write_text("".join(sums), encoding="ascii")
    print(f"{PACKAGE} -> {TARGET}: {', '.join(files)}")


if __name__ == "__main__":
    main()
