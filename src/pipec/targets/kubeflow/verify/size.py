"""Sizes: what the backend can store and run at all, and what comes near to that, as faults of a compiled pipeline."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.targets.kubeflow.findings import DOUBTFUL
from pipec.targets.kubeflow.size import ADVICE, weighed
from pipec.targets.kubeflow.verify.document import Document
from pipec.targets.kubeflow.verify.fault import PIPELINE, Fault

MANY_TASKS = 100  # of one graph: its driver takes all of them as one argument


def sizes(document: Document, n_bytes: int, limit: int | None) -> Iterator[Fault]:
    """Yield what is too large, and what is large. limit: as `size.limit_of` returns it."""
    for remark in weighed(n_bytes, limit):
        yield Fault(remark.rule, PIPELINE, remark.message, remark.help)
    for dag in document.dags:
        if len(dag.tasks) > MANY_TASKS:
            message = f"{dag.title} has {len(dag.tasks)} tasks, and the driver takes them all as one argument"
            yield Fault(DOUBTFUL, (*dag.path, "dag", "tasks"), message, ADVICE)
