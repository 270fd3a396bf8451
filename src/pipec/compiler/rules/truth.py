"""`PIPE309`: conditions that no run could answer otherwise.

A condition is tried out on samples: for every name in it the values at, between and beyond those that it is compared
with, as far as its declaration allows them. Comparisons cannot tell more values apart, so the answer is exact; what
cannot be sampled may be both true and false.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise, product
from math import prod
from typing import TypeAlias, assert_never

from pipec.compiler.rule import Subject, rule
from pipec.compiler.rules.kind import kind, type_of
from pipec.condition import AllOf, AnyOf, Compare, Condition, Holds, Not, Status
from pipec.diagnostics import Finding, Loc, Rule, Severity, Span, suggest
from pipec.schema.model import Operand, Reference, StepUse, Term, When
from pipec.steps.interface import Artifact, Kind
from pipec.values import Json, Literal

MAX_TRIALS = 4096  # of one condition: far more than people write need
_ENDINGS = ("succeeded", "failed", "skipped")
_OUTCOMES = ("succeeded", "failed", "refused")
_NUMBERS = (Kind.INTEGER, Kind.NUMBER)
_ELSE = "\x00"  # a text that no document can hold, for all that are not named

Name: TypeAlias = tuple[str, ...]  # the parts of a reference; ("status", step); ("term", its place) for what is free
Facts: TypeAlias = Mapping[Name, Json]


@rule("PIPE309", "constant-condition", severity=Severity.WARNING)
def constant_condition(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A condition, or a comparison in it, has the same answer in every run.

    Why: a step that never runs, or a check that never holds it back, looks like a decision and is none. It is judged by
    what the values may be, not by what they are now: a `const` parameter may change with the environment. A bare `true`
    or `false` is a switch in plain sight, and not told.

    Bad:
        parameters: {stage: {type: string, default: dev, enum: [dev, live]}}
        steps: {announce: {uses: notify, when: parameters.stage == 'prod', with: {channel: ml, message: live}}}

    Fix:
        steps: {announce: {uses: notify, when: parameters.stage == 'live', with: {channel: ml, message: live}}}
    """
    for use in subject.pipeline.steps:
        if use.when:
            yield from _judged(rule, subject, use, use.when, f"`{use.name}`")
    for after in subject.pipeline.after:
        if after.when and after.pipeline in subject.others:
            other, graph = subject.others[after.pipeline]
            ended = replace(subject, pipeline=other, graph=graph)
            yield from _judged(rule, ended, None, after.when, f"`{subject.pipeline.name}`")


def _judged(rule: Rule, subject: Subject, use: StepUse | None, when: When, who: str) -> Iterator[Finding]:
    if when.asks is None or (isinstance(when.asks, Holds) and not when.references):
        return  # a bare `true` or `false` is a switch in plain sight
    trial = _Trial(subject, use, when)
    answers = trial.answers(when.asks)
    if answers == {False}:
        yield rule.at(when.loc, f"`when` can never be true, so {who} never runs", help=trial.advice())
    elif answers == {True} and not trial.asks_endings:
        # With status functions it decides which ends of other steps are waited for: `succeeded(x) or failed(x)`.
        yield rule.at(when.loc, f"`when` is always true, so it never holds {who} back", help="remove it")
    elif len(answers) > 1:
        for term, leaf in trial.leaves:
            told = trial.answers(leaf)
            if len(told) == 1:
                word = "always" if True in told else "never"
                yield rule.at(_whole(term), f"this part of `when` is {word} true", help=trial.advice(term))


class _Trial:
    """One condition with the samples of all that it names."""

    def __init__(self, subject: Subject, use: StepUse | None, when: When) -> None:
        assert when.asks is not None, "truth._Trial got a condition that asks nothing"
        self.subject, self.use = subject, use
        self.terms = when.terms
        self.leaves = list(zip(when.terms, _leaves(when.asks), strict=True))
        self.place_of = {id(leaf): at for at, (_, leaf) in enumerate(self.leaves)}
        self.asks_endings = any(reference.root == "status" for reference in when.references)
        self.samples: dict[Name, tuple[Json, ...]] = {}
        for reference in when.references:
            if reference.root == "status":
                self.samples[reference.parts] = _ENDINGS
        for term, _ in self.leaves:
            for operand in (term.left, term.right):
                if operand and operand.reference and operand.reference.parts not in self.samples:
                    self.samples[operand.reference.parts] = self._sampled(operand.reference)
        for at, (term, _) in enumerate(self.leaves):
            if not self._is_modelled(term):
                self.samples[_free(at)] = (True, False)

    def answers(self, asked: Condition) -> set[bool]:
        """Return the answers that a condition may have; both where there are too many ways to try it."""
        names = sorted(self._names(asked))
        if prod(len(self.samples[name]) for name in names) > MAX_TRIALS:
            return {True, False}
        found: set[bool] = set()
        for values in product(*(self.samples[name] for name in names)):
            found.add(self._holds(asked, dict(zip(names, values, strict=True))))
            if len(found) == 2:
                break
        return found

    def advice(self, term: Term | None = None) -> str:
        """Return what a name may be, where it is compared with something else."""
        for one in (term,) if term else self.terms:
            known = self._listed(one.left) or (self._listed(one.right) if one.right else ())
            said = [operand.value.value for operand in (one.left, one.right) if operand and not operand.reference
                    and isinstance(operand.value, Literal)]  # fmt: skip
            texts = [str(value) for value in known if value != ""]
            if texts and len(said) == 1 and isinstance(said[0], str) and said[0] not in texts:
                return suggest(said[0], texts, f"`{_named(one)}` can be")
        return "say what decides, or remove it"

    def _listed(self, operand: Operand) -> tuple[Json, ...]:
        """Return all values that a name may have, where they are few and known."""
        return self._closed(operand.reference) or () if operand.reference else ()

    def _is_modelled(self, term: Term) -> bool:
        """Say whether samples of its names answer a comparison."""
        names = [operand.reference for operand in (term.left, term.right) if operand and operand.reference]
        if term.right is None:
            return not names or kind(self._type(names[0])) is Kind.BOOLEAN
        if any(not self.samples[name.parts] for name in names) or len({name.parts for name in names}) == 2:
            return False
        if term.operator == "in" and term.right.reference:
            return False
        kinds = {_kind(value) for operand in (term.left, term.right) for value in self._values(operand)}
        if len(kinds) != 1:
            return False  # PIPE308 tells what cannot be compared
        return kinds <= {"number", "boolean"} or (
            kinds == {"text"} and (term.operator in ("==", "!=", "in") or not names)
        )

    def _values(self, operand: Operand) -> tuple[Json, ...]:
        if operand.reference:
            return self.samples[operand.reference.parts]
        value = operand.value.value if isinstance(operand.value, Literal) else None
        return tuple(value) if isinstance(value, list) else (value,)

    def _type(self, reference: Reference) -> Artifact | Mapping[str, Json]:
        return type_of(self.subject, reference, self.use)

    def _closed(self, reference: Reference) -> tuple[Json, ...] | None:
        """Return the only values that a name may have, or None."""
        match reference.parts:
            case ("environment", "name"):
                declared = [environment.name for environment in self.subject.project.environments]
                own = self.subject.pipeline.environments
                return ("", *sorted({*declared, *own})) if declared or own else None
            case ("run", "outcome"):
                return _OUTCOMES
            case ("matrix", axis) if self.use and self.use.matrix and axis in self.use.matrix.axes:
                at = self.use.matrix.axes.index(axis)
                return tuple(cell[at] for cell in self.use.matrix.cells)
            case ("item",) if self.use and self.use.for_each and isinstance(self.use.for_each.items.value, Literal):
                listed = self.use.for_each.items.value.value
                return tuple(listed) if isinstance(listed, list) else None
        schema = self._type(reference)
        choices = None if isinstance(schema, Artifact) else schema.get("enum")
        return tuple(choices) if isinstance(choices, list) else None

    def _sampled(self, reference: Reference) -> tuple[Json, ...]:
        """Return values that stand for all that a name may have; none where that cannot be said."""
        if (closed := self._closed(reference)) is not None:
            return closed
        schema = self._type(reference)
        said = list(self._compared(reference))
        if isinstance(schema, Artifact):
            return ()
        match kind(schema):
            case Kind.BOOLEAN:
                return (True, False)
            case Kind.INTEGER | Kind.NUMBER as wanted:
                numbers = [value for value in said if isinstance(value, int | float) and not isinstance(value, bool)]
                return _numbers(numbers, schema, is_whole=wanted is Kind.INTEGER)
            case Kind.STRING:
                return (*dict.fromkeys(value for value in said if isinstance(value, str)), _ELSE)
        return ()

    def _compared(self, reference: Reference) -> Iterator[Json]:
        """Yield the values that a name is compared with."""
        for term, _ in self.leaves:
            operands = [operand for operand in (term.left, term.right) if operand]
            if any(operand.reference and operand.reference.parts == reference.parts for operand in operands):
                for operand in operands:
                    if not operand.reference and isinstance(operand.value, Literal):
                        value = operand.value.value
                        yield from value if isinstance(value, list) else (value,)

    def _names(self, asked: Condition) -> set[Name]:
        """Return what the answer to a condition depends on."""
        match asked:
            case Status(_, step):
                return {("status", step)}
            case Not(inner):
                return self._names(inner)
            case AllOf(parts) | AnyOf(parts):
                return set[Name]().union(*(self._names(part) for part in parts))
            case Compare() | Holds():
                at = self.place_of[id(asked)]
                term = self.terms[at]
                named = {
                    operand.reference.parts for operand in (term.left, term.right) if operand and operand.reference
                }
                return {_free(at)} if _free(at) in self.samples else named
            case _:
                assert_never(asked)

    def _holds(self, asked: Condition, facts: Facts) -> bool:
        match asked:
            case Status(state, step):
                return facts["status", step] == state
            case Not(inner):
                return not self._holds(inner, facts)
            case AllOf(parts):
                return all(self._holds(part, facts) for part in parts)
            case AnyOf(parts):
                return any(self._holds(part, facts) for part in parts)
            case Compare() | Holds():
                at = self.place_of[id(asked)]
                term = self.terms[at]
                if _free(at) in facts:
                    return bool(facts[_free(at)])
                left = _value(term.left, facts)
                return _compares(term.operator, left, _value(term.right, facts)) if term.right else left is True
            case _:
                assert_never(asked)


def _named(term: Term) -> Reference:
    """Return the name in a comparison of a name and a text."""
    operand = term.left if term.left.reference or term.right is None else term.right
    assert operand.reference, "truth._named got a comparison of two constants"
    return operand.reference


def _leaves(asked: Condition) -> Iterator[Condition]:
    """Yield the comparisons of a condition, in the order in which they were written."""
    match asked:
        case Compare() | Holds():
            yield asked
        case Not(inner):
            yield from _leaves(inner)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _leaves(part)


def _free(at: int) -> Name:
    return ("term", str(at))


def _value(operand: Operand, facts: Facts) -> Json:
    if operand.reference:
        return facts[operand.reference.parts]
    return operand.value.value if isinstance(operand.value, Literal) else None


def _compares(operator: str, left: Json, right: Json) -> bool:
    """Compare two values as a run would; those of unlike kinds are PIPE308's to tell."""
    if operator == "in":
        return isinstance(right, list) and any(_is_same(left, item) for item in right)
    if operator in ("==", "!="):
        return _is_same(left, right) == (operator == "==")
    match left, right:
        case (int() | float(), int() | float()):
            sign = (left > right) - (left < right)
        case _:  # two texts that are written out: names are sampled for `==` alone
            sign = (str(left) > str(right)) - (str(left) < str(right))
    return {"<": sign < 0, "<=": sign <= 0, ">": sign > 0, ">=": sign >= 0}[operator]


def _kind(value: Json) -> str:
    """Return as what a value is compared."""
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
    return "other"


def _is_same(left: Json, right: Json) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _numbers(said: list[int | float], schema: Mapping[str, Json], *, is_whole: bool) -> tuple[Json, ...]:
    """Return the numbers at, between and beyond those given, as far as a schema allows them."""
    bounds = [schema[key] for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum") if key in schema]
    points = sorted({*said, *(bound for bound in bounds if isinstance(bound, int | float))}) or [0]
    # Where a whole number lies between two points, one lies beside their middle, which is found by halves: a sum may
    # be too large for a number.
    between = [low / 2 + high / 2 for low, high in pairwise(points)]
    found: list[int | float] = [points[0] - 1, *points, *between, points[-1] + 1]
    whole = [int(value // 1) for value in found] + [-int(-value // 1) for value in found]
    return tuple(value for value in dict.fromkeys(whole if is_whole else found) if _allows(schema, value))


def _allows(schema: Mapping[str, Json], value: int | float) -> bool:
    def bound(key: str, default: float) -> float:
        said = schema.get(key)
        return said if isinstance(said, int | float) else default

    inside = bound("minimum", value) <= value <= bound("maximum", value)
    return inside and bound("exclusiveMinimum", value - 1) < value < bound("exclusiveMaximum", value + 1)


def _whole(term: Term) -> Loc:
    """Return the place of a comparison, from its first to its last letter."""
    left = term.left.loc
    if term.right is None:
        return left
    return Loc(left.path, Span(*left.span[:2], *term.right.loc.span[2:]))
