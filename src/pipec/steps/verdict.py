"""`pipec-step --verdict`: the task at the end of a run that fails it, where tasks that report have ended badly.

They themselves end with 0, so that what follows a failure can start. Knows only what they told.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipec.steps.command import reason_name, state_name
from pipec.steps.declare import Refused, StepError
from pipec.steps.join import json_object
from pipec.steps.lines import say
from pipec.values import Json
from pipec.verdict import BAD, FAILED, REFUSED, past

VERDICT = "--verdict"  # in the place of a step's name


def verdict(arguments: Sequence[str]) -> int:
    """Say who failed or was refused, the gravest last; return 1 if any failed, else 3 if any was refused, else 0."""
    parser = argparse.ArgumentParser(prog=f"pipec-step {VERDICT}", add_help=False)
    parser.add_argument("name", nargs="?", help="the task's, which makes its container another than all others")
    parser.add_argument("--executor-input", required=True)
    try:
        body: Any = json_object(parser.parse_args(arguments).executor_input, "--executor-input")
    except StepError as fault:
        say(f"pipec-step: {fault}")
        return fault.exit_code
    values: Mapping[str, Json] = (body.get("inputs") or {}).get("parameterValues") or {}
    ends = sorted(_bad(values), key=lambda end: (end[0] == FAILED, end[1]))
    for state, task in ends:
        reason = values.get(reason_name(task))
        say(f"`{task}` {past(state)}" + (f": {reason}" if reason else ""))
    states = {state for state, _ in ends}
    return StepError.exit_code if FAILED in states else Refused.exit_code if REFUSED in states else 0


def _bad(values: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for name, state in values.items():
        task = name.removeprefix(state_name(""))
        if name == state_name(task) and state in BAD:
            yield str(state), task
