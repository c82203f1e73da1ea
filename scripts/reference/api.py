"""The page of the Python interface: signatures and docstrings of what a program may call."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

from changedetect import config, errors, evaluation, gather, pipeline
from changedetect.core import aoi, grid, raster, results, run
from changedetect.core import progress as progress_of
from changedetect.io import aoi_file, find
from changedetect.report import figures
from changedetect.steps import detect, normalize, register, score
from reference.fields import docstrings, escaped

_INTRO = """# Python

*Written from the code by `scripts/make_reference.py`.*

Everything the command line does is one function call; the commands only show what these return.

```python
from pathlib import Path

from changedetect.gather import RunOptions
from changedetect.pipeline import run

report = run("aoi/sergeyevka.yaml", RunOptions(out=Path("outputs/first-look")))
report.results.changes          # a GeoDataFrame, one row per change
report.results.activity         # a DataFrame, one row per date, zone and class
```

The notebooks in `notebooks/` begin there. Nothing here prints; errors are kinds of
[`ChangeDetectError`](#changedetect.errors.ChangeDetectError), whose text says what to try.
Arrays are (band, row, col) and lengths metres unless a name says otherwise."""

SECTIONS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    (
        "A run",
        "From an AOI file to its outputs.",
        (pipeline.run, pipeline.list_scenes, pipeline.validate, pipeline.simulate_to, gather.RunOptions),
    ),
    (
        "What a run returns",
        "The columns of its tables are those of the [outputs](outputs.md).",
        (pipeline.RunReport, run.RunResults, results.Look, aoi.Aoi, aoi.Zone, aoi.Location),
    ),
    (
        "Truth",
        "How outputs compare with what was planted, or with what you know.",
        (evaluation.evaluate,),
    ),
    (
        "Pictures",
        "What the notebooks and this documentation draw with.",
        (
            figures.draw_photo,
            figures.draw_score,
            figures.draw_overlay,
            figures.draw_timeline,
            figures.frame,
            figures.join_panels,
        ),
    ),
    (
        "The steps",
        "The same functions that a run calls, for those who want one of them alone: estimate on the whole image, then "
        "apply to any part of it.",
        (
            aoi_file.load_aoi,
            config.load_config,
            find.find_scenes,
            register.estimate_shift,
            normalize.estimate_gain,
            normalize.apply_gain,
            score.estimate_noise,
            score.change_score,
            detect.detect,
            raster.Raster,
            grid.Grid,
        ),
    ),
    (
        "Progress and errors",
        "",
        (
            progress_of.Progress,
            errors.ChangeDetectError,
            errors.UsageError,
            errors.ConfigError,
            errors.DataError,
            errors.GridError,
            errors.RegistrationError,
            errors.OutputError,
            errors.NothingToDoError,
        ),
    ),
)


def api_page() -> str:
    """Return the page."""
    parts = [_INTRO]
    for title, words, members in SECTIONS:
        parts += [f"## {title}", *filter(None, [words])]
        for member in members:
            parts.append(_member(member))
    return "\n\n".join(parts) + "\n"


def full_name(member: Any) -> str:
    """Return the name a program imports."""
    module = re.sub(r"^(changedetect\.steps\.\w+)\..*", r"\1", member.__module__)
    return f"{module}.{member.__qualname__}"


def _member(member: Any) -> str:
    name = full_name(member)
    head = f"### {member.__name__} {{ #{name} }}"
    code = f"```python\nfrom {name.rpartition('.')[0]} import {member.__name__}\n\n{_signature(member)}\n```"
    return "\n\n".join(filter(None, (head, code, _prose(inspect.getdoc(member) or ""), _fields(member))))


def _signature(member: Any) -> str:
    if inspect.isclass(member) and issubclass(member, Exception):
        return f"{member.__name__}  # exit code {member.exit_code}"
    try:
        signature = inspect.signature(member)
    except ValueError:
        return member.__name__
    texts = [re.sub(r"\bchangedetect(\.\w+)+\.(?=\w)|\btyping\.", "", str(p)) for p in signature.parameters.values()]
    texts = [text.replace("'", "") if "= '" not in text else text for text in texts]
    returns = signature.return_annotation
    back = "" if inspect.isclass(member) or returns is inspect.Signature.empty else f" -> {returns}".replace("'", "")
    line = f"{member.__name__}({', '.join(texts)}){back}"
    if len(line) <= 88:
        return line
    inner = "".join(f"    {text},\n" for text in texts)
    return f"{member.__name__}(\n{inner}){back}"


def _prose(doc: str) -> str:
    """Return a numpydoc docstring as Markdown: its sections become bold words, its lists definition lists."""
    lines, out, i, section = doc.splitlines(), [], 0, ""
    while i < len(lines):
        if i + 1 < len(lines) and lines[i + 1] and set(lines[i + 1]) == {"-"}:
            section = lines[i]
            out += ["", f"**{section}**", ""]
            i += 2
            continue
        line = lines[i]
        if section in ("Parameters", "Returns", "Raises") and line.strip():
            out += ["", f":   {escaped(line)}"] if line.startswith(" ") else ["", f"`{line.strip()}`", ""]
            while line.startswith(" ") and i + 1 < len(lines) and lines[i + 1].startswith(" "):
                i += 1
                out[-1] += f" {escaped(lines[i])}"
        else:
            out.append(escaped(line))
        i += 1
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip()


def _fields(member: Any) -> str:
    if not dataclasses.is_dataclass(member):
        return ""
    words = docstrings(member)
    rows = []
    for field in dataclasses.fields(member):
        kind = str(field.type if isinstance(field.type, str) else getattr(field.type, "__name__", field.type))
        rows.append(f"`{field.name}`: `{kind}`\n\n:   {escaped(words.get(field.name, '')) or '.'}")
    return "\n\n".join(rows)
