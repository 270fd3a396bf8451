"""The rules, by topic. Importing this package fills the registry."""

from pipec.compiler.rules import fit, many, merged, names, release, resources, schedule, trigger, types, unused, wiring

__all__ = [
    "fit", "many", "merged", "names", "release", "resources", "schedule", "trigger", "types", "unused", "wiring",
]  # fmt: skip
