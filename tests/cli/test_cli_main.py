"""The program around the library: help, usage, exit codes, streams."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import changedetect
from changedetect.cli.guard import GuardedGroup
from changedetect.cli.main import main
from changedetect.cli.options import FormatList, UtcTime
from changedetect.cli.show import aligned, fitting, scene_list, wrapped
from changedetect.errors import DataError, NothingToDoError, OutputError

HEAVY = (
    "rasterio",
    "geopandas",
    "pandas",
    "numpy",
    "pydantic",
    "dask",
    "cv2",
    "scipy",
    "skimage",
    "rich",
    "shapely",
    "yaml",
)


def call(*words: str):
    return CliRunner().invoke(main, list(words))


def python(code: str, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)


def test_help_imports_none_of_the_heavy_libraries():
    code = (
        "import sys\nfrom changedetect.cli.main import main\n"
        "try: main(['run', '--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = python(code)
    assert "--scenes PATH_OR_URL" in done.stdout
    assert done.stderr.strip() == "[]"


NOT_AT_ONCE = ("scipy", "skimage", "sklearn", "pyogrio", "dask", "distributed", "numba", "pystac", "matplotlib")
NOT_WITHOUT_NEWS = (*NOT_AT_ONCE, "pandas", "geopandas", "PIL", "changedetect.pipeline")


@pytest.mark.parametrize(
    ("module", "late"), [("pipeline", NOT_AT_ONCE), ("batch", NOT_WITHOUT_NEWS), ("evaluation", NOT_WITHOUT_NEWS)]
)
def test_what_is_slow_to_import_is_imported_where_it_is_used(module, late):
    done = python(f"import sys, changedetect.{module}\nprint([name for name in {late} if name in sys.modules])")
    assert done.stdout.strip() == "[]", done.stderr


def test_help_lists_the_commands_of_the_contract_in_order():
    result = call("--help")
    assert result.exit_code == 0
    listed = [
        line.split()[0]
        for line in result.stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
        if line.startswith("  ")
    ]
    assert listed == ["run", "batch", "scenes", "validate", "simulate", "evaluate", "diff", "report", "review"]


@pytest.mark.parametrize("command", ["run", "batch"])
def test_run_and_batch_take_the_options_of_the_contract(command):
    said = call(command, "--help").stdout
    for option in ("--scenes", "--from", "--to", "--out", "--set", "--format", "--workers", "--scheduler", "--json"):
        assert option in said, option
    assert "-v, --verbose" in said
    assert "-q, --quiet" in said


def test_python_m_is_the_same_program():
    done = subprocess.run(
        [sys.executable, "-m", "changedetect", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"changedetect, version {changedetect.__version__}\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["fly"], "error: No such command 'fly'; try: changedetect --help"),
        (["run"], "error: Missing argument 'AOI.yaml'; try: changedetect run --help"),
        (["run", "a.yaml", "--sideways"], "error: No such option '--sideways'"),
        (["run", "a.yaml", "--workers", "0"], "error: Invalid value for '--workers'"),
        (["run", "a.yaml", "--from", "soon"], "'soon' is not a date such as 2024-10-05"),
        (["run", "a.yaml", "--format", "shp"], "'shp' is not a list of geojson, gpkg, parquet, fgb"),
        (["simulate", "a.yaml"], "error: Missing option '--out'; try:"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(words, sentence):
    result = call(*words)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_no_command_shows_the_help_and_is_wrong_usage():
    result = call()
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


def guarded(error: BaseException, *words: str):
    """Run a program of one command that raises."""

    @click.group(cls=GuardedGroup)
    def program():
        pass

    @program.command()
    @click.option("-v", "--verbose", is_flag=True)
    def work(verbose):
        raise error

    return CliRunner().invoke(program, ["work", *words])


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (DataError("no CRS", where="a.tif", hint="gdal_edit"), 3, "error: a.tif: no CRS; try: gdal_edit"),
        (OutputError("disk full"), 3, "error: disk full"),
        (NothingToDoError("no scene covers the AOI"), 4, "error: no scene covers the AOI"),
        (KeyboardInterrupt(), 130, "interrupted; earlier outputs are as they were"),
        (
            MemoryError(),
            3,
            "error: the work does not fit in memory; try: --set grid.gsd_m=... (coarser) or a smaller AOI",
        ),
    ],
)
def test_every_failure_is_one_sentence_and_its_exit_code(error, code, sentence):
    result = guarded(error)
    assert result.exit_code == code
    assert result.stderr.strip() == sentence


def test_a_bug_is_named_as_one_and_shows_its_traceback_only_when_asked():
    result = guarded(ZeroDivisionError("division by zero"))
    assert result.exit_code == 1
    assert result.stderr == (
        "error: this is a bug (ZeroDivisionError: division by zero); please run again with -v and report what it says\n"
    )
    loud = guarded(ZeroDivisionError("division by zero"), "-v")
    assert loud.exit_code == 1
    assert "Traceback" in loud.stderr
    assert loud.stderr.splitlines()[-1].endswith("please report it with the lines above")


def test_a_reader_that_leaves_early_is_no_error():
    code = (
        "import click\nfrom changedetect.cli.guard import GuardedGroup\n"
        "@click.group(cls=GuardedGroup)\ndef program(): pass\n"
        "@program.command()\ndef work():\n for i in range(200_000): click.echo(i)\n"
        "program(['work'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("last", "text", "iso"),
    [
        (False, "2024-10-05", "2024-10-05T00:00:00+00:00"),
        (True, "2024-10-05", "2024-10-05T23:59:59.999999+00:00"),
        (True, "2024-10-05T10:00", "2024-10-05T10:00:00+00:00"),
        (False, "2024-10-05T10:00:00+09:00", "2024-10-05T01:00:00+00:00"),
        (False, "2024-10-05T10:00:00Z", "2024-10-05T10:00:00+00:00"),
    ],
)
def test_dates_are_utc_and_a_bare_date_is_the_whole_day(last, text, iso):
    assert UtcTime(last=last).convert(text, None, None).isoformat() == iso


def test_formats_are_a_list_without_repeats():
    assert FormatList().convert("gpkg, FGB,gpkg", None, None) == ("gpkg", "fgb")


def test_tables_align_and_show_what_is_missing():
    assert aligned(("id", "m2"), [["a", 1.5], ["long", None]]) == "id      m2\n----  ----\na     1.50\nlong     -"


def test_a_narrow_terminal_gets_a_narrower_table():
    header = ("id", "zone", "last seen", "m2", "m")
    rows = [["hut-1", "pier-1", "2024-11-06", 107.0, 14.0]]
    assert fitting(header, rows, 200) == (list(header), rows)
    assert fitting(header, rows, 31)[0] == ["id", "zone", "last seen", "m2"]
    assert fitting(header, rows, 14)[0] == ["id", "m2"]
    assert fitting(header, rows, 1)[0] == ["id"], "no more than can be spared is left out"


def test_scenes_that_cannot_be_used_say_why_below_the_table(capsys):
    record = {"id": "a", "datetime": "2024-10-05T02:20:00Z", "sensor": None, "gsd_m": 3.0, "sun_elevation_deg": None}
    record |= {"clear_fraction": 0.5, "dx_m": 1.0, "dy_m": 2.0, "ce90_m": 0.5, "usable": True, "reason": None}
    scene_list([record, {**record, "id": "b", "usable": False, "reason": "no band in common"}], as_json=False)
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == ["1 of 2 scenes usable", "  not b: no band in common"]
    assert [line.split()[-1] for line in said[2:4]] == ["yes", "no"]


def test_zones_are_shown_where_there_are_any():
    header = ("id", "zone")
    assert fitting(header, [["a", None]], 200) == (["id"], [["a"]])
    assert fitting(header, [["a", None], ["b", "pier-1"]], 200)[0] == ["id", "zone"]


def test_help_keeps_its_lines_and_fits_the_page():
    said = CliRunner().invoke(main, ["--help"], terminal_width=80).stdout
    assert "\n  changedetect run aoi/sergeyevka.yaml " in said
    assert "\\b" not in said
    assert max(map(len, said.splitlines())) <= 100
    listed = said.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert not [line for line in listed if line.endswith("...")]


def test_a_headline_is_broken_between_words_on_a_narrow_terminal_only():
    sentence = "ships on 2 of 3 clear days (6 looks, 5 days); on 0 of 1 partly seen"
    assert wrapped(sentence) == f"  {sentence}"  # stdout of a test is no terminal
    assert wrapped(sentence, 48).splitlines() == [
        "  ships on 2 of 3 clear days (6 looks, 5 days);",
        "    on 0 of 1 partly seen",
    ]
