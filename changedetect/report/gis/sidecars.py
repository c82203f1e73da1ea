"""Styles beside the data: a GIS that opens a layer finds how to draw it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from changedetect.report.gis import symbols

_STYLES = {"changes": symbols.change_style, "detections": symbols.detection_style, "zones": symbols.zone_style}

_CREATE = """CREATE TABLE IF NOT EXISTS layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT, f_table_catalog TEXT, f_table_schema TEXT, f_table_name TEXT,
    f_geometry_column TEXT, styleName TEXT, styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT,
    owner TEXT, ui TEXT, update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))"""


def write_sidecars(folder: Path, scores: Sequence[str]) -> None:
    """Write a QML style beside each layer in `folder`, and into its GeoPackage where there is one.

    Parameters
    ----------
    scores : sequence of str
        Names in score/.
    """
    for name, style in _STYLES.items():
        (folder / f"{name}.qml").write_text(symbols.to_qml(style()), encoding="utf-8")
    score = symbols.to_qml([symbols.score_pipe()])
    for name in scores:
        (folder / "score" / name).with_suffix(".qml").write_text(score, encoding="utf-8")
    package = folder / "changes.gpkg"
    if package.exists():
        embed_styles(package)


def embed_styles(package: Path) -> None:
    """Put the styles into a GeoPackage where QGIS looks for them: the table `layer_styles`, one default per layer."""
    with closing(sqlite3.connect(package)) as connection, connection:
        connection.execute(_CREATE)
        geometry = dict(connection.execute("SELECT table_name, column_name FROM gpkg_geometry_columns"))
        rows = [
            ("", "", name, geometry[name], name, symbols.to_qml(style()), 1)
            for name, style in _STYLES.items()
            if name in geometry
        ]
        connection.executemany(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName,"
            " styleQML, useAsDefault) VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        # registered as an attribute table: without it other GeoPackage readers do not know of it
        connection.execute(
            "INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier) VALUES (?, 'attributes', ?)",
            ("layer_styles", "layer_styles"),
        )
