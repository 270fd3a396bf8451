"""Three ways into a step's process, one `Call`: the engine's call file, Airflow's arguments, Kubeflow's executor input.

Apart from `command.py` because only the process of a step needs it; targets and engine write, they do not decode. The
last two ways are long, and have modules of their own (`arguments.py`, `executor.py`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipec.steps import catalog, foreign, secret
from pipec.steps.arguments import decode_airflow
from pipec.steps.brief import parse_brief
from pipec.steps.command import Call, Order, parse_call, parse_order
from pipec.steps.declare import CallerError
from pipec.steps.executor import decode_kubeflow
from pipec.steps.interface import Interface
from pipec.steps.join import json_object


def decode_arguments(
    argv: Sequence[str],
    environ: Mapping[str, str],
    read: Callable[[str], str | None],
    find: Callable[[str], Interface | None] = catalog.find,
) -> Call:
    """Return the call that a step's arguments mean.

    environ: where secrets and configs arrive (`secret.py`). read: returns the text at a location, or None if nothing is
    there; used for the result files of earlier tasks. find: returns the interface of a step. Raises CallerError, and
    Skipped if the step is not to run.
    """
    options = _parser().parse_args(argv)
    if options.call:
        return _with_secrets(parse_call(Path(options.call).read_text(encoding="utf-8")), environ)
    if options.step:
        return decode_airflow(_brief(options, find), options, environ, read)
    if not options.order:
        raise CallerError("a step needs `--call FILE`, or `--order JSON` with `--executor-input JSON` or `--run ID`")
    order = parse_order(options.order)
    if options.executor_input is not None:
        return decode_kubeflow(order, options, environ, read)
    return decode_airflow(order, options, environ, read)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pipec-step", add_help=False)
    parser.add_argument("--call", help="a file holding the whole call, as the engine writes it")
    parser.add_argument("--order", help="the compiler's half of the call, as JSON")
    parser.add_argument("--step", help="the step that a brief order is for, with the mark of its interface")
    parser.add_argument("brief", nargs="?", default="", help="what of an order its step does not say, as JSON")
    parser.add_argument("--pipeline", default="", help="of a brief order: the pipeline")
    parser.add_argument("--env", default="", help="of a brief order: the environment")
    parser.add_argument("--task", default="", help="of a brief order: what the caller calls the task")
    parser.add_argument("--interface", help="of a brief order: what a step declares that no library has, as JSON")
    parser.add_argument("--executor-input", help="Kubeflow's half of the call, as JSON")
    parser.add_argument("--root", help="the artifact root of the environment: a path or URL")
    parser.add_argument("--run", help="the run's id")
    parser.add_argument("--parameters", default="{}", help="the run's parameters, as a JSON object")
    parser.add_argument("--scheduled-at", default="", help="the moment of the trigger, ISO 8601")
    parser.add_argument("--outcome", default="", help="the outcome of the run so far")
    parser.add_argument("--ends", help="how Airflow saw tasks of the run end, as a JSON object by task")
    parser.add_argument("--item", help="the item of a loop that this call is about, as JSON")
    parser.add_argument("--iteration", help="its place in the list, from 0")
    parser.add_argument("--decision", help="a person's decision, as JSON, where the orchestrator asked for it")
    parser.add_argument("--xcom", help="where the small outputs go, as one JSON object: a file, or `-`")
    parser.add_argument("--variables", default="{}", help="the variables of the step's image, as a JSON object")
    parser.add_argument("--workspace", help="a folder that the image of the step sees too")
    parser.add_argument("--attempts", type=int, default=1, help="how many attempts that image may make")
    parser.add_argument("--attempt", type=int, default=0, help="which of them went well")
    return parser


def _brief(options: argparse.Namespace, find: Callable[[str], Interface | None]) -> Order:
    name = options.step.partition("@")[0]
    interface = find(name)
    brought = json_object(options.interface, "--interface") if options.interface else None
    if brought is not None:
        interface = foreign.brought(brought)
    if interface is None:
        raise CallerError(catalog.lacks(name))
    names = {"pipeline": options.pipeline, "environment": options.env, "task": options.task}
    return replace(parse_brief(options.step, options.brief, interface, **names), foreign=brought)


def _with_secrets(call: Call, environ: Mapping[str, str]) -> Call:
    """A call file names its secrets only: take their values from the environment."""
    values = {parameter: secret.secret(name, environ) for parameter, name in call.secrets.items()}
    return replace(call, parameters={**call.parameters, **values})
