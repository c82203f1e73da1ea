"""Layers of a QGIS project as XML: where the data are, how they are drawn and when they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pyproj

from changedetect.core.times import to_iso
from changedetect.report.gis import symbols

if TYPE_CHECKING:
    from datetime import datetime

WGS84 = "EPSG:4326"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the project."""

    name: str
    title: str
    source: str
    """Relative to the project file."""
    crs: str
    style: tuple[ET.Element, ...]
    """Renderer and labels of a vector layer; the pipe of a raster layer."""
    raster: bool = False
    shown: bool = True
    temporal: ET.Element | None = None

    @property
    def id(self) -> str:
        """Unique in the project; QGIS gives layers with ids of ten letters or fewer new ones."""
        return f"changedetect-{self.name}"

    @property
    def provider(self) -> str:
        """The QGIS provider that reads it."""
        return "gdal" if self.raster else "ogr"


def map_layer(layer: Layer) -> ET.Element:
    """Return a layer's `maplayer` element."""
    labelled = any(part.tag == "labeling" for part in layer.style)
    element = ET.Element(
        "maplayer",
        {"type": "raster" if layer.raster else "vector", "styleCategories": "AllStyleCategories"},
        labelsEnabled=str(int(labelled)),
    )
    for tag, text in (("id", layer.id), ("datasource", layer.source), ("layername", layer.title)):
        ET.SubElement(element, tag).text = text
    ET.SubElement(element, "srs").append(reference_system(layer.crs))
    provider = ET.SubElement(element, "provider", {} if layer.raster else {"encoding": "UTF-8"})
    provider.text = layer.provider
    if layer.temporal is not None:
        element.append(layer.temporal)
    element.extend(layer.style)
    return element


def tree_layer(layer: Layer) -> ET.Element:
    """Return a layer's entry in the layer tree."""
    return ET.Element(
        "layer-tree-layer",
        {"id": layer.id, "name": layer.title, "source": layer.source, "providerKey": layer.provider},
        checked="Qt::Checked" if layer.shown else "Qt::Unchecked",
        expanded="1" if layer.name == "changes" else "0",
    )


def reference_system(crs: str) -> ET.Element:
    """Return a coordinate reference system as QGIS stores it."""
    element = ET.Element("spatialrefsys")
    ET.SubElement(element, "wkt").text = pyproj.CRS.from_user_input(crs).to_wkt()
    ET.SubElement(element, "authid").text = crs
    return element


def span(start: datetime | None, end: datetime | None, tag: str = "fixedRange") -> ET.Element:
    """Return a time range; open where None."""
    element = ET.Element(tag)
    ET.SubElement(element, "start").text = to_iso(start) or ""
    ET.SubElement(element, "end").text = to_iso(end) or ""
    return element


def visible_from_to(start_expression: str, end_expression: str) -> ET.Element:
    """Return the time of features that last: from one expression to the other."""
    element = ET.Element(
        "temporal",
        {"enabled": "1", "mode": "4", "startExpression": start_expression, "endExpression": end_expression},
        limitMode="0",
    )
    element.append(span(None, None))
    return element


def visible_at(field: str) -> ET.Element:
    """Return the time of features seen at one moment."""
    element = ET.Element("temporal", enabled="1", mode="1", startField=field, limitMode="0", accumulate="0")
    element.append(span(None, None))
    return element


def visible_within(start: datetime, end: datetime) -> ET.Element:
    """Return the time of a whole layer."""
    element = ET.Element("temporal", enabled="1", mode="0", fetchMode="0")
    element.append(span(start, end))
    return element


def score_layer(name: str, title: str, crs: str, acquired: datetime, until: datetime) -> Layer:
    """Return the layer of one score raster, shown from its own look up to the next."""
    return Layer(
        name=f"score-{name.removesuffix('.tif')}",
        title=title,
        source=f"./score/{name}",
        crs=crs,
        style=(symbols.score_pipe(),),
        raster=True,
        shown=False,
        temporal=visible_within(acquired, until),
    )
