"""Sizes: what the backend can store and run at all, and what comes near to that."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.targets.kubeflow.findings import DOUBTFUL, TOO_LARGE
from pipec.targets.kubeflow.verify.document import Document
from pipec.targets.kubeflow.verify.fault import PIPELINE, Fault

MOST_UPLOADED = 32 << 20  # bytes, of the API server
# Measured over the files of KFP's own tests: the Argo object is 1.2 to 3.6 times as large, and etcd holds 1.5 MiB.
MOST_BYTES = 1_200_000
MANY_BYTES = 500_000
MANY_TASKS = 100  # of one graph: its driver takes all of them as one argument
_ADVICE = "put parts into pipelines of their own, and let tasks of one kind share a component"


def sizes(document: Document, n_bytes: int, *, is_limited: bool) -> Iterator[Fault]:
    """Yield what is too large, and what is large. is_limited: with the limits of the backend as it comes."""
    if is_limited and n_bytes > MOST_UPLOADED:
        yield Fault(TOO_LARGE, PIPELINE, f"the API server takes {MOST_UPLOADED >> 20} MiB, and this is more", _ADVICE)
    elif is_limited and n_bytes > MOST_BYTES:
        message = f"{n_bytes:,} bytes are more than the backend can store: about {MOST_BYTES:,}"
        yield Fault(TOO_LARGE, PIPELINE, message, _ADVICE)
    elif n_bytes >= MANY_BYTES:
        message = f"{n_bytes:,} bytes are near to what the backend can store: about {MOST_BYTES:,}"
        yield Fault(DOUBTFUL, PIPELINE, message, _ADVICE)
    for dag in document.dags:
        if len(dag.tasks) > MANY_TASKS:
            message = f"{dag.title} has {len(dag.tasks)} tasks, and the driver takes them all as one argument"
            yield Fault(DOUBTFUL, (*dag.path, "dag", "tasks"), message, _ADVICE)
