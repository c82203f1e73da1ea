"""From the results of a line to its rows: figures with counts and intervals, verdicts, plain methods beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from board.figures import (
    ENOUGH_SCENES,
    MISSED,
    NOT_AVAILABLE,
    NOT_SHOWN,
    REACHED,
    Row,
    Share,
    add_shares,
    judge_rate,
    judge_share,
    judge_value,
    show_rate,
    worst,
)

Records = dict[str, list[dict[str, Any]]]

UNDER = {"0.5m": (0.5, 8.0), "3m": (0.1, 40.0), "10m": (0.02, 200.0)}
"""Bar of false polygons per km2 by pixel size, and the ground to show it on."""


def results_of(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the results of records that have one: neither broken, nor not available, nor abstained."""
    results = [record["result"] for record in records if "result" in record]
    return [result for result in results if "abstained" not in result]


def cost_of(records: Sequence[dict[str, Any]]) -> float:
    """Return the mean CPU seconds of records that have a result."""
    spent = [record["cpu_s"] for record in records if "result" in record]
    return round(float(np.mean(spent)), 1) if spent else 0.0


def missing_rows(line: str, records: Records) -> list[Row]:
    """Return a row for each case that is not available, and for scenes that broke or abstained, with the reason."""
    found = []
    for case, part in records.items():
        broken = [record["error"].strip().splitlines()[-1] for record in part if "error" in record]
        absent = [record["not_available"] for record in part if "not_available" in record]
        if broken:
            what = f"{case}: {len(broken)} of {len(part)} scenes broke"
            found.append(Row(line, what, "none", broken[0], MISSED, len(part)))
        if absent and len(absent) == len(part):
            found.append(Row(line, case, "", absent[0], NOT_AVAILABLE))
        kept = [record["result"]["abstained"] for record in part if "abstained" in record.get("result", {})]
        if kept:
            found.append(Row(line, f"{case}: {len(kept)} of {len(part)} scenes abstained", "", kept[0], "", len(part)))
    return found


def ground_rows(line: str, records: Records) -> list[Row]:
    """Return recall, precision and class per world."""
    found = []
    for world, bar in (("steppe", 0.97), ("farmland", 0.95)):
        part = [record for case, rs in records.items() if case.partition("-")[0] == world for record in rs]
        results = results_of(part)
        if not results:
            continue
        for key, what in (("recall", "recall"), ("precision", "precision"), ("class_accuracy", "class right")):
            share = add_shares(r["evaluation"]["overall"].get(key) for r in results)
            plain = {m: _plain_share(results, m, key) for m in ("cva", "irmad")} if key != "class_accuracy" else {}
            found.append(_share_row(line, f"{world}, pair: {what}", share, bar, part, plain))
        found += _strict_rows(line, world, part)
        found += _class_rows(line, world, results)
    return [*found, *missing_rows(line, records)]


def _strict_rows(line: str, world: str, part: list[dict[str, Any]]) -> list[Row]:
    """Return recall with all that was planted in scenes which abstained counted as missed, where any did."""
    unseen = [record["result"] for record in part if "abstained" in record.get("result", {})]
    if not unseen:
        return []
    found = add_shares(r["evaluation"]["overall"]["recall"] for r in results_of(part))
    strict = Share(found.right, found.n + sum(r.get("n_truth", 0) for r in unseen))
    what = f"{world}, pair: recall, abstained scenes counted as missed"
    return [Row(line, what, "", str(strict), "", len(results_of(part)) + len(unseen), values=strict.as_dict())]


def _class_rows(line: str, world: str, results: list[dict[str, Any]]) -> list[Row]:
    kinds = sorted({kind for r in results for kind in r["evaluation"]["classes"]})
    found = []
    for kind in kinds:
        parts = [r["evaluation"]["classes"][kind] for r in results if kind in r["evaluation"]["classes"]]
        shares = [add_shares(p[key] for p in parts) for key in ("recall", "precision", "class_accuracy")]
        text = ", ".join(f"{name} {share}" for name, share in zip(("R", "P", "class"), shares, strict=True))
        found.append(Row(line, f"{world}, {kind}", "", text, "", len(results)))
    return found


def quiet_rows(line: str, records: Records) -> list[Row]:
    """Return false polygons per square kilometre per pixel size, both worlds together and apart."""
    found = []
    for pixel, (bar, ground) in UNDER.items():
        for world in ("steppe", "farmland"):
            part = records.get(f"{world}-{pixel}", [])
            results = results_of(part)
            if not results:
                continue
            alarms = [r["evaluation"]["false_alarms"] for r in results]
            n, area = sum(a["n"] for a in alarms), sum(a["seen_km2"] or 0.0 for a in alarms)
            verdict = judge_rate(n, area, bar)
            if verdict == NOT_SHOWN and area >= ground and n / area > bar:
                verdict = MISSED
            plain = {m: _plain_rate(results, m) for m in ("cva", "irmad")}
            digits = 3 if bar < 0.1 else 2
            what = f"{world}, {pixel.removesuffix('m')} m: false polygons per km2"
            values = {"n": n, "area_km2": area, "kinds": _kinds(alarms)}
            text = show_rate(n, area, digits) + (f": {_kinds(alarms)}" if n else "")
            found.append(
                Row(
                    line,
                    what,
                    f"<= {bar}",
                    text,
                    verdict,
                    len(results),
                    plain["cva"],
                    plain["irmad"],
                    cost_of(part),
                    values,
                )
            )
    return [*found, *missing_rows(line, records)]


def _kinds(alarms: list[dict[str, Any]]) -> str:
    total: dict[str, int] = {}
    for kind in (kind for alarm in alarms for kind in alarm["kinds"]):
        name = f"{kind['class']} {kind['status']}"
        total[name] = total.get(name, 0) + kind["n"]
    return ", ".join(f"{n} {name}" for name, n in sorted(total.items(), key=lambda item: -item[1]))


def cross_rows(line: str, records: Records) -> list[Row]:
    """Return recall of huts and precision of everything said, per order of resolutions."""
    found = []
    for case, part in records.items():
        results = results_of(part)
        if not results:
            continue
        order = "3 m then 0.5 m" if case.endswith("coarse-fine") else "0.5 m then 3 m"
        recall = add_shares(r["evaluation"]["classes"].get("hut", {}).get("recall") for r in results)
        overall = add_shares(r["evaluation"]["overall"]["precision"] for r in results)
        called = add_shares(r["evaluation"]["classes"].get("hut", {}).get("precision") for r in results)
        plain_recall = {m: _plain_share(results, m, "recall") for m in ("cva", "irmad")}
        plain = {m: _plain_share(results, m, "precision") for m in ("cva", "irmad")}
        found.append(_share_row(line, f"{order}: huts found", recall, 0.9, part, plain_recall))
        found.append(_share_row(line, f"{order}: precision of all polygons", overall, 0.9, part, plain))
        found.append(_share_row(line, f"{order}: precision of what is called hut", called, 0.9, part, {}))
    return [*found, *missing_rows(line, records)]


def series_rows(line: str, records: Records) -> list[Row]:
    """Return recall, precision and class over whole stories, per world; no bar of their own."""
    found = []
    for case, part in records.items():
        results = results_of(part)
        for key in ("recall", "precision", "class_accuracy") if results else ():
            share = add_shares(r["evaluation"]["overall"].get(key) for r in results)
            what = f"{case}, whole story: {key.replace('_', ' ')}"
            found.append(Row(line, what, "", str(share), "", len(results), cpu_s=cost_of(part), values=share.as_dict()))
    return [*found, *missing_rows(line, records)]


def port_rows(line: str, records: Records) -> list[Row]:
    """Return days found and false per season, and counts per pier on clear looks."""
    found = []
    for case, part in records.items():
        seasons = [result["season"] for result in results_of(part)]
        if not seasons:
            continue
        n, pixel = len(seasons), case.replace("m", " m", 1).replace("-", ", ")
        days = Share(sum(s["days_right"] for s in seasons), sum(s["days_planted"] for s in seasons))
        false = sum(s["days_false"] for s in seasons)
        told = f"{days} of ship-days, {false} false days in {n} seasons"
        values: dict[str, Any] = {"days": days.as_dict(), "false_per_season": false / n}
        if case.startswith("3m"):
            perfect = Share(sum(s["days_right"] == s["days_planted"] and not s["days_false"] for s in seasons), n)
            what, bar, verdict = "all ship-days, none false", "19 of 20", judge_share(perfect, 0.95, n)
            told, values = f"{perfect} seasons perfect; {told}", values | {"perfect": perfect.as_dict()}
        else:
            what, bar = "ship-days", ">= .97, <= 1 false per season"
            verdict = worst([judge_share(days, 0.97, n), judge_value(false / n, 1.0, n)])
        found.append(Row(line, f"{pixel}: {what}", bar, told, verdict, n, cpu_s=cost_of(part), values=values))
        piers = Share(sum(s["exact"] for s in seasons), sum(s["clear"] for s in seasons))
        bar, verdict = (">= .95", judge_share(piers, 0.95, n)) if case.startswith("3m") else ("", "")
        what = f"{pixel}: ships per pier exact on clear looks"
        found.append(Row(line, what, bar, str(piers), verdict, n, values=piers.as_dict()))
    return [*found, *missing_rows(line, records)]


def crowd_rows(line: str, records: Records) -> list[Row]:
    """Return counts of crowds within a quarter and whether the stated intervals hold the truth, look by look."""
    found = []
    for people in ("250", "400"):
        part = [record for case, rs in records.items() if case.startswith(f"{people}-") for record in rs]
        looks = [r["looks"] for r in results_of(part)]
        if not looks:
            continue
        close, held = (add_shares(look[key] for look in looks) for key in ("close", "held"))
        found.append(_share_row(line, f"{people} people: looks with the count within 25 %", close, 0.95, part, {}))
        found.append(_share_row(line, f"{people} people: stated interval holds the truth", held, 0.9, part, {}))
        found.append(_invented_row(line, f"{people} people: crowds where nobody stands", looks))
    return [*found, *missing_rows(line, records)]


def aircraft_rows(line: str, records: Records) -> list[Row]:
    """Return the share of clear looks on which the aircraft of the apron are counted exactly."""
    found = []
    for case, part in records.items():
        looks = [r["looks"] for r in results_of(part)]
        if not looks:
            continue
        exact, name = add_shares(look["exact"] for look in looks), case.replace("m", " m")
        found.append(_share_row(line, f"{name}: apron exact on clear looks", exact, 0.95, part, {}))
        found.append(_invented_row(line, f"{name}: aircraft where none stands", looks))
    return [*found, *missing_rows(line, records)]


def _invented_row(line: str, what: str, looks: list[dict[str, Any]]) -> Row:
    """Return how many detections lie on nothing true."""
    n = sum(look["false"] for look in looks)
    return Row(line, what, "", f"{n} in {len(looks)} scenes", "", len(looks), values={"n": n})


def registration_rows(line: str, records: Records) -> list[Row]:
    """Return the errors over all sets, and set by set."""
    everything = [record for part in records.values() for record in part]
    found = [_errors_row(line, "all sets", everything, (0.05, 0.2))]
    found += [_errors_row(line, case, part, None) for case, part in records.items() if results_of(part)]
    found.append(_coverage_row(line, everything))
    return [*(row for row in found if row), *missing_rows(line, records)]


def snow_rows(line: str, records: Records) -> list[Row]:
    """Return the errors under snow; a CE90 that holds less than 80 % of the pixels is called wrong."""
    part = [record for rs in records.values() for record in rs]
    results = results_of(part)
    if not results:
        return missing_rows(line, records)
    answered = [r for r in results if "median_px" in r]
    wrong = [r for r in answered if r["coverage"] < 0.8]
    over = [r for r in answered if r["median_px"] > 0.3]
    text = f"{len(answered)} of {len(results)} answered (worst {_worst(answered)})"
    text += f"; {len(over)} over, {len(wrong)} CE90 wrong"
    verdict = MISSED if over or wrong else REACHED if len(results) >= ENOUGH_SCENES else NOT_SHOWN
    row = Row(
        line, "snow", "median <= .3 px or abstains; CE90 never wrong", text, verdict, len(results), cpu_s=cost_of(part)
    )
    rest = [_errors_row(line, case, rs, None) for case, rs in records.items() if results_of(rs)]
    return [row, *(r for r in rest if r), *missing_rows(line, records)]


def lock_rows(line: str, records: Records) -> list[Row]:
    """Return wrong locks where no answer can be right; those of all other registrations are added by `pooled`."""
    found = []
    for case, part in records.items():
        results = results_of(part)
        if results:
            wrong = sum(bool(r["wrong_lock"]) for r in results)
            abstained = sum(r["status"] != "ok" for r in results)
            text = f"{wrong} wrong, {abstained} of {len(results)} abstained"
            found.append(Row(line, case, "0", text, "", len(results), cpu_s=cost_of(part), values={"wrong": wrong}))
    return [*found, *missing_rows(line, records)]


def _errors_row(line: str, what: str, part: list[dict[str, Any]], bars: tuple[float, float] | None) -> Row | None:
    results = results_of(part)
    answered = [r for r in results if "median_px" in r]
    if not results:
        return None
    if not answered:
        return Row(
            line, what, "", f"abstained in {len(results)} of {len(results)}", "", len(results), cpu_s=cost_of(part)
        )
    median, p95 = (float(np.median([r[key] for r in answered])) for key in ("median_px", "p95_px"))
    text = (
        f"median {median:.3f}, 95 % {p95:.3f} px (worst {_worst(answered)}); {len(answered)} of {len(results)} answered"
    )
    verdict, bar = "", ""
    if bars:
        verdict = worst([judge_value(v, b, len(results)) for v, b in zip((median, p95), bars, strict=True)])
        bar = f"median <= {bars[0]}, 95 % <= {bars[1]} px"
    plain = [r["plain"] for r in results if "plain" in r]
    beside = f"{np.median([p['median_px'] for p in plain]):.2f} px (phase correlation)" if plain else ""
    values = {"median_px": median, "p95_px": p95, "answered": len(answered), "n": len(results)}
    return Row(line, what, bar, text, verdict, len(results), beside, "", cost_of(part), values)


def _coverage_row(line: str, part: list[dict[str, Any]]) -> Row | None:
    answered = [r for r in results_of(part) if "coverage" in r]
    if not answered:
        return None
    mean = float(np.mean([r["coverage"] for r in answered]))
    low = sum(r["coverage"] < 0.8 for r in answered)
    verdict = NOT_SHOWN if len(answered) < ENOUGH_SCENES else REACHED if 0.88 <= mean <= 0.97 else MISSED
    text = f"{mean:.3f} of pixels in {len(answered)} cases; {low} cases under .8"
    return Row(
        line, "true error within the stated CE90", ".88 to .97", text, verdict, len(answered), values={"mean": mean}
    )


def _worst(answered: list[dict[str, Any]]) -> str:
    if not answered:
        return "-"
    return f"{max(r['median_px'] for r in answered):.3f} / {max(r['p95_px'] for r in answered):.3f}"


def _share_row(
    line: str, what: str, share: Share, bar: float, part: list[dict[str, Any]], plain: dict[str, str]
) -> Row:
    n = len(results_of(part))
    verdict = judge_share(share, bar, n)
    beside = (plain.get("cva", ""), plain.get("irmad", ""))
    return Row(line, what, f">= {bar:g}", str(share), verdict, n, *beside, cost_of(part), share.as_dict())


def _plain_share(results: list[dict[str, Any]], method: str, key: str) -> str:
    return _plain(results, method, lambda parts: f"{add_shares(p['overall'][key] for p in parts).value or 0.0:.2f}")


def _plain_rate(results: list[dict[str, Any]], method: str) -> str:
    def rate(parts: list[dict[str, Any]]) -> str:
        area = sum(p["false_alarms"]["seen_km2"] or 0.0 for p in parts)
        return f"{sum(p['false_alarms']['n'] for p in parts) / max(area, 1e-9):.1f}"

    return _plain(results, method, rate)


def _plain(results: list[dict[str, Any]], method: str, show: Callable[[list[dict[str, Any]]], str]) -> str:
    parts = [r["plain"][method] for r in results if method in r.get("plain", {})]
    return show(parts) if parts else ""
