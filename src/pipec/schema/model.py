"""Typed documents: what a user said, with its places, before anything is made of it.

Values that came from text keep the `Loc` of that text; after an environment's overlay that is the overlay's line.
Names are not resolved here: whether `steps.train.model` exists is for the rules to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import TypeAlias

from pipec.condition import Condition
from pipec.diagnostics import Loc, Span
from pipec.record import frozen
from pipec.schema.tree import Mapping as MappingNode
from pipec.schema.tree import Sequence as SequenceNode
from pipec.schema.tree import Tree
from pipec.steps.interface import MISSING, Accelerator, Artifact, Kind, Missing, Retry
from pipec.values import Json, Value


@frozen
class Reference:
    """One name inside an expression. parts: `("steps", "train", "model")`, with `*` before the output for `[*]`.

    Status functions give `("status", "train")`. whole: it stands alone, so its value keeps its type. elsewhere: the
    environment that says it, where that is not the chosen one.
    """

    parts: tuple[str, ...]
    loc: Loc
    whole: bool = True
    elsewhere: str = ""

    @property
    def root(self) -> str:
        return self.parts[0]

    @property
    def step(self) -> str:
        """The step it names, or an empty text."""
        return self.parts[1] if self.root in ("steps", "status") else ""

    @property
    def output(self) -> str:
        """The output of a step that it names, or an empty text."""
        return self.parts[-1] if self.root == "steps" else ""

    @property
    def is_spread(self) -> bool:
        """Whether it names what all cells or iterations of a step wrote."""
        return len(self.parts) > 2 and self.parts[2] == "*"

    def at(self, part: int) -> Loc:
        """Return the place of one of its parts, or all of it where it is written otherwise than it reads."""
        line, column, end_line, end_column = self.loc.span
        if self.root == "status" or line != end_line or end_column - column != len(str(self)):
            return self.loc
        start = column + len(str(replace(self, parts=self.parts[:part]))) + 1
        return self.loc._replace(span=Span(line, start, line, start + len(self.parts[part])))

    def __str__(self) -> str:
        return ".".join(self.parts).replace(".*", "[*]")


@frozen
class Argument:
    """A name and the value given to it: of `with`, `env`, `for_each`, `outputs` or a trigger's parameters.

    folder: where it was said, relative to the root, if that is not where the step's document lies.
    """

    name: str
    loc: Loc
    node: Tree
    value: Value
    references: tuple[Reference, ...] = ()
    folder: str | None = None


@frozen
class Ask:
    """What a document asks of a machine; None where it is silent. memory in MiB."""

    cpu: float | None = None
    memory_mib: int | None = None
    accelerator: Accelerator | None = None
    machines: int | None = None
    pool: str | None = None


@frozen
class Defaults:
    """What steps have that do not say otherwise."""

    retry: Retry | None = None
    timeout_s: int | None = None
    resources: Ask | None = None
    image: str | None = None


@frozen
class Operand:
    """A value in a condition as written. reference: the name that it is; None: it is written out."""

    value: Value
    loc: Loc
    reference: Reference | None = None


@frozen
class Term:
    """A comparison as written, or an operand that stands alone: operator is then empty, and right None."""

    operator: str
    left: Operand
    right: Operand | None = None


@frozen
class When:
    """A condition as written; `asks` is None where it always holds. terms: what it compares, in the text's order."""

    asks: Condition | None
    loc: Loc
    references: tuple[Reference, ...] = ()
    terms: tuple[Term, ...] = ()


@frozen
class MatrixUse:
    """A matrix, its combinations worked out. cells: in order, each the values by axis."""

    axes: tuple[str, ...]
    cells: tuple[tuple[Json, ...], ...]
    loc: Loc
    max_parallel: int | None = None
    fail_fast: bool = True


@frozen
class ForEachUse:
    """A loop over a list known at run time."""

    items: Argument
    loc: Loc
    max_parallel: int | None = None
    fail_fast: bool = True


@frozen
class VolumeUse:
    """A volume of the environment, mounted in a step."""

    mount: str
    name: str
    loc: Loc


@frozen(kw_only=True)
class StepUse:
    """A step as the user wrote it. uses, version: `train@1` is ("train", "1"); None: any version.

    defaults: what its document says for steps that do not say otherwise. scope: the composite step around a step that
    was brought in from another document, or empty. waits: steps that must have ended and not failed, for such a step.
    """

    name: str
    loc: Loc
    uses: str
    version: str | None
    uses_loc: Loc
    scope: str = ""
    arguments: tuple[Argument, ...] = ()
    needs: tuple[tuple[str, Loc], ...] = ()
    waits: tuple[tuple[str, Loc], ...] = ()
    when: When | None = None
    ask: Ask = Ask()
    retry: Retry | None = None
    timeout_s: int | None = None
    cache: bool = True
    env: tuple[Argument, ...] = ()
    image: str | None = None
    continue_on_error: bool = False
    description: str = ""
    matrix: MatrixUse | None = None
    for_each: ForEachUse | None = None
    volumes: tuple[VolumeUse, ...] = ()
    is_final: bool = False
    defaults: Defaults = Defaults()

    @property
    def is_many(self) -> bool:
        """Whether it becomes several tasks by itself."""
        return self.matrix is not None or self.for_each is not None

    def argument(self, name: str) -> Argument | None:
        return next((argument for argument in self.arguments if argument.name == name), None)

    @property
    def references(self) -> Iterator[tuple[Reference, str, Argument | None]]:
        """Every reference of the step, with the field it stands in and the argument there (None for `when`)."""
        loop = (self.for_each.items,) if self.for_each else ()
        for field_name, given in (("with", self.arguments), ("env", self.env), ("for_each", loop)):
            for argument in given:
                for reference in argument.references:
                    yield reference, field_name, argument
        for reference in self.when.references if self.when else ():
            yield reference, "when", None


@frozen(kw_only=True)
class ParameterUse:
    """A parameter as declared. schema: its JSON Schema. default_loc: where the value in force was written."""

    name: str
    loc: Loc
    kind: Kind
    schema: Mapping[str, Json]
    default: Json | Missing = MISSING
    default_loc: Loc | None = None
    is_const: bool = False
    description: str = ""


@frozen(kw_only=True)
class InputUse:
    """An artifact that a run, or a pipeline that uses this one as a step, gives. default: a location."""

    name: str
    loc: Loc
    type: Artifact
    optional: bool = False
    default: str | None = None
    default_loc: Loc | None = None
    is_personal: bool = False
    description: str = ""


@frozen(kw_only=True)
class AfterUse:
    """A trigger by another pipeline, as written. loc: of the trigger; others of what they name."""

    loc: Loc
    pipeline: str
    pipeline_loc: Loc
    step: str = ""
    step_loc: Loc | None = None
    outcome: str = "succeeded"
    when: When | None = None
    parameters: tuple[Argument, ...] = ()
    cooldown_s: int = 0

    @property
    def references(self) -> Iterator[tuple[Reference, Argument | None]]:
        """Every reference to the run that ended, with the parameter it is for (None for `when`)."""
        for argument in self.parameters:
            for reference in argument.references:
                yield reference, argument
        for reference in self.when.references if self.when else ():
            yield reference, None


@frozen
class ScheduleUse:
    """A schedule as written. loc: of its `cron`. timezone_loc: of its time zone, if one is written."""

    cron: str
    timezone: str
    catchup: bool
    loc: Loc
    timezone_loc: Loc


Places: TypeAlias = Mapping[str, Mapping[str, Json]]  # by name: where a secret, a config or a volume lies


@frozen
class Overlaid:
    """What an environment that was not chosen gives to a step. field: `with` or `env`."""

    step: str
    field: str
    arguments: tuple[Argument, ...]


@frozen
class Pool:
    """Machines by name. placement: selectors, tolerations, queue and priority, as the project says them."""

    accelerator: Accelerator | None = None
    placement: Mapping[str, Json] = field(default_factory=dict)


@frozen(kw_only=True)
class Environment:
    """Where a project runs. settings: what each target was told, by the target's name."""

    name: str
    loc: Loc
    production: bool = False
    production_loc: Loc | None = None
    artifacts: str | None = None
    image: str | None = None
    image_loc: Loc | None = None
    defaults: Defaults = Defaults()
    secrets: Places = field(default_factory=dict)
    configs: Places = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    volumes: Places = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)


@frozen(kw_only=True)
class Project:
    """What all pipelines of a project share; without a `pipec.yaml`, all of it is empty."""

    name: str = ""
    owner: str = ""
    image: str | None = None
    image_loc: Loc | None = None
    defaults: Defaults = Defaults()
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    secrets: Places = field(default_factory=dict)
    configs: Places = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    environments: tuple[Environment, ...] = ()

    def environment(self, name: str) -> Environment | None:
        return next((e for e in self.environments if e.name == name), None)

    def pools_in(self, environment: Environment | None) -> Mapping[str, Pool]:
        """Return the machines behind each pool; what an environment says of one is added to what the project says."""
        found = dict(self.pools)
        for name, pool in (environment.pools if environment else {}).items():
            before = found.get(name, Pool())
            found[name] = Pool(pool.accelerator or before.accelerator, {**before.placement, **pool.placement})
        return found


@frozen(kw_only=True)
class Pipeline:
    """One pipeline document, with the chosen environment laid over it. tree: that document; document: without it.

    steps: those of `finally` come last. secrets, configs: where they lie, as its environment says it. folded:
    parameters whose value stands in `resources` or `matrix`. overlaid: what the environments that were not chosen give
    to steps. places: where secrets and configs lie, by environment, as the document says it.
    """

    name: str
    loc: Loc
    tree: MappingNode
    document: MappingNode
    description: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    parameters: tuple[ParameterUse, ...] = ()
    inputs: tuple[InputUse, ...] = ()
    steps: tuple[StepUse, ...] = ()
    outputs: tuple[Argument, ...] = ()
    schedules: tuple[ScheduleUse, ...] = ()
    after: tuple[AfterUse, ...] = ()
    data: tuple[tuple[str, Loc], ...] = ()
    secrets: Places = field(default_factory=dict)
    configs: Places = field(default_factory=dict)
    folded: frozenset[str] = frozenset()
    concurrency: tuple[int, str] | None = None
    environment: str = ""
    environments: tuple[str, ...] = ()
    overlaid: tuple[Overlaid, ...] = ()
    places: Mapping[str, tuple[Places, Places]] = field(default_factory=dict)

    def parameter(self, name: str) -> ParameterUse | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    def input(self, name: str) -> InputUse | None:
        return next((declared for declared in self.inputs if declared.name == name), None)

    def locate(self, *path: str) -> Loc:
        """Return the place of a key path, or of its deepest part that is written."""
        return locate(self.tree, self.loc, path)


def locate(node: Tree, loc: Loc, path: Iterable[str]) -> Loc:
    """Return the place of a key path below a node that stands at `loc`, or of its deepest part that is written.

    An item of a list has its number, counted from 0.
    """
    for part in path:
        if isinstance(node, SequenceNode) and part.isdecimal() and int(part) < len(node.items):
            node = node.items[int(part)]
            loc = node.loc
            continue
        entry = node.entry(part) if isinstance(node, MappingNode) else None
        if entry is None:
            return loc
        node = entry.value
        loc = entry.key_loc if isinstance(node, MappingNode) else node.loc
    return loc
