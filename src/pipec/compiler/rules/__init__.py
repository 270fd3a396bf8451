"""The rules, by topic. Importing this package fills the registry, in the order of the codes."""

from pipec.compiler.rules import gate, many, names, personal, release, resources, trigger, truth, types, wiring

__all__ = ["gate", "many", "names", "personal", "release", "resources", "trigger", "truth", "types", "wiring"]
