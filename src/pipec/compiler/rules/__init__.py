"""The rules, by topic. Importing this package fills the registry."""

from pipec.compiler.rules import (
    fit,
    machine,
    many,
    merged,
    names,
    release,
    resources,
    schedule,
    trigger,
    types,
    unused,
    wiring,
)

__all__ = [
    "fit",
    "machine",
    "many",
    "merged",
    "names",
    "release",
    "resources",
    "schedule",
    "trigger",
    "types",
    "unused",
    "wiring",
]
