"""Three ways into a step's process, one `Call`: the engine's call file, Airflow's arguments, Kubeflow's executor input.

Apart from `command.py` because only the process of a step needs it; targets and engine write, they do not decode. The
third way is long, and has a module of its own (`executor.py`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, assert_never

from pipec.steps import secret
from pipec.steps.command import (
    RESULT,
    Call,
    Location,
    Order,
    parse_call,
    parse_order,
    run_fact,
    run_folder,
)
from pipec.steps.declare import CallerError
from pipec.steps.executor import decode_kubeflow
from pipec.steps.join import common, json_object, known
from pipec.values import (
    Absent,
    ConfigRef,
    EachRef,
    ItemRef,
    Json,
    MatrixRef,
    OutputRef,
    ParameterRef,
    Reference,
    RunRef,
    SecretRef,
    Value,
    resolve,
)


def decode_arguments(argv: Sequence[str], environ: Mapping[str, str], read: Callable[[str], str | None]) -> Call:
    """Return the call that a step's arguments mean.

    environ: where secrets and configs arrive (`secret.py`). read: returns the text at a location, or None if nothing is
    there; used for the result files of earlier tasks. Raises CallerError, and Skipped if the step
    is not to run.
    """
    options = _parser().parse_args(argv)
    if options.call:
        return _with_secrets(parse_call(Path(options.call).read_text(encoding="utf-8")), environ)
    if not options.order:
        raise CallerError("a step needs `--call FILE`, or `--order JSON` with `--executor-input JSON` or `--run ID`")
    order = parse_order(options.order)
    if options.executor_input is not None:
        return decode_kubeflow(order, options, environ, read)
    return _from_arguments(order, options, environ, read)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pipec-step", add_help=False)
    parser.add_argument("--call", help="a file holding the whole call, as the engine writes it")
    parser.add_argument("--order", help="the compiler's half of the call, as JSON")
    parser.add_argument("--executor-input", help="Kubeflow's half of the call, as JSON")
    parser.add_argument("--root", help="the artifact root of the environment: a path or URL")
    parser.add_argument("--run", help="the run's id")
    parser.add_argument("--parameters", default="{}", help="the run's parameters, as a JSON object")
    parser.add_argument("--scheduled-at", default="", help="the moment of the trigger, ISO 8601")
    parser.add_argument("--outcome", default="", help="the outcome of the run so far")
    parser.add_argument("--decision", help="a person's decision, as JSON, where the orchestrator asked for it")
    return parser


def _from_arguments(
    order: Order, options: argparse.Namespace, environ: Mapping[str, str], read: Callable[[str], str | None]
) -> Call:
    """Airflow, or any caller that knows only the run: earlier tasks are found by name below the artifact root."""
    if not (options.root and options.run):
        raise CallerError("`--order` needs `--root` and `--run`, which say where this run keeps its artifacts")
    parameters = json_object(options.parameters, "--parameters")
    folder = run_folder(options.root, order.pipeline, options.run)
    results: dict[str, Any] = {}

    def result_of(task: str) -> Any:
        if task not in results:
            text = read(f"{folder}/{task}/{RESULT}")
            if text is None:
                raise Absent(task)
            results[task] = json.loads(text)
        return results[task]

    def lookup(reference: Reference) -> Json:
        match reference:
            case ParameterRef(name):
                return known(parameters, name, "parameter")
            case OutputRef(task, output):
                values = result_of(task)["values"]
                return known(values, output, f"output of `{task}` named")
            case RunRef(name):
                return run_fact(name, run_id=options.run, scheduled_at=options.scheduled_at, outcome=options.outcome)
            case SecretRef(name):
                return secret.secret(name, environ)
            case ConfigRef(name):
                return secret.config(name, environ)
            case ItemRef() | EachRef() | MatrixRef():
                raise CallerError("this caller cannot say which item of a loop it asks for: compile the pipeline again")
            case _:
                assert_never(reference)

    def place(value: Value) -> Location:
        if isinstance(value, OutputRef):
            artifact = result_of(value.task)["artifacts"].get(value.output)
            if artifact is None:
                raise Absent(value.output)
            return Location(f"{folder}/{value.task}/{value.output}", artifact["digest"])
        return Location(str(resolve(value, lookup)))

    # The decision of a person comes with the arguments on Airflow, else as a file that `pipec approve` writes.
    decision = _written_decision(options, f"{folder}/{order.task}/decision.json")
    return Call(
        **common(order, options.run),
        parameters={name: resolve(value, lookup) for name, value in order.parameters},
        inputs={name: _present(values, place) for name, values in order.inputs},
        outputs={"*": f"{folder}/{order.task}"},
        result=f"{folder}/{order.task}/{RESULT}",
        scheduled_at=options.scheduled_at,
        outcome=options.outcome,
        decision=decision,
        releases=f"{options.root.rstrip('/')}/releases",
        triggers=f"{options.root.rstrip('/')}/triggers",
        cache=f"{options.root.rstrip('/')}/cache" if order.cache else None,
    )


def _with_secrets(call: Call, environ: Mapping[str, str]) -> Call:
    """A call file names its secrets only: take their values from the environment."""
    values = {parameter: secret.secret(name, environ) for parameter, name in call.secrets.items()}
    return replace(call, parameters={**call.parameters, **values})


def _present(values: tuple[Value, ...], place: Callable[[Value], Location]) -> tuple[Location, ...]:
    """Return where the inputs lie, without those whose producer did not run or left that output unwritten.

    The runtime refuses to start where a required input is without any.
    """
    places = []
    for value in values:
        try:
            places.append(place(value))
        except Absent:
            continue
    return tuple(places)


def _written_decision(options: argparse.Namespace, otherwise: str) -> str:
    """Return where the decision is: `json:` and the text itself where the caller handed it over."""
    return f"json:{options.decision}" if options.decision else otherwise
