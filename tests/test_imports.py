"""Imports run one way: from the top of the page to the bottom, and tiers of one height do not know each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "changedetect"

TIERS = (
    ("errors",),
    ("core",),
    ("io", "steps", "series", "blocks", "processes", "simulate", "evaluation", "report"),
    ("config",),
    ("gather", "members"),
    ("stack",),
    ("provenance", "pictures", "maps", "recall", "examine"),
    ("pipeline",),
    ("batch",),
    ("cli",),
    ("__main__",),
)
HEIGHT = {name: height for height, tier in enumerate(TIERS) for name in tier}


def unit_of(module: str) -> str:
    """The part of the package a module belongs to; each step is a part of its own."""
    parts = module.split(".")[1:]
    return ".".join(parts[:2]) if parts and parts[0] == "steps" else (parts[0] if parts else "")


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module:
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    own = unit_of(module)
    for name in imports_of(path):
        if not name.startswith("changedetect."):
            continue
        other = unit_of(name)
        if own == other or other == "__version__" or own == "":
            continue
        own_top, other_top = own.split(".")[0], other.split(".")[0]
        if other_top not in HEIGHT:
            pytest.fail(f"{module} imports {name}, which has no tier")
        assert HEIGHT[other_top] < HEIGHT[own_top], f"{module} imports {name}: wrong direction"


def test_every_module_has_a_tier():
    tops = {unit_of(".".join(p.relative_to(ROOT).with_suffix("").parts)).split(".")[0] for p in MODULES}
    assert tops - {"__init__"} <= set(HEIGHT)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_blocks_knows_dask(path):
    names = {name.split(".")[0] for name in imports_of(path)}
    if path != PACKAGE / "blocks.py":
        assert not names & {"dask", "distributed"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_can_be_read_in_one_sitting(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450
