"""A verifier of compiled pipelines: everything that is known to be refused or broken by Kubeflow's own parts.

Pure functions over plain data, whoever compiled it. Knows no plan, no emitter, no file and no position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from pipec.diagnostics import MAX_ALIKE
from pipec.targets.kubeflow.findings import SHAPE
from pipec.targets.kubeflow.size import MOST_BYTES
from pipec.targets.kubeflow.verify.document import Document, document
from pipec.targets.kubeflow.verify.executor import executors
from pipec.targets.kubeflow.verify.fault import PIPELINE, PLATFORM, Fault
from pipec.targets.kubeflow.verify.flow import flow
from pipec.targets.kubeflow.verify.graph import cycles, references
from pipec.targets.kubeflow.verify.name import essentials, names
from pipec.targets.kubeflow.verify.platform import platform
from pipec.targets.kubeflow.verify.shape import misshapen
from pipec.targets.kubeflow.verify.size import sizes
from pipec.targets.kubeflow.verify.wiring import definitions, wiring

CHECKS: tuple[Callable[[Document], Iterator[Fault]], ...] = (
    names, references, cycles, definitions, wiring, flow, executors,
)  # fmt: skip


def verify(
    pipeline: object, platform_document: object = None, *, n_bytes: int = 0, limit: int | None = MOST_BYTES
) -> tuple[Fault, ...]:
    """Return what is wrong with a compiled pipeline, all of it; what is misshapen hides what else there is.

    platform_document: the second document of the file, if there is one. n_bytes: how long the file is.
    limit: how long it may be; None: as long as it likes.
    """
    found = [*_bounded(misshapen(pipeline, "pipeline", PIPELINE))]
    if platform_document is not None:
        found += _bounded(misshapen(platform_document, "platform-document", PLATFORM))
    if not isinstance(pipeline, dict) or any(fault.rule is SHAPE for fault in found):
        return tuple(found)
    if lacking := [*essentials(pipeline)]:
        return (*found, *lacking)
    read = document(pipeline)
    for check in CHECKS:
        found += _bounded(check(read))
    found += _bounded(platform(read, platform_document if isinstance(platform_document, dict) else {}))
    found += sizes(read, n_bytes, limit)
    return tuple(dict.fromkeys(found))


def _bounded(faults: Iterator[Fault]) -> Iterator[Fault]:
    """Yield the first faults of a check: each comes with a guess, and thousands would take seconds."""
    told = [*islice(faults, MAX_ALIKE + 1)]
    if len(told) > MAX_ALIKE:
        last = told[MAX_ALIKE - 1]
        more = "there are more like this, which are not told"
        told[MAX_ALIKE - 1 :] = [replace(last, help=f"{last.help}; {more}" if last.help else more)]
    yield from told


__all__ = ["Fault", "verify"]
