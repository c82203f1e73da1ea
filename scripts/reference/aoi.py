"""The page of the AOI file: its keys, the forms of `scenes:`, and the sensors known."""

from __future__ import annotations

from typing import Any

from changedetect.config import sensors
from changedetect.io.aoi_file import AoiBlock, BaselineBlock, LocationBlock, ZoneBlock
from changedetect.io.listed import SceneEntry
from changedetect.io.stac.block import StacBlock
from reference.fields import Entry, entries, escaped, shown

SCENE_WORDS = {
    "id": "Name of the scene in the outputs; without it the file's.",
    "path": "A raster (GeoTIFF, COG, JP2, VRT, ENVI), a product folder, or a list of tiles of one acquisition.",
    "assets": "Instead of `path`: one file, or list of tiles, per band, such as `{blue: B02.jp2, red: B04.jp2}`.",
    "datetime": "Time of acquisition with its zone; needed where tags, sidecar files and the name do not tell it.",
    "mask": "What cannot be used: a raster of the same ground, not 0 where clouded; `{path: ..., kind: scl}` where its "
    "numbers mean something else.",
    "sensor": "A name of the table below: what the bands are, units, no data; without it the product is recognised.",
    "bands": "Names of the bands of `path`, in file order, where no sensor fits.",
    "crs": "Reference system, where the file has none.",
    "scale": "Value = number * scale + offset.",
    "offset": "See `scale`.",
    "nodata": "Number that means no data, where the file does not say so.",
    "sun_azimuth_deg": "Where the sun stood, clockwise from north: shadows are explained with it.",
    "sun_elevation_deg": "How high it stood above the horizon.",
    "view_azimuth_deg": "Where the satellite stood, clockwise from north: what leans is explained with it.",
    "off_nadir_deg": "How far from straight down it looked.",
    "relative_orbit": "Number of the track, of a radar scene.",
    "orbit_state": "Direction of flight, of a radar scene.",
    "look_side": "To which side it looked, of a radar scene.",
    "gcps": "Where a picture without a place lies: rows of map x, map y, column, row, or a QGIS `.points` file.",
    "simulated": "Whether the scene is generated; every output then says so.",
}
"""Words for keys whose class has none beside them."""

_INTRO = """# The AOI file

*Written from the code by `scripts/make_reference.py`.*

One YAML file per place. Paths in it are relative to it. A key that is unknown, of a wrong type or out of range is
refused with file, key and what is allowed; `changedetect validate` checks without reading a pixel.

```yaml
name: sergeyevka
title: Sergeyevka training ground
location: {source: "GeoConfirmed, 18 Oct 2024", accuracy_m: 100, verified: false}
geometry: {type: Polygon, coordinates: [[[131.64, 44.31], [131.69, 44.31], [131.69, 44.34], [131.64, 44.31]]]}
targets: [trench, hut, equipment]
scenes: {files: "imagery/**/*.tif"}
baseline: {until: 2024-09-30}
```"""

_FORMS = """## scenes

One of these forms. `--scenes` on the command line replaces the block.

```yaml
scenes: {files: "imagery/**/*.tif"}     # a folder or a pattern: dates and sensors are read from tags, sidecars, names
scenes: {simulate: {scenario: training-ground, seed: 7}}     # generated, with truth
scenes: {stac: "https://earth-search.aws.element84.com/v1", collections: [sentinel-2-l2a], datetime: 2024-09/2024-10}
scenes:                                 # or listed, one entry per scene
  - path: 20240912_ms.tif
    datetime: 2024-09-12T02:20:00Z
```

What `simulate` takes is under [settings](settings.md#simulate), what `stac` takes
[below](#scenes-from-a-catalogue). Each entry of a list has:"""


def aoi_page() -> str:
    """Return the page."""
    parts = [_INTRO, "## Keys", *_items(AoiBlock)]
    for name, kind in (("location", LocationBlock), ("zones", ZoneBlock), ("baseline", BaselineBlock)):
        parts += [f"## {name}", escaped(kind.__doc__ or ""), *_items(kind)]
    parts += [_FORMS, *_items(SceneEntry, SCENE_WORDS)]
    parts += ["## Scenes from a catalogue", "`scenes: {stac: ...}`; [how to](../stac.md).", *_items(StacBlock)]
    parts += _sensors()
    return "\n\n".join(parts) + "\n"


def _items(kind: Any, words: dict[str, str] | None = None) -> list[str]:
    return [_item(entry, (words or {}).get(entry.key, "")) for entry in entries(kind)]


def _item(entry: Entry, words: str) -> str:
    if entry.key == "scenes":
        need = "required"
    else:
        need = "required" if entry.required else f"default `{shown(entry.default)}`"
    kind = "one of the forms below" if entry.key == "scenes" else entry.kind
    said = entry.words or words or (entry.nested.__doc__ if entry.nested is not None else "")
    unit = f", {entry.unit}" if entry.unit else ""
    return f"`{entry.key}`\n\n:   {need}; {kind}{unit}" + (f"\n\n    {escaped(said)}" if said else "")


def _sensors() -> list[str]:
    table = sensors()
    lines = ["| name | what | values | pixel | bands in file order |", "|---|---|---|---|---|"]
    for name, sensor in table.sensors.items():
        pixel = f"{sensor.gsd_m:g} m" if sensor.gsd_m else ""
        bands = " ".join(sensor.bands) or " ".join(dict.fromkeys([*sensor.band_files.values()]))
        lines.append(f"| `{name}` | {escaped(sensor.about)} | {sensor.unit} | {pixel} | {bands} |")
    masks = ["| kind | what |", "|---|---|"]
    masks += [f"| `{name}` | {escaped(kind.about)} |" for name, kind in table.masks.items()]
    return [
        "## Sensors",
        "From `configs/sensors.yaml`, in the order they are tried.",
        "\n".join(lines),
        "## Kinds of masks",
        "What the numbers of a mask file mean.",
        "\n".join(masks),
    ]
