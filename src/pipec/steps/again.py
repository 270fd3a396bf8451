"""Trying again inside one container, for orchestrators that cannot tell a refusal from a failure.

Kubeflow's retry policy repeats whatever ends with another code than 0, so a gate that said no would be asked again. For
gates the runtime repeats instead, and only what may heal. Knows exit codes, nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pipec.steps.declare import TryAgain

LONGEST_S = 3600.0  # design.md 3.1.7: the wait doubles up to an hour


def again(
    attempt: Callable[[], int], attempts: int, backoff_s: float, sleep: Callable[[float], object] = time.sleep
) -> int:
    """Return the exit code of the last of up to `attempts` attempts; only a code of 75 leads to another one."""
    for number in range(attempts - 1):
        code = attempt()
        if code != TryAgain.exit_code:
            return code
        sleep(pause_s(backoff_s, number))
    return attempt()


def pause_s(backoff_s: float, number: int) -> float:
    """Return how long to wait after attempt `number`, counted from 0."""
    doubled: float = backoff_s * 2**number
    return min(doubled, LONGEST_S)
