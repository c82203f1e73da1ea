from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from changedetect.errors import ConfigError
from changedetect.io.dates import date_in_name, parse_stamp, parse_time, to_utc


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2024-09-12T02:20:00Z", utc(2024, 9, 12, 2, 20)),
        ("2024-09-12T11:20:00+09:00", utc(2024, 9, 12, 2, 20)),
        ("2024-09-12 02:20Z", utc(2024, 9, 12, 2, 20)),
        ("2024-09-12T02:20:00.123456Z", utc(2024, 9, 12, 2, 20)),
        ("20240912T022000Z", utc(2024, 9, 12, 2, 20)),
        ("2024-09-12", utc(2024, 9, 12)),
        (date(2024, 9, 12), utc(2024, 9, 12)),
        (utc(2024, 9, 12, 2, 20), utc(2024, 9, 12, 2, 20)),
        (datetime(2024, 9, 12, 11, 20, tzinfo=timezone(timedelta(hours=9))), utc(2024, 9, 12, 2, 20)),
    ],
)
def test_what_a_user_gives_is_utc(given, expected):
    assert to_utc(given, "scenes[0]") == expected
    assert to_utc(given, "scenes[0]").tzinfo is UTC


@pytest.mark.parametrize("naive", ["2024-09-12T02:20:00", "2024-09-12 02:20", datetime(2024, 9, 12, 2, 20)])
def test_a_time_without_zone_is_refused(naive):
    with pytest.raises(ConfigError, match=r"scenes\[0\]: datetime has no time zone; found 2024-09-12.*try: add Z"):
        to_utc(naive, "scenes[0]")


@pytest.mark.parametrize(
    "wrong", ["soon", "2024-13-01T00:00:00Z", "2024-02-30", 20240912, 3.5, "", "12/09/2024", ["a"]]
)
def test_what_is_no_time_is_refused(wrong):
    with pytest.raises(ConfigError, match="datetime is not an ISO 8601 time"):
        to_utc(wrong, "scenes[0]")


@pytest.mark.parametrize(
    ("name", "expected", "precision"),
    [
        ("SkySat_Freeport_s03_20170831T162740Z", utc(2017, 8, 31, 16, 27, 40), "time"),
        ("20220605_124027_64_242b_3B_AnalyticMS", utc(2022, 6, 5, 12, 40, 27), "time"),
        ("20240912022000", utc(2024, 9, 12, 2, 20), "time"),
        ("2023-01-05-10-11-12_UMBRA-04", utc(2023, 1, 5, 10, 11, 12), "time"),
        ("12SEP07032211-M2AS", utc(2012, 9, 7, 3, 22, 11), "time"),
        ("m_4709963_se_14_1_20120731", utc(2012, 7, 31), "day"),
        ("port 2024-10-18 rason", utc(2024, 10, 18), "day"),
        ("port_2024_10_18", utc(2024, 10, 18), "day"),
        ("18Oct2024", utc(2024, 10, 18), "day"),
        ("LE7119038_2000077", utc(2000, 3, 17), "day"),
        ("rason_2024-10", utc(2024, 10, 1), "month"),
        ("2000TM", utc(2000, 1, 1), "year"),
    ],
)
def test_date_in_a_name(name, expected, precision):
    found = date_in_name(name)
    assert (found.when, found.precision) == (expected, precision)


@pytest.mark.parametrize("name", ["tile_31500-6161", "scene", "20241399", "x_123456789012345", "S2Hand", "1024x1024"])
def test_numbers_that_are_no_date(name):
    assert date_in_name(name) is None


def test_a_long_name_takes_no_time():
    start = datetime.now(UTC)
    date_in_name("2024_" * 50_000)
    date_in_name("1" * 200_000)
    assert datetime.now(UTC) - start < timedelta(seconds=2)


def test_tags_write_dates_with_colons():
    assert parse_time("2022:01:17 10:43:43").when == utc(2022, 1, 17, 10, 43, 43)
    assert parse_time("2017-08-31T17:27:54+00:00").when == utc(2017, 8, 31, 17, 27, 54)
    assert parse_time("not yet") is None


def test_stamps_of_products():
    assert parse_stamp("201209071234567").when == utc(2012, 9, 7, 12, 34, 56)
    assert parse_stamp("20120907").when == utc(2012, 9, 7)
