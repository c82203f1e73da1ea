"""Open the QGIS project of a run without a screen: say what QGIS makes of it, and save the map as a picture.

    /usr/bin/python3 scripts/render_qgis.py outputs/sergeyevka map.png [--at 2024-10-18] [--width 1200]

Needs the Python that QGIS was built for (Debian: apt install python3-qgis qgis-providers); prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def main() -> None:
    """Print what QGIS says of the project; save its map."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="outputs of a run")
    parser.add_argument("picture", type=Path, help="PNG to write")
    parser.add_argument("--at", help="a day: the map shows what was there then")
    parser.add_argument("--width", type=int, default=1200, help="pixels")
    options = parser.parse_args()
    from qgis.core import QgsApplication

    application = QgsApplication([], False)
    application.initQgis()
    told = describe(options)
    sys.stdout.write(json.dumps(told, indent=1) + "\n")
    application.exitQgis()


def describe(options: argparse.Namespace) -> dict[str, object]:
    """Return the project's layers and time as QGIS understands them, with its map rendered."""
    from qgis.core import Qgis, QgsProject

    project = QgsProject.instance()
    read = project.read(str(options.folder / "project.qgz"))
    period = project.timeSettings().temporalRange()
    return {
        "qgis": Qgis.QGIS_VERSION.partition("-")[0],
        "read": read,
        "title": project.title(),
        "crs": project.crs().authid(),
        "start": period.begin().toUTC().toString("yyyy-MM-ddTHH:mm:ssZ"),
        "end": period.end().toUTC().toString("yyyy-MM-ddTHH:mm:ssZ"),
        "layers": {layer.name(): _layer(layer) for layer in project.mapLayers().values()},
        "metres_per_px": project.viewSettings().defaultViewExtent().width() / options.width,
        "labels": _render(project, options),
    }


def _layer(layer: object) -> dict[str, object]:
    from qgis.core import QgsExpression, QgsExpressionContext, QgsExpressionContextUtils, QgsMapLayerType

    told = {"valid": layer.isValid(), "crs": layer.crs().authid(), "renderer": layer.renderer().type()}
    time = layer.temporalProperties()
    told["temporal"] = time.isActive()
    if layer.type() == QgsMapLayerType.RasterLayer:
        return told | {"bands": layer.bandCount()}
    told |= {"features": layer.featureCount(), "labelled": layer.labelsEnabled()}
    if time.isActive() and time.startExpression():
        context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
        spans = []
        for feature in layer.getFeatures():
            context.setFeature(feature)
            ends = [QgsExpression(text).evaluate(context) for text in (time.startExpression(), time.endExpression())]
            spans.append([end.toString("yyyy-MM-ddTHH:mm:ss") for end in ends])
        told["spans"] = spans
    return told


def _render(project: object, options: argparse.Namespace) -> int:
    from qgis.core import QgsDateTimeRange, QgsMapRendererSequentialJob, QgsMapSettings
    from qgis.PyQt.QtCore import QDateTime, QSize, Qt
    from qgis.PyQt.QtGui import QColor

    settings = QgsMapSettings()
    settings.setLayers([node.layer() for node in project.layerTreeRoot().findLayers() if node.isVisible()])
    settings.setDestinationCrs(project.crs())
    settings.setTransformContext(project.transformContext())
    settings.setLabelingEngineSettings(project.labelingEngineSettings())
    extent = project.viewSettings().defaultViewExtent()
    settings.setExtent(extent)
    settings.setOutputSize(QSize(options.width, round(options.width * extent.height() / extent.width())))
    settings.setBackgroundColor(QColor("white"))
    if options.at:
        start = QDateTime.fromString(f"{options.at}T00:00:00Z", Qt.ISODate)
        settings.setTemporalRange(QgsDateTimeRange(start, start.addDays(1)))
        settings.setIsTemporal(True)
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(str(options.picture))
    return len(job.takeLabelingResults().allLabels())


if __name__ == "__main__":
    main()
