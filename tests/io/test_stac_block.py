"""The `scenes: {stac: ...}` block: what it may say, and the time it asks for."""

from datetime import UTC, datetime

import pytest

from changedetect.errors import ConfigError
from changedetect.io.stac.block import expanded_headers, narrowed, read_block, read_span


def day(text, end=False):
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return moment.replace(hour=23, minute=59, second=59, microsecond=999999) if end else moment


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("2023-08-25/2024-02-15", (day("2023-08-25"), day("2024-02-15", True))),
        ("2024-02", (day("2024-02-01"), day("2024-02-29", True))),
        ("2023", (day("2023-01-01"), day("2023-12-31", True))),
        ("2023-08-25", (day("2023-08-25"), day("2023-08-25", True))),
        ("2023-08-25/..", (day("2023-08-25"), None)),
        ("/2023-09", (None, day("2023-09-30", True))),
        ("2023-08-25T10:00:00+02:00/..", (datetime(2023, 8, 25, 8, tzinfo=UTC), None)),
        (None, (None, None)),
    ],
)
def test_intervals_include_both_ends(text, span):
    assert read_span(text, "scenes") == span


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("last week", "is not an ISO 8601 time"),
        ("2023-13", "is not a time"),
        ("2023/2022", "ends before it begins"),
        ("2023/2024/2025", "is not an interval"),
        ("2023-08-25T10:00:00/..", "no time zone"),
    ],
)
def test_what_is_no_interval_is_refused(text, sentence):
    with pytest.raises(ConfigError, match=f"scenes: datetime: .*{sentence}"):
        read_span(text, "scenes")


def test_bounds_of_the_command_line_narrow():
    span = (day("2023-01-01"), day("2023-12-31"))
    assert narrowed(span, day("2023-05-01"), None) == (day("2023-05-01"), day("2023-12-31"))
    assert narrowed(span, day("2022-05-01"), day("2023-02-01")) == (day("2023-01-01"), day("2023-02-01"))
    assert narrowed((None, None), None, None) == (None, None)


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ({"stac": "x", "colections": ["a"]}, "unknown key 'colections'.*try: collections"),
        ({"stac": "x", "max_cloud": 120}, "max_cloud: has a wrong value; found 120"),
        ({"stac": 7}, "stac: has a wrong value"),
        (
            {"stac": "x", "fuse": "day"},
            "fuse: has a wrong value; found 'day'; needed 'solar_day', 'overpass' or 'none'",
        ),
        ({"stac": "x", "headers": {"X": "${NO_SUCH_KEY}"}}, "lacks a variable; found NO_SUCH_KEY"),
        ({"stac": "x", "headers": {"X": "a\nb"}}, "a header is one line"),
    ],
)
def test_a_wrong_block_names_file_and_key(block, sentence):
    with pytest.raises(ConfigError, match=f"^aoi.yaml: scenes.*{sentence}"):
        read_block(block, "aoi.yaml: scenes")


def test_keys_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("MY_KEY", "s3cret")
    block = read_block({"stac": "x", "headers": {"Authorization": "Bearer ${MY_KEY}"}}, "scenes")
    assert expanded_headers(block, "scenes") == {"Authorization": "Bearer s3cret"}
