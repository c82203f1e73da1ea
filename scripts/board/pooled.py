"""Lines that ask the same of every run: unseen places, dates, confidence, sizes, wrong locks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from board.figures import MISSED, NOT_SHOWN, REACHED, Row, add_shares, judge_share, judge_value
from board.rows import Records, results_of
from changedetect.evaluation.confidence import summarize_deciles
from changedetect.evaluation.stats import middle

SERIES = ("series", "port", "crowd", "aircraft")
"""Lines of many looks: a pair has but one interval, and every change in it is dated right."""

LOCKS_ASKED = 200
FEWEST_SIZES = 20
BIAS = 0.05


def pooled_rows(records: dict[str, Records]) -> list[Row]:
    """Return the rows that add up over all lines."""
    told = [
        result["evaluation"]
        for line in records.values()
        for part in line.values()
        for result in results_of(part)
        if "evaluation" in result
    ]
    found = [_lock_row(records)]
    long = [
        result["evaluation"]
        for name in SERIES
        for part in records.get(name, {}).values()
        for result in results_of(part)
    ]
    if told:
        found += [_unseen_row(told), *_date_rows(long), *_confidence_rows(told), *_size_rows(told)]
    return [row for row in found if row]


def _lock_row(records: dict[str, Records]) -> Row | None:
    parts = [
        r for name in ("lock", "registration", "snow") for p in records.get(name, {}).values() for r in results_of(p)
    ]
    if not parts:
        return None
    wrong = [r for r in parts if r["wrong_lock"]]
    verdict = MISSED if wrong else REACHED if len(parts) >= LOCKS_ASKED else NOT_SHOWN
    text = f"{len(wrong)} in {len(parts)} ({sum(r['status'] != 'ok' for r in parts)} abstained)"
    return Row(
        "lock",
        "wrong locks, all registrations",
        f"0 in {LOCKS_ASKED}",
        text,
        verdict,
        len(parts),
        values={"wrong": len(wrong)},
    )


def _unseen_row(told: list[dict[str, Any]]) -> Row:
    unseen = [e["unseen_as_empty"] for e in told if e["unseen_as_empty"]]
    total = {
        key: sum(u[key] for u in unseen) for key in ("n_hidden", "called_clear", "called_empty", "empty_but_occupied")
    }
    text = f"{total['called_clear']} called clear, {total['called_empty']} called empty of {total['n_hidden']} hidden"
    verdict = MISSED if total["called_clear"] else REACHED if total["n_hidden"] >= 20 else NOT_SHOWN
    return Row("unseen", "hidden zones called clear", "0", text, verdict, len(unseen), values=total)


def _date_rows(told: list[dict[str, Any]]) -> list[Row]:
    dated = [e["dating"] for e in told if e["dating"]]
    found = []
    for end, inside in (("start", "(absent_until, first_seen]"), ("end", "(last_seen, gone_by]")):
        share = add_shares(d[end] for d in dated)
        verdict = judge_share(share, 0.99, len(dated))
        kinds = sorted({kind for d in dated for kind in d["classes"]})
        each = {kind: add_shares(d["classes"].get(kind, {}).get(end) for d in dated) for kind in kinds}
        wrong = ", ".join(f"{s.n - s.right} of {s.n} {kind}" for kind, s in each.items() if s.right < s.n)
        text = f"{share}" + (f"; wrong: {wrong}" if wrong else "")
        found.append(
            Row("dates", f"{end} inside {inside}", ">= .99", text, verdict, len(dated), values=share.as_dict())
        )
    return found


def _confidence_rows(told: list[dict[str, Any]]) -> list[Row]:
    stated = [e["confidence"] for e in told if e["confidence"]]
    if not stated:
        return []
    deciles = _add_deciles(part["deciles"] for part in stated)
    total = summarize_deciles(deciles)
    rows = [d for d in deciles if d["n"]]
    text = "; ".join(
        f"{d['sum_confidence'] / d['n']:.2f} said {d['right'] / d['n']:.2f} right ({d['n']})" for d in rows
    )
    verdict = judge_value(total["error"], 0.05, len(stated)) if total["n"] >= 100 else NOT_SHOWN
    figure = f"{total['error']:.3f} ({total['n']} changes; any object {total['error_on_object']:.3f}): {text}"
    return [Row("confidence", "reliability error over deciles", "<= .05", figure, verdict, len(stated), values=total)]


def _add_deciles(parts: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    total: dict[float, dict[str, Any]] = {}
    for row in (row for part in parts for row in part):
        here = total.setdefault(row["low"], {**row, "n": 0, "sum_confidence": 0.0, "right": 0, "on_object": 0})
        for key in ("n", "sum_confidence", "right", "on_object"):
            here[key] += row[key]
    return [total[key] for key in sorted(total)]


def _size_rows(told: list[dict[str, Any]]) -> list[Row]:
    ratios: dict[tuple[str, str], list[float]] = {}
    for part in (part for e in told for part in e["sizes"] or ()):
        ratios.setdefault((part["class"], part["size"]), []).extend(part["ratios"])
    found = []
    for (kind, size), values in sorted(ratios.items()):
        told_middle = middle(values)
        bias = abs(told_middle["median"] - 1.0)
        verdict = NOT_SHOWN if len(values) < FEWEST_SIZES else REACHED if bias <= BIAS else MISSED
        bounds = "" if told_middle["low"] is None else f"; {told_middle['low']:.3f}-{told_middle['high']:.3f}"
        text = f"{told_middle['median']:.3f} ({len(values)}{bounds})"
        what = f"{kind}: {size} said over true, median"
        what = f"{kind}: {size} said over true, median"
        found.append(Row("sizes", what, "0.95-1.05", text, verdict, len(values), values=told_middle))
    return found
