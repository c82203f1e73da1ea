"""The result of an evaluation as tables for people."""

from __future__ import annotations

from typing import Any

Table = tuple[str, tuple[str, ...], list[list[Any]]]


def as_tables(result: dict[str, Any]) -> list[Table]:
    """Return titled tables (title, header, rows) of what was evaluated."""
    if "pixels" in result:
        return [_pixels(result["pixels"])]
    tables = [_found(result), _quality(result)]
    if result.get("confusion"):
        rows = [[row["truth"], row["called"], row["n"]] for row in result["confusion"]]
        tables.append(("Found objects by class", ("truth", "called", "n"), rows))
    if result.get("counting"):
        columns = ("zone", "class", "looks", "exact", "mean abs. error", "mean error", "median rel. error")
        tables.append(("Counts on clear looks", columns, [_count_row(row) for row in result["counting"]]))
    if result.get("groups"):
        tables.append(_groups(result["groups"]))
    if result.get("days"):
        keys = ("zone", "class", "days_present", "said_present", "right", "missed", "false", "not_seen", "days_seen")
        header = tuple(key.replace("_", " ") for key in keys)
        tables.append(("Days present", header, [[row[key] for key in keys] for row in result["days"]]))
    if result.get("dating"):
        tables.append(_dating(result["dating"]))
    if result.get("sizes"):
        tables.append(_sizes(result["sizes"]))
    if result.get("confidence"):
        tables.append(_confidence(result["confidence"]))
    return tables


def _pixels(part: dict[str, Any]) -> Table:
    names = ("labelled", "true", "said", "hit", "precision", "recall", "f1")
    header = ("labelled", "changed", "called changed", "both", "precision", "recall", "F1")
    return ("Pixels", header, [[part[name] for name in names]])


def _found(result: dict[str, Any]) -> Table:
    parts = {**result["classes"], "all": result["overall"]}
    rows = []
    for name, part in parts.items():
        shares = (_percent(part["recall"]), _percent(part["precision"]), part["f1"])
        rows.append([name, part["n_truth"], *shares, _percent(part.get("class_accuracy"))])
    return ("Objects (95 % intervals)", ("class", "truth", "recall", "precision", "F1", "class right"), rows)


def _quality(result: dict[str, Any]) -> Table:
    alarms, dating, unseen = result["false_alarms"], result["dating"], result.get("unseen_as_empty")
    rows: list[list[Any]] = [["false alarms", str(alarms["n"])]]
    if alarms["per_km2"] is not None:
        bound = f"{alarms['per_km2']:g} (at most {alarms['per_km2_upper']:g}) in {alarms['area_km2']:.3g} km2"
        rows.append(["false alarms per km2", bound])
    called = ", ".join(f"{kind['n']} {kind['class']} {kind['status']}" for kind in alarms["kinds"])
    if called:
        rows.append(["false alarms by kind", called])
    if result["status"]:
        rows.append(["status right", _percent(result["status"])])
    if dating:
        rows += [["start in its interval", _percent(dating["start"])], ["end in its interval", _percent(dating["end"])]]
        rows.append(["median width of the start interval, days", dating["start_interval_days_median"]])
    if unseen:
        rows.append(["hidden places called seen", f"{unseen['called_seen']} of {unseen['n_hidden']}"])
        rows.append(["hidden places called clear", f"{unseen['called_clear']} of {unseen['n_hidden']}"])
        rows.append(["hidden places called empty though occupied", str(unseen["empty_but_occupied"])])
    if result.get("registration"):
        rows += _shifts(result["registration"])
    return ("Errors", ("what", "value"), rows)


def _shifts(part: dict[str, Any]) -> list[list[Any]]:
    if not part["n"]:
        return [["registration", f"none registered, {part['abstained']} abstained"]]
    errors = f"{part['median_error_m']:.3f} (at most {part['largest_error_m']:.3f}) in {part['n']} scenes"
    return [["median error of shifts, m", errors], ["shift within its CE90", _percent(part["within_ce90"])]]


def _dating(dating: dict[str, Any]) -> Table:
    rows = [[kind, _percent(part["start"]), _percent(part["end"])] for kind, part in dating["classes"].items()]
    return ("Dates inside their intervals", ("class", "start", "end"), rows)


def _sizes(sizes: list[dict[str, Any]]) -> Table:
    rows = []
    for part in sizes:
        bounds = None if part["low"] is None else f"{part['low']:.2f}-{part['high']:.2f}"
        rows.append([part["class"], part["size"], part["n"], part["median"], bounds])
    return ("Said over true size", ("class", "size", "n", "median", "95 % interval"), rows)


def _groups(groups: list[dict[str, Any]]) -> Table:
    header = ("class", "groups", "close", "interval holds truth", "median error")
    shares = [(_percent(part["close"]), _percent(part["interval_holds"])) for part in groups]
    rows = [[p["class"], p["n"], *s, p["median_relative_error"]] for p, s in zip(groups, shares, strict=True)]
    return ("Counts of detections, look by look", header, rows)


def _confidence(part: dict[str, Any]) -> Table:
    rows = [
        [f"{d['low']:.1f}-{d['high']:.1f}", d["n"], d["sum_confidence"] / d["n"], d["right"] / d["n"]]
        for d in part["deciles"]
        if d["n"]
    ]
    title = f"Confidence (reliability error {part['error']:.3f})"
    return (title, ("stated", "changes", "mean stated", "right"), rows)


def _count_row(row: dict[str, Any]) -> list[Any]:
    errors = (row["mean_absolute_error"], row["mean_error"], row["median_relative_error"])
    return [row["zone"], row["class"], row["exact"]["n"], _percent(row["exact"]), *errors]


def _percent(part: dict[str, Any] | None) -> str | None:
    if not part or part["share"] is None:
        return None
    interval = f"{100 * part['low']:.0f}-{100 * part['high']:.0f}"
    return f"{100 * part['share']:.0f} % ({part['right']}/{part['n']}; {interval})"
