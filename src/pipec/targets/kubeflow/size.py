"""How large a compiled pipeline may be: what the backend can store at all, and what comes near to that."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.targets.base import Remark
from pipec.targets.kubeflow.findings import DOUBTFUL, TOO_LARGE

MOST_UPLOADED = 32 << 20  # bytes, of the API server
# Measured over the files of KFP's own tests: the Argo object is 1.2 to 3.6 times as large, and etcd holds 1.5 MiB.
MOST_BYTES = 1_200_000
MANY_BYTES = 500_000
ADVICE = "write what repeats as one loop over a list, or split the pipeline into several that start each other"


def limit_of(said: str) -> int | None:
    """Return how many bytes a compiled pipeline may have: `none`, a number, or nothing for the backend as it comes."""
    return None if said == "none" else int(said or MOST_BYTES)


def weighed(n_bytes: int, limit: int | None) -> Iterator[Remark]:
    """Yield what is to be said of a file's size. A limit of the user's moves the warning with it."""
    many = MANY_BYTES if limit is None else MANY_BYTES * limit // MOST_BYTES
    stored = f"about {limit or MOST_BYTES:,}"
    if limit is not None and n_bytes > MOST_UPLOADED:
        yield Remark(TOO_LARGE, f"the API server takes {MOST_UPLOADED >> 20} MiB, and this is more", ADVICE)
    elif limit is not None and n_bytes > limit:
        message = f"{n_bytes:,} bytes are more than the backend can store: {stored}"
        yield Remark(TOO_LARGE, message, ADVICE)
    elif n_bytes >= many:
        how = "near to what" if n_bytes <= (limit or MOST_BYTES) else "more than"
        message = f"{n_bytes:,} bytes are {how} the backend can store" + (f": {stored}" if limit else " as it comes")
        yield Remark(DOUBTFUL, message, ADVICE)


def remarks(n_bytes: int, limit: int | None) -> Iterator[Remark]:
    """Yield what is to be said of it to who compiles, who may say that the cluster takes more."""
    for remark in weighed(n_bytes, limit):
        advice = f"{remark.help}; for a cluster that was set up for more, say `-O size_limit=none`"
        yield Remark(remark.rule, remark.message, advice) if remark.rule is TOO_LARGE else remark
