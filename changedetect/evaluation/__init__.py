"""Evaluation: outputs against truth, with intervals; parts that the truth does not tell are named, not guessed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from changedetect.evaluation.difference import Difference, compare_features, compare_outputs, read_features

if TYPE_CHECKING:
    from changedetect.evaluation.match import EvaluateParams
    from changedetect.evaluation.scores import evaluate
    from changedetect.evaluation.show import as_tables

__all__ = [
    "Difference",
    "EvaluateParams",
    "as_tables",
    "compare_features",
    "compare_outputs",
    "evaluate",
    "read_features",
]

_LATE = {"EvaluateParams": "match", "as_tables": "show", "evaluate": "scores"}
"""Loaded when asked for: what compares two outputs needs no table, and tables are slow to import."""


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
