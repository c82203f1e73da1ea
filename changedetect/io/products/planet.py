"""PlanetScope as Planet delivers it: one GeoTIFF of 4 or 8 bands, a mask, and metadata as XML and JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from changedetect.errors import DataError
from changedetect.io.assemble import Draft
from changedetect.io.dates import parse_stamp, parse_time
from changedetect.io.metadata import Xml, find_json, find_xml, to_angle
from changedetect.io.products.family import Delivery, Family, is_cut, names_in, need_bands
from changedetect.io.sidecar import Facts, facts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SCENE = re.compile(r"^(?P<id>\d{8}_\d{6}_(?:\d{2}_)?[0-9a-f]{4})(?:_3[AB])?[_.]", re.IGNORECASE)
_ANALYTIC = re.compile(
    r"_3[AB]_AnalyticMS(?P<sr>_SR)?(?P<eight>_8b)?(?P<harmonized>_harmonized)?(?P<clip>_clip)?\.tiff?$", re.IGNORECASE
)
_VISUAL = re.compile(r"_3[AB]_Visual(?:_clip)?\.tiff?$", re.IGNORECASE)
_MASKS = (("udm2", re.compile(r"_udm2(?:_clip)?\.tiff?$", re.I)), ("udm", re.compile(r"_udm(?:_clip)?\.tiff?$", re.I)))
_BLUE_FIRST = {4: ("blue", "green", "red", "nir"),
               8: ("coastal", "blue", "green1", "green", "yellow", "red", "rededge", "nir")}  # fmt: skip
SR_SCALE = 1e-4
"""Surface reflectance is delivered times 10 000."""


@dataclass(frozen=True, slots=True)
class _Image:
    """One image of a scene, and how much it is preferred to its other images."""

    path: str
    rank: int
    kind: str
    """sr, radiance or visual."""
    count: int


def recognise(path: str) -> str | None:
    """Return folder and scene id of the PlanetScope delivery a file is of; a name alone, without metadata, is none."""
    file = Path(path)
    match = _SCENE.match(file.name)
    if not match or not any(next(_metadata(folder, match["id"]), None) for folder in _folders(file.parent)):
        return None
    return str(file.parent / match["id"])


def read(delivery: Delivery) -> Draft:
    """Return the draft of a scene: the best of its images, its usable-data mask, its metadata of both forms.

    Surface reflectance comes before radiance, harmonised before not, analytic before visual. Radiance becomes
    reflectance at the top of the atmosphere by the XML's coefficients.

    Raises
    ------
    DataError
        No image, or coefficients that do not fit its bands.
    """
    key, files = delivery.key, delivery.files
    root = Path(key)
    images = [image for name in names_in(root.parent) if (image := _image(root.parent / name, root.name))]
    if is_cut([image.path for image in images], files):
        images = [image for image in images if image.path in set(files)]
    need_bands(images, "PlanetScope", key, f"{root.name}_3B_AnalyticMS_SR.tif and the like")
    image = max(images, key=lambda item: (item.rank, item.path))
    xml, facts, cautions = _told(root)
    bands = _BLUE_FIRST.get(image.count, ("red", "green", "blue"))
    scales, unit = _scales(image, xml, bands, key)
    sensor = "planetscope-visual" if image.kind == "visual" else f"planetscope-{image.count}b"
    facts = facts if facts.acquired else facts.or_else(Facts(acquired=parse_stamp(root.name[:15])))
    return Draft(
        where=key,
        name=Path(image.path).stem,
        paths=(image.path,),
        masks=_masks(root),
        sensor=sensor if image.kind != "radiance" else f"{sensor}-radiance",
        bands=bands if image.kind != "visual" else (),
        unit=unit,
        facts=facts,
        scales=scales,
        is_told=True,
        cautions=cautions,
    )


FAMILY = Family("PlanetScope", recognise, read)


def _folders(folder: Path) -> tuple[Path, Path]:
    """Return where a scene's metadata may lie: with its image, or one up as in an order's `files` folder."""
    return folder, folder.parent


def _metadata(folder: Path, scene: str) -> Iterator[Path]:
    for name in names_in(folder):
        low = name.lower()
        if low.startswith(scene.lower()) and low.endswith((".json", ".xml")) and not low.endswith(".aux.xml"):
            yield folder / name


def _image(path: Path, scene: str) -> _Image | None:
    if not path.name.startswith(scene):
        return None
    if match := _ANALYTIC.search(path.name):
        rank = 4 * bool(match["sr"]) + 2 * bool(match["harmonized"]) + bool(match["eight"]) + 1
        return _Image(str(path), rank, "sr" if match["sr"] else "radiance", 8 if match["eight"] else 4)
    return _Image(str(path), 0, "visual", 3) if _VISUAL.search(path.name) else None


def _masks(root: Path) -> tuple[tuple[str, str | None], ...]:
    """Return the usable-data mask, else the older unusable-data mask."""
    for kind, pattern in _MASKS:
        for name in names_in(root.parent):
            if name.startswith(root.name) and pattern.search(name):
                return ((str(root.parent / name), kind),)
    return ()


def _told(root: Path) -> tuple[Xml | None, Facts, tuple[str, ...]]:
    """Return the XML, and what XML and JSON say together."""
    xml, facts, cautions = None, Facts(), []
    for folder in _folders(root.parent):
        for path in _metadata(folder, root.name):
            if path.suffix.lower() == ".json":
                properties = properties_of(find_json(path))
                facts = facts.or_else(facts_of(properties))
                if (properties.get("quality_category") or properties.get("pl:quality_category")) == "test":
                    cautions.append("its maker calls its quality `test`, not `standard`")
            elif xml is None and (found := find_xml(path)) and found.first("bandSpecificMetadata"):
                xml = found
    return xml, facts.or_else(_facts_in(xml)) if xml else facts, tuple(dict.fromkeys(cautions))


def properties_of(plain: dict[str, object]) -> dict[str, object]:
    """Return the properties of a JSON object: those of an item, else the object itself."""
    inner = plain.get("properties")
    return inner if isinstance(inner, dict) else plain


def _facts_in(xml: Xml) -> Facts:
    return Facts(
        acquired=parse_time(xml.text("acquisitionDateTime", "acquisitionDate") or ""),
        sun_azimuth_deg=to_angle(xml.text("illuminationAzimuthAngle")),
        sun_elevation_deg=to_angle(xml.text("illuminationElevationAngle")),
        view_azimuth_deg=to_angle(xml.text("azimuthAngle")),
        off_nadir_deg=to_angle(xml.text("spaceCraftViewAngle")),
        orbit_state=(xml.text("orbitDirection") or "").lower() or None,
    )


def _scales(
    image: _Image, xml: Xml | None, bands: Sequence[str], key: str
) -> tuple[dict[str, tuple[float, float]], str | None]:
    """Return band to scale and offset, and the unit they lead to."""
    if image.kind == "visual":
        return {}, "display"
    if image.kind == "sr":
        return dict.fromkeys(bands, (SR_SCALE, 0.0)), "reflectance"
    if xml is None:
        return {}, "radiance"
    factors = {
        int(part.number("bandNumber") or 0): part.number("reflectanceCoefficient")
        for part in xml.all("bandSpecificMetadata")
    }
    known = [factors.get(i + 1) for i in range(len(bands))]
    if len(factors) != len(bands) or not all(known):
        raise DataError("its reflectance coefficients do not fit its bands", where=key, found=len(factors),
                        needed=len(bands))  # fmt: skip
    return {band: (factor, 0.0) for band, factor in zip(bands, known, strict=True) if factor}, "reflectance"
