"""A class of `pipec.record` beside the standard library's dataclass of the same lines."""

from __future__ import annotations

import copy
import inspect
import pickle
import pkgutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, asdict, astuple, dataclass, field, fields, is_dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import pytest

import pipec
from pipec.record import frozen, mutable

T = TypeVar("T")
Two = tuple[Any, Any]
FROZEN: Two = (frozen, dataclass(frozen=True, slots=True))
NAMED: Two = (frozen(kw_only=True), dataclass(frozen=True, slots=True, kw_only=True))
MUTABLE: Two = (mutable, dataclass(slots=True))
MUTABLE_NAMED: Two = (mutable(kw_only=True), dataclass(slots=True, kw_only=True))
WITHOUT_EQUALITY: Two = (mutable(kw_only=True, eq=False), dataclass(slots=True, kw_only=True, eq=False))
Case = tuple[type[Any], dict[str, Any]]


def plain(made: Any) -> Case:
    @made
    class Shape:
        """Two fields and a method."""

        x: int
        y: tuple[str, ...]

        def sum(self) -> int:
            return self.x + len(self.y)

    return Shape, {"x": 1, "y": ("a",)}


def empty(made: Any) -> Case:
    @made
    class Shape:
        """Nothing."""

    return Shape, {}


def one(made: Any) -> Case:
    @made
    class Shape:
        """One field."""

        x: float

    return Shape, {"x": 1.5}


def defaults(made: Any) -> Case:
    @made
    class Shape:
        """Defaults of all kinds, and what is no field."""

        kinds: ClassVar[tuple[int, ...]] = (1, 2)
        x: int = 3
        y: tuple[int, ...] = field(default_factory=tuple)
        z: str = field(default="z", repr=False)
        hidden: int = field(default=0, compare=False)
        told: int = field(default=4, hash=False, metadata={"unit": "s"})
        fixed: int = field(default=5, init=False)
        own: frozenset[int] = field(default_factory=frozenset, init=False)
        named: int = field(default=6, kw_only=True)

    return Shape, {"x": 2, "hidden": 9}


def computed(made: Any) -> Case:
    @made
    class Shape:
        """Checked when made, and shown in its own words."""

        x: int

        def __post_init__(self) -> None:
            if self.x < 0:
                raise ValueError("below")

        def __repr__(self) -> str:
            return f"<{self.x}>"

    return Shape, {"x": 2}


def equal_in_its_own_way(made: Any) -> Case:
    @made
    class Shape:  # noqa: PLW1641 - what becomes of its hash is the question
        """Equality of its own; Python sets its `__hash__` to None."""

        x: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Shape) and abs(self.x) == abs(other.x)

    return Shape, {"x": 2}


def hashed_in_its_own_way(made: Any) -> Case:
    @made
    class Shape:
        """A hash of its own."""

        x: int

        def __hash__(self) -> int:
            return 7

    return Shape, {"x": 2}


def derived(made: Any) -> Case:
    @made
    class Base:
        """What comes first."""

        x: int
        y: int = 2

    @made
    class Shape(Base):
        """A field more, and one told anew."""

        z: int = 3
        y: int = 4

    return Shape, {"x": 1}


def abstract(made: Any) -> Case:
    class Base(ABC):
        __slots__ = ()

        @abstractmethod
        def area(self) -> int: ...

    @made
    class Shape(Base):
        """A class that keeps a promise."""

        x: int

        def area(self) -> int:
            return self.x**2

    return Shape, {"x": 1}


class _Sized(Protocol):
    x: int


def generic(made: Any) -> Case:
    @made
    class Shape(_Sized, Generic[T]):
        """A class that is several."""

        x: int
        of: T

    return Shape, {"x": 1, "of": "a"}


def recursive(made: Any) -> Case:
    @made
    class Shape:
        """Itself within."""

        inner: list[Any]

    inner: list[Any] = []
    shape: Any = Shape
    inner.append(shape(inner=inner))
    return Shape, {"inner": inner}


SHAPES: tuple[Callable[[Any], Case], ...] = (
    plain, empty, one, defaults, computed, equal_in_its_own_way, hashed_in_its_own_way, derived, abstract, generic,
    recursive,
)  # fmt: skip
KINDS = {
    "frozen": FROZEN, "named": NAMED, "mutable": MUTABLE, "mutable named": MUTABLE_NAMED, "no eq": WITHOUT_EQUALITY,
}  # fmt: skip


def outcome(ask: Callable[[], Any]) -> str:
    """Return what is answered, or what is refused with, as it is shown."""
    try:
        return repr(ask())
    except Exception as refused:
        return repr(refused)


def described(cls: type[Any]) -> Iterator[object]:
    """Yield what the class says of itself, without an instance of it."""
    yield is_dataclass(cls), cls.__slots__, cls.__match_args__, cls.__doc__, cls.__qualname__, cls.__module__
    yield [(e.name, e.type, e.default, e.init, e.repr, e.hash, e.compare, e.kw_only, e.metadata) for e in fields(cls)]
    yield repr(cls.__dataclass_params__), cls.__init__.__qualname__, cls.__init__.__annotations__
    yield [(e.name, e.kind, e.annotation) for e in inspect.signature(cls).parameters.values()]
    yield [getattr(cls, name) in (None, getattr(object, name)) for name in ("__hash__", "__eq__")]
    yield inspect.isabstract(cls), hasattr(cls, "x"), getattr(cls, "kinds", None)


def behaved(cls: type[Any], given: dict[str, Any]) -> Iterator[object]:
    """Yield what its instances do."""
    first, second = cls(**given), cls(**given)
    yield repr(first), first == second, first != second, first == given, hasattr(first, "__dict__")
    if cls.__dataclass_params__.eq:  # else each hash is another
        yield outcome(lambda: hash(first) == hash(second)), outcome(lambda: {first: 1}.get(second))
        yield outcome(lambda: hash(first))
    yield outcome(lambda: cls(**given, more=1)), outcome(lambda: cls(*given.values())), outcome(cls)
    yield outcome(lambda: cls(**given | {"x": -1}))
    if "x" in given:
        yield outcome(lambda: setattr(first, "x", 5)), outcome(lambda: delattr(second, "x"))
    yield outcome(lambda: repr(first)), outcome(lambda: repr(second))
    third = cls(**given)
    yield outcome(lambda: repr(replace(third, x=8))), outcome(lambda: replace(third, fixed=1))
    yield repr(copy.copy(third)), repr(copy.deepcopy(third)), third == copy.copy(third)
    if "inner" not in given:
        yield repr(asdict(third)), repr(astuple(third))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_a_class_is_what_a_dataclass_of_the_same_lines_is(shape: Callable[[Any], Case], kind: str) -> None:
    ours, theirs = KINDS[kind]
    assert list(described(shape(ours)[0])) == list(described(shape(theirs)[0]))
    assert list(behaved(*shape(ours))) == list(behaved(*shape(theirs)))


@frozen
class Kept:
    """What a pickle can find again."""

    x: int
    y: tuple[str, ...] = ()


@mutable
class Changed:
    """What a pickle can find again, and change."""

    x: int = 1


@pytest.mark.parametrize("value", [Kept(1, ("a",)), Changed(2)], ids=repr)
def test_a_pickle_holds_a_value_whole(value: object) -> None:
    assert pickle.loads(pickle.dumps(value)) == value


def test_a_value_is_equal_to_one_with_the_same_nan() -> None:
    nan = float("nan")
    assert Kept(nan) == Kept(nan)  # type: ignore[arg-type]


def test_a_pattern_takes_a_value_apart_by_its_places() -> None:
    match Kept(1, ("a",)):
        case Kept(x, (first,)):
            assert (x, first) == (1, "a")


def test_values_of_two_classes_differ_though_their_fields_are_equal() -> None:
    assert plain(frozen)[0](1, ()) != plain(frozen)[0](1, ())


def test_a_class_that_no_instance_was_made_of_answers() -> None:
    shape: Any = plain(frozen)[0]
    made = shape.__new__(shape)
    made.__setstate__([1, ("a",)])
    assert (hash(made), made == made, repr(made).rpartition(".")[2]) == (
        hash((1, ("a",))),
        True,
        "Shape(x=1, y=('a',))",
    )


def test_a_subclass_asks_its_base_which_was_never_used() -> None:
    base: Any = plain(frozen)[0]

    class Louder(base):  # type: ignore[misc]
        def __init__(self, x: int) -> None:
            super().__init__(x, ("loud",))

        def __repr__(self) -> str:
            return f"{super().__repr__()}!"

        def __eq__(self, other: object) -> bool:
            return super().__eq__(other) is True

        __hash__ = base.__hash__

    assert (repr(Louder(1)).endswith("Louder(x=1, y=('loud',))!"), Louder(1) == Louder(1)) == (True, True)


def test_a_frozen_value_refuses_what_it_has_no_field_for() -> None:
    # The standard library's own refusal breaks here before Python 3.12: `super()` names the class without slots.
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'more'"):
        Kept(1).more = 2  # type: ignore[attr-defined]
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'more'"):
        del Kept(1).more  # type: ignore[attr-defined]


def test_a_dataclass_may_follow_a_class_of_ours() -> None:
    @dataclass(frozen=True)
    class Longer(Kept):
        z: int = 3

    assert repr(Longer(1)).rpartition(".")[2] == "Longer(x=1, y=(), z=3)"


def test_threads_that_make_the_first_instances_at_once_all_get_one() -> None:
    for _ in range(50):
        shape, given = defaults(frozen)
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(first_use, [shape] * 4, [given] * 4, [threading.Barrier(4)] * 4))
        assert made == [(shape(**given), repr(shape(**given)), True)] * 4


def first_use(shape: type[Any], given: dict[str, Any], start: threading.Barrier) -> tuple[Any, str, bool]:
    start.wait()
    made = shape(**given)
    return made, repr(made), hash(replace(made, x=3)) == hash(shape(**given | {"x": 3}))


@pytest.mark.parametrize("hint", ["InitVar[int]", "dataclasses.InitVar[int]", "KW_ONLY"])
def test_what_is_no_field_and_no_class_variable_is_refused_at_once(hint: str) -> None:
    with pytest.raises(TypeError, match="has no"):
        frozen(type("Shape", (), {"__annotations__": {"x": hint}}))


def test_a_name_that_is_no_identifier_makes_no_class() -> None:
    with pytest.raises(TypeError, match="must be identifiers"):
        frozen(type("Shape", (), {"__annotations__": {"x=print()": "int"}}))


def test_a_class_of_pipec_can_be_made_whole() -> None:
    # A mistake in a class's lines shows when it is first used: here all of them are.
    wrong = []
    for module in pkgutil.walk_packages(pipec.__path__, "pipec."):
        if "@frozen" not in (source := _source(module.name)) and "@mutable" not in source:
            continue
        for found in vars(import_module(module.name)).values():
            if inspect.isclass(found) and is_dataclass(found) and found.__module__ == module.name:
                made: Any = found
                shown = (made.__init__, made.__repr__, made.__eq__, made.__hash__, made.__match_args__)
                wrong += [found] if any("Late" in type(each).__name__ for each in shown) else []
    assert wrong == []


def _source(module: str) -> str:
    path = Path(pipec.__path__[0]).parent.joinpath(*module.split("."))
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")
