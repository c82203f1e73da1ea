"""A QGIS project of one run: before, after, scores, changes, detections and zones, styled, with their time."""

from __future__ import annotations

import zipfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from changedetect.core.geometry import to_crs
from changedetect.core.times import to_iso
from changedetect.report.gis import symbols
from changedetect.report.gis.layers import (
    WGS84,
    Layer,
    map_layer,
    reference_system,
    score_layer,
    span,
    tree_layer,
    visible_at,
    visible_from_to,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import geopandas as gpd

    from changedetect.core.run import RunResults

PROJECT_NAME = "project.qgz"
STILL = (1980, 1, 1, 0, 0, 0)
"""The time of every member of an archive: the same outputs make the same bytes."""
_STEPS = 120
"""About how many frames the time slider has; an animation of more is not watched to its end."""


def write_project(folder: Path, results: RunResults, images: Mapping[str, str], scores: Sequence[str]) -> None:
    """Write `folder`/project.qgz for the outputs in it; paths in it are relative, so that the folder can move.

    Parameters
    ----------
    images : mapping of str to str
        Title of each picture of the place to its path in the folder, the topmost first.
    scores : sequence of str
        Names in score/ of the looks that have a score, in order of time; none where they were not written.
    """
    layers = list_layers(results, images, scores)
    text = to_document(results, layers)
    with zipfile.ZipFile(folder / PROJECT_NAME, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("project.qgs", STILL), text, zipfile.ZIP_DEFLATED)


def list_layers(results: RunResults, images: Mapping[str, str], scores: Sequence[str]) -> list[Layer]:
    """Return the layers of the project, the topmost first."""
    _, end = time_range(results)
    lasts = visible_from_to(
        'to_datetime("first_seen")', f"coalesce(to_datetime(\"gone_by\"), to_datetime('{to_iso(end)}'))"
    )
    layers = [
        Layer(
            "changes",
            "Changes",
            _source("changes", results.changes),
            WGS84,
            tuple(symbols.change_style()),
            temporal=lasts,
        ),
        Layer(
            "detections",
            "Detections, per date",
            _source("detections", results.detections),
            WGS84,
            tuple(symbols.detection_style()),
            shown=False,
            temporal=visible_at("acquired"),
        ),
        Layer("zones", "Place and zones", "./zones.geojson", WGS84, tuple(symbols.zone_style())),
    ]
    layers += _score_layers(results, scores, end)
    layers += [
        Layer(Path(path).stem, title, f"./{path}", results.grid.crs, (symbols.picture_pipe(),), raster=True)
        for title, path in images.items()
    ]
    return layers


def time_range(results: RunResults) -> tuple[datetime, datetime]:
    """Return when the series begins and ends: from its first look to a day after its last."""
    times = sorted(look.acquired for look in results.looks)
    return times[0], times[-1] + timedelta(days=1)


def to_document(results: RunResults, layers: Sequence[Layer]) -> str:
    """Return the project as the XML text that QGIS reads."""
    title = results.aoi.title + (" (SIMULATED)" if results.simulated else "")
    root = ET.Element("qgis", version="3.22.0", projectname=title)
    ET.SubElement(root, "title").text = title
    ET.SubElement(root, "projectCrs").append(reference_system(results.grid.crs))
    tree = ET.SubElement(root, "layer-tree-group")
    scores = [layer for layer in layers if layer.name.startswith("score-")]
    group = ET.Element("layer-tree-group", name="Change score by date", checked="Qt::Checked", expanded="0")
    group.extend(tree_layer(layer) for layer in scores)
    for layer in layers:
        if layer not in scores:
            tree.append(tree_layer(layer))
        elif layer is scores[0]:
            tree.append(group)
    ET.SubElement(root, "projectlayers").extend(map_layer(layer) for layer in layers)
    order = ET.SubElement(root, "layerorder")
    for layer in layers:
        ET.SubElement(order, "layer", id=layer.id)
    properties = ET.SubElement(root, "properties")
    ET.SubElement(ET.SubElement(properties, "Paths"), "Absolute", type="bool").text = "false"
    ET.SubElement(ET.SubElement(properties, "SpatialRefSys"), "ProjectionsEnabled", type="int").text = "1"
    # a label that the edge of the map would cut goes elsewhere
    ET.SubElement(ET.SubElement(properties, "PAL"), "ShowingPartialsLabels", type="bool").text = "false"
    root.append(_view(results))
    root.append(_time_settings(results))
    ET.indent(root)
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ET.tostring(root, encoding="unicode") + "\n"


def _source(name: str, table: gpd.GeoDataFrame) -> str:
    """Return where a layer's features are: an empty GeoJSON has no geometry, so QGIS is told what it would be."""
    return f"./{name}.geojson" + ("|geometrytype=Polygon" if table.empty else "")


def _score_layers(results: RunResults, scores: Sequence[str], end: datetime) -> list[Layer]:
    looks = [look for look in results.looks if look.score is not None]
    nexts = [look.acquired for look in looks[1:]] + [end]
    return (
        [
            score_layer(name, f"Score {to_iso(look.acquired)}", look.grid.crs, look.acquired, max(until, look.acquired))
            for name, look, until in zip(scores, looks, nexts, strict=True)
        ]
        if scores
        else []
    )


def _view(results: RunResults) -> ET.Element:
    left, bottom, right, top = to_crs(results.aoi.geometry, results.grid.crs).bounds
    margin = 0.05 * max(right - left, top - bottom)
    view = ET.Element("ProjectViewSettings")
    extent = ET.SubElement(
        view,
        "DefaultViewExtent",
        xmin=str(left - margin),
        ymin=str(bottom - margin),
        xmax=str(right + margin),
        ymax=str(top + margin),
    )
    extent.append(reference_system(results.grid.crs))
    return view


def _time_settings(results: RunResults) -> ET.Element:
    start, end = time_range(results)
    step = max(1, round((end - start).days / _STEPS))
    settings = ET.Element(
        "ProjectTimeSettings", frameRate="4", timeStep=str(step), timeStepUnit="d", cumulativeTemporalRange="0"
    )
    settings.append(span(start, end, "TemporalRange"))
    return settings
