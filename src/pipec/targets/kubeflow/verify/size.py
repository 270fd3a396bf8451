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
_ADVICE = "write what repeats as one loop over a list, or split the pipeline into several that start each other"


def limit_of(said: str) -> int | None:
    """Return how many bytes a compiled pipeline may have: `none`, a number, or nothing for the backend as it comes."""
    return None if said == "none" else int(said or MOST_BYTES)


def sizes(document: Document, n_bytes: int, limit: int | None) -> Iterator[Fault]:
    """Yield what is too large, and what is large. limit: as `limit_of` returns it."""
    yield from weighed(n_bytes, limit)
    for dag in document.dags:
        if len(dag.tasks) > MANY_TASKS:
            message = f"{dag.title} has {len(dag.tasks)} tasks, and the driver takes them all as one argument"
            yield Fault(DOUBTFUL, (*dag.path, "dag", "tasks"), message, _ADVICE)


def weighed(n_bytes: int, limit: int | None) -> Iterator[Fault]:
    """Yield what is to be said of a file's size. A limit of the user's moves the warning with it."""
    many = MANY_BYTES if limit is None else MANY_BYTES * limit // MOST_BYTES
    stored = f"about {limit or MOST_BYTES:,}"
    if limit is not None and n_bytes > MOST_UPLOADED:
        yield Fault(TOO_LARGE, PIPELINE, f"the API server takes {MOST_UPLOADED >> 20} MiB, and this is more", _ADVICE)
    elif limit is not None and n_bytes > limit:
        message = f"{n_bytes:,} bytes are more than the backend can store: {stored}"
        yield Fault(TOO_LARGE, PIPELINE, message, _ADVICE)
    elif n_bytes >= many:
        how = "near to what" if n_bytes <= (limit or MOST_BYTES) else "more than"
        message = f"{n_bytes:,} bytes are {how} the backend can store" + (f": {stored}" if limit else " as it comes")
        yield Fault(DOUBTFUL, PIPELINE, message, _ADVICE)
