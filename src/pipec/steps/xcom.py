"""What a task tells Airflow's own rules: its small outputs as one JSON object, handed over when all else is done.

Not read by other steps: they read results. Knows neither steps nor processes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from pipec.steps import store
from pipec.steps.declare import StepError
from pipec.steps.lines import say, write_whole
from pipec.values import Json

XCOM = "--xcom"
LINE = (
    "-"  # in the place of a file: the last line of standard output, which is what Airflow takes of a Docker container
)
LIMIT = 48 << 10  # bytes. An XCom is a cell of Airflow's database; MySQL keeps 64 KiB there, and quotes take room


def text(values: Mapping[str, Json]) -> str:
    """Return the values that are there as one line of ASCII. Raises StepError where they are more than is carried."""
    told = json.dumps({name: value for name, value in values.items() if value is not None}, sort_keys=True)
    if len(told) > LIMIT:
        largest = max(values, key=lambda name: len(json.dumps(values[name])))
        raise StepError(
            f"the small outputs take {len(told)} bytes, and airflow carries {LIMIT}: "
            f"make `{largest}` smaller, or an artifact of it"
        )
    return told


def leave(place: str, told: str, title: str) -> int:
    """Hand the text over, whole or not at all; return the exit code. title: what messages begin with."""
    if place == LINE:
        sys.stdout.flush()
        write_whole(1, f"{told}\n".encode())
        return 0
    try:
        store.replace_text(Path(place), told)
    except OSError as fault:
        say(f"{title}: the small outputs could not be left at `{place}`: {(fault.strerror or str(fault)).lower()}")
        return 1
    return 0
