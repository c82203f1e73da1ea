"""The result of an evaluation as tables for people."""

from __future__ import annotations

from typing import Any

Table = tuple[str, tuple[str, ...], list[list[Any]]]


def as_tables(result: dict[str, Any]) -> list[Table]:
    """Return titled tables (title, header, rows) of what was evaluated."""
    tables = [_found(result), _quality(result)]
    if result.get("confusion"):
        rows = [[row["truth"], row["called"], row["n"]] for row in result["confusion"]]
        tables.append(("Found objects by class", ("truth", "called", "n"), rows))
    if result.get("counting"):
        columns = ("zone", "class", "looks", "exact", "mean abs. error", "mean error", "median rel. error")
        tables.append(("Counts on clear looks", columns, [_count_row(row) for row in result["counting"]]))
    if result.get("days"):
        keys = ("zone", "class", "days_present", "said_present", "right", "missed", "false", "not_seen", "days_seen")
        header = tuple(key.replace("_", " ") for key in keys)
        tables.append(("Days present", header, [[row[key] for key in keys] for row in result["days"]]))
    return tables


def _found(result: dict[str, Any]) -> Table:
    parts = {**result["classes"], "all": result["overall"]}
    rows = [
        [name, part["n_truth"], *map(_percent, (part["recall"], part["precision"], part.get("class_accuracy")))]
        for name, part in parts.items()
    ]
    return ("Objects (95 % intervals)", ("class", "truth", "recall", "precision", "class right"), rows)


def _quality(result: dict[str, Any]) -> Table:
    alarms, dating, unseen = result["false_alarms"], result["dating"], result.get("unseen_as_empty")
    rows: list[list[Any]] = [["false alarms", str(alarms["n"])]]
    if alarms["per_km2"] is not None:
        bound = f"{alarms['per_km2']:g} (at most {alarms['per_km2_upper']:g}) in {alarms['area_km2']:.3g} km2"
        rows.append(["false alarms per km2", bound])
    if result["status"]:
        rows.append(["status right", _percent(result["status"])])
    if dating:
        rows += [["start in its interval", _percent(dating["start"])], ["end in its interval", _percent(dating["end"])]]
        rows.append(["median width of the start interval, days", dating["start_interval_days_median"]])
    if unseen:
        rows.append(["hidden places called seen", f"{unseen['called_seen']} of {unseen['n_hidden']}"])
        rows.append(["hidden places called empty though occupied", str(unseen["empty_but_occupied"])])
    return ("Errors", ("what", "value"), rows)


def _count_row(row: dict[str, Any]) -> list[Any]:
    errors = (row["mean_absolute_error"], row["mean_error"], row["median_relative_error"])
    return [row["zone"], row["class"], row["exact"]["n"], _percent(row["exact"]), *errors]


def _percent(part: dict[str, Any] | None) -> str | None:
    if not part or part["share"] is None:
        return None
    interval = f"{100 * part['low']:.0f}-{100 * part['high']:.0f}"
    return f"{100 * part['share']:.0f} % ({part['right']}/{part['n']}; {interval})"
