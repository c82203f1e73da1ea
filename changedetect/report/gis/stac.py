"""A STAC Item per run: its outputs as assets, what it was made from as links."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import changedetect
from changedetect.core.times import to_stem

if TYPE_CHECKING:
    from changedetect.core.run import RunResults

ITEM_NAME = "stac-item.json"

_EXTENSIONS = (
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
)
_GEOJSON = "application/geo+json"
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_ASSETS = {
    "changes.geojson": ("Changes over the whole series", _GEOJSON, "data"),
    "detections.geojson": ("Detections per date", _GEOJSON, "data"),
    "zones.geojson": ("Place and zones", _GEOJSON, "metadata"),
    "activity.csv": ("Counts per date, zone and class", "text/csv", "data"),
    "summary.json": ("Headline per zone and class", "application/json", "metadata"),
    "run.json": ("Provenance", "application/json", "metadata"),
    "changes.gpkg": ("Changes, detections, zones and activity", "application/geopackage+sqlite3", "data"),
    "changes.parquet": ("Changes", "application/vnd.apache.parquet", "data"),
    "changes.fgb": ("Changes", "application/vnd.flatgeobuf", "data"),
    "changes.kmz": ("Changes for Google Earth", "application/vnd.google-earth.kmz", "data"),
    "project.qgz": ("QGIS project", "application/zip", "visual"),
    "report.html": ("Report", "text/html", "overview"),
    "overview.png": ("Overview", "image/png", "thumbnail"),
    "imagery/before.tif": ("The place before", _COG, "visual"),
    "imagery/after.tif": ("The place after", _COG, "visual"),
}


def write_stac_item(folder: Path, results: RunResults) -> None:
    """Write `folder`/stac-item.json, which lists what is in the folder by then.

    References
    ----------
    STAC 1.1.0, Item specification; `derived_from` links lead to the scenes.
    """
    item = to_item(folder, results)
    (folder / ITEM_NAME).write_text(json.dumps(item, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def to_item(folder: Path, results: RunResults) -> dict[str, Any]:
    """Return the Item as plain data.

    Parameters
    ----------
    folder : Path
        Where the outputs are; only what is there becomes an asset.
    """
    import pystac  # takes 0.2 s to import

    times = sorted(look.acquired for look in results.looks)
    place = json.loads((folder / "zones.geojson").read_text("utf-8"))["features"][0]
    item = pystac.Item(
        id=f"{results.aoi.name}-{to_stem(times[0])}-{to_stem(times[-1])}",
        geometry=place["geometry"],
        bbox=[round(value, 7) for value in results.aoi.geometry.bounds],
        datetime=None,
        start_datetime=times[0],
        end_datetime=times[-1],
        properties=_properties(results),
        stac_extensions=list(_EXTENSIONS),
    )
    for path, (title, media_type, role) in _present(folder).items():
        asset = pystac.Asset(href=f"./{path}", title=title, media_type=media_type, roles=[role])
        item.add_asset(_key(path), asset)
    for scene in () if results.simulated else _inputs(results):  # simulated scenes are gone when the run ends
        item.add_link(pystac.Link("derived_from", scene.resolve().as_uri(), title=scene.name))
    return dict(item.to_dict(include_self_link=False, transform_hrefs=False))


def _properties(results: RunResults) -> dict[str, Any]:
    gsd = [float(record["gsd_m"]) for record in results.scene_records if record.get("gsd_m")]
    return {
        "title": results.aoi.title,
        "description": " ".join(str(line) for line in results.summary.get("headline", ())),
        "gsd": min(gsd) if gsd else results.grid.gsd_m,
        "proj:code": results.grid.crs,
        "processing:software": {"changedetect": changedetect.__version__},
        "changedetect:simulated": results.simulated,
        "changedetect:changes": len(results.changes),
    }


def _inputs(results: RunResults) -> list[Path]:
    return [Path(str(entry["path"])) for entry in results.provenance.get("inputs", ())]


def _present(folder: Path) -> dict[str, tuple[str, str, str]]:
    found = {path: told for path, told in _ASSETS.items() if (folder / path).exists()}
    for path in sorted((folder / "score").glob("*.tif")) if (folder / "score").is_dir() else ():
        found[f"score/{path.name}"] = (f"Change score {path.stem}, sigma", _COG, "data")
    return found


def _key(path: str) -> str:
    single = path.startswith(("score/", "imagery/"))
    return path.replace("/", "-").rsplit(".", 1)[0] if single else path.replace(".", "-")
