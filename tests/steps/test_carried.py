"""An interface travels to the process of a step as JSON and loses nothing on the way."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pipec.steps import catalog
from pipec.steps.carried import bare, interface_as_json, interface_of_json
from pipec.steps.interface import (
    Accelerator,
    Container,
    Dataset,
    Input,
    Interface,
    Kind,
    Model,
    Output,
    Parameter,
    Resources,
    Role,
    Slot,
    Words,
)

SCORE = Interface(
    name="score", version="1", summary="Score rows.", role=Role.EVALUATE,
    inputs=(Input(name="data", type=Dataset, many=True), Input(name="weights", type=Model, optional=True)),
    outputs=(Output(name="scores", type=Dataset, split="test", optional=True), Output(name="mean", type=Kind.NUMBER),
             Output(name="weights", type=Model, same_as="weights", help="As it came.")),
    parameters=(Parameter(name="rows", kind=Kind.INTEGER, schema={"type": "integer", "minimum": 1}, unit="rows"),
                Parameter(name="names", kind=Kind.LIST, schema={"type": "array"}, default=["a"]),
                Parameter(name="rules", kind=Kind.STRING, schema={"type": "string"}, default=None, path=True)),
    resources=Resources(cpu=2, accelerator=Accelerator(kind="tpu", vendor="google", memory_mib=1024), pool="big"),
    accelerators=("gpu", "tpu"),
    container=Container(
        command=("node", "/app/score.js"), image="registry.example/score:1",
        args=(Words((("--rows=", Slot("parameters", "rows")),)),
              Words((("--weights",), (Slot("inputs", "weights"),)), is_group=True)),
    ),
)  # fmt: skip


@pytest.mark.parametrize("interface", [SCORE, *catalog.interfaces()], ids=lambda interface: interface.name)
def test_an_interface_comes_back_whole(interface: Interface) -> None:
    back = interface_of_json(json.loads(json.dumps(interface_as_json(interface))))
    assert back == interface
    assert back.digest == interface.digest


@pytest.mark.parametrize("body", [{}, {"container": 1}, {**interface_as_json(SCORE), "parameters": [{}]}], ids=str)
def test_what_is_no_interface_is_told_from_one(body: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        interface_of_json(body)  # type: ignore[arg-type]


def test_the_digest_covers_what_is_started_and_not_where() -> None:
    assert SCORE.container is not None
    digests = {
        replace(SCORE, container=container).digest
        for container in (
            SCORE.container,
            replace(SCORE.container, image=None),
            replace(SCORE.container, command=("node", "/app/other.js")),
            replace(SCORE.container, args=SCORE.container.args[:1]),
            replace(SCORE.container, args=(Words((("--rows=parameters",),)),)),
            replace(SCORE.container, args=tuple(replace(words, is_group=False) for words in SCORE.container.args)),
        )
    }
    assert len(digests) == 5


def test_what_only_people_and_compilers_read_is_left_out_and_the_step_stays_the_same() -> None:
    found = catalog.find("train")
    assert found is not None
    said = interface_as_json(bare(found))
    assert interface_of_json(said) == bare(found)
    assert interface_of_json(said).digest == found.digest
    assert "help" not in json.dumps(said)
