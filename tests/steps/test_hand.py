"""`pipec-step --hand`: what the arguments of another image name, left as the texts that the engine hands over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipec.steps.__main__ import main
from pipec.steps.argument import argument_name
from pipec.steps.carried import interface_as_json, interface_of_json
from pipec.steps.command import Order, order_text, parse_order
from pipec.steps.interface import Artifact, Interface, Kind, Output, Parameter
from pipec.values import (
    Attachment,
    ConfigRef,
    EachRef,
    ItemRef,
    Json,
    ListOf,
    Literal,
    ObjectOf,
    OutputRef,
    ParameterRef,
    RunRef,
    Text,
    Value,
)


def declared(kind: Kind, value: Value, **more: Any) -> Interface:
    schema = {"type": kind.json_type, **more}
    is_file = isinstance(value, Attachment)
    return Interface(
        name="score", version="2", summary="",
        parameters=(Parameter(name="x", kind=kind, schema=schema, path=is_file),),
        outputs=(Output(name=argument_name("x"), type=Artifact.DIRECTORY if is_file else Kind.STRING),),
    )  # fmt: skip


def order(interface: Interface, value: Value) -> Order:
    return Order(
        pipeline="p", task="score", step="score@2", interface=interface.digest, parameters=(("x", value),),
        foreign=interface_as_json(interface),
    )  # fmt: skip


def hand(folder: Path, made: Order, given: Mapping[str, Json], name: str = "score") -> int:
    """Run the command as Kubeflow's launcher starts it; what it leaves is below `folder`."""
    assert made.foreign is not None
    (output,) = [argument_name(parameter) for parameter, _ in made.parameters]
    outputs: dict[str, Any] = {"outputFile": str(folder / "executor.json")}
    if made.foreign["parameters"][0].get("path"):  # type: ignore[index,call-overload,union-attr]
        outputs["artifacts"] = {output: {"artifacts": [{"uri": str(folder / "out")}]}}
    else:
        outputs["parameters"] = {output: {"outputFile": str(folder / "out")}}
    body = json.dumps({"inputs": {"parameterValues": given}, "outputs": outputs})
    return main(["--hand", name, "--order", order_text(made), "--executor-input", body])


CASES: dict[str, tuple[Kind, Value, dict[str, Json], str]] = {
    "a number": (Kind.NUMBER, ParameterRef("a"), {"parameter-a": 1e-05}, "1e-05"),
    "a whole number, carried as a double": (Kind.INTEGER, OutputRef("t", "n"), {"output-t-n": 3.0}, "3"),
    "a list": (Kind.LIST, ParameterRef("a"), {"parameter-a": [1.0, "é", {"b": 0.5}]}, '[1, "é", {"b": 0.5}]'),
    "an object": (Kind.OBJECT, ParameterRef("a"), {"parameter-a": {"b": 0.5, "a": None}}, '{"a": null, "b": 0.5}'),
    "a list in part": (Kind.LIST, ListOf((Literal("b"), ParameterRef("a"))), {"parameter-a": 2.5}, '["b", 2.5]'),
    "an object in part": (
        Kind.OBJECT, ObjectOf((("b", Literal(1)), ("a", RunRef("id")))), {"run-id": "r"}, '{"a": "r", "b": 1}',
    ),
    "a date in a text": (
        Kind.STRING, Text((Literal("{{on}} $(A) "), RunRef("date"))), {"run-scheduled_at": "2026-11-23T03:00:00Z"},
        "{{on}} $(A) 2026-11-23",
    ),
    "an item": (Kind.STRING, ItemRef("", "each"), {"item-each": "it's \"é\""}, "it's \"é\""),
    "what all iterations wrote": (Kind.LIST, EachRef("each", "n"), {"each-each-n": [1.0, 2.0]}, "[1, 2]"),
    "a truth": (Kind.BOOLEAN, ParameterRef("a"), {"parameter-a": True}, "true"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_value_is_left_as_the_engine_hands_it_over(tmp_path: Path, case: str) -> None:
    kind, value, given, text = CASES[case]
    assert hand(tmp_path, order(declared(kind, value), value), given) == 0
    assert (tmp_path / "out").read_text(encoding="utf-8") == text
    told = json.loads((tmp_path / "executor.json").read_text(encoding="utf-8"))
    assert told == {"artifacts": {}, "parameterValues": {"argument-x": text}}


def test_a_file_keeps_its_name_and_its_content(tmp_path: Path) -> None:
    value = Attachment("publish.sh", "echo $(ls)\n{{é}}")
    assert hand(tmp_path, order(declared(Kind.STRING, value), value), {}) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["publish.sh"]
    assert (tmp_path / "out/publish.sh").read_text(encoding="utf-8") == value.text


def test_a_config_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPEC_CONFIG_REGION", "eu")
    value = ConfigRef("region")
    assert hand(tmp_path, order(declared(Kind.STRING, value), value), {}) == 0
    assert (tmp_path / "out").read_text(encoding="utf-8") == "eu"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (7, "`x` is 7, but must be at most 5"),
        (2.5, "`x` needs a whole number, but got 2.5"),
        ("2", "`x` needs a whole number, but got `2`, which is text"),
    ],
    ids=str,
)
def test_a_value_that_the_step_does_not_take_is_refused_for_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], given: Json, message: str
) -> None:
    value = ParameterRef("a")
    assert hand(tmp_path, order(declared(Kind.INTEGER, value, maximum=5), value), {"parameter-a": given}) == 2
    assert capfd.readouterr().err.splitlines()[-1] == f"score (score@2): {message}"
    assert not (tmp_path / "out").exists()


def test_the_order_must_be_for_the_step_that_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    value = RunRef("id")
    made = order(declared(Kind.STRING, value), value)
    assert hand(tmp_path, made, {"run-id": "r"}, name="other") == 2
    assert capfd.readouterr().err == "other: the call is for score@2, not for other: compile the pipeline again\n"


def test_a_name_must_follow(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--hand"]) == 2
    assert capfd.readouterr().err.startswith("pipec-step: there is no step `--hand`")


def test_what_is_declared_comes_back_with_the_order() -> None:
    value = Attachment("a.sh", "$(x) {{y}}")
    made = order(declared(Kind.STRING, value), value)
    again = parse_order(order_text(made))
    assert again.foreign is not None
    assert interface_of_json(again.foreign) == declared(Kind.STRING, value)
    assert "{{" not in order_text(made)
    assert "$(" not in order_text(made)
