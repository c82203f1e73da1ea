"""The scoreboard adds up and judges as it says: counted on one's fingers."""

from __future__ import annotations

import json

import pytest
from board import jobs, lines, pooled, rows, table
from board.figures import (
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
    poisson_lower,
    show_rate,
    worst,
)


def test_shares_add_up_with_their_counts():
    total = add_shares([{"right": 3, "n": 4}, None, {"right": 1, "n": 1}])
    assert (total.right, total.n, total.value) == (4, 5, 0.8)
    assert str(total) == "0.800 (4/5; 0.376-0.964)"
    assert str(Share()) == "-"


@pytest.mark.parametrize(
    ("right", "n", "scenes", "verdict"),
    [
        (98, 100, 20, REACHED),
        (98, 100, 5, NOT_SHOWN),  # good, on too few scenes
        (96, 100, 20, MISSED),
        (96, 100, 5, NOT_SHOWN),  # could still be .97
        (50, 100, 5, MISSED),  # whatever more scenes would bring
        (0, 0, 20, NOT_SHOWN),
    ],
)
def test_a_share_is_judged_by_its_scenes(right, n, scenes, verdict):
    assert judge_share(Share(right, n), 0.97, scenes) == verdict


@pytest.mark.parametrize(
    ("count", "area", "verdict"),
    [
        (0, 8.0, REACHED),  # at most 3.00 / 8 = .37
        (0, 5.0, NOT_SHOWN),  # at most .6
        (2, 8.0, NOT_SHOWN),  # .25, at most .79
        (10, 8.0, MISSED),  # at least 5.4 / 8
        (0, 0.0, NOT_SHOWN),
    ],
)
def test_a_rate_is_judged_by_its_exact_bounds(count, area, verdict):
    assert judge_rate(count, area, 0.5) == verdict


def test_bounds_of_rates_by_known_values():
    assert poisson_lower(0) == 0.0
    assert poisson_lower(10) == pytest.approx(5.4254, abs=1e-4)
    assert show_rate(0, 8.0) == "0.00 (0 in 8.0 km2; at most 0.37)"


def test_values_and_the_worst_of_several():
    assert judge_value(0.04, 0.05, 20) == REACHED
    assert judge_value(0.06, 0.05, 20) == MISSED
    assert judge_value(0.06, 0.05, 19) == NOT_SHOWN
    assert judge_value(0.6, 0.5, 20, least=True) == REACHED
    assert judge_value(None, 0.5, 20) == NOT_SHOWN
    assert worst([REACHED, NOT_SHOWN]) == NOT_SHOWN
    assert worst([REACHED, NOT_SHOWN, MISSED]) == MISSED


def record(**result):
    return {"cpu_s": 2.0, "wall_s": 3.0, "result": result}


def alarms(n, km2):
    kinds = [{"class": "hut", "status": "appeared", "n": n}] if n else []
    return {"evaluation": {"false_alarms": {"n": n, "seen_km2": km2, "kinds": kinds}}}


def test_quiet_ground_is_added_up():
    plain = {"plain": {"cva": {"false_alarms": {"n": 30, "seen_km2": 3.0}}}}
    found = rows.quiet_rows("quiet", {"steppe-0.5m": [record(**alarms(0, 5.0), **plain), record(**alarms(1, 5.0))]})
    (row,) = found
    assert (row.verdict, row.scenes, row.cva, row.irmad, row.cpu_s) == (REACHED, 2, "10.0", "", 2.0)
    assert row.figure == "0.10 (1 in 10.0 km2; at most 0.47): 1 hut appeared"
    assert rows.quiet_rows("quiet", {"steppe-0.5m": [record(**alarms(7, 10.0))]})[0].verdict == MISSED


def test_what_broke_is_a_row_of_its_own():
    broken = {"cpu_s": 1.0, "wall_s": 1.0, "error": "Traceback ...\nValueError: no"}
    absent = {"cpu_s": 0.0, "wall_s": 0.0, "not_available": "no simulated world farmland"}
    found = rows.quiet_rows("quiet", {"steppe-3m": [broken], "farmland-3m": [absent]})
    assert [(row.verdict, row.figure) for row in found] == [
        (MISSED, "ValueError: no"),
        (NOT_AVAILABLE, "no simulated world farmland"),
    ]


def test_what_abstained_is_told_and_counts_neither_way():
    found = rows.quiet_rows(
        "quiet", {"steppe-3m": [record(abstained="no scene can be compared"), record(**alarms(0, 40.0))]}
    )
    assert [(row.what, row.verdict) for row in found] == [
        ("steppe, 3 m: false polygons per km2", REACHED),
        ("steppe-3m: 1 of 2 scenes abstained", ""),
    ]


def test_recall_is_told_with_and_without_what_abstained():
    share = {"right": 10, "n": 10}
    overall = {"recall": share, "precision": share, "class_accuracy": share}
    seen = record(evaluation={"overall": overall, "classes": {}})
    found = rows.ground_rows("ground", {"farmland": [seen] * 20 + [record(abstained="snow", n_truth=50)]})
    told = {row.what: row for row in found}
    assert told["farmland, pair: recall"].verdict == REACHED
    assert told["farmland, pair: recall, abstained scenes counted as missed"].values["share"] == 0.8


def dated(right, n):
    part = {"right": right, "n": n}
    dating = {"start": part, "end": part, "classes": {"hut": {"start": part, "end": part}}}
    return {"evaluation": {"dating": dating, "unseen_as_empty": None, "confidence": None, "sizes": []}}


def test_dates_are_asked_of_series_alone():
    records = {"ground": {"steppe": [record(**dated(5, 5))]}, "series": {"steppe": [record(**dated(9, 10))] * 20}}
    start = next(row for row in pooled.pooled_rows(records) if row.line == "dates")
    assert start.figure.startswith("0.900 (180/200;")
    assert start.figure.endswith("wrong: 20 of 200 hut")
    assert start.verdict == MISSED


def test_sizes_and_confidence_of_all_lines_are_pooled():
    deciles = [{"low": 0.8, "high": 0.9, "n": 10, "sum_confidence": 8.5, "right": 8, "on_object": 9}]
    sizes = [{"class": "hut", "size": "area_m2", "ratios": [1.01, 1.02]}]
    told = {"dating": None, "unseen_as_empty": None, "confidence": {"deciles": deciles}, "sizes": sizes}
    pooled_rows = pooled.pooled_rows({"ground": {"steppe": [record(evaluation=told)] * 20}})
    confidence = next(row for row in pooled_rows if row.line == "confidence")
    assert (confidence.verdict, confidence.values["n"]) == (REACHED, 200)
    assert confidence.values["error"] == pytest.approx(0.05)
    size = next(row for row in pooled_rows if row.line == "sizes")
    assert (size.verdict, size.values["n"], size.values["median"]) == (REACHED, 40, 1.015)


def test_seasons_are_perfect_or_not():
    def season(right, false):
        counts = {"days_right": right, "days_planted": 34, "days_false": false, "exact": 19, "clear": 20}
        return record(season=counts)

    days, piers = rows.port_rows("port", {"3m": [season(34, 0)] * 19 + [season(33, 0)]})
    assert days.verdict == REACHED
    assert days.figure.startswith("0.950 (19/20;")
    assert piers.verdict == REACHED
    worse, _ = rows.port_rows("port", {"3m": [season(34, 0)] * 18 + [season(34, 1)] * 2})
    assert worse.verdict == MISSED
    coarse, _ = rows.port_rows("port", {"10m": [season(33, 1)] * 20})
    assert coarse.verdict == REACHED


def test_registration_is_the_median_over_cases_and_abstentions_are_told():
    good = {"status": "ok", "median_px": 0.03, "p95_px": 0.1, "coverage": 0.95, "wrong_lock": False}
    cases = {"shift-3": [record(**good)] * 24, "unrelated": [record(status="abstained", wrong_lock=False)]}
    everything, *_, coverage = rows.registration_rows("registration", cases)
    assert everything.verdict == REACHED
    assert "24 of 25 answered" in everything.figure
    assert coverage.verdict == REACHED
    locks = pooled.pooled_rows({"lock": {"unrelated": [record(status="ok", wrong_lock=True)]}, "registration": cases})
    assert (locks[0].figure, locks[0].verdict) == ("1 in 26 (1 abstained)", MISSED)


def test_snow_may_abstain_but_not_be_wrong_about_itself():
    bad = record(status="ok", median_px=0.2, p95_px=0.4, coverage=0.5, wrong_lock=False)
    away = record(status="abstained", wrong_lock=False)
    assert rows.snow_rows("snow", {"snow-45": [away] * 20})[0].verdict == REACHED
    assert rows.snow_rows("snow", {"snow-45": [away] * 19 + [bad]})[0].verdict == MISSED


def test_results_are_kept_by_line_case_seed_and_source(tmp_path):
    job = jobs.Job("quiet", "steppe-3m", 301)
    for version, n in (("aaa", 1), ("bbb", 2)):
        path = job.path(tmp_path, version)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record(n=n)))
    assert jobs.read_results([job], tmp_path, "aaa")[0]["result"]["n"] == 1
    assert jobs.read_results([job], tmp_path, "ccc") == []
    assert len(jobs.read_results([job], tmp_path, None)) == 1


def test_all_cases_advance_together():
    long, short = ([jobs.Job("quiet", case, seed) for seed in range(n)] for case, n in (("a", 4), ("b", 2)))
    order = jobs.in_rounds([*long, *short])
    assert [(job.case, job.seed) for job in order] == [("a", 0), ("b", 0), ("a", 1), ("a", 2), ("b", 1), ("a", 3)]


def test_failures_alone_are_forgotten(tmp_path):
    kept, lost = jobs.Job("real", "naip", 0), jobs.Job("real", "paris", 0)
    for job, what in ((kept, record()), (lost, {"error": "x"})):
        path = job.path(tmp_path, "v")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(what))
    jobs.forget_failures([kept, lost], tmp_path, "v")
    assert kept.path(tmp_path, "v").is_file()
    assert not lost.path(tmp_path, "v").is_file()


def test_lines_plan_as_many_scenes_as_their_bars_ask_for():
    seeds = list(range(301, 400))
    quiet = lines.LINES["quiet"].jobs("quiet", seeds, None, False)
    half = [job for job in quiet if job.case == "steppe-0.5m"]
    assert len(half) * 0.512**2 > 8.0
    assert len({job.seed for job in half}) == len(half)
    anything = lines.LINES["quiet-any"].jobs("quiet-any", seeds, None, False)
    assert sum(job.case == "farmland-10m" for job in anything) * 3.6**2 > 200
    assert len(lines.LINES["quiet"].jobs("quiet", seeds, 2, False)) == 2 * 4
    assert {job.seed for job in lines.LINES["real"].jobs("real", seeds, 5, False)} == {0}
    hopeless = sum(lines.LINES["lock"].cases.values())
    assert hopeless >= 200


@pytest.mark.parametrize("case", ["steppe", "farmland", "steppe-huts", "farmland-huts"])
def test_pairs_of_ground_vary_with_the_seed_and_are_reproducible(case):
    stories = [lines.ground_story(case, seed) for seed in range(301, 321)]
    assert stories == [lines.ground_story(case, seed) for seed in range(301, 321)]
    assert len(set(stories)) >= 3
    assert all(story.world == case.partition("-")[0] for story in stories)
    assert all(len(story.looks) == 2 and story.looks[0] < story.looks[1] for story in stories)


def test_the_table_says_what_was_reached(tmp_path):
    board = [Row("quiet", "a | b", "<= 0.5", "0.1", REACHED, 3, cpu_s=2.4), Row("quiet", "c", "", "0.2", "")]
    text = table.write_board(board, {"seeds": "dev", "source": "abc"}, tmp_path)
    assert "| quiet | a / b | <= 0.5 | 0.1 | **reached** | 3 |  |  | 2 |" in text
    assert "|  | c |  | 0.2 |  |  |  |  |  |" in text
    assert "1 reached, 0 missed" in text
    assert (tmp_path / "scoreboard.md").read_text() == text
    assert json.loads((tmp_path / "scoreboard.json").read_text())["rows"][0]["verdict"] == REACHED


def test_looks_at_crowds_and_aprons_add_up_over_scenes():
    crowd = {"close": {"right": 1, "n": 2}, "held": {"right": 2, "n": 2}, "false": 1}
    scene = {"result": {"evaluation": {}, "looks": crowd}, "cpu_s": 1.0}
    gone = {"result": {"abstained": "no"}, "cpu_s": 1.0}
    close, held, invented, abstained = rows.crowd_rows("crowd", {"250-0.3m": [scene], "250-0.5m": [scene, gone]})
    assert (close.values["right"], close.values["n"]) == (2, 4)
    assert (held.values["right"], held.values["n"]) == (4, 4)
    assert invented.figure == "2 in 2 scenes"
    assert "1 of 2 scenes abstained" in abstained.what
    apron = {"result": {"looks": {"exact": {"right": 15, "n": 16}, "false": 0}}, "cpu_s": 1.0}
    exact, none = rows.aircraft_rows("aircraft", {"3m": [apron, apron]})
    assert (exact.values["right"], exact.values["n"], none.values) == (30, 32, {"n": 0})
