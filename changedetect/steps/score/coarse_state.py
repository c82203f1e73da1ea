"""The scoring model of coarse scenes: what its estimate finds and its score applies."""

from __future__ import annotations

import base64
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.grid import Grid

Rows = tuple[tuple[float, ...], ...]
KIND = "coarse"


@dataclass(frozen=True, slots=True)
class PackedMask:
    """A mask of few blobs on a whole grid: bits, zlib, base64."""

    shape: tuple[int, int]
    packed: str

    @classmethod
    def pack(cls, mask: NDArray[np.bool_]) -> PackedMask:
        """Return the mask packed."""
        raw = zlib.compress(np.packbits(mask).tobytes(), 9)
        return cls((mask.shape[0], mask.shape[1]), base64.b64encode(raw).decode("ascii"))

    def unpack(self) -> NDArray[np.bool_]:
        """Return the mask, (row, col)."""
        bits = np.frombuffer(zlib.decompress(base64.b64decode(self.packed)), np.uint8)
        return np.unpackbits(bits, count=self.shape[0] * self.shape[1]).reshape(self.shape).astype(bool)


@dataclass(frozen=True, slots=True)
class Clusters:
    """How each kind of ground on one date looks on the other."""

    centres: Rows
    """(cluster, descriptor)."""
    coefficients: tuple[Rows, ...]
    """(cluster, 1 + band, band): the other date's bands from this date's."""
    whitening: tuple[Rows, ...]
    """(cluster, band, band): of what the prediction leaves."""


@dataclass(frozen=True, slots=True)
class CoarseModel:
    """Everything needed to score a block; bands in the order of `bands`."""

    bands: tuple[str, ...]
    origin: tuple[float, float]
    """Map x and y of the first pixel of the grid it was estimated on."""
    scale: tuple[float, ...]
    """Factor per band to reflectance or numbers of that size."""
    gain: tuple[float, ...]
    offset: tuple[float, ...]
    """Of the scene after `scale`, on pixels that did not change."""
    level: tuple[float, ...]
    spread: tuple[float, ...]
    """Median and robust deviation of the baseline: both dates are standardised by them."""
    green_level: tuple[float, float]
    green_spread: tuple[float, float]
    """The same of the vegetation index, before and after."""
    forward: Clusters | None = None
    """The scene from its baseline."""
    backward: Clusters | None = None
    """The baseline from its scene."""
    medians: tuple[float, ...] = ()
    """Of residual, gradient, structure and magnitude: each counts relative to its own."""
    water_limit: float = 1.0
    penalty: float = 0.0
    """Taken off the log-evidence for lack of lasting detail."""
    clouds: PackedMask | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-able data."""
        return {"kind": KIND} | asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CoarseModel:
        """Return the model of plain data, also after a trip through JSON."""
        values = {key: _tuples(value) for key, value in data.items() if key != "kind"}
        for name in ("forward", "backward"):
            values[name] = Clusters(**{k: _tuples(v) for k, v in data[name].items()}) if data[name] else None
        clouds = data["clouds"]
        values["clouds"] = PackedMask((clouds["shape"][0], clouds["shape"][1]), clouds["packed"]) if clouds else None
        return cls(**values)

    def pixel_offset(self, grid: Grid) -> tuple[int, int]:
        """Return (row, col) of a block's first pixel in the grid the model was estimated on."""
        row = round((self.origin[1] - grid.transform.f) / grid.gsd_m)
        return row, round((grid.transform.c - self.origin[0]) / grid.gsd_m)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
