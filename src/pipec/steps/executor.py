"""Kubeflow's way into a step's process: an order and the executor input (pipeline_spec.proto, ExecutorInput).

A task that reports is judged here, before anything that it reads is touched. Knows what arrives, not who emitted it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pipec import digest
from pipec.record import frozen
from pipec.steps import catalog, secret
from pipec.steps.command import (
    FINAL_STATUS,
    ITERATION,
    RESULT,
    RUN_ID,
    Call,
    Location,
    Order,
    Report,
    input_name,
    run_folder,
    state_name,
)
from pipec.steps.declare import CallerError, StepError
from pipec.steps.interface import Input
from pipec.steps.join import common, json_object, known
from pipec.steps.ledger import Ledger
from pipec.values import (
    Absent,
    ConfigRef,
    EachRef,
    Gather,
    Json,
    ListOf,
    OutputRef,
    ParameterRef,
    Reference,
    RunRef,
    SecretRef,
    Value,
    references,
    resolve,
)
from pipec.verdict import BAD, ENDS, FAILED, SKIPPED, SUCCEEDED, Fail, Ready, Skip, Verdict, because, fed, judged


class Skipped(Exception):
    """The step is not to run. call: what is known of it without its values."""

    def __init__(self, call: Call, reason: str) -> None:
        super().__init__(reason)
        self.call, self.reason = call, reason


@frozen
class Arrived:
    """What a run gave a task, as its rules and its values ask for it.

    values, artifacts: of the executor input, by name. ledger: for a final step, what lies in the run's folder.
    """

    order: Order
    values: Mapping[str, Json]
    artifacts: Mapping[str, Any]
    environ: Mapping[str, str]
    ledger: Ledger | None = None

    @property
    def outcome(self) -> str:
        """What the run came to so far; empty where this task is none of its final ones."""
        if self.ledger is None:
            return ""
        status = self.values.get(FINAL_STATUS)
        body = json_object(status, FINAL_STATUS) if isinstance(status, str) and status else status
        has_failed = isinstance(body, Mapping) and body.get("state") == "FAILED"
        return FAILED if has_failed and self.ledger.outcome == SUCCEEDED else self.ledger.outcome

    def state(self, task: str) -> str:
        """Return how a task ended. Raises CallerError where nobody says."""
        found = self._told(task)
        if found is None:
            raise CallerError(f"the caller does not say how `{task}` ended: compile and deploy the pipeline again")
        return found

    def _told(self, task: str) -> str | None:
        """Return how a task ended, or None of one that does not report: it has succeeded."""
        told = self.values.get(state_name(task))
        if told is None:
            return self.ledger.state(task) if self.ledger and task in self.ledger else None
        if told not in ENDS:
            raise CallerError(f"`{task}` is told to have ended as `{told}`, which is no end: deploy the pipeline again")
        return str(told)

    def seen(self, task: str) -> str:
        """Return how a task ended for those that follow."""
        state = self.state(task)
        return SKIPPED if state in BAD and task in self.order.forgiven else state

    def is_barren(self, task: str) -> bool:
        """Say whether a task is a loop that failed, of which nothing that is read here was left."""
        if self.seen(task) not in BAD:
            return False
        read = [value for _, values in self.order.inputs for value in values if _names(value, task)]
        told = {ref for _, value in self.order.parameters for ref in _each(value) if ref.task == task}
        is_left = any(True for value in read for _ in self.present(value))
        return bool(read or told) and not is_left and not any(self.values.get(input_name(ref)) for ref in told)

    def lookup(self, reference: Reference) -> Json:
        """Return the value of a reference in `when`. Raises Absent, in the engine's words."""
        match reference:
            case ParameterRef(name) if self.values.get(input_name(reference)) is None:
                raise Absent(f"`parameters.{name}` has no value")
            case OutputRef(task, output) | EachRef(task, output):
                try:
                    return self.value(reference)
                except Absent as fault:
                    each = "[*]" if isinstance(reference, EachRef) else ""
                    why = because(task, self._told(task) or "")
                    raise Absent(f"`steps.{task}{each}.{output}` is absent{why}") from fault
        return self.value(reference)

    def value(self, reference: Reference) -> Json:
        """Return the value of a reference. Raises Absent where its task made none: what arrives then means nothing."""
        match reference:
            case SecretRef(name):
                return secret.secret(name, self.environ)
            case ConfigRef(name):
                return secret.config(name, self.environ)
            case RunRef("date"):
                return str(known(self.values, input_name(reference), "input"))[:10]
            case RunRef("outcome") if self.ledger:
                return self.outcome
            case OutputRef(task, output):
                if self._told(task) not in (None, SUCCEEDED):
                    raise Absent(f"steps.{task}.{output}")
                if self.ledger and input_name(reference) not in self.values:
                    return self.ledger.value(task, output)
            case EachRef(task, output) if self._told(task) == SKIPPED:
                raise Absent(f"steps.{task}[*].{output}")
        return known(self.values, input_name(reference), "input")

    def present(self, value: Value) -> Iterator[Value]:
        """Yield what is there of a value given to an input."""
        if isinstance(value, ParameterRef) and self.values.get(input_name(value)) is None:
            return
        for _ in self.places(value):
            yield value

    def places(self, value: Value) -> Iterator[Location]:
        """Yield where an input lies, without what was not made: the runtime refuses a required input without any."""
        match value:
            case OutputRef(task, output):
                told = self._told(task)
                if told not in (None, SUCCEEDED):
                    return
                if self.ledger and input_name(value) not in self.artifacts:
                    found = self.ledger.location(task, output)
                    yield from [found] if found else []
                    return
                yield from _locations(self.artifacts.get(input_name(value)), limit=1)
            case EachRef():
                yield from _locations(self.artifacts.get(input_name(value)))
            case Gather(items) | ListOf(items):
                for item in items:
                    yield from self.places(item)
            case _:
                yield Location(str(resolve(value, self.value)))


def _each(value: Value) -> Iterator[EachRef]:
    return (ref for ref in references(value) if isinstance(ref, EachRef))


def _names(value: Value, loop: str) -> bool:
    return any(ref.task == loop for ref in _each(value))


def _locations(listed: Any, limit: int | None = None) -> Iterator[Location]:
    for artifact in ((listed or {}).get("artifacts") or [])[:limit]:
        told = (artifact.get("metadata") or {}).get("digest")
        path = local_path(artifact["uri"])
        # The launcher hands on every declared output; only one that was written has a digest, or is there at all.
        if told is not None or "://" in path or os.path.lexists(path):
            yield Location(path, told)


def placed(order: Order, body: Mapping[str, Json], root: str | None) -> Call:
    """Return what is known of a call without its values: what it is of, and where its end is told."""
    given: Any = body.get("inputs") or {}
    wanted: Any = body.get("outputs") or {}
    values: Mapping[str, Json] = given.get("parameterValues") or {}
    run_id = str(values.get("run-id", ""))
    uris = {name: str(listed["artifacts"][0]["uri"]) for name, listed in (wanted.get("artifacts") or {}).items()}
    root = root.rstrip("/") if root else None
    folder = f"{run_folder(root, order.pipeline, run_id)}/{order.task}" if root and run_id else None
    fields = common(order, run_id) | ({"attempts": 1, "backoff_s": 0.0} if order.report else {})
    if ITERATION in values:
        fields["task"] = f"{order.task}-{values[ITERATION]}"
    return Call(
        **fields,
        outputs={name: local_path(uri) for name, uri in uris.items()},
        uris=uris,
        small_outputs={n: p["outputFile"] for n, p in (wanted.get("parameters") or {}).items()},
        kubeflow_output=wanted.get("outputFile"),
        result=f"{folder}/{RESULT}" if folder and order.ledger else None,
        ledger=order.ledger,
        scheduled_at=str(values.get(input_name(RunRef("scheduled_at")), "")),
        decision=f"{folder}/decision.json" if folder else None,
        releases=f"{root}/releases" if root else None,
        triggers=f"{root}/triggers" if root else None,
        cache=f"{root}/cache" if root and order.cache else None,
    )


def decode_kubeflow(
    order: Order, options: argparse.Namespace, environ: Mapping[str, str], read: Callable[[str], str | None]
) -> Call:
    """Return the call that an executor input means. Raises CallerError, and Skipped if the step is not to run."""
    body = json_object(options.executor_input, "--executor-input")
    call = placed(order, body, options.root)
    given: Any = body.get("inputs") or {}
    if (order.ledger or order.ends) and call.decision is None:
        raise CallerError("results lie in the run's folder: `--root` and the input `run-id` must say where that is")
    folder = run_folder(options.root, order.pipeline, call.run_id) if order.ends else ""
    ledger = Ledger(folder, order.ends, order.forgiven, read) if order.ends else None
    arrived = Arrived(order, given.get("parameterValues") or {}, given.get("artifacts") or {}, environ, ledger)
    if order.report:
        _let_run(_judged(order.report, arrived), call)
    return replace(
        call,
        parameters={name: resolve(value, arrived.value) for name, value in order.parameters},
        inputs={name: tuple(at for value in given for at in arrived.places(value)) for name, given in order.inputs},
        outcome=arrived.outcome,
        mark=_mark(order, options, environ) if order.marks else None,
        marks=order.marks,
    )


def _mark(order: Order, options: argparse.Namespace, environ: Mapping[str, str]) -> str | None:
    """Return where it is noted that this execution has ended for good; what it is given tells it from others.

    None where nobody says which run this is, as on a machine without Kubernetes: then every attempt is made.
    """
    if not (options.root and environ.get(RUN_ID)):
        return None
    key = digest.of_value(options.executor_input).removeprefix("sha256:")[:16]
    return f"{run_folder(options.root, order.pipeline, environ[RUN_ID])}/{order.task}/ended-{key}.json"


def _judged(report: Report, arrived: Arrived) -> Verdict:
    verdict = judged(report.needs, report.when, arrived)
    return fed(arrived.order.inputs, _declared(arrived.order), arrived) if verdict == Ready() else verdict


def _declared(order: Order) -> Callable[[str], Input | None]:
    found = catalog.find(order.step.partition("@")[0])
    return found.input if found else lambda name: None


def _let_run(verdict: Verdict, call: Call) -> None:
    match verdict:
        case Skip(reason):
            raise Skipped(call, reason)
        case Fail(reason):
            raise StepError(reason)


def local_path(uri: str) -> str:
    """Return where Kubeflow's launcher mounts `uri` in the container (facts: `s3://b/k` is at `/s3/b/k`)."""
    for scheme in ("s3", "gs", "minio", "oci"):
        if uri.startswith(f"{scheme}://"):
            folder = "gcs" if scheme == "gs" else scheme
            return f"/{folder}/{uri.removeprefix(f'{scheme}://')}"
    return uri
