"""The library's steps by name: the one list of them.

A module is imported when its step is asked for, so a process that runs one step pays for one. Light by contract: the
compile path reads every interface from here, and a step's module imports nothing heavy.
"""

from __future__ import annotations

from importlib import import_module

from pipec.steps.declare import interface_of
from pipec.steps.interface import Interface

_STEPS = {
    "ingest": "pipec.steps.ingest:Ingest",
    "validate-data": "pipec.steps.validate_data:ValidateData",
    "split": "pipec.steps.split:Split",
    "train": "pipec.steps.train:Train",
    "evaluate": "pipec.steps.evaluate:Evaluate",
    "select": "pipec.steps.select:Select",
    "fetch-model": "pipec.steps.fetch_model:FetchModel",
    "approve": "pipec.steps.approve:Approve",
    "deploy": "pipec.steps.deploy:Deploy",
    "predict": "pipec.steps.predict:Predict",
    "monitor": "pipec.steps.monitor:Monitor",
    "rollback": "pipec.steps.rollback:Rollback",
    "notify": "pipec.steps.notify:Notify",
    "trigger": "pipec.steps.trigger:Trigger",
}


def names() -> tuple[str, ...]:
    """Return the names of all steps, in the order of a model's life."""
    return tuple(_STEPS)


def load(name: str) -> type:
    """Return the class of the step `name`. Raises KeyError at a name the library does not have."""
    module, _, attribute = _STEPS[name].partition(":")
    found = getattr(import_module(module), attribute)
    assert isinstance(found, type), f"{_STEPS[name]} is not a class"
    return found


def lacks(name: str) -> str:
    """Return how to tell that the library, which is that of an image, does not have the step `name`."""
    return f"this image has no step `{name}`: it has {', '.join(sorted(_STEPS))}"


def find(name: str, version: str | None = None) -> Interface | None:
    """Return the interface of the step `name`, or None if the library lacks it or has another major version of it."""
    if name not in _STEPS:
        return None
    interface = interface_of(load(name))
    return interface if version in (None, interface.version) else None


def interfaces() -> tuple[Interface, ...]:
    """Return the interfaces of all steps, in the order of `names`."""
    return tuple(interface_of(load(name)) for name in _STEPS)
