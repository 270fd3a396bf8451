"""Airflow's way into a step's process: an order and what is known of the run; the rest lies below the artifact root.

Serves any caller that knows only the run: earlier tasks are found by name in its folder. Knows Airflow's words for how
tasks end, and nothing else of it.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator, Mapping

from pipec.record import frozen
from pipec.steps import secret
from pipec.steps.command import HALVES, ITEMS, RESULT, Call, Location, Order, run_fact, run_folder
from pipec.steps.declare import CallerError, StepError
from pipec.steps.join import common, json_object, known
from pipec.steps.ledger import Ledger
from pipec.values import (
    Absent,
    ConfigRef,
    EachRef,
    Gather,
    ItemRef,
    Json,
    ListOf,
    MatrixRef,
    OutputRef,
    ParameterRef,
    Reference,
    RunRef,
    SecretRef,
    Value,
    decode,
    resolve,
)
from pipec.verdict import FAILED, SKIPPED, SUCCEEDED, Fault, because, of_item

_MAPPED = re.compile(r"_([0-9]+)\Z")  # before the number of an iteration; the name of a step has no `_`
_WORDS = {"success": SUCCEEDED, "failed": FAILED}  # all else (skipped, upstream_failed, removed) ran no container


@frozen
class Arrived:
    """What is known of a run, as values ask for it. folder: where its tasks leave what they make.

    item, iteration: of a loop, what this call is about, and its place in the list.
    """

    folder: str
    ledger: Ledger
    parameters: Mapping[str, Json]
    run_id: str
    scheduled_at: str
    outcome: str
    environ: Mapping[str, str]
    item: Json = None
    iteration: int | None = None

    def value(self, reference: Reference) -> Json:
        """Return the value of a reference. Raises Absent where its task did not succeed."""
        match reference:
            case ParameterRef(name):
                return known(self.parameters, name, "parameter")
            case OutputRef(task, output):
                state = self.ledger.state(task)
                if state != SUCCEEDED:
                    raise Absent(f"steps.{task}.{output}", because(task, state))
                return self.ledger.value(task, output)
            case RunRef(name):
                return run_fact(name, run_id=self.run_id, scheduled_at=self.scheduled_at, outcome=self.outcome)
            case SecretRef(name):
                return secret.secret(name, self.environ)
            case ConfigRef(name):
                return secret.config(name, self.environ)
            case EachRef(task, output):
                if self.ledger.state(task) == SKIPPED:
                    raise Absent(f"steps.{task}[*].{output}", because(task, SKIPPED))
                states = ((each, self.ledger.state(each)) for each in self.ledger.iterations(task))
                return [self.ledger.value(each, output) for each, state in states if state == SUCCEEDED]
            case ItemRef(field):
                return self._of_item(field)
            case MatrixRef():
                raise CallerError("a cell of a matrix has its values in its order: compile the pipeline again")

    def _of_item(self, field: str) -> Json:
        if self.iteration is None:
            raise CallerError("`--item` and `--iteration` must say which item of a loop this is: compile it again")
        try:
            return of_item(self.item, field, self.iteration)
        except Fault as fault:
            raise StepError(str(fault)) from fault

    def places(self, value: Value) -> Iterator[Location]:
        """Yield where an input lies, without what was not made: the runtime refuses a required input without any."""
        match value:
            case OutputRef(task, output):
                found = self.ledger.digest(task, output)
                yield from [Location(f"{self.folder}/{task}/{output}", found)] if found else []
            case EachRef(task, output):
                for each in self.ledger.iterations(task):
                    yield from self.places(OutputRef(each, output))
            case Gather(items) | ListOf(items):
                for item in items:
                    yield from self.places(item)
            case ParameterRef(name) if self.parameters.get(name, "") is None:
                return
            case _:
                yield Location(str(resolve(value, self.value)))


def decode_airflow(
    order: Order, options: argparse.Namespace, environ: Mapping[str, str], read: Callable[[str], str | None]
) -> Call:
    """Return the call that the arguments mean. Raises CallerError, and Absent where a value has none."""
    if not (options.root and options.run):
        raise CallerError("`--order` needs `--root` and `--run`, which say where this run keeps its artifacts")
    root = options.root.rstrip("/")
    folder = run_folder(root, order.pipeline, options.run)
    states = None if options.ends is None else ended(json_object(options.ends, "--ends"))
    ledger = Ledger(folder, order.ends, order.forgiven, read, states)
    outcome = options.outcome or (ledger.outcome if order.ends else "")
    parameters = json_object(options.parameters, "--parameters")
    item, iteration = _item(options)
    arrived = Arrived(folder, ledger, parameters, options.run, options.scheduled_at, outcome, environ, item, iteration)
    task = order.task if iteration is None else f"{order.task}-{iteration}"
    # The decision of a person comes with the arguments, else as a file that `pipec approve` writes.
    decision = f"json:{options.decision}" if options.decision else f"{folder}/{task}/decision.json"
    return Call(
        **common(order, options.run) | {"task": task},
        parameters={name: resolve(value, arrived.value) for name, value in order.parameters},
        inputs={name: tuple(at for value in given for at in arrived.places(value)) for name, given in order.inputs},
        outputs={"*": f"{folder}/{task}"},
        result=f"{folder}/{task}/{RESULT}",
        scheduled_at=options.scheduled_at,
        outcome=outcome,
        decision=decision,
        releases=f"{root}/releases",
        triggers=f"{root}/triggers",
        cache=f"{root}/cache" if order.cache else None,
        xcom=options.xcom,
        variables=_variables(options.variables, arrived),
        workspace=options.workspace,
        tries=options.attempts,
        attempt=options.attempt,
    )


def _variables(text: str, arrived: Arrived) -> dict[str, Json]:
    """Return the values of variables that another image is given. Raises CallerError, and Absent."""
    written = json_object(text, "--variables")
    try:
        return {name: resolve(decode(value), arrived.value) for name, value in written.items()}
    except ValueError as fault:
        raise CallerError(f"`--variables` is not what pipec wrote ({fault}): compile the pipeline again") from fault


def _item(options: argparse.Namespace) -> tuple[Json, int | None]:
    """Return the item of a loop that this call is about, and its place; nothing where it is about none."""
    if options.iteration is None:
        return None, None
    try:
        return json.loads(options.item or ""), int(options.iteration)
    except ValueError as fault:
        raise CallerError(f"`--item` is not JSON, or `--iteration` no number ({fault})") from fault


def ended(told: Mapping[str, Json]) -> dict[str, str]:
    """Return how tasks ended, in the words of a plan, out of Airflow's.

    A step that is several tasks there has failed if one of them has: behind it, its own is told as never begun.
    """
    states = {_MAPPED.sub(r"-\1", task): _WORDS.get(str(word), SKIPPED) for task, word in told.items()}
    for task, word in told.items():
        if word == "skipped" and told.get(f"{task}{ITEMS}") == "success":
            states[task] = SUCCEEDED  # a loop that had nothing to go over
    for first, second in HALVES:
        for owner in [task.removesuffix(first) for task in told if task.endswith(first)]:
            parts = [told.get(f"{owner}{half}") for half in (first, second)]
            if None not in parts and "failed" in parts and states.get(owner) == SKIPPED:
                states[owner] = FAILED
    return states
