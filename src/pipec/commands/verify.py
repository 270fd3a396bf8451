"""`pipec verify-ir`: what is wrong with compiled pipelines of Kubeflow, whoever compiled them, at its place."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipec import report
from pipec.commands.request import is_colored, put
from pipec.diagnostics import START, STDIN, Finding, Loc, Report, Source, joined, ordered
from pipec.schema import foreign
from pipec.schema.files import UnreadableError, decoded
from pipec.targets.kubeflow.findings import UNREADABLE
from pipec.targets.kubeflow.size import limit_of
from pipec.targets.kubeflow.verify import Fault, verify

_KNOWN = {"pipelineInfo": "pipeline", "root": "pipeline", "platforms": "platform"}


def verify_ir(options: argparse.Namespace) -> int:
    """Verify files and print what was found, as one report."""
    limit = limit_of("" if options.size_limit == "backend" else options.size_limit)
    found = joined(_verified(file, limit) for file in options.files)
    if options.format == "text":
        colored = is_colored(options.color, sys.stdout)
        text = report.render(found, "text", is_colored=colored)
        put(text + "\n" if text else "", sys.stdout)
        put(f"{', '.join(options.files)}: {report.summary(found, is_colored=colored)}\n", sys.stdout)
    else:  # a machine reads UTF-8, whatever the terminal's encoding
        sys.stdout.buffer.write(report.render(found, options.format).encode())
    return 1 if any(finding.is_error for finding in found.findings) else 0


def _verified(file: str, limit: int | None) -> Report:
    shown = STDIN if file == "-" else Path(file).as_posix()
    try:
        source = Source(shown, _text(file))
    except UnreadableError as fault:
        return Report((UNREADABLE.at(Loc(shown, START), str(fault)),))
    documents, found = foreign.read(source, UNREADABLE)
    findings = [*found, *_judged(source, documents, limit)] if not found else [*found]
    return Report(ordered(findings), (source,))


def _text(file: str) -> str:
    """Return a file's text, or that of standard input. Raises UnreadableError."""
    try:
        if file == "-":
            content = sys.stdin.buffer.read(foreign.MAX_BYTES + 1)
        else:
            with Path(file).open("rb") as stream:
                content = stream.read(foreign.MAX_BYTES + 1)
    except OSError as fault:
        raise UnreadableError(f"cannot read `{file}`: {(fault.strerror or 'unknown').lower()}") from None
    if len(content) > foreign.MAX_BYTES:
        raise UnreadableError(f"`{file}` is larger than {foreign.MAX_BYTES >> 20} MiB")
    return decoded(content, file)


def _judged(source: Source, documents: tuple[foreign.Document, ...], limit: int | None) -> list[Finding]:
    by_kind: dict[str, foreign.Document] = {}
    for document in documents:
        if document.value is None:  # what a `---` at an end leaves
            continue
        kind = _kind(document)
        at = Loc(source.path, document.span(()))
        if not kind:
            message = "this is neither a pipeline document nor a platform document"
            return [UNREADABLE.at(at, message, help="compile a pipeline with `pipec compile -t kubeflow`, or with kfp")]
        if kind in by_kind:
            return [
                UNREADABLE.at(at, f"the file holds two {kind} documents, and the backend takes one", help="split it")
            ]
        by_kind[kind] = document
    if "pipeline" not in by_kind:
        at = Loc(source.path, START)
        return [UNREADABLE.at(at, "the file holds no pipeline document", help="pipelineInfo: {name: my-pipeline}")]
    platform = by_kind["platform"].value if "platform" in by_kind else None
    n_bytes = len(source.text.encode())
    faults = verify(by_kind["pipeline"].value, platform, n_bytes=n_bytes, limit=limit)
    return [_placed(fault, by_kind, source) for fault in faults]


def _kind(document: foreign.Document) -> str:
    keys = document.value if isinstance(document.value, dict) else {}
    return next((kind for key, kind in _KNOWN.items() if key in keys), "")


def _placed(fault: Fault, documents: dict[str, foreign.Document], source: Source) -> Finding:
    span = documents[str(fault.path[0])].span(fault.path[1:])
    return fault.rule.at(Loc(source.path, span), fault.message, help=fault.help)
