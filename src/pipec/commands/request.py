"""From arguments of the command line to a request, shared by all commands that read a pipeline."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from pipec import api, report
from pipec.api import Checked, Request, UsageError
from pipec.stages import Unit


def request(options: argparse.Namespace, file: str) -> Request:
    """Return what the arguments ask about one file. Raises UsageError."""
    return Request(
        path=Path(file),
        content=sys.stdin.buffer.read(api.MAX_BYTES + 1) if file == "-" else None,
        environment=options.env,
        sets=pairs(options.sets, "--set"),
        target=getattr(options, "target", None),
        options=pairs(getattr(options, "options", ()), "-O"),
        pipeline=getattr(options, "pipeline", None),
    )


def pairs(given: Iterable[str], name: str) -> dict[str, str]:
    """Return `NAME=VALUE` arguments by name. Raises UsageError."""
    found: dict[str, str] = {}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UsageError(f"{name} takes NAME=VALUE, and `{pair}` is not of that form")
        if key in found:
            raise UsageError(f"{name} gives `{key}` twice")
        found[key] = value
    return found


def tell(checked: Checked, options: argparse.Namespace) -> None:
    """Print the findings of a file to standard error, with their count."""
    if checked.report.findings:
        colored = is_colored(options.color, sys.stderr)
        put(f"{report.render(checked.report, 'text', is_colored=colored)}\n", sys.stderr)
        put(f"{report.summary(checked.report, is_colored=colored)}\n", sys.stderr)


def is_colored(asked: str, stream: TextIO | None) -> bool:
    """Say whether text for a person is coloured: as asked, else as the environment says, else on a terminal.

    Of the variables (no-color.org, force-color.org) one that is empty says nothing, and NO_COLOR counts first.
    """
    if asked != "auto":
        return asked == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream is not None and stream.isatty())


def put(text: str, stream: TextIO | None) -> None:
    """Write a text for a person; what its stream cannot encode becomes an escape. A closed one takes nothing."""
    if stream is not None:
        stream.write(text.encode(stream.encoding, "backslashreplace").decode(stream.encoding))


def only(checked: Checked, command: str, name: str | None) -> Unit:
    """Return the pipeline called `name`, or without one the only pipeline of a file. Raises UsageError.

    What was checked may hold more than was asked for: a pipeline comes with those that it starts after.
    """
    if not checked.units and not checked.has_error:
        raise UsageError(f"the file holds no pipeline to {command}")
    found = [unit for unit in checked.units if name in (None, unit.pipeline.name)]
    if len(found) != 1:
        names = ", ".join(unit.pipeline.name for unit in checked.units)
        raise UsageError(f"the file holds several pipelines: choose one for `{command}` with --pipeline: {names}")
    return found[0]
