"""Steps in another language, built by hand: their commands are scripts of `sh`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipec.compiler.plan import Need, Task
from pipec.steps.interface import (
    Container,
    Dataset,
    Input,
    Interface,
    Kind,
    Output,
    Parameter,
    Resources,
    Retry,
    Slot,
    Words,
)
from pipec.values import Json, Literal, OutputRef, Value


def out(name: str) -> Slot:
    return Slot("outputs", name)


def foreign(
    name: str, script: str, *args: Slot | str | list[Slot | str], inputs: Sequence[Input] = (),
    given: Mapping[str, tuple[Value, ...]] | None = None, writes: Sequence[str] = (),
    values: Mapping[str, Kind] | None = None, parameters: Mapping[str, Json] | None = None, attempts: int = 1,
    image: str | None = None, **more: Any,
) -> Task:  # fmt: skip
    """A task whose command is a script of `sh`; a list among its arguments is a group."""
    made = [
        Words(tuple((word,) for word in each), is_group=True) if isinstance(each, list) else Words(((each,),))
        for each in args
    ]
    interface = Interface(
        name="score", version="1", summary="", inputs=tuple(inputs),
        outputs=tuple(Output(name=each, type=Dataset) for each in writes)
        + tuple(Output(name=each, type=kind) for each, kind in (values or {}).items()),
        parameters=tuple(Parameter(name=n, kind=Kind.STRING, schema={"type": "string"}) for n in parameters or ()),
        container=Container(command=("sh", "-c", script), args=tuple(made), image=image),
    )  # fmt: skip
    references = [value for values_ in (given or {}).values() for value in values_ if isinstance(value, OutputRef)]
    needs = tuple(Need(task, soft=True) for task in sorted({reference.task for reference in references}))
    return Task(
        name=name, step=name, interface=interface, inputs=tuple((given or {}).items()), needs=needs,
        parameters=tuple((each, Literal(value)) for each, value in (parameters or {}).items()),
        retry=Retry(attempts=attempts, backoff_s=0), resources=Resources(cpu=0.01), **more,
    )  # fmt: skip
