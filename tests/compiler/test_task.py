"""What a task says of itself, and the half of its call that is known when it is compiled."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pipec.compiler.plan import Loop, Plan, Task, order, uncacheable
from pipec.condition import Holds
from pipec.steps import catalog
from pipec.steps.command import Order, order_text
from pipec.steps.interface import Accelerator, Endpoint, Input, Interface, Resources, Retry, Role
from pipec.values import ItemRef, Literal, OutputRef, ParameterRef, SecretRef, Text

SPLIT = catalog.find("split")
assert isinstance(SPLIT, Interface)
INNER = Task(
    name="b", step="b", interface=SPLIT, parameters=(("seed", ItemRef("seed", "l")),),
    inputs=(("data", (OutputRef("a", "data"), ParameterRef("more"))),), env=(("KEY", SecretRef("key")),),
)  # fmt: skip


def test_a_task_refers_to_what_it_is_given_each_once_in_order() -> None:
    assert INNER.references == (ItemRef("seed", "l"), OutputRef("a", "data"), ParameterRef("more"), SecretRef("key"))
    text = Text((Literal("x "), ParameterRef("more"), ParameterRef("more")))
    assert Task(name="c", step="c", interface=SPLIT, env=(("A", text),)).references == (ParameterRef("more"),)


def test_a_loop_refers_to_its_list_and_to_what_its_body_is_given() -> None:
    loop = Loop(items=OutputRef("a", "list"), body=(INNER,))
    task = Task(name="l", step="l", interface=SPLIT, loop=loop)
    assert task.references == (OutputRef("a", "list"), *INNER.references)


def test_a_task_asks_for_itself_and_for_its_iterations() -> None:
    inner = Task(name="b", step="b", interface=SPLIT, when=Holds(ItemRef("ok", "l")))
    loop = Loop(items=OutputRef("a", "list"), body=(inner,))
    task = Task(name="l", step="l", interface=SPLIT, loop=loop, when=Holds(ParameterRef("go")))
    assert task.asked == (ParameterRef("go"), ItemRef("ok", "l"))


@pytest.mark.parametrize(("cpu", "threads"), [(0.25, 1), (1, 1), (1.9, 1), (2, 2), (7.5, 7)])
def test_a_step_has_as_many_threads_as_whole_cores_and_one_at_least(cpu: float, threads: int) -> None:
    task = Task(name="b", step="b", interface=SPLIT, resources=Resources(cpu=cpu))
    assert order(Plan(pipeline="p", tasks=(task,)), task).threads == threads


@pytest.mark.parametrize(("attempts", "backoff_s", "said"), [(1, 30, (1, 0)), (2, 30, (2, 30)), (5, 60, (5, 60))])
def test_a_wait_is_said_where_there_is_something_to_wait_for(
    attempts: int, backoff_s: int, said: tuple[int, int]
) -> None:
    retry = Retry(attempts=attempts, backoff_s=backoff_s)
    made = order(Plan(pipeline="p", tasks=(INNER,)), INNER, retry=retry)
    assert (made.attempts, made.backoff_s) == said


def ordered(task: Task, *, cache: bool = True) -> Order:
    return order(Plan(pipeline="p", tasks=(task,)), task, cache=cache)


PLAIN = Task(name="b", step="b", interface=SPLIT)


def test_an_order_says_which_variables_hold_secrets_and_which_devices_must_be_there() -> None:
    gpus = replace(INNER, resources=Resources(accelerator=Accelerator(kind="gpu", count=2)))
    assert (ordered(gpus).hidden, ordered(gpus).devices) == (("KEY",), ("gpu", 2))
    assert (ordered(PLAIN).hidden, ordered(PLAIN).devices) == ((), None)
    assert not {"hidden", "devices", "cache"} & set(json.loads(order_text(ordered(PLAIN, cache=False))))


@pytest.mark.parametrize(
    ("task", "why"),
    [
        (PLAIN, ""),
        (replace(PLAIN, cache=False), "it says `cache: false`"),
        (replace(PLAIN, is_final=True), "a `finally` step always runs"),
        (replace(PLAIN, interface=replace(SPLIT, role=Role.DEPLOY)), "a step of role `deploy` always runs"),
        (replace(PLAIN, interface=replace(SPLIT, role=Role.APPROVE)), "a step of role `approve` always runs"),
        (replace(PLAIN, interface=replace(SPLIT, world=True)), "it asks or changes what lies outside of the run"),
        (replace(PLAIN, interface=replace(SPLIT, outputs=())), "it has no outputs, so it runs for its effect"),
        (replace(PLAIN, interface=replace(SPLIT, inputs=(Input(name="at", type=Endpoint),))), "it asks a server"),
        (INNER, "it uses a secret, and what that opens may change"),
        (replace(PLAIN, parameters=(("key", SecretRef("key")),)), "it uses a secret, and what that opens may change"),
    ],
)
def test_a_runtime_is_told_to_cache_what_a_cache_may_answer_for(task: Task, why: str) -> None:
    assert uncacheable(task) == why
    assert ordered(task).cache is not bool(why)
    assert not ordered(task, cache=False).cache
