"""The rules, by topic. Importing this package fills the registry, in the order of the codes."""

from pipec.compiler.rules import many, names, release, resources, trigger, truth, types, wiring

__all__ = ["many", "names", "release", "resources", "trigger", "truth", "types", "wiring"]
