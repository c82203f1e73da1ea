"""The scoring model: what `estimate_noise` finds and `change_score` applies."""

from __future__ import annotations

import base64
import zlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.grid import Grid


@dataclass(frozen=True, slots=True)
class CoarseField:
    """A slowly varying quantity on square cells anchored to a grid's first pixel."""

    shape: tuple[int, int]
    step: float
    """Value of one count."""
    packed: str
    """int16 counts, zlib, base64: JSON-able, and a hundredth of the pixels."""

    @classmethod
    def pack(cls, values: NDArray[np.floating[Any]]) -> CoarseField:
        """Return the field with values rounded to 1/30000 of their range."""
        step = max(float(np.abs(values).max()), 1e-9) / 30000.0
        counts = np.rint(np.asarray(values) / step).astype("<i2")
        packed = base64.b64encode(zlib.compress(counts.tobytes(), 6)).decode("ascii")
        return cls((values.shape[0], values.shape[1]), step, packed)

    def unpack(self) -> NDArray[np.float32]:
        """Return the values, (row, col) float32."""
        counts = np.frombuffer(zlib.decompress(base64.b64decode(self.packed)), "<i2").reshape(self.shape)
        return (counts * self.step).astype(np.float32)


@dataclass(frozen=True, slots=True)
class ScoreModel:
    """Everything needed to score a block; bands in the order of `bands`."""

    bands: tuple[str, ...]
    origin: tuple[float, float]
    """Map x and y of the first pixel of the grid it was estimated on: where the coarse cells begin."""
    cell_px: int
    reach_px: int
    """Distance at which the level of the ground around is looked up."""
    scale: tuple[float, ...]
    """Factor per band to reflectance or, for other units, to numbers of that size."""
    level: tuple[float, ...]
    """Median of the baseline per band, put where nothing is known."""
    coefficients: tuple[tuple[float, ...], ...]
    """Per band, of the prediction from the baseline; see `predict.design`."""
    psf_side: str
    """none, before or after: which date is blurred to match the other."""
    psf_sigma_px: float
    path: tuple[float, ...]
    """Path radiance per band."""
    variance: tuple[tuple[float, ...], ...]
    """Per band: constant, p, p^2, gradient^2, local variance, laplacian^2, spread^2."""
    whitening: tuple[tuple[float, ...], ...]
    shadow_reach_m: tuple[float, float]
    """How far from shadows that lasted light may have gone, and come back."""
    shadow: tuple[float, ...] = ()
    """Share of the light that is left in shadow, per band, as seen where shadows grew; () where none did."""
    scale_all: float = 1.0
    """Factor that gives the whitened residual its expected median."""
    scale_free: float = 1.0
    """The same after the common change of light is taken out."""
    tolerance_px: float = 0.0
    """Distance by which misregistration may move a thing, where compact things are looked for."""
    bend: float = 0.0
    """How far a line through ordinary ground may miss what is much brighter or darker; see `ScoreParams.bend`."""
    fields: dict[str, CoarseField] = field(default_factory=dict)
    """offset_0.. (relative, per band), bright_before, bright_after (60th percentiles), noise (relative level)."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-able data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ScoreModel:
        """Return the model of plain data, also after a trip through JSON."""
        values = dict(data)
        for name in ("bands", "origin", "scale", "level", "path", "shadow", "shadow_reach_m"):
            values[name] = tuple(values[name])
        for name in ("coefficients", "variance", "whitening"):
            values[name] = tuple(tuple(row) for row in values[name])
        values["fields"] = {
            name: CoarseField((int(item["shape"][0]), int(item["shape"][1])), item["step"], item["packed"])
            for name, item in values["fields"].items()
        }
        return cls(**values)

    def pixel_offset(self, grid: Grid) -> tuple[int, int]:
        """Return (row, col) of a block's first pixel in the grid the model was estimated on."""
        row = round((self.origin[1] - grid.transform.f) / grid.gsd_m)
        col = round((grid.transform.c - self.origin[0]) / grid.gsd_m)
        return row, col
