"""How a library step is written: a decorated class with declared fields, and the ways in which it may end.

    @step("train", version="1", resources=Resources(cpu=4, memory_mib=16384), accelerators=("gpu",))
    class Train:
        data: Path = reads(Dataset, fits=True, help="Rows that passed validation.")
        model: Path = writes(Model, help="Weights, signature and configuration.")
        epochs: int = param(default=10, ge=1, unit="passes", help="Passes over the training rows.")

        def run(self, context: Context) -> None: ...

Beside `interface.py` rather than in it, so that both stay small. Light by contract: the compile path imports every
step's module, so heavy imports belong inside `run`. Annotations use plain types only (`list[dict[str, object]]`).
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints
from typing import Literal as Choice

from pipec.record import frozen
from pipec.steps.interface import MISSING, Artifact, Input, Interface, Kind, Missing, Output, Parameter, Resources, Role
from pipec.values import Json


class StepError(Exception):
    """A step's end that is not success. The message is one line: cause, and what to do next.

    exit_code: read by every orchestrator (design.md section 4).
    """

    exit_code = 1


class CallerError(StepError):
    """The arguments cannot be worked with. Trying again cannot help."""

    exit_code = 2


class Refused(StepError):
    """The data, a gate or a person said no. Never tried again."""

    exit_code = 3


class TryAgain(StepError):
    """What is missing may appear: a decision, a server, a connection."""

    exit_code = 75


@frozen(kw_only=True)
class Context:
    """What the place of a run tells a step; never part of what a step computes.

    scheduled_at: the trigger's moment, ISO 8601. threads: CPU cores granted. decision: where a person's decision will
    be written (a location), or None. wait_s: how long a step may wait for the world outside. releases: the release
    store (a location). triggers: where requests to other pipelines lie (a location). base: the folder that relative
    locations start from; None in a container, where they have no meaning. log: writes one line of progress for people.
    """

    run_id: str
    pipeline: str
    task: str
    environment: str = ""
    scheduled_at: str = ""
    outcome: str = ""
    threads: int = 1
    decision: str | None = None
    wait_s: float = 0.0
    releases: str | None = None
    triggers: str | None = None
    base: str | None = None
    log: Callable[[str], None] = print


@frozen
class _Reads:
    type: Artifact
    optional: bool
    many: bool
    fits: bool
    hard: bool
    help: str


@frozen
class _Writes:
    type: Artifact | None
    split: str | None
    same_as: str | None
    name: str | None
    optional: bool
    unless: str
    personal_if: str
    help: str


@frozen
class _Param:
    default: Json | Missing
    schema: Mapping[str, Json]
    unit: str
    secret: bool
    path: bool
    location: bool
    people: bool
    factory: bool
    instead_of: str
    help: str


def reads(
    type: Artifact,  # noqa: A002
    *,
    optional: bool = False,
    many: bool = False,
    fits: bool = False,
    hard: bool = False,
    help: str = "",  # noqa: A002
) -> Any:
    """Declare an artifact input. At run time the field is its Path (`many`: a list of them; absent optional: None).

    hard: of an optional one, see `Input`.
    """
    assert optional or not hard, "an input that must be given is hard by itself"
    return _Reads(type, optional, many, fits, hard, help)


def writes(
    type: Artifact | None = None,  # noqa: A002
    *,
    split: str | None = None,
    same_as: str | None = None,
    name: str | None = None,
    optional: bool = False,
    unless: str = "",
    personal_if: str = "",
    help: str = "",  # noqa: A002
) -> Any:
    """Declare an output. With a type: an artifact; the field is the Path to write (a file, or a folder to make).

    Without: a small value of the annotated type, which `run` assigns. `same_as` outputs are passed on by the runtime.
    An artifact may share the name of an input: `name` says it where the field, unique in the class, cannot.
    `optional` artifacts may be left unwritten by a success, but for `unless`: a parameter that is true then.
    `personal_if`: the parameter that says whether it is about people.
    """
    assert name is None or type is not None, "only an artifact may be named apart from its field"
    assert type is not None or not optional, "a small output is always given"
    return _Writes(type, split, same_as, name, optional, unless, personal_if, help)


FACTORY = r"^([A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*)?$"  # empty: none is given


def param(
    *,
    default: Json | Missing = MISSING,
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
    pattern: str | None = None,
    items: Mapping[str, Json] | None = None,
    properties: Mapping[str, Json] | None = None,
    unit: str = "",
    secret: bool = False,
    path: bool = False,
    location: bool = False,
    people: bool = False,
    factory: bool = False,
    instead_of: str = "",
    help: str = "",  # noqa: A002
) -> Any:
    """Declare a parameter; its kind comes from the annotation.

    ge, le, gt, lt: bounds of a number. min_length: of a text or list. items, properties: JSON Schema of what is inside.
    secret and those that follow it: see `Parameter`.
    """
    keywords = {
        "minimum": ge, "maximum": le, "exclusiveMinimum": gt, "exclusiveMaximum": lt,
        "pattern": pattern, "items": items, "properties": properties,
    }  # fmt: skip
    schema: dict[str, Json] = {name: value for name, value in keywords.items() if value is not None}
    if factory:
        schema |= {"pattern": FACTORY, "x-expects": "a function as `package.module:function`"}
    if properties is not None:
        schema["additionalProperties"] = False
    if min_length is not None:
        schema["minItems" if items is not None else "minLength"] = min_length
    return _Param(default, schema, unit, secret, path, location, people, factory, instead_of, help)


C = TypeVar("C", bound=type)
DEFAULT_RESOURCES = Resources()
_KINDS: dict[object, Kind] = {
    str: Kind.STRING, int: Kind.INTEGER, float: Kind.NUMBER, bool: Kind.BOOLEAN,
    list: Kind.LIST, dict: Kind.OBJECT, Path: Kind.STRING,
}  # fmt: skip


@dataclass_transform(kw_only_default=True, field_specifiers=(reads, writes, param))
def step(
    name: str,
    *,
    version: str,
    role: Role | None = None,
    resources: Resources = DEFAULT_RESOURCES,
    accelerators: Iterable[str] = (),
    world: bool = False,
    rooted: bool = False,
    distributed: bool = False,
) -> Callable[[C], C]:
    """Make a class a step: give it `interface`, read from its fields, and a constructor that takes them by name.

    world, rooted, distributed: see `Interface`.
    """

    def declare(cls: C) -> C:
        interface = _interface(cls, name, version, role, resources, tuple(accelerators))
        interface = replace(interface, world=world, rooted=rooted, distributed=distributed)
        cls.interface = interface  # type: ignore[attr-defined]
        cls.__init__ = _construct  # type: ignore[misc]
        return cls

    return declare


def interface_of(cls: type) -> Interface:
    """Return what a class made by `step` declares."""
    interface = vars(cls)["interface"]
    assert isinstance(interface, Interface), f"{cls.__name__} is not declared with @step"
    return interface


def _construct(self: object, **fields: object) -> None:
    for name, value in fields.items():
        setattr(self, name, value)


def _interface(
    cls: type, name: str, version: str, role: Role | None, resources: Resources, accelerators: tuple[str, ...]
) -> Interface:
    inputs, outputs, parameters = [], [], []
    for attribute, hint in get_type_hints(cls).items():
        match vars(cls).get(attribute):
            case _Reads(type, optional, many, fits, hard, text):
                inputs.append(
                    Input(name=attribute, type=type, optional=optional, many=many, fits=fits, hard=hard, help=text)
                )
            case _Writes(type, split, same_as, named, optional, unless, personal_if, text):
                kind = type or _kind(hint)[0]
                outputs.append(
                    Output(
                        name=named or attribute, type=kind, split=split, same_as=same_as, optional=optional,
                        unless=unless, personal_if=personal_if, field=attribute if named else "", help=text,
                    )
                )  # fmt: skip
            case _Param() as declared:
                parameters.append(_parameter(attribute, hint, declared))
    summary = (cls.__doc__ or "").strip().split("\n", 1)[0]
    return Interface(
        name=name, version=version, summary=summary, role=role, inputs=tuple(inputs), outputs=tuple(outputs),
        parameters=tuple(parameters), resources=resources, accelerators=accelerators,
    )  # fmt: skip


def _parameter(name: str, hint: object, declared: _Param) -> Parameter:
    kind, extra = _kind(hint)
    return Parameter(
        name=name, kind=kind, schema={"type": kind.json_type, **extra, **declared.schema}, default=declared.default,
        unit=declared.unit, secret=declared.secret, path=declared.path, location=declared.location,
        people=declared.people, factory=declared.factory, instead_of=declared.instead_of, help=declared.help,
    )  # fmt: skip


def _kind(hint: object) -> tuple[Kind, dict[str, Json]]:
    """Return the kind an annotation stands for, and the constraints it implies (`Literal[...]` gives an enum)."""
    if get_origin(hint) in (types.UnionType,):
        (hint,) = (part for part in get_args(hint) if part is not types.NoneType)
    if get_origin(hint) is Choice:
        choices = get_args(hint)
        return _KINDS[type(choices[0])], {"enum": list(choices)}
    return _KINDS[get_origin(hint) or hint], {}
