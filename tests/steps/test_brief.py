"""An order as it stands in a DAG file: what was left out of it comes back, and nothing in it is taken for another."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipec.steps import catalog
from pipec.steps.brief import brief_name, brief_text, parse_brief, split_name
from pipec.steps.carried import interface_as_json
from pipec.steps.command import Ended, Order
from pipec.steps.declare import CallerError
from pipec.steps.decode import decode_arguments
from pipec.steps.interface import Interface, Missing
from pipec.values import EachRef, Json, ListOf, Literal, ObjectOf, OutputRef, ParameterRef, RunRef, Text, Value, resolve


def interface(name: str) -> Interface:
    found = catalog.find(name)
    assert found is not None
    return found


def ordered(name: str, parameters: dict[str, Value] | None = None, **fields: Any) -> Order:
    """Return an order for a step of the library, with its defaults filled in, as a plan's tasks have them."""
    step = interface(name)
    filled: dict[str, Value] = {
        p.name: Literal(p.default) for p in step.parameters if not isinstance(p.default, Missing)
    }
    given = {p.name: {**filled, **(parameters or {})}.get(p.name) for p in step.parameters}
    return Order(
        pipeline="wine", task="made", step=f"{name}@{step.version}", interface=step.digest, environment="prod",
        parameters=tuple((name, value) for name, value in given.items() if value is not None), **fields,
    )  # fmt: skip


def again(order: Order, text: str | None = None, named: str | None = None) -> Order:
    step = interface(order.step.partition("@")[0])
    written = brief_text(order, step, "made") if text is None else text
    return parse_brief(named or brief_name(step), written, step, pipeline="wine", environment="prod", task="made")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from([0.5, 1.0]) | st.sampled_from(["", "a.b", "{{ x"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "b", "$output", "$parameter", "$literal", "$list"]), inner, max_size=2)
    ),
    max_leaves=5,
)
VALUES = st.recursive(
    JSON.map(Literal)
    | st.sampled_from([ParameterRef("p"), OutputRef("a.b-0", "o"), EachRef("l", "o"), RunRef("id")]),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: ListOf(tuple(items)))
    | st.lists(st.tuples(st.sampled_from(["a", "$output", "$parameter"]), inner), max_size=2, unique_by=lambda p: p[0])
    .map(lambda fields: ObjectOf(tuple(fields))),
    max_leaves=5,
)  # fmt: skip


@given(VALUES)
def test_whatever_a_value_holds_means_the_same_afterwards(value: Value) -> None:
    def told(found: Value) -> str:
        return json.dumps(resolve(found, lambda reference: [repr(reference)]))

    order = again(ordered("train", {"target": Literal("x"), "hyperparameters": value}))
    assert told(dict(order.parameters)["hyperparameters"]) == told(value)


@pytest.mark.parametrize("name", catalog.names())
def test_what_a_step_would_take_by_itself_is_not_said(name: str) -> None:
    order = ordered(name, cache=not interface(name).always_runs)
    assert json.loads(brief_text(order, interface(name), "made")) == {}
    assert again(order) == order


@pytest.mark.parametrize(("value", "said"), [(1, False), (True, True), (1.0, True)])
def test_what_only_looks_like_the_default_is_said(value: Json, said: bool) -> None:
    order = ordered("deploy", {"servers": Literal(value)})
    assert ("servers" in json.loads(brief_text(order, interface("deploy"), "made"))) is said


def test_all_that_an_order_may_say_comes_back() -> None:
    order = ordered(
        "evaluate", {"gates": ListOf((ObjectOf((("metric", Literal("f1")), ("minimum", ParameterRef("p")))),))},
        inputs=(("model", (OutputRef("a.train-0", "model"),)), ("data", (Literal("s3://rows"),))),
        threads=3, wait_s=5, env="sha256:e", hidden=("TOKEN",), devices=("gpu", 2), cache=False,
        ends=(Ended("train"), Ended("ingest")), forgiven=("ingest",),
    )  # fmt: skip
    assert again(order) == order
    assert again(replace(order, task="other")) == replace(order, task="other")


def test_an_input_of_many_and_a_text_come_back() -> None:
    many = (OutputRef("train-0", "model"), OutputRef("train-1", "model"))
    order = ordered("select", inputs=(("models", many), ("data", (OutputRef("tune", "test"),))))
    assert again(order).inputs == order.inputs
    alone = ordered("select", inputs=(("models", (EachRef("train", "model"),)),))
    assert again(alone).inputs == alone.inputs
    text = Text((Literal("run "), RunRef("id")))
    assert dict(again(ordered("notify", {"message": text})).parameters)["message"] == text


def test_no_template_engine_finds_anything_to_read() -> None:
    text = brief_text(ordered("train", {"target": Literal("{{ x }} {% $(HOME) $$ {#")}), interface("train"), "made")
    assert not any(mark in text for mark in ("{{", "{%", "{#", "$(", "$$"))


def test_another_interface_is_refused_by_the_step() -> None:
    order = again(ordered("split"), named="split@1:0123456789ab")
    assert order.interface == "sha256:0123456789ab"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"seed": {"$unheard": 1}}', '{"$devices": [1]}', '{"$ends": 3}'])
def test_what_pipec_did_not_write_is_told(text: str) -> None:
    with pytest.raises(CallerError, match=r"^the order of `split@.*` is not one that pipec wrote"):
        again(ordered("split"), text)


def test_a_name_without_a_mark_is_a_step_called_otherwise() -> None:
    assert split_name(["split", "--order", "{}"]) == ("split", ["--order", "{}"])
    assert split_name(["split@1:0a", "{}"]) == ("split", ["--step", "split@1:0a", "{}"])


def test_a_step_that_the_image_lacks_is_told() -> None:
    with pytest.raises(CallerError, match=r"^this image has no step `splat`: it has approve, "):
        decode_arguments(["--step", "splat@1:0a", "{}", "--root=r", "--run=1"], {}, {}.get)


def test_a_step_that_no_library_has_comes_with_what_it_declares() -> None:
    own = replace(interface("split"), name="own")
    words = ["--step", brief_name(own), '{"seed": 3}', "--pipeline=wine", "--task=made", "--root=r", "--run=1"]
    call = decode_arguments([*words, "--interface", json.dumps(interface_as_json(own))], {}, {}.get)
    assert (call.step, call.interface, call.parameters["seed"]) == ("own@1", own.digest, 3)
    assert call.foreign == interface_as_json(own)
    with pytest.raises(CallerError, match=r"^the call does not say how its step is started: "):
        decode_arguments([*words, "--interface", '{"name": 1}'], {}, {}.get)
