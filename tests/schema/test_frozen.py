"""Values that travel between the stages cannot be changed on the way, nor given what they do not declare."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import is_dataclass

import pytest

import pipec.compiler
import pipec.schema

# Filled while one document is read, and by nobody afterwards.
AT_WORK = {
    "pipec.schema.fold.Folding", "pipec.schema.tree._Open", "pipec.schema.foreign._Open", "pipec.schema.foreign.Marks",
    "pipec.compiler.nested.Opening",
}  # fmt: skip


def values() -> Iterator[type]:
    below = [
        each.name
        for package in (pipec.schema, pipec.compiler)
        for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    for name in ("pipec.condition", "pipec.diagnostics", "pipec.values", *below):
        for found in vars(importlib.import_module(name)).values():
            if inspect.isclass(found) and is_dataclass(found) and found.__module__ == name:
                yield found


@pytest.mark.parametrize("value", tuple(values()), ids=lambda value: f"{value.__module__}.{value.__name__}")
def test_a_value_is_frozen_and_has_its_own_fields_alone(value: type) -> None:
    is_frozen = value.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert is_frozen is (f"{value.__module__}.{value.__name__}" not in AT_WORK)
    assert "__slots__" in vars(value)
