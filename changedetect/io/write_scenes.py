"""Simulated scenes on disk: GeoTIFFs, masks, truth and an AOI file that runs on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import rasterio
import yaml
from shapely.geometry import mapping
from shapely.geometry.polygon import orient

from changedetect.core.tables import TRUTH_COLUMNS
from changedetect.core.times import to_iso
from changedetect.errors import OutputError
from changedetect.io.write_geojson import to_features, write_geojson
from changedetect.io.write_json import to_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    import geopandas as gpd
    import numpy as np
    import pandas as pd
    from affine import Affine
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.aoi import Aoi

_PROFILE = {"driver": "GTiff", "compress": "deflate", "tiled": True, "blockxsize": 256, "blockysize": 256, "zlevel": 1}


class RenderedScene(Protocol):
    """What is asked of a simulated scene."""

    @property
    def id(self) -> str:
        """File stem."""

    @property
    def acquired(self) -> datetime:
        """UTC."""

    @property
    def bands(self) -> tuple[str, ...]:
        """Standard names."""

    @property
    def scale(self) -> float:
        """Reflectance of one digital number."""

    @property
    def nodata(self) -> int:
        """The number of no data."""

    @property
    def angles(self) -> dict[str, float]:
        """Sun and view angles by the keys of an AOI file's scenes."""

    @property
    def true_shift_m(self) -> tuple[float, float]:
        """Metres east and north that bring the scene onto the first one."""

    def render(self) -> tuple[NDArray[np.uint16], NDArray[np.uint8], Affine, str]:
        """Return (dn, mask, transform, crs)."""


class WrittenSimulation(Protocol):
    """What is asked of a simulation."""

    @property
    def aoi(self) -> Aoi:
        """The simulated place."""

    @property
    def truth(self) -> gpd.GeoDataFrame:
        """What was planted."""

    @property
    def activity(self) -> pd.DataFrame:
        """The true counts."""

    @property
    def scenes(self) -> Sequence[RenderedScene]:
        """In order of time."""


def write_simulation(
    simulation: WrittenSimulation, out_dir: str | Path, advance: Callable[[], None] | None = None
) -> Path:
    """Return the path of the AOI file that runs on the scenes written under `out_dir`.

    Writes scenes/<id>.tif and scenes/<id>_mask.tif, truth.geojson and aoi.yaml; the same simulation gives the same
    bytes. `advance` is called after each scene.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    folder = Path(out_dir)
    try:
        (folder / "scenes").mkdir(parents=True, exist_ok=True)
        for scene in simulation.scenes:
            _write_scene(folder / "scenes", scene)
            if advance is not None:
                advance()
        write_truth(folder / "truth.geojson", simulation)
        path = folder / "aoi.yaml"
        text = yaml.safe_dump(describe_aoi(simulation), sort_keys=False, allow_unicode=True, width=120)
        path.write_text("# Simulated scenes: nothing shown by them ever happened.\n" + text, encoding="utf-8")
    except (OSError, rasterio.errors.RasterioIOError) as error:
        raise OutputError("simulated scenes cannot be written", where=str(folder), found=str(error)) from error
    return path


def _write_scene(folder: Path, scene: RenderedScene) -> None:
    numbers, mask, transform, crs = scene.render()
    tags = {
        "TIFFTAG_DATETIME": f"{scene.acquired:%Y:%m:%d %H:%M:%S}",
        "TIFFTAG_SOFTWARE": "changedetect simulate",
        "CHANGEDETECT_SIMULATED": "yes",
    }
    place = {"width": mask.shape[1], "height": mask.shape[0], "transform": transform, "crs": crs}
    profile = {**_PROFILE, **place, "count": len(numbers), "dtype": "uint16", "nodata": scene.nodata, "predictor": 2}
    with rasterio.open(folder / f"{scene.id}.tif", "w", **profile) as image:
        image.write(numbers)
        image.descriptions = scene.bands
        image.scales = (scene.scale,) * len(numbers)
        image.update_tags(**tags)
    profile = {**_PROFILE, **place, "count": 1, "dtype": "uint8"}
    with rasterio.open(folder / f"{scene.id}_mask.tif", "w", **profile) as image:
        image.write(mask, 1)
        image.set_band_description(1, "not usable where not 0")
        image.update_tags(**tags)


def write_truth(path: Path, simulation: WrittenSimulation) -> None:
    """Write truth.geojson: one feature per true change; foreign members are the true counts and shifts.

    `activity` has the counts per look, zone and class, `registration` the shift of each scene onto the first.
    """
    rows = [
        {key: to_iso(value) if key == "datetime" else to_plain(value) for key, value in record.items()}
        for record in simulation.activity.to_dict("records")
    ]
    shifts = [
        {"scene_id": scene.id, "dx_m": round(scene.true_shift_m[0], 3), "dy_m": round(scene.true_shift_m[1], 3)}
        for scene in simulation.scenes
    ]
    features = to_features(simulation.truth, TRUTH_COLUMNS, True)
    members = {"activity": rows, "registration": shifts}
    write_geojson(path, features, aoi=simulation.aoi.name, simulated=True, **members)


def describe_aoi(simulation: WrittenSimulation) -> dict[str, Any]:
    """Return the content of the AOI file that runs on the written scenes."""
    aoi = simulation.aoi
    location: dict[str, Any] = {"source": aoi.location.source, "verified": aoi.location.verified}
    if aoi.location.accuracy_m is not None:
        location["accuracy_m"] = aoi.location.accuracy_m
    described: dict[str, Any] = {
        "name": aoi.name,
        "title": aoi.title,
        "location": location,
        "geometry": _to_plain_geometry(aoi.geometry),
        "targets": list(aoi.targets),
    }
    if aoi.zones:
        described["zones"] = [
            {"name": zone.name, "geometry": _to_plain_geometry(zone.geometry), "targets": list(zone.targets)}
            for zone in aoi.zones
        ]
    if aoi.baseline_until is not None:
        described["baseline"] = {"until": to_iso(aoi.baseline_until)}
    if aoi.preset is not None:
        described["preset"] = aoi.preset
    if aoi.settings:
        described["settings"] = to_plain(aoi.settings)
    described["scenes"] = [_describe_scene(scene) for scene in simulation.scenes]
    return described


def _describe_scene(scene: RenderedScene) -> dict[str, Any]:
    return {
        "path": f"scenes/{scene.id}.tif",
        "datetime": to_iso(scene.acquired),
        "mask": f"scenes/{scene.id}_mask.tif",
        "sensor": "simulated",
        **scene.angles,
        "simulated": True,
    }


def _to_plain_geometry(shape: BaseGeometry) -> dict[str, Any]:
    """Return a WGS 84 shape as plain GeoJSON with 7 decimals."""

    def plain(value: Any) -> Any:
        return [plain(v) for v in value] if isinstance(value, (list, tuple)) else round(float(value), 7)

    drawn = mapping(orient(shape) if shape.geom_type == "Polygon" else shape)
    return {"type": drawn["type"], "coordinates": plain(drawn["coordinates"])}
