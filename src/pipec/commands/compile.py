"""`pipec check` and `pipec compile`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from pipec import api, output, report
from pipec.commands.request import request, tell
from pipec.diagnostics import Report, Severity
from pipec.targets.base import File


def check(options: argparse.Namespace) -> int:
    """Check files and print what was found, as one report."""
    checked = [api.check(request(options, file)) for file in options.files]
    together = Report(
        tuple(finding for one in checked for finding in one.report.findings),
        tuple({s.path: s for one in checked for s in one.report.sources}.values()),
    )
    text = report.render(together, options.format, strict=options.strict)
    print(text, end="" if options.format == "json" else "\n" if text else "")
    if options.format == "text":
        steps = sum(len(unit.pipeline.steps) for one in checked for unit in one.units)
        files = ", ".join(options.files)
        print(f"{files}: {report.summary(together, strict=options.strict)} ({steps} steps)")
    bad = any(d.severity is Severity.ERROR for d in together.diagnostics(strict=options.strict))
    return 1 if bad else 0


def compile_(options: argparse.Namespace) -> int:
    """Compile a file; write all of its output, print it, or say whether it is current."""
    checked, files = api.compile_(request(options, options.file))
    tell(checked)
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
