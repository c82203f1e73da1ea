"""For Google Earth: a KMZ with a placemark per change, with its time span, and one per detection, with its date."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pandas as pd
from shapely.geometry import MultiPolygon

from changedetect.core.times import to_iso
from changedetect.report.gis.project import STILL
from changedetect.report.images import CLASS_COLOURS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapely.geometry import Polygon
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.run import RunResults
    from changedetect.report.images import Colour

KMZ_NAME = "changes.kmz"

_TOLD = ("status", "absent_until", "first_seen", "last_seen", "gone_by", "confidence", "count", "zone")
_SIZES = {"area_m2": "m²", "length_m": "m", "width_m": "m"}


def write_kmz(folder: Path, results: RunResults) -> None:
    """Write `folder`/changes.kmz.

    References
    ----------
    OGC KML 2.3 (12-007r2): TimeSpan, extended data, colours as aabbggrr.
    """
    with zipfile.ZipFile(folder / KMZ_NAME, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("doc.kml", STILL), to_kml(results), zipfile.ZIP_DEFLATED)


def to_kml(results: RunResults) -> str:
    """Return the changes of a run, and its detections per date, as a KML document."""
    root = ET.Element("kml", xmlns="http://www.opengis.net/kml/2.2")
    document = ET.SubElement(root, "Document")
    title = results.aoi.title + (" (SIMULATED)" if results.simulated else "")
    ET.SubElement(document, "name").text = title
    ET.SubElement(document, "description").text = _place(results)
    for kind, colour in CLASS_COLOURS.items():
        document.append(_style(kind, colour))
    table = results.changes.to_crs(4326)
    for kind in CLASS_COLOURS:
        rows = table[table["class"] == kind].to_dict("records")
        if rows:
            folder = ET.SubElement(document, "Folder")
            ET.SubElement(folder, "name").text = f"{kind} ({len(rows)})"
            folder.extend(_placemark(row) for row in rows)
    document.extend(_detections(results))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _place(results: RunResults) -> str:
    location = results.aoi.location
    accuracy = "unknown" if location.accuracy_m is None else f"{location.accuracy_m:g} m"
    headline = " ".join(str(line) for line in results.summary.get("headline", ()))
    return f"{headline}\nLocation: {location.source or 'source not given'}; accuracy {accuracy}."


def _style(kind: str, colour: Colour) -> ET.Element:
    style = ET.Element("Style", id=kind)
    red, green, blue = colour
    line = ET.SubElement(style, "LineStyle")
    ET.SubElement(line, "color").text = f"ff{blue:02x}{green:02x}{red:02x}"
    ET.SubElement(line, "width").text = "2"
    ET.SubElement(ET.SubElement(style, "PolyStyle"), "fill").text = "0"
    return style


def _placemark(change: Mapping[str, Any]) -> ET.Element:
    mark = ET.Element("Placemark", id=str(change["id"]))
    ET.SubElement(mark, "name").text = f"{change['class']} {change['status']} {float(change['confidence']):.2f}"
    span = ET.SubElement(mark, "TimeSpan")
    ET.SubElement(span, "begin").text = to_iso(change["first_seen"])
    gone_by = to_iso(change["gone_by"])
    if gone_by:
        ET.SubElement(span, "end").text = gone_by
    ET.SubElement(mark, "styleUrl").text = f"#{change['class']}"
    data = ET.SubElement(mark, "ExtendedData")
    for name, value in _told(change).items():
        _datum(data, name, value)
    mark.append(_geometry(change["geometry"]))
    return mark


def _detections(results: RunResults) -> list[ET.Element]:
    """Return what was seen on each date as one folder of folders, hidden until it is ticked: changes say it shorter."""
    table = results.detections.to_crs(4326)
    if table.empty:
        return []
    folder = ET.Element("Folder")
    ET.SubElement(folder, "name").text = f"Detections, per date ({len(table)})"
    ET.SubElement(folder, "visibility").text = "0"
    for time, rows in table.groupby("acquired"):
        look = ET.SubElement(folder, "Folder")
        ET.SubElement(look, "name").text = f"{to_iso(time)} ({len(rows)})"
        ET.SubElement(look, "visibility").text = "0"
        look.extend(_seen(row) for row in rows.to_dict("records"))
    return [folder]


def _seen(detection: Mapping[str, Any]) -> ET.Element:
    mark = ET.Element("Placemark")
    count = detection["count"]
    several = f" x {count}" if pd.notna(count) and count != 1 else ""
    ET.SubElement(mark, "name").text = f"{detection['class']}{several} {float(detection['confidence']):.2f}"
    ET.SubElement(mark, "visibility").text = "0"
    ET.SubElement(ET.SubElement(mark, "TimeStamp"), "when").text = to_iso(detection["acquired"])
    ET.SubElement(mark, "styleUrl").text = f"#{detection['class']}"
    data = ET.SubElement(mark, "ExtendedData")
    for name in ("scene_id", "change_id", "status"):
        _datum(data, name, "" if detection[name] is None else str(detection[name]))
    for name, value in _sizes(detection).items():
        _datum(data, name, value)
    _datum(data, "flags", ", ".join(detection["flags"] or ()))
    mark.append(_geometry(detection["geometry"]))
    return mark


def _datum(data: ET.Element, name: str, value: str) -> None:
    ET.SubElement(ET.SubElement(data, "Data", name=name), "value").text = value


def _sizes(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: f"{float(row[name]):.1f} {unit}" for name, unit in _SIZES.items()}


def _told(change: Mapping[str, Any]) -> dict[str, str]:
    told = {}
    for name in _TOLD:
        value = change[name]
        text = to_iso(value) if name in ("absent_until", "first_seen", "last_seen", "gone_by") else value
        told[name] = "" if text is None else f"{text:.2f}" if isinstance(text, float) else str(text)
    told |= _sizes(change)
    told["flags"] = ", ".join(change["flags"] or ())
    return told


def _geometry(shape: BaseGeometry) -> ET.Element:
    if not isinstance(shape, MultiPolygon):
        return _polygon(shape)
    several = ET.Element("MultiGeometry")
    several.extend(_polygon(part) for part in shape.geoms)
    return several


def _polygon(shape: Polygon) -> ET.Element:
    polygon = ET.Element("Polygon")
    ET.SubElement(polygon, "tessellate").text = "1"
    for tag, ring in (("outerBoundaryIs", shape.exterior), *(("innerBoundaryIs", hole) for hole in shape.interiors)):
        line = ET.SubElement(ET.SubElement(polygon, tag), "LinearRing")
        ET.SubElement(line, "coordinates").text = " ".join(f"{x:.7f},{y:.7f}" for x, y, *_ in ring.coords)
    return polygon
