"""The page of settings: every field of every step, with default, bounds, presets and the reason."""

from __future__ import annotations

from typing import Any

from changedetect.config import PRESET_BY_TARGET, Config, configs_dir
from changedetect.io.yaml_file import load_yaml
from changedetect.simulate import SimulateParams
from reference.fields import Entry, entries, escaped, shown

_INTRO = """# Settings

*Written from the code by `scripts/make_reference.py`.*

Most runs need none of these. A setting is given in the AOI file or on the command line, and the last one wins: the
defaults below, the preset, the AOI file, `--set`.

```yaml
preset: training-ground
settings: {detect: {seed_sigma: 9}}
```

```sh
changedetect run place.yaml --set detect.seed_sigma=9 --set mask.cloud_buffer_m=100
```

A key that does not exist or a value out of range is refused, with what is allowed. `run.json` holds the settings of a
run in full. The end of a name is its unit: `_m` metres on the ground, `_px` pixels, `_sigma` multiples of the noise.
"""


def settings_page() -> str:
    """Return the page."""
    presets = load_presets()
    parts = [_INTRO, _presets_part(presets)]
    for step in entries(Config):
        parts += _section(step.nested, step.key, presets, level=2)
    parts += ["## simulate", _SIMULATE, *_section(SimulateParams, "simulate", {}, level=0)]
    return "\n\n".join(parts) + "\n"


_SIMULATE = (
    """For `scenes: {simulate: {...}}` alone; `--set simulate.seed=8` works too. `null` is the scenario's own."""
)


def load_presets() -> dict[str, dict[str, Any]]:
    """Return what each preset changes, by the full names of settings."""
    paths = sorted(path for path in configs_dir().glob("*.yaml") if path.stem != "sensors")
    return {path.stem: flat(load_yaml(path) or {}) for path in paths}


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by their full names."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        result |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return result


def _presets_part(presets: dict[str, dict[str, Any]]) -> str:
    lines = ["## Presets", "", "An AOI file that names no preset gets the first of these for which it has a target."]
    lines += ["", "| target | preset |", "|---|---|"]
    lines += [f"| `{target}` | `{preset}` |" for target, preset in PRESET_BY_TARGET.items()]
    known = ", ".join(f"`{preset}`" for preset in presets)
    lines += ["", f"What a preset changes stands beside each setting. There are {known}."]
    return "\n".join(lines)


def _section(kind: Any, prefix: str, presets: dict[str, dict[str, Any]], level: int) -> list[str]:
    parts = [f"{'#' * level} {prefix}"] if level else []
    if level:
        parts.append(escaped((kind.__doc__ or "").split("\n\n")[0]))
    found = entries(kind)
    parts += [entry_text(entry, f"{prefix}.{entry.key}", presets) for entry in found if entry.nested is None]
    for entry in found:
        if entry.nested is not None:
            parts += _section(entry.nested, f"{prefix}.{entry.key}", presets, level=min(level + 1, 4) if level else 0)
    return parts


def entry_text(entry: Entry, name: str, presets: dict[str, dict[str, Any]]) -> str:
    """Return one setting as an item of a definition list."""
    default = "required" if entry.required else f"default `{shown(entry.default)}`"
    facts = [f"{default}{f' {entry.unit}' if entry.unit and entry.default is not None else ''}", entry.kind]
    changed = [f"`{shown(values[name])}` in `{preset}`" for preset, values in presets.items() if name in values]
    head = "; ".join([*facts, *changed])
    words = f"\n\n    {escaped(entry.words)}" if entry.words else ""
    return f"`{name}`{{ #{name} }}\n\n:   {head}{words}"
