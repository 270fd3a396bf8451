"""The rules, by topic. Importing this package fills the registry."""

from pipec.compiler.rules import (
    fit,
    gate,
    machine,
    many,
    merged,
    names,
    personal,
    release,
    resources,
    schedule,
    trigger,
    truth,
    types,
    unused,
    validation,
    wiring,
)

__all__ = [
    "fit",
    "gate",
    "machine",
    "many",
    "merged",
    "names",
    "personal",
    "release",
    "resources",
    "schedule",
    "trigger",
    "truth",
    "types",
    "unused",
    "validation",
    "wiring",
]
