"""`pipec check` and `pipec compile`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from pipec import api, output, report
from pipec.commands.request import is_colored, put, request, tell
from pipec.diagnostics import Severity, joined
from pipec.targets.base import File


def check(options: argparse.Namespace) -> int:
    """Check files and print what was found, as one report."""
    checked = [api.check(request(options, file)) for file in options.files]
    together = joined(one.report for one in checked)
    if options.format == "text":
        colored = is_colored(options.color, sys.stdout)
        text = report.render(together, "text", strict=options.strict, is_colored=colored)
        told = report.summary(together, strict=options.strict, is_colored=colored)
        steps = sum(len(unit.pipeline.steps) for one in checked for unit in one.units)
        put(text + "\n" if text else "", sys.stdout)
        put(f"{', '.join(options.files)}: {told} ({steps} steps)\n", sys.stdout)
    else:  # a machine reads UTF-8, whatever the terminal's encoding
        sys.stdout.buffer.write(report.render(together, options.format, strict=options.strict).encode())
    bad = any(found.severity(strict=options.strict) is Severity.ERROR for found in together.findings)
    return 1 if bad else 0


def compile_(options: argparse.Namespace) -> int:
    """Compile a file; write all of its output, print it, or say whether it is current."""
    checked, files = api.compile_(request(options, options.file))
    tell(checked, options)
    if checked.has_error:
        return 1
    if options.output == "-":
        sys.stdout.write("".join(_printed(files)))
        return 0
    folder = Path(options.output)
    if options.check:
        return _current(folder, output.stale(folder, files), len(files))
    for path in output.write(folder, files):
        print(f"wrote {path}", file=sys.stderr)
    return 0


def _printed(files: tuple[File, ...]) -> Iterator[str]:
    """Yield a lone file as it is; several each under its name, and YAML as documents, lest two become one."""
    for number, file in enumerate(files):
        if len(files) > 1:
            yield "---\n" if number and file.path.endswith(".yaml") else ""
            yield f"# {file.path}\n"
        yield file.text


def _current(folder: Path, stale: tuple[str, ...], count: int) -> int:
    for path in stale:
        print(f"{folder / path} is not current: compile again, and commit it", file=sys.stderr)
    if not stale:
        print(f"{count} file{'s' if count > 1 else ''} in {folder} current", file=sys.stderr)
    return 1 if stale else 0
