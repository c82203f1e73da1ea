"""What the page knows: the outputs of a run as one plain object, in the page's own coordinates."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from affine import Affine
from shapely.geometry import shape

from changedetect.core.aoi import PRESENCES, TARGETS
from changedetect.core.grid import Grid
from changedetect.report import images
from changedetect.report.page import words
from changedetect.report.page.frame import Frame
from changedetect.report.page.imagery import FOLDER
from changedetect.report.page.outputs import Outputs

KEPT = (
    *("id", "zone", "class", "status", "absent_until", "first_seen", "last_seen", "gone_by", "n_seen", "n_clear"),
    *("count", "score", "confidence", "area_m2", "length_m", "width_m", "orientation_deg", "flags"),
)
"""Properties of a change that the page shows; the rest it has with the features it exports."""

PROVENANCE = ("program", "version", "preset", "baseline_until", "reference", "overrides", "simulation", "warnings")

Images = dict[str, str]
"""Pictures by name, WebP in base64."""


def page_data(outputs: Outputs) -> tuple[dict[str, Any], Images]:
    """Return what the page shows, and the pictures it names."""
    frame = frame_of(outputs)
    pictures: Images = {}
    looks = _looks(outputs, frame, pictures)
    changes = _changes(outputs, frame, pictures)
    statuses = {look["id"]: look["status"] for look in looks}
    area_km2 = _area_km2(outputs, frame)
    run, place = outputs.run, outputs.run["aoi"]
    data = {
        "place": _place(outputs, frame, area_km2),
        "frame": {"size": frame.size, "lonlat": frame.polynomial(), "north_deg": frame.north_deg()},
        "found": words.found(changes, outputs.summary, place["name"]),
        "unseen": words.unseen(outputs.scenes, statuses, outputs.imagery.get("never_seen_fraction"), area_km2),
        "classes": {
            name: {"colour": "#{:02x}{:02x}{:02x}".format(*images.CLASS_COLOURS[name]), "coming": name in PRESENCES}
            for name in TARGETS
        },
        "zones": _zones(outputs, frame),
        "looks": looks,
        "first": _shown_first(looks, changes),
        "changes": changes,
        "activity": _activity(outputs, looks),
        "alarms": _alarms(outputs, area_km2),
        "stretch": outputs.imagery.get("stretch"),
        "provenance": {key: run.get(key) for key in PROVENANCE},
        "settings": run.get("settings", {}),
        "inputs": run.get("inputs", []),
        "libraries": run.get("libraries", {}),
        "timings_s": run.get("timings_s", {}),
        "digest": digest(outputs),
    }
    return data, pictures


def digest(outputs: Outputs) -> str:
    """Return what tells these results from others: a hash of the changes as found, reviews left out."""
    features = [
        {**feature, "properties": {k: v for k, v in feature["properties"].items() if k != "review"}}
        for feature in outputs.features
    ]
    return hashlib.sha256(json.dumps(features, sort_keys=True).encode()).hexdigest()


def frame_of(outputs: Outputs) -> Frame:
    """Return the frame of the page: what the imagery shows, or the run's whole grid without any."""
    grid = outputs.run["grid"]
    whole = Grid(grid["crs"], Affine(*grid["transform"]), tuple(grid["shape"]))
    left, bottom, right, top = outputs.imagery.get("bounds", whole.bounds)
    return Frame(whole.crs, (left, bottom, right, top))


def _place(outputs: Outputs, frame: Frame, area_km2: float) -> dict[str, Any]:
    place = outputs.run["aoi"]
    return {
        "name": place["name"],
        "title": place["title"],
        "location": place["location"],
        "outline": frame.shapes(place["geometry"]),
        "area_km2": round(area_km2, 3),
        "crs": frame.crs,
        "simulated": bool(outputs.run.get("simulated")),
    }


def _area_km2(outputs: Outputs, frame: Frame) -> float:
    parts = frame.shapes(outputs.run["aoi"]["geometry"])
    return sum(float(shape({"type": "Polygon", "coordinates": _closed(part)}).area) for part in parts) / 1e6


def _closed(rings: list[list[list[float]]]) -> list[list[list[float]]]:
    return [[*ring, ring[0]] for ring in rings]


def _zones(outputs: Outputs, frame: Frame) -> list[dict[str, Any]]:
    return [
        {"name": zone["properties"]["name"], "shapes": frame.shapes(zone["geometry"])}
        for zone in outputs.zones["features"]
        if zone["properties"]["kind"] == "zone"
    ]


def _looks(outputs: Outputs, frame: Frame, pictures: Images) -> list[dict[str, Any]]:
    azimuths = outputs.imagery.get("view_azimuth_deg", {})
    shapes, statuses = _shapes_by_look(outputs, frame), _statuses(outputs)
    looks = []
    for scene in outputs.scenes:
        shown = outputs.imagery.get("looks", {}).get(scene["id"], {"tiles": [], "hidden": []})
        registration = {k: v for k, v in scene["registration"].items() if k != "diagnostics"}
        looks.append(
            {
                **{key: value for key, value in scene.items() if key not in ("registration", "noise")},
                "view_azimuth_deg": scene.get("view_azimuth_deg") or azimuths.get(scene["id"]),
                "status": statuses.get(scene["id"], "obscured"),
                "registration": registration,
                "threshold_sigma": (scene.get("noise") or {}).get("threshold_sigma"),
                "normalization": scene.get("normalization"),
                "false_alarms_per_km2": (scene.get("noise") or {}).get("false_alarms_per_km2"),
                "tiles": _tiles(outputs, frame, shown["tiles"], pictures),
                "normalized": bool(shown.get("normalized")),
                "bands": shown.get("bands") or [],
                "px_m": shown.get("px_m"),
                "hidden": [
                    {
                        "kind": part["kind"],
                        "shapes": [[frame.ring(ring) for ring in ringed] for ringed in part["rings"]],
                    }
                    for part in shown["hidden"]
                ],
                "shapes": shapes.get(scene["id"], {}),
            }
        )
    return looks


def _shown_first(looks: list[dict[str, Any]], changes: list[dict[str, Any]]) -> dict[str, int]:
    """Return the looks that the page shows at first: the last clear one of the baseline and the one that shows most."""
    used = [(index, look) for index, look in enumerate(looks) if look["used"]]
    baseline = [(look["status"] == "clear", index) for index, look in used if look["baseline"]]
    later = [
        (sum(change["states"][index] == "p" for change in changes) + 0.5 * (look["status"] == "clear"), index)
        for index, look in used
        if not look["baseline"]
    ]
    return {"before": max(baseline, default=(False, 0))[1], "after": max(later, default=(0.0, len(looks) - 1))[1]}


def _statuses(outputs: Outputs) -> dict[str, str]:
    """Return clear, partial or obscured of each scene, for the place as a whole."""
    name = outputs.run["aoi"]["name"]
    rows = [row for row in outputs.changes.get("activity", []) if row["zone"] == name]
    return {row["scene_id"]: row["status"] for row in reversed(rows)}


def _shapes_by_look(outputs: Outputs, frame: Frame) -> dict[str, dict[str, Any]]:
    """Return where what comes and goes lay on each look, by scene and change: it need not lie where it lay before."""
    found: dict[str, dict[str, Any]] = {}
    for feature in outputs.detections["features"]:
        values = feature["properties"]
        if values["class"] in PRESENCES and values["change_id"]:
            of_look = found.setdefault(values["scene_id"], {})
            of_look.setdefault(values["change_id"], []).extend(frame.shapes(feature["geometry"]))
    return found


def _changes(outputs: Outputs, frame: Frame, pictures: Images) -> list[dict[str, Any]]:
    numbers: dict[str, int] = {}
    changes = []
    for feature in outputs.features:
        values = feature["properties"]
        kind = values["class"]
        numbers[kind] = numbers.get(kind, 0) + 1
        shapes = frame.shapes(feature["geometry"])
        centre = _middle(shapes)
        lon, lat = frame.lonlat(*centre)
        changes.append(
            {
                **{key: values.get(key) for key in KEPT},
                "label": f"{kind} {numbers[kind]}",
                "where": values["zone"] or words.sector(*centre, frame.size),
                "states": _states(values["looks"], outputs),
                "shapes": shapes,
                "centre": [round(centre[1], 1), round(centre[0], 1)],
                "lonlat": [round(lon, 6), round(lat, 6)],
                "chips": _chips(outputs, frame, str(values["id"]), pictures),
                "review": values.get("review") or [],
            }
        )
    return changes


def _states(looks: list[list[str]], outputs: Outputs) -> str:
    """Return one letter per scene: present, absent, unclear; a dash where the change says nothing of it."""
    by_time = dict(looks)
    return "".join(by_time.get(scene["datetime"], "-")[0] for scene in outputs.scenes)


def _middle(shapes: list[list[list[list[float]]]]) -> tuple[float, float]:
    points = [point for part in shapes for point in part[0]] or [[0.0, 0.0]]
    ys, xs = zip(*points, strict=True)
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


def _chips(outputs: Outputs, frame: Frame, change_id: str, pictures: Images) -> dict[str, Any] | None:
    found = outputs.imagery.get("chips", {}).get(change_id)
    if found is None:
        return None
    pair = {
        which: {**found[which], "tiles": _tiles(outputs, frame, found[which]["tiles"], pictures)}
        for which in ("before", "after")
        if which in found
    }
    return {"box": frame.box(found["bounds"]), **pair}


def _tiles(outputs: Outputs, frame: Frame, tiles: list[dict[str, Any]], pictures: Images) -> list[dict[str, Any]]:
    """Return tiles by name and place, and keep the pictures of those that are still in the folder."""
    kept = []
    for tile in tiles:
        path = outputs.folder / FOLDER / tile["file"]
        if path.is_file():
            pictures[tile["file"]] = base64.b64encode(path.read_bytes()).decode("ascii")
            kept.append({"image": tile["file"], "box": frame.box(tile["bounds"])})
    return kept


def _activity(outputs: Outputs, looks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the counts per zone and class: one row per look, [look, count, status, clear fraction]."""
    index = {look["id"]: number for number, look in enumerate(looks)}
    series: dict[tuple[str, str], list[list[Any]]] = {}
    for row in outputs.changes.get("activity", []):
        if row["scene_id"] in index:
            values = [index[row["scene_id"]], row["count"], row["status"], row["clear_fraction"]]
            series.setdefault((row["zone"], row["class"]), []).append(values)
    return [{"zone": zone, "class": kind, "rows": sorted(rows)} for (zone, kind), rows in series.items()]


def _alarms(outputs: Outputs, area_km2: float) -> dict[str, Any]:
    """Return how many objects the scenes' own background is expected to have raised, all looks together."""
    rates = [
        (scene.get("noise") or {}).get("false_alarms_per_km2")
        for scene in outputs.scenes
        if scene["used"] and scene.get("noise")
    ]
    told = [float(rate) for rate in rates if rate is not None]
    return {"looks": len(rates), "told": len(told), "expected": round(sum(told) * area_km2, 3), "rates": told}
