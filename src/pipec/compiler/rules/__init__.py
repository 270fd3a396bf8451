"""The rules, by topic. Importing this package fills the registry, in the order of the codes."""

from pipec.compiler.rules import names, release, resources, wiring

__all__ = ["names", "release", "resources", "wiring"]
