"""Assemble: a draft of a scene (what a user listed or a folder holds) into a `Scene`, from headers alone."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from shapely.ops import unary_union

from changedetect.core.comparable import RADAR_UNITS
from changedetect.core.scene import Asset, MaskSource, Scene
from changedetect.errors import ConfigError, DataError
from changedetect.io.dates import Found, date_in_name, parse_stamp
from changedetect.io.decibel import power_or_db
from changedetect.io.files import Header, read_header
from changedetect.io.place import place_of
from changedetect.io.product import Product, describe, meaning, measured_bands, path_tail, recognise
from changedetect.io.s2_offset import find_offset
from changedetect.io.sidecar import Facts, facts_in_tags, read_sidecars, written_time

if TYPE_CHECKING:
    from datetime import datetime

    from changedetect.io.place import Place
    from changedetect.io.s2_offset import OffsetMode
    from changedetect.io.sensors import Sensor, Sensors

LOG = logging.getLogger(__name__)

SIMULATED_TAG = "CHANGEDETECT_SIMULATED"

_GENERIC_MASKS = {"scl": "scl", "udm2": "udm2", "udm2_clip": "udm2", "udm": "udm", "qa_pixel": "qa_pixel"}
_OBLIQUE_DEG = 30.0
"""Beyond this what is tall leans by more than half its height."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A scene as found, before its files are looked into."""

    where: str
    """How errors call it."""
    name: str
    """Proposed id."""
    paths: tuple[str, ...] = ()
    """One file with all bands, or the tiles of a mosaic."""
    band_paths: dict[str, tuple[tuple[str, ...], int]] = field(default_factory=dict)
    """Instead: band to its files and the 1-based index in them."""
    acquired: datetime | None = None
    masks: tuple[tuple[str, str | None], ...] = ()
    """(path, kind), kind None: told by the name, else nonzero."""
    sensor: str | None = None
    bands: tuple[str, ...] = ()
    """Names in file order, overriding what the file says."""
    crs: str | None = None
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None
    facts: Facts = field(default_factory=Facts)
    """Angles a user gave."""
    simulated: bool = False
    stems: tuple[str, ...] = ()
    """Further names its sidecars may bear."""
    is_told: bool = False
    """The product's own metadata said all there is to know; no sidecar is asked."""
    unit: str | None = None
    """What the numbers are, overriding what sensor and file say."""
    scales: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Band to (scale, offset), overriding those of the sensor."""
    transforms: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """File to its pixel-to-map transform in `crs`, for files without a place of their own."""
    is_by_hand: bool = False
    """Its place on the map comes from control points."""
    cautions: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Every file it reads, masks included."""
        bands = [path for paths, _ in self.band_paths.values() for path in paths]
        return (*self.paths, *bands, *(path for path, _ in self.masks))


def assemble(draft: Draft, table: Sensors, s2_offset: OffsetMode = "auto") -> Scene:
    """Return the scene of a draft; reads headers and sidecars, and of Sentinel-2 a few pixels (`s2_offset`).

    Raises
    ------
    ConfigError
        What was listed does not fit the files.
    DataError
        A file is missing or not a raster, has no place, or nothing tells the date.
    """
    files = draft.paths or tuple(path for paths, _ in draft.band_paths.values() for path in paths)
    headers = {path: read_header(path) for path in dict.fromkeys(files)}
    first = headers[files[0]]
    facts = draft.facts
    if not draft.is_told:
        facts = facts.or_else(read_sidecars(first.path, (*draft.stems, draft.name))).or_else(facts_in_tags(first))
    sensor = draft.sensor or recognise(first, table)
    acquired = draft.acquired or _find_date(first, facts, table)
    assets, unit, sensor = _make_assets(draft, headers, sensor, table)
    told = None
    is_scaled = draft.scale is not None or draft.offset is not None or (_tagged(first) and not draft.scales)
    if sensor and table.sensors[sensor].baseline_offset and not is_scaled:
        assets, told = _shift_baseline(assets, first, facts, acquired, table.sensors[sensor], s2_offset, draft.is_told)
    unit = draft.unit or (power_or_db(first.path, assets[0].index) if unit == "sigma0" else unit)
    places = [place_of(header, draft.crs, draft.transforms.get(path)) for path, header in headers.items()]
    cautions = (*draft.cautions, *_cautions_of(places, unit, facts), *([told] if told else []))
    return Scene(
        id=re.sub(r"[^\w.-]+", "_", draft.name)[:120] or "scene",
        acquired=acquired,
        assets=assets,
        gsd_m=min(place.gsd_m for place in places),
        footprint=unary_union([place.footprint for place in _distinct_places(places)]),
        sensor=sensor,
        unit=unit,
        masks=tuple(MaskSource(path, _mask_kind(path, kind, sensor, table)) for path, kind in draft.masks),
        sun_azimuth_deg=facts.sun_azimuth_deg,
        sun_elevation_deg=facts.sun_elevation_deg,
        view_azimuth_deg=facts.view_azimuth_deg,
        off_nadir_deg=facts.off_nadir_deg,
        simulated=draft.simulated or SIMULATED_TAG in first.tags,
        crs=draft.crs,
        relative_orbit=facts.relative_orbit,
        orbit_state=facts.orbit_state,
        look_side=facts.look_side,
        is_placed=facts.is_placed is not False and not draft.is_by_hand,
        is_approximate=draft.is_by_hand,
        cautions=cautions,
    )


def _cautions_of(places: list[Place], unit: str, facts: Facts) -> tuple[str, ...]:
    told = []
    if any(place.rpcs is not None and not place.gcps for place in places):
        told.append("placed by its RPC at mean height; relief displaces it")
    if facts.is_placed is False:
        told.append("its maker found no ground control: nothing ties it to the ground but registration")
    is_oblique = facts.off_nadir_deg is not None and abs(facts.off_nadir_deg) > _OBLIQUE_DEG
    if facts.off_nadir_deg is not None and is_oblique and unit not in RADAR_UNITS:
        told.append(f"seen from {abs(facts.off_nadir_deg):.0f} degrees off nadir: tall things lean")
    return tuple(told)


def _distinct_places(places: list[Place]) -> list[Place]:
    seen: dict[tuple[object, ...], Place] = {}
    for place in places:
        key = (place.crs, place.transform, place.shape) if place.transform is not None else (place.path,)
        seen.setdefault(key, place)
    return list(seen.values())


def _tagged(header: Header) -> bool:
    return header.scales[0] != 1.0 or header.offsets[0] != 0.0


def _make_assets(
    draft: Draft, headers: dict[str, Header], sensor: str | None, table: Sensors
) -> tuple[tuple[Asset, ...], str, str | None]:
    """Return assets, unit and sensor."""
    if draft.band_paths:
        return _single_band_assets(draft, headers, sensor, table)
    products = [_describe(headers[path], draft, sensor, table) for path in draft.paths]
    first = products[0]
    for path, product in zip(draft.paths, products, strict=True):
        if product.bands != first.bands or product.unit != first.unit:
            raise DataError(
                "the tiles of a mosaic have different bands",
                where=path,
                found=", ".join(name for name, _ in product.bands),
                needed=", ".join(name for name, _ in first.bands),
            )
    scale = first.scale if draft.scale is None else draft.scale
    offset = first.offset if draft.offset is None else draft.offset
    nodata = first.nodata if draft.nodata is None else draft.nodata
    transform = draft.transforms.get(draft.paths[0])
    assets = tuple(
        Asset(name, draft.paths, index, *draft.scales.get(name, (scale, offset)), nodata, transform)
        for name, index in first.bands
    )
    return assets, first.unit, first.sensor


def _describe(header: Header, draft: Draft, sensor: str | None, table: Sensors) -> Product:
    if not draft.bands:
        return describe(header, table, sensor)
    # who names as many bands as there are says that none is an alpha
    indexes = measured_bands(header) if len(draft.bands) < header.count else list(range(1, header.count + 1))
    if len(draft.bands) != len(indexes):
        raise ConfigError(
            "`bands` does not fit the file", where=header.path, found=f"{len(indexes)} bands", needed=len(draft.bands)
        )
    profile = table.sensor(sensor, where=draft.where) if sensor else None
    unit, scale, offset = meaning(header, profile)
    nodata = profile.nodata if profile and header.nodata[0] is None else None
    return Product(sensor, tuple(zip(draft.bands, indexes, strict=True)), unit, scale, offset, nodata)


def _single_band_assets(
    draft: Draft, headers: dict[str, Header], sensor: str | None, table: Sensors
) -> tuple[tuple[Asset, ...], str, str | None]:
    profile = table.sensor(sensor, where=draft.where) if sensor else None
    assets = []
    units = []
    for band, (paths, index) in draft.band_paths.items():
        header = headers[paths[0]]
        if not 1 <= index <= header.count:
            raise ConfigError(f"asset {band} asks for a band the file lacks", where=header.path, found=index,
                              needed=f"1 to {header.count}")  # fmt: skip
        unit, scale, offset = meaning(header, profile)
        units.append(unit)
        nodata = profile.nodata if profile and header.nodata[index - 1] is None else None
        scale = scale if draft.scale is None else draft.scale
        offset = offset if draft.offset is None else draft.offset
        scale, offset = draft.scales.get(band, (scale, offset))
        nodata = nodata if draft.nodata is None else draft.nodata
        assets.append(Asset(band, paths, index, scale, offset, nodata, draft.transforms.get(paths[0])))
    if len(set(units)) > 1 and draft.unit is None:
        raise DataError("its bands mean different things", where=draft.where, found=", ".join(sorted(set(units))))
    return tuple(assets), units[0], sensor


def _shift_baseline(
    assets: tuple[Asset, ...],
    header: Header,
    facts: Facts,
    acquired: datetime,
    profile: Sensor,
    mode: OffsetMode,
    is_maker: bool,
) -> tuple[tuple[Asset, ...], str | None]:
    """Return assets with the offset of the Sentinel-2 processing baseline where still in the numbers, and a caution."""
    if not header.dtype.startswith(("uint16", "int16")):
        return assets, None
    match = re.search(r"_N(\d{4})_", path_tail(header.path))
    if facts.baseline is None and match:
        facts = replace(facts, baseline=int(match[1]))
    steps = profile.baseline_offset
    offset, caution = find_offset(assets, facts, steps, acquired, mode, is_maker=is_maker)
    return tuple(replace(asset, offset=asset.offset + offset) for asset in assets), caution


def _mask_kind(path: str, kind: str | None, sensor: str | None, table: Sensors) -> str:
    if kind is not None:
        table.mask(kind, where=path)
        return kind
    stem = Path(path).stem.lower()
    told = {key.lower(): value for key, value in (table.sensors[sensor].mask_files if sensor else {}).items()}
    for suffix, value in sorted({**_GENERIC_MASKS, **told}.items(), key=lambda item: -len(item[0])):
        if (stem == suffix or stem.endswith("_" + suffix)) and value in table.masks:
            return value
    return "nonzero"


def _find_date(header: Header, facts: Facts, table: Sensors) -> datetime:
    """Return the acquisition: sidecar or tag, product name, any name, time of writing, in this order."""
    if facts.acquired and facts.acquired.precision in ("time", "day"):
        return facts.acquired.when
    tail = path_tail(header.path)
    if table.dated_by_processing(tail):
        raise DataError(
            "its name carries the time of processing, not of acquisition",
            where=header.path,
            hint="list the scene with its `datetime:`",
        )
    named = _date_by_sensor(tail, table)
    for text in (Path(header.path).stem, Path(header.path).parent.name):
        named = named or _fine(date_in_name(text))
    coarse = date_in_name(Path(header.path).stem) or date_in_name(Path(header.path).parent.name)
    found = named or written_time(header) or facts.acquired or coarse
    if found is None:
        raise DataError("nothing tells when it was acquired", where=header.path, hint="list it with its `datetime:`")
    if found.precision in ("month", "year"):
        LOG.warning("%s: only the %s is known; taken as %s", header.path, found.precision, f"{found.when:%Y-%m-%d}")
    return found.when


def _fine(found: Found | None) -> Found | None:
    return found if found and found.precision in ("time", "day") else None


def _date_by_sensor(text: str, table: Sensors) -> Found | None:
    for _, match in table.named_in(text):
        stamp = match.groupdict().get("date")
        if stamp and (found := parse_stamp(stamp)):
            return found
    return None
