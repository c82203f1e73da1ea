"""SkySat as Planet delivers it: ortho collects and scenes, radiance or surface reflectance in four bands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from changedetect.io.assemble import Draft
from changedetect.io.dates import parse_stamp
from changedetect.io.files import read_header
from changedetect.io.metadata import find_json
from changedetect.io.products.family import Delivery, Family, is_cut, names_in, need_bands
from changedetect.io.products.planet import SR_SCALE, properties_of
from changedetect.io.sidecar import Facts, facts_of

if TYPE_CHECKING:
    pass

_SCENE = re.compile(r"^(?P<id>\d{8}_\d{6}_ssc\w{1,4}_[0-9a-z]{4,5})[_.]", re.IGNORECASE)
_BANDS = ("blue", "green", "red", "nir")
_KINDS = (("analytic_sr", "sr"), ("analytic", "radiance"), ("pansharpened", "radiance"), ("panchromatic", "pan"),
          ("visual", "visual"))  # fmt: skip
"""End of the name to what it is, best first."""
_RADIANCE_SCALE = 0.01


def recognise(path: str) -> str | None:
    """Return folder and id of the SkySat scene a file is of, if its metadata JSON lies beside it."""
    file = Path(path)
    match = _SCENE.match(file.name)
    if match and any(name.startswith(match["id"]) and name.endswith(".json") for name in names_in(file.parent)):
        return str(file.parent / match["id"])
    return None


def read(delivery: Delivery) -> Draft:
    """Return the draft of a SkySat scene: the best of its images, its usable-data mask, its JSON.

    Raises
    ------
    DataError
        No image.
    """
    key, files = delivery.key, delivery.files
    root = Path(key)
    found = _images(root)
    if is_cut([path for path, _ in found], files):
        found = [(path, kind) for path, kind in found if path in set(files)]
    need_bands(found, "SkySat", key, f"{root.name}_analytic.tif and the like")
    path, kind = found[0]
    facts = Facts()
    for name in names_in(root.parent):
        if name.startswith(root.name) and name.endswith(".json"):
            facts = facts.or_else(facts_of(properties_of(find_json(root.parent / name))))
    scales, unit = _scales(path, kind)
    masks = [str(root.parent / n) for n in names_in(root.parent) if re.match(root.name + r".*_udm2?(_clip)?\.tif", n)]
    return Draft(
        where=key,
        name=Path(path).stem,
        paths=(path,),
        masks=tuple(
            (mask, "udm2" if "udm2" in mask else "udm") for mask in sorted(masks, key=lambda m: "udm2" not in m)[:1]
        ),
        sensor="skysat-visual" if kind == "visual" else "skysat",
        bands={"visual": (), "pan": ("pan",)}.get(kind, _BANDS),
        unit=unit,
        facts=facts.or_else(Facts(acquired=parse_stamp(root.name[:15]))),
        scales=scales,
        is_told=True,
    )


FAMILY = Family("SkySat", recognise, read)


def _images(root: Path) -> list[tuple[str, str]]:
    """Return the images of a scene with their kind, best first."""
    out = []
    for end, kind in _KINDS:
        pattern = re.compile(rf"{re.escape(root.name)}_{end}(?:_dn)?(?:_clip)?\.tiff?$", re.IGNORECASE)
        out += [(str(root.parent / name), kind) for name in names_in(root.parent) if pattern.match(name)]
    return out


def _scales(path: str, kind: str) -> tuple[dict[str, tuple[float, float]], str]:
    """Return band to scale, and the unit: reflectance where the file's own JSON tag holds the coefficients."""
    if kind == "visual":
        return {}, "display"
    if kind == "pan":
        return {"pan": (_RADIANCE_SCALE, 0.0)}, "radiance"
    if kind == "sr":
        return dict.fromkeys(_BANDS, (SR_SCALE, 0.0)), "reflectance"
    try:
        tag = json.loads(read_header(path).tags.get("TIFFTAG_IMAGEDESCRIPTION", "{}"))
    except ValueError:
        tag = {}
    factors = properties_of(tag).get("reflectance_coefficients") if isinstance(tag, dict) else None
    if isinstance(factors, list) and len(factors) == len(_BANDS) and all(isinstance(f, float) for f in factors):
        return {band: (factor, 0.0) for band, factor in zip(_BANDS, factors, strict=True)}, "reflectance"
    return dict.fromkeys(_BANDS, (_RADIANCE_SCALE, 0.0)), "radiance"
