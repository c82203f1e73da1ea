"""Write the reference pages of the documentation from the code: python scripts/make_reference.py FOLDER.

mkdocs calls `on_files` when it builds the site, so that the pages cannot go stale and none is kept in the repository.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from reference.aoi import aoi_page
from reference.api import api_page
from reference.commands import commands_page
from reference.outputs import outputs_page
from reference.settings import settings_page

PAGES: dict[str, Callable[[], str]] = {
    "reference/aoi-file.md": aoi_page,
    "reference/settings.md": settings_page,
    "reference/outputs.md": outputs_page,
    "reference/commands.md": commands_page,
    "reference/python.md": api_page,
}


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to those that mkdocs found."""
    from mkdocs.structure.files import File

    for path, page in PAGES.items():
        files.append(File.generated(config, path, content=page()))
    return files


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/reference")
    for path, page in PAGES.items():
        target = folder / Path(path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page(), encoding="utf-8")
        print(target)
