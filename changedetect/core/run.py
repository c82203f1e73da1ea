"""What a run produced, complete: all that the writers, the report and the command line need."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

    from changedetect.core.aoi import Aoi
    from changedetect.core.grid import Grid
    from changedetect.core.results import Look


@dataclass(frozen=True, slots=True, eq=False)
class RunResults:
    """Everything one run found out about one AOI."""

    aoi: Aoi
    grid: Grid
    changes: gpd.GeoDataFrame
    """`tables.CHANGE_COLUMNS`, in the grid's reference system."""
    detections: gpd.GeoDataFrame
    """`tables.DETECTION_COLUMNS`, in the grid's reference system."""
    activity: pd.DataFrame
    """`tables.ACTIVITY_COLUMNS`."""
    summary: dict[str, Any] = field(default_factory=dict)
    """JSON-able; goes to summary.json. Its `headline` is a list of sentences."""
    looks: tuple[Look, ...] = ()
    scene_records: tuple[dict[str, Any], ...] = ()
    """The `scenes` of run.json, one per scene."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """The rest of run.json: settings, inputs, versions, seeds, timings."""
    simulated: bool = False
    """Whether any scene was generated."""


@dataclass(frozen=True, slots=True)
class WriteParams:
    """What is written beside the tables; shared by `io.write` and `report.quicklooks`."""

    score: bool = True
    """Whether the change score of each date is written as a GeoTIFF."""
    score_step_sigma: Annotated[float, Field(ge=0, le=1)] = 0.015625
    """Scores are rounded to multiples of this (0: not at all): a 64th of a sigma means nothing and halves the files."""
    max_quicklooks: Annotated[int, Field(ge=0, le=10_000)] = 60
    """Most changes that get a before/after picture, the most confident first: nobody leafs through more."""
    chip_context_m: Annotated[float, Field(ge=0, le=2000)] = 30.0
    """Ground shown around a change, so that the place can be recognised."""
    chip_px: Annotated[int, Field(ge=64, le=2048)] = 420
    """Side of each chip on the picture; two of them and their captions fit a 1080-pixel screen."""
    imagery: bool = True
    """Whether the place before and after, registered, is written as pictures that a GIS opens beside the changes."""
    overview_px: Annotated[int, Field(ge=128, le=8192)] = 1600
    """Longer side of overview.png."""
    report: bool = True
    """Whether report.html and what it is made from are written."""
    report_mb: Annotated[float, Field(ge=1, le=2000)] = 25.0
    """Most that report.html weighs, in millions of bytes, so that it can be mailed; imagery gets coarser to fit."""
    report_px: Annotated[int, Field(ge=128, le=16384)] = 4096
    """Longest side of the picture of a look in report.html: larger ones make a telephone give up."""
    max_chips: Annotated[int, Field(ge=0, le=10_000)] = 10_000
    """Most changes that have chips of their own in report.html, the most confident first, as far as `report_mb` has
    room; each costs two readings. What the others show is cut from the pictures of the looks, which may be coarser."""
