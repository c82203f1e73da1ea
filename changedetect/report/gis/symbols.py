"""QGIS symbols, labels and renderers as XML: how changes, detections, zones and scores are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

from changedetect.report.images import CLASS_COLOURS, Colour

HALO: Colour = (0, 0, 0)

SCORE_RAMP: tuple[tuple[float, str, int], ...] = (
    (-20.0, "#2166ac", 255),
    (-5.0, "#67a9cf", 160),
    (-3.0, "#f7f7f7", 0),
    (3.0, "#f7f7f7", 0),
    (5.0, "#ef8a62", 160),
    (20.0, "#b2182b", 255),
)
"""Score (sigma), colour, opacity of 255: darker blue, brighter red; what is no more than noise stays clear."""

_BY_STATUS = "CASE WHEN \"status\"='disappeared' THEN 'dash' WHEN \"status\"='modified' THEN 'dot' ELSE 'solid' END"
_CHANGE_LABEL = (
    '"class" || CASE WHEN "count" > 1 THEN \' x \' || "count" ELSE \'\' END || \' \' || round("confidence",2)'
)


def change_style() -> list[ET.Element]:
    """Return renderer and labels of changes: outline coloured by class, dashed when gone, dotted when modified."""
    return [_by_class(0.7, _BY_STATUS), _labels(_CHANGE_LABEL)]


def detection_style() -> list[ET.Element]:
    """Return the renderer of detections: a thin outline coloured by class."""
    return [_by_class(0.3, None)]


def zone_style() -> list[ET.Element]:
    """Return renderer and labels of the AOI and its zones: dashed white lines."""
    renderer = ET.Element("renderer-v2", type="singleSymbol", symbollevels="0", forceraster="0", enableorderby="0")
    symbols = ET.SubElement(renderer, "symbols")
    symbols.append(_fill_symbol("0", (255, 255, 255), 0.4, style="dash"))
    return [renderer, _labels('"name"')]


def score_pipe() -> ET.Element:
    """Return the raster pipe of a change score: `SCORE_RAMP`, interpolated."""
    low, high = str(SCORE_RAMP[0][0]), str(SCORE_RAMP[-1][0])
    pipe = ET.Element("pipe")
    renderer = ET.SubElement(
        pipe,
        "rasterrenderer",
        {"type": "singlebandpseudocolor", "band": "1", "opacity": "1", "alphaBand": "-1"},
        classificationMin=low,
        classificationMax=high,
        nodataColor="",
    )
    shader = ET.SubElement(renderer, "rastershader")
    ramp = ET.SubElement(
        shader,
        "colorrampshader",
        {"colorRampType": "INTERPOLATED", "classificationMode": "1", "clip": "0"},
        minimumValue=low,
        maximumValue=high,
    )
    for value, colour, alpha in SCORE_RAMP:
        ET.SubElement(ramp, "item", value=str(value), color=colour, alpha=str(alpha), label=f"{value:g} sigma")
    return pipe


def picture_pipe() -> ET.Element:
    """Return the raster pipe of a picture in red, green and blue with a mask, which QGIS shows as a fourth band."""
    pipe = ET.Element("pipe")
    bands = {"redBand": "1", "greenBand": "2", "blueBand": "3", "alphaBand": "4"}
    ET.SubElement(pipe, "rasterrenderer", {"type": "multibandcolor", **bands, "opacity": "1", "nodataColor": ""})
    return pipe


def to_qml(parts: Sequence[ET.Element]) -> str:
    """Return the style elements of one layer as a QML document."""
    root = ET.Element("qgis", version="3.22", styleCategories="Symbology|Labeling|Temporal", labelsEnabled="1")
    root.extend(parts)
    ET.indent(root)
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ET.tostring(root, encoding="unicode") + "\n"


def _by_class(width_mm: float, style_expression: str | None) -> ET.Element:
    renderer = ET.Element(
        "renderer-v2", type="categorizedSymbol", attr="class", symbollevels="0", forceraster="0", enableorderby="0"
    )
    categories = ET.SubElement(renderer, "categories")
    symbols = ET.SubElement(renderer, "symbols")
    for place, (name, colour) in enumerate(CLASS_COLOURS.items()):
        ET.SubElement(categories, "category", value=name, label=name, symbol=str(place), render="true")
        symbols.append(_fill_symbol(str(place), colour, width_mm, expression=style_expression))
    return renderer


def _fill_symbol(
    name: str, colour: Colour, width_mm: float, *, style: str = "solid", expression: str | None = None
) -> ET.Element:
    # a dark line under the coloured one: readable on snow and on asphalt
    symbol = ET.Element("symbol", name=name, type="fill", alpha="1", clip_to_extent="1", force_rhr="0")
    for line, width, shown in ((HALO, width_mm + 0.5, None), (colour, width_mm, expression)):
        layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
        settings = {
            "style": "no",
            "outline_color": ",".join(map(str, (*line, 160 if line is HALO else 255))),
            "outline_style": "solid" if line is HALO else style,
            "outline_width": f"{width:g}",
            "outline_width_unit": "MM",
            "joinstyle": "round",
        }
        layer.append(options(settings))
        for key, value in settings.items():  # QGIS before 3.28 reads these
            ET.SubElement(layer, "prop", k=key, v=value)
        if shown:
            layer.append(_data_defined({"outlineStyle": shown}))
    return symbol


def _labels(expression: str) -> ET.Element:
    labeling = ET.Element("labeling", type="simple")
    settings = ET.SubElement(labeling, "settings", calloutType="simple")
    text = ET.SubElement(
        settings,
        "text-style",
        {"fieldName": expression, "isExpression": "1", "fontSize": "9", "fontWeight": "75", "fontSizeUnit": "Point"},
        fontFamily="Sans Serif",
        textColor="20,20,20,255",
        textOpacity="1",
    )
    ET.SubElement(
        text,
        "text-buffer",
        {"bufferDraw": "1", "bufferSize": "0.7", "bufferSizeUnits": "MM"},
        bufferColor="255,255,255,255",
        bufferOpacity="0.9",
    )
    # 8: beside the polygon, so that the object stays in sight; at priority 0 QGIS drops a label that touches anything
    ET.SubElement(
        settings, "placement", placement="8", polygonPlacementFlags="2", priority="5", dist="0", distUnits="MM"
    )
    ET.SubElement(settings, "rendering", drawLabels="1", displayAll="0", obstacle="1", scaleVisibility="0")
    return labeling


def _data_defined(properties: Mapping[str, str]) -> ET.Element:
    element = ET.Element("data_defined_properties")
    outer = ET.SubElement(element, "Option", type="Map")
    ET.SubElement(outer, "Option", name="name", type="QString", value="")
    inner = ET.SubElement(outer, "Option", name="properties", type="Map")
    for key, expression in properties.items():
        one = ET.SubElement(inner, "Option", name=key, type="Map")
        ET.SubElement(one, "Option", name="active", type="bool", value="true")
        ET.SubElement(one, "Option", name="expression", type="QString", value=expression)
        ET.SubElement(one, "Option", name="type", type="int", value="3")
    ET.SubElement(outer, "Option", name="type", type="QString", value="collection")
    return element


def options(values: Mapping[str, str]) -> ET.Element:
    """Return a QGIS option map of strings."""
    element = ET.Element("Option", type="Map")
    for key, value in values.items():
        ET.SubElement(element, "Option", name=key, type="QString", value=value)
    return element
