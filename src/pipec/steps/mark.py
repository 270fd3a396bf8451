"""An end for good, noted in the run's folder, for an orchestrator that repeats whatever ended badly.

Kubeflow's retry policy knows no exit codes: it is there for machines that are lost and services that do not answer, but
would ask a gate again, too. A repeated attempt finds the note and ends at once as the one before did.
"""

from __future__ import annotations

import json

from pipec.steps import store
from pipec.steps.command import Call
from pipec.steps.declare import CallerError, Refused, StepError
from pipec.steps.lines import say

_FOR_GOOD = (StepError.exit_code, CallerError.exit_code, Refused.exit_code)  # design.md 3.1.7: all others may heal


def found(call: Call) -> int:
    """Return the exit code of the attempt that ended for good, or 0. Where nobody can say, the step runs again."""
    try:
        text = store.read_text(str(call.mark), call.base)
        code = int(json.loads(text)["code"]) if text else 0
    except (StepError, OSError, ValueError, KeyError, TypeError) as fault:
        say(f"[{call.task}] whether it has ended before cannot be read: {fault}")
        return 0
    if code:
        say(f"{call.task} ({call.step}): it has ended before, and no attempt after that would end otherwise")
    return code


def leave(call: Call, code: int) -> None:
    """Note an end that no further attempt would change."""
    if code not in _FOR_GOOD:
        return
    try:
        store.write_text(str(call.mark), json.dumps({"code": code}) + "\n", call.base)
    except (StepError, OSError) as fault:
        say(f"[{call.task}] that it has ended could not be noted: {fault}")
