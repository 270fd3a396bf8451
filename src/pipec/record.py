"""Classes of named fields with slots, that mean what the standard library's dataclasses mean and cost little to define.

`dataclass` compiles up to seven functions where a class is defined: 0.5 ms a class, for some 250 classes, of which a
compile makes instances of 60. Here a class gets what it lacks when first asked for it: 0.03 ms, and 0.15 ms more for
one of which there are instances. Beside the design's L0: every layer declares its values so; it knows none of them.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform, overload

C = TypeVar("C")
# By this mark `fields` tells an attribute from a ClassVar, which the library keeps beside them (Python 3.7 to 3.14).
_FIELD = getattr(dataclasses, "_FIELD")  # noqa: B009  mypy knows no private name of it


@overload
def frozen(cls: type[C], /) -> type[C]: ...
@overload
def frozen(*, kw_only: bool = False) -> Callable[[type[C]], type[C]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[C] | None = None, /, *, kw_only: bool = False) -> type[C] | Callable[[type[C]], type[C]]:
    """Return the class as `dataclass(frozen=True, slots=True)` would; of no use for `InitVar` and `KW_ONLY`."""

    def made(cls: type[C]) -> type[C]:
        return _made(cls, is_frozen=True, kw_only=kw_only, eq=True)

    return made if cls is None else made(cls)


@overload
def mutable(cls: type[C], /) -> type[C]: ...
@overload
def mutable(*, kw_only: bool = False, eq: bool = True) -> Callable[[type[C]], type[C]]: ...
@dataclass_transform(field_specifiers=(field,))
def mutable(
    cls: type[C] | None = None, /, *, kw_only: bool = False, eq: bool = True
) -> type[C] | Callable[[type[C]], type[C]]:
    """Return the class as `dataclass(slots=True)` would, for what changes while something is at work."""

    def made(cls: type[C]) -> type[C]:
        return _made(cls, is_frozen=False, kw_only=kw_only, eq=eq)

    return made if cls is None else made(cls)


class _Late:
    """An attribute of a class that is made when it is first asked for, and then stands in its own place.

    Two threads may both make it: each makes the same from what does not change, so that no lock is needed.
    """

    __slots__ = ("holder", "make", "name")

    def __init__(self, make: Callable[[Any], object]) -> None:
        self.make = make

    def __set_name__(self, holder: type, name: str) -> None:
        self.holder, self.name = holder, name

    def __get__(self, instance: object, owner: type) -> Any:
        found = self.make(self.holder)
        setattr(self.holder, self.name, found)
        # Not `getattr(owner, ...)`: a subclass may have one of its own, and ask for this one by `super()`.
        bind = getattr(type(found), "__get__", None)
        return bind(found, instance, owner) if bind else found


def _made(cls: type[C], *, is_frozen: bool, kw_only: bool, eq: bool) -> type[C]:
    """Return the class anew, since slots cannot be given to one that exists."""
    space = dict(vars(cls))
    hints = space.get("__annotations__", {})
    given = {name: space[name] for name in hints if name in space}
    names = [name for name, hint in hints.items() if _is_field(hint)]
    inherited = {slot for base in cls.__mro__[1:] for slot in vars(base).get("__slots__", ())}
    for name in (*names, "__dict__", "__weakref__"):
        space.pop(name, None)
    space["__slots__"] = tuple(name for name in names if name not in inherited)
    space["__qualname__"] = cls.__qualname__
    if is_frozen:
        space = {"__getstate__": _state, "__setstate__": _restore} | space
        space |= {"__setattr__": _refuse_to_assign, "__delattr__": _refuse_to_delete}
    # Python gives a class with an `__eq__` of its own None as its hash, which is not the author's word.
    if eq and is_frozen and ("__hash__" not in space or ("__eq__" in space and space["__hash__"] is None)):
        space["__hash__"] = _Late(_hash)
    if eq:
        space.setdefault("__eq__", _Late(_eq))
    space = {"__init__": _Late(_init), "__repr__": _Late(_repr), "__match_args__": _Late(_match_args)} | space
    space["__dataclass_fields__"] = _Late(lambda holder: _fields(holder, given, kw_only=kw_only))
    space["__dataclass_params__"] = _Late(lambda _: _params(frozen=is_frozen, eq=eq, kw_only=kw_only))
    kind: Any = type(cls)
    made: type[C] = kind(cls.__name__, cls.__bases__, space)
    return made


def _is_field(hint: object) -> bool:
    word = str(hint).partition("[")[0].rpartition(".")[2]
    if word in ("InitVar", "KW_ONLY"):
        raise TypeError(f"a class of pipec.record has no {word}")
    return word != "ClassVar"


def _fields(cls: type, given: dict[str, object], *, kw_only: bool) -> dict[str, Field[Any]]:
    """Return the class's own lines as the standard library keeps them, after those of its bases.

    Made here: to have it look at a class of these lines takes longer than all else of a class, of which few ask.
    """
    found: dict[str, Field[Any]] = {}
    for base in cls.__mro__[-1:0:-1]:
        found |= getattr(base, "__dataclass_fields__", {})
    for name, hint in vars(cls).get("__annotations__", {}).items():
        if not _is_field(hint):
            continue
        said = given.get(name, MISSING)
        made: Any = said if isinstance(said, Field) else field(default=said)
        if made.default.__class__.__hash__ is None:
            raise ValueError(
                f"mutable default {type(made.default)} for field {name} is not allowed: use default_factory"
            )
        made.name, made.type, made._field_type = name, hint, _FIELD
        if made.kw_only is MISSING:
            made.kw_only = kw_only
        found[name] = made
    return found


def _params(*, frozen: bool, eq: bool, kw_only: bool) -> object:
    like: Any = type("Like", (), {"__doc__": "own"})
    return dataclass(slots=True, frozen=frozen, eq=eq, kw_only=kw_only)(like).__dataclass_params__


def _init(cls: Any) -> object:
    """Return `__init__`; a frozen class's fields are set past its own refusal, by the slots themselves."""
    scope: dict[str, Any] = {"_unset": MISSING}
    ordered: list[str] = []
    named: list[str] = []
    lines: list[str] = []
    is_frozen = cls.__setattr__ is _refuse_to_assign
    for each in fields(cls):
        name, value = each.name, each.name
        default = ""
        if each.default is not MISSING:
            default, scope[f"_default_{name}"] = f"=_default_{name}", each.default
            value = name if each.init else f"_default_{name}"
        elif each.default_factory is not MISSING:
            default, scope[f"_factory_{name}"] = "=_unset", each.default_factory
            value = f"_factory_{name}()" + (f" if {name} is _unset else {name}" if each.init else "")
        if each.init:
            (named if each.kw_only else ordered).append(f"{name}{default}")
        elif not default:
            continue
        scope[f"_set_{name}"] = getattr(cls, name).__set__
        lines.append(f"_set_{name}(self, {value})" if is_frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    made = _written(cls, "__init__", ("self", *ordered, *(("*", *named) if named else ())), lines, scope)
    made.__annotations__ = {each.name: each.type for each in fields(cls) if each.init} | {"return": None}
    return made


def _eq(cls: type) -> object:
    # As tuples, whose parts are equal to themselves: Python 3.13 compares one by one, and NaN is then another thing.
    shown = [each.name for each in fields(cls) if each.compare]
    lines = ("if other.__class__ is self.__class__:", f" return {_tuple('self', shown)} == {_tuple('other', shown)}")
    return _written(cls, "__eq__", ("self", "other"), (*lines, "return NotImplemented"), {})


def _hash(cls: type) -> object:
    shown = [each.name for each in fields(cls) if (each.compare if each.hash is None else each.hash)]
    return _written(cls, "__hash__", ("self",), (f"return hash({_tuple('self', shown)})",), {})


def _repr(cls: type) -> object:
    shown = ", ".join(f"{each.name}={{self.{each.name}!r}}" for each in fields(cls) if each.repr)
    text = f'return f"{{self.__class__.__qualname__}}({shown})"'
    return reprlib.recursive_repr()(_written(cls, "__repr__", ("self",), (text,), {}))


def _match_args(cls: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(cls) if each.init and not each.kw_only)


def _tuple(of: str, names: Iterable[str]) -> str:
    return "(" + "".join(f"{of}.{name}," for name in names) + ")"


def _written(
    cls: type, name: str, parameters: Iterable[str], lines: Iterable[str], scope: dict[str, Any]
) -> Callable[..., Any]:
    """Return the method of these lines, which sees the names in `scope`."""
    body = "".join(f"\n {line}" for line in lines) or "\n pass"
    scope["__name__"] = cls.__module__
    # As the library does it; no text of a user gets here: a slot's name is an identifier, or no class is made.
    exec(f"def {name}({', '.join(parameters)}):{body}", scope)
    made: Callable[..., Any] = scope[name]
    made.__qualname__ = f"{cls.__qualname__}.{name}"
    return made


def _refuse_to_assign(self: object, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[object]:
    return [getattr(self, each.name) for each in fields(self)]


def _restore(self: Any, state: Iterable[object]) -> None:
    for each, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, each.name, value)
