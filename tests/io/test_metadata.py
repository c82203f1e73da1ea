import pytest

from changedetect.errors import DataError
from changedetect.io.metadata import find_json, find_pairs, find_xml, in_pairs, need_xml, to_angle, to_number


def test_elements_are_found_by_local_name(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text('<?xml version="1.0" encoding="ISO-8859-1"?><a xmlns:n="x"><n:b c="1"> 2.5 </n:b><b>3</b><d/></a>')
    xml = find_xml(path)
    assert [part.own for part in xml.all("b")] == ["2.5", "3"]
    assert (xml.number("b"), xml.text("d", "b"), xml.text("d")) == (2.5, "2.5", None)
    assert xml.first("b").attribute("c") == "1"
    assert (xml.name, xml.first("e")) == ("a", None)


@pytest.mark.parametrize(
    "text",
    ["", "x", "<a>", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "<a>" * 50_000, "\x00"],
)
def test_what_is_no_plain_xml_is_none(tmp_path, text):
    path = tmp_path / "a.xml"
    path.write_text(text)
    assert find_xml(path) is None
    with pytest.raises(DataError, match="the product's metadata cannot be read as XML"):
        need_xml(path)


def test_pairs_in_nested_groups(tmp_path):
    path = tmp_path / "a.IMD"
    path.write_text(
        'a = "x";\nBEGIN_GROUP = G\n\tb = 1;\n\tGROUP = H\n\t b = 2\n\tEND_GROUP = H\n\tc = (\n\t 1.0,\n\t 2.0 );\n'
        "END_GROUP = G\nb = 3;\nEND;\n"
    )
    pairs = find_pairs(path)
    assert pairs["", "A"] == "x"
    assert (in_pairs(pairs, "b"), in_pairs(pairs, "b", group="h"), in_pairs(pairs, "B", group="")) == ("1", "2", "3")
    assert in_pairs(pairs, "missing", "a") == "x"
    assert in_pairs(pairs, "missing") is None
    assert find_pairs(tmp_path / "none") == {}


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "[" * 100_000])
def test_what_is_no_object_is_empty(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    assert find_json(tmp_path / "a.json") == {}


def test_numbers_and_angles():
    assert (to_number(" 2 "), to_number(True), to_number("x"), to_number("inf"), to_number(None)) == (
        2,
        None,
        None,
        None,
        None,
    )
    assert (to_angle("359.5"), to_angle(361), to_angle("nan")) == (359.5, None, None)
