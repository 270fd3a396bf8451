"""Steps of the library, as the runtime runs them: objects of the classes that `declare.step` made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast

from pipec.digest import shortened
from pipec.record import frozen
from pipec.steps import catalog
from pipec.steps.command import Call
from pipec.steps.declare import CallerError, Context, interface_of
from pipec.steps.given import Given
from pipec.steps.interface import Interface
from pipec.values import Json


class Runnable(Protocol):
    """What a step's object must be able to do."""

    def run(self, context: Context) -> None: ...


@frozen
class LibraryStep:
    """A class of the library, run by making an object of it."""

    cls: type
    interface: Interface

    def run(self, given: Given, context: Context) -> Mapping[str, Json]:
        """Run the step in this process, and return its fields."""
        fields = {output.name: output.field or output.name for output in self.interface.outputs}
        outputs = {fields[name]: place for name, place in given.outputs.items()}
        step = cast(Runnable, self.cls(**given.inputs, **given.parameters, **outputs))
        step.run(context)
        return vars(step)


def identify(call: Call) -> LibraryStep:
    """Return the step that is called, if this library has the very one that the pipeline was compiled against.

    Raises CallerError.
    """
    name, _, version = call.step.partition("@")
    if name not in catalog.names():
        raise CallerError(catalog.lacks(name))
    cls = catalog.load(name)
    interface = interface_of(cls)
    remedy = "use the image of the pipec that compiled it, or compile again"
    if version != interface.version:
        raise CallerError(f"the pipeline wants {call.step}, this image has {name}@{interface.version}: {remedy}")
    if call.interface != interface.digest:
        ours, theirs = shortened(interface.digest), shortened(call.interface)
        raise CallerError(f"the pipeline wants {call.step} with interface {theirs}, this image has {ours}: {remedy}")
    return LibraryStep(cls, interface)
