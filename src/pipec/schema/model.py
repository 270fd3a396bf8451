"""Typed documents: what a user said, with its places, before anything is made of it.

Values that came from text keep the `Loc` of that text; after an environment's overlay that is the overlay's line.
Names are not resolved here: whether `steps.train.model` exists is for the rules to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipec.diagnostics import Loc
from pipec.schema.expressions import Expression
from pipec.schema.tree import Entry, Tree
from pipec.schema.tree import Mapping as MappingNode
from pipec.steps.interface import MISSING, Accelerator, Kind, Missing, Retry
from pipec.values import Json, Value


@dataclass(frozen=True, slots=True)
class Reference:
    """One name inside an expression. parts: `("steps", "train", "model")`; status functions give `("status", "train")`.

    whole: it stands alone, so its value keeps its type.
    """

    parts: tuple[str, ...]
    loc: Loc
    whole: bool = True

    @property
    def root(self) -> str:
        return self.parts[0]

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Argument:
    """A name and the value given to it: of `with`, `env` or `outputs`."""

    name: str
    loc: Loc
    node: Tree
    value: Value
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """What a document asks of a machine; None where it is silent. memory in MiB."""

    cpu: float | None = None
    memory_mib: int | None = None
    accelerator: Accelerator | None = None
    machines: int | None = None
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class Defaults:
    """What steps have that do not say otherwise."""

    retry: Retry | None = None
    timeout_s: int | None = None
    resources: Ask | None = None


@dataclass(frozen=True, slots=True)
class When:
    """A condition as written."""

    tree: Expression | bool
    loc: Loc
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUse:
    """A step as the user wrote it. uses, version: `train@1` is ("train", "1"); None: any version."""

    name: str
    loc: Loc
    uses: str
    version: str | None
    uses_loc: Loc
    arguments: tuple[Argument, ...] = ()
    needs: tuple[tuple[str, Loc], ...] = ()
    when: When | None = None
    ask: Ask = Ask()
    retry: Retry | None = None
    timeout_s: int | None = None
    cache: bool = True
    env: tuple[Argument, ...] = ()
    image: str | None = None
    continue_on_error: bool = False
    description: str = ""

    def argument(self, name: str) -> Argument | None:
        return next((argument for argument in self.arguments if argument.name == name), None)

    @property
    def references(self) -> Iterator[tuple[Reference, str, Argument | None]]:
        """Every reference of the step, with the field it stands in (`with`, `env` or `when`) and the argument there."""
        for field_name, given in (("with", self.arguments), ("env", self.env)):
            for argument in given:
                for reference in argument.references:
                    yield reference, field_name, argument
        for reference in self.when.references if self.when else ():
            yield reference, "when", None


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True)
class ScheduleUse:
    """A schedule as written."""

    cron: str
    timezone: str
    catchup: bool
    loc: Loc


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a project runs. settings: what each target was told, by the target's name."""

    name: str
    loc: Loc
    production: bool = False
    production_loc: Loc | None = None
    artifacts: str | None = None
    image: str | None = None
    defaults: Defaults = Defaults()
    secrets: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What all pipelines of a project share; without a `pipec.yaml`, all of it is empty."""

    name: str = ""
    owner: str = ""
    image: str | None = None
    defaults: Defaults = Defaults()
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    environments: tuple[Environment, ...] = ()

    def environment(self, name: str) -> Environment | None:
        return next((e for e in self.environments if e.name == name), None)

    def secrets_in(self, environment: Environment | None) -> Mapping[str, Mapping[str, Json]]:
        """Return where each secret lies; what an environment says of one counts before what the project says."""
        return {**self.secrets, **(environment.secrets if environment else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One pipeline document, with the chosen environment laid over it. tree: that document.

    overlaid: what the environments that were not chosen give to steps, each with the step's name.
    """

    name: str
    loc: Loc
    tree: MappingNode
    description: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    image: str | None = None
    defaults: Defaults = Defaults()
    parameters: tuple[ParameterUse, ...] = ()
    steps: tuple[StepUse, ...] = ()
    outputs: tuple[Argument, ...] = ()
    schedules: tuple[ScheduleUse, ...] = ()
    concurrency: tuple[int, str] | None = None
    environment: str = ""
    environments: tuple[str, ...] = ()
    overlaid: tuple[tuple[str, tuple[Argument, ...]], ...] = ()

    def locate(self, *path: str) -> Loc:
        """Return the place of a key path, or of its deepest part that is written."""
        loc, node = self.loc, self.tree
        for part in path:
            entry: Entry | None = node.entry(part)
            if entry is None:
                return loc
            loc = entry.key_loc
            if not isinstance(entry.value, MappingNode):
                return entry.value.loc
            node = entry.value
        return loc
