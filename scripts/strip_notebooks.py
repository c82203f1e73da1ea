"""Strip outputs and execution counts from notebooks, in place; exits 1 where something was stripped.

python scripts/strip_notebooks.py [NOTEBOOK...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def strip(path: Path) -> bool:
    """Strip one notebook; return whether it had anything to strip."""
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    clean = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    if clean == text:
        return False
    path.write_text(clean, encoding="utf-8")
    return True


if __name__ == "__main__":
    paths = [Path(arg) for arg in sys.argv[1:]] or sorted(Path("notebooks").glob("*.ipynb"))
    stripped = [path for path in paths if strip(path)]
    sys.exit(1 if stripped else 0)
