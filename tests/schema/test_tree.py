"""The reader: what scalars mean, where things stand, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipec.diagnostics import START, Loc, Source, has_error
from pipec.schema import tree
from pipec.schema.tree import as_json, dump, read
from pipec.values import Json


def plain(text: str) -> object:
    documents, found = read(Source("x.yaml", text))
    assert not has_error(found)
    return as_json(documents[0])


def codes(text: str) -> list[str]:
    return [finding.rule.code for finding in read(Source("x.yaml", text))[1]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1E5", 1e5), ("017", 17), ("0x1F", 31), ("0o17", 15), ("-3", -3), (".5", 0.5), ("5.", 5.0),
        ("no", "no"), ("on", "on"), ("yes", "yes"), ("1_000", "1_000"), ("12:30:45", "12:30:45"),
        ("2024-13-45", "2024-13-45"), ("true", True), ("True", True), ("TRUE", True),
        ("false", False), ("False", False), ("FALSE", False), ("~", None), ("null", None), ("Null", None),
        ("NULL", None), ("", None), ('"1"', "1"),
        ("'no'", "no"), ("1e", "1e"), ("0b1", "0b1"), ("9007199254740991", 2**53 - 1),
    ],
)  # fmt: skip
def test_scalars_mean_what_yaml_1_2_core_says(text: str, value: object) -> None:
    assert plain(f"a: {text}") == {"a": value}
    assert type(plain(f"a: {text}")["a"]) is type(value)


@pytest.mark.parametrize(
    "text",
    ["no", "Yes", "ON", "off", "017", "+08", "1_000", "12:30", "12:30:45", "-1:00", "0b1", "no # why"],
)
def test_what_an_older_reader_takes_for_another_value_is_told(text: str) -> None:
    assert codes(f"a: {text}") == ["PIPE014"]


@pytest.mark.parametrize(
    "text",
    ["y", "n", "none", "none of it", "0", "-0", "0.5", "10", "0o17", "0x1F", "1e3", "a:30", "12:61", "2024-01-01", "_1",
     "v1_0", "'no'", '"017"', "no: 1", "|\n no", "now"],
)  # fmt: skip
def test_what_all_readers_take_alike_is_not_told(text: str) -> None:
    assert codes(f"a: {text}" if text != "no: 1" else text) == []


@pytest.mark.parametrize(
    ("text", "told", "advice"),
    [
        ("017", "`017` is the number 17 here", "write `17`, or in quotes if it is text"),
        ("0" * 19 + "7", "`00000000000000000007` is the number 7 here", "write `7`, or in quotes if it is text"),
        ("12:30", "`12:30` is text here", 'write it in quotes: `"12:30"`'),
        ("1_" + "0" * 23, f"`1_{'0' * 18}...` is text here", f'write it in quotes: `"1_{"0" * 18}..."`'),
        ("1_" + "0" * 22, f"`1_{'0' * 22}` is text here", f'write it in quotes: `"1_{"0" * 22}"`'),
    ],
)
def test_what_is_read_in_two_ways_is_shown_as_it_is_read_here(text: str, told: str, advice: str) -> None:
    (found,) = read(Source("x.yaml", f"a: {text}"))[1]
    assert found.message == f"{told}, and something else to a reader of YAML 1.1"
    assert found.help == advice


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: &x 1", "PIPE005"), ("a: *x", "PIPE005"), ("<<: {a: 1}", "PIPE005"), ("a: !!str 1", "PIPE006"),
        ("%YAML 1.2\n---\na: 1", "PIPE006"), ("a: 1\na: 2", "PIPE007"), ("a: .inf", "PIPE008"), ("a: 1e999", "PIPE008"),
        ("a: 9007199254740992", "PIPE008"), ("a: " + "9" * 5000, "PIPE008"), ("? [a]\n: 1", "PIPE009"),
        ("? {a: b}\n: 1", "PIPE009"), ("~: 1", "PIPE009"), ("", "PIPE010"), ("# only this", "PIPE010"),
        ("a: [", "PIPE001"), ("a: 'x", "PIPE001"), ("\tx: 1", "PIPE001"), ("a: \u200b", "PIPE004"),
        ('a: "\\u202e"', "PIPE004"), ("a: \x07", "PIPE004"), ("a\u0301: 1\n\u00e1: 2", "PIPE007"),
        ("--- a\n" * 65, "PIPE003"), ('a: "\\U00110000"', "PIPE001"), ("a: 1\rb: 2", "PIPE004"),
    ],
)  # fmt: skip
def test_what_two_readers_could_see_differently_is_refused(text: str, code: str) -> None:
    assert code in codes(text)


def test_windows_line_ends_and_an_escaped_return_are_read() -> None:
    assert plain('a: 1\r\nb: "x\\ry"\r\n') == {"a": 1, "b": "x\ry"}


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "], ids=["lists", "maps", "items", "keys"])
def test_deep_nesting_is_one_finding_and_not_a_crash(opening: str) -> None:
    assert len(codes(opening * 100_000)) == 1


LIMITS = {
    "the file is larger than 8 MiB": lambda more: "a: 1\n#" + "\u00e4" * ((4 << 20) - 3) + "x" * more,
    "the file holds more than 250,000 values": lambda more: "[" + "1," * (249_999 + more) + "]",
    "values are nested more than 64 deep": lambda more: "[" * (64 + more) + "]" * (64 + more),
    "the file holds more than 64 documents": lambda more: "--- a\n" * (64 + more),
    "a key is longer than 1,024 characters": lambda more: "? " + "k" * (1024 + more) + "\n: 1\n",
}


@pytest.mark.parametrize("message", LIMITS)
def test_a_text_is_read_up_to_its_limit_and_told_beyond_it(message: str) -> None:
    assert [finding.message for finding in read(Source("x.yaml", LIMITS[message](0)))[1]] == []
    assert [finding.message for finding in read(Source("x.yaml", LIMITS[message](1)))[1]] == [message]


def test_all_faults_of_a_text_are_told_at_once() -> None:
    assert codes("a: &x 1\nb: !t 2\na: .nan\n") == ["PIPE005", "PIPE006", "PIPE007", "PIPE008"]


def test_places_are_one_based_and_end_after_the_last_character() -> None:
    (root,), _ = read(Source("x.yaml", "key: value\nother: [1, 22]\nblock:\n  inner: x\nlast:\n- y\n- z\n\nend: 1\n"))
    entry = root.entry("key")
    assert tuple(entry.key_loc.span) == (1, 1, 1, 4)
    assert tuple(entry.value.loc.span) == (1, 6, 1, 11)
    assert tuple(root.get("other").loc.span) == (2, 8, 2, 15)
    assert tuple(root.get("other").items[1].loc.span) == (2, 12, 2, 14)
    assert tuple(root.get("block").loc.span) == (4, 3, 4, 11)
    assert tuple(root.get("last").loc.span) == (6, 1, 7, 4)


def test_a_repeated_key_points_at_both_places() -> None:
    (finding,) = read(Source("x.yaml", "a: 1\nb: 2\na: 3\n"))[1]
    assert (finding.loc.span.line, finding.notes[0].loc.span.line) == (3, 1)


def test_what_is_dumped_reads_back_the_same_in_yaml_1_1_and_1_2() -> None:
    import yaml

    value = {
        "a": ["no", "1e-3", "on", "0x1F", "12:30", "null", "~", "", "word", "two words"],
        "b": {"c": 1.5, "d": None},
    }
    assert plain(dump(value)) == value
    assert yaml.safe_load(dump(value)) == value


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | st.text(alphabet="ab:-?[]{},&*!|>'\"%#\n \t\\", max_size=60))
def test_any_text_gives_documents_or_findings_and_never_an_exception(text: str) -> None:
    documents, found = read(Source("x.yaml", text))
    assert bool(documents) != has_error(found)


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "x", [], {}, [None, {"a": [1, "b"]}], {"a": {"b": None}}])
def test_plain_data_comes_back_from_a_tree_as_it_was(value: Json) -> None:
    assert tree.as_json(tree.of_json(value, Loc("x.yaml", START))) == value
