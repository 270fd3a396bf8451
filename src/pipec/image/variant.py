"""The variants of the image: which extras of pipec each one has, and which steps it therefore can run.

Run inside of the build too, by the pipec that the image gets: it imports nothing but the catalogue.
"""

from __future__ import annotations

import sys

from pipec import __version__
from pipec.contents import Contents, Version
from pipec.steps import catalog

EXTRAS: dict[str, tuple[str, ...]] = {
    "core": ("core", "s3"),
    "light": ("steps", "s3"),
    "gpu": ("steps", "s3", "torch"),
}
# Steps that need more than `core`, and the smallest variant that has it. `train` is in all: only `estimator: mlp` wants
# torch, and says so.
BEYOND_CORE = {"validate-data": "light"}
DEFAULT = "light"


def steps(variant: str) -> tuple[str, ...]:
    """Return the names of the steps that a variant can run, in the catalogue's order."""
    order = tuple(EXTRAS)
    return tuple(n for n in catalog.names() if order.index(BEYOND_CORE.get(n, "core")) <= order.index(variant))


def contents(variant: str) -> Contents:
    """Return what an image of this pipec, this Python and this variant holds."""
    interfaces = {name: catalog.find(name) for name in steps(variant)}
    return Contents(
        pipec=__version__,
        variant=variant,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        steps={name: Version(each.version, each.digest) for name, each in interfaces.items() if each is not None},
    )
