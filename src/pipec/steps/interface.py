"""What is known of a step before it runs: the values that every stage reads.

`with`'s JSON Schema, editor completion, wiring checks, safety rules, defaults, the container's decoding and the
documentation table all come from an `Interface`. Library steps declare theirs with `steps/declare.py`; a step in
another language is a manifest that loads into the same value.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import field
from typing import TypeAlias

from pipec import digest
from pipec.record import frozen
from pipec.values import Json


class Artifact(enum.StrEnum):
    """The closed set of artifact types."""

    DATASET = "Dataset"
    MODEL = "Model"
    METRICS = "Metrics"
    REPORT = "Report"
    PROFILE = "Profile"
    APPROVAL = "Approval"
    ENDPOINT = "Endpoint"
    DIRECTORY = "Directory"
    FILE = "File"


Dataset, Model, Metrics = Artifact.DATASET, Artifact.MODEL, Artifact.METRICS
Report, Profile, Approval = Artifact.REPORT, Artifact.PROFILE, Artifact.APPROVAL
Endpoint, Directory, File = Artifact.ENDPOINT, Artifact.DIRECTORY, Artifact.FILE


class Kind(enum.StrEnum):
    """The types of parameters and of small outputs, named as JSON Schema names them (`list` is its `array`)."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "list"
    OBJECT = "object"

    @property
    def json_type(self) -> str:
        """The name of this kind in JSON Schema."""
        return "array" if self is Kind.LIST else self.value

    @classmethod
    def of(cls, value: Json) -> Kind:
        """Return the kind of a plain value; null counts as text."""
        match value:
            case bool():
                return cls.BOOLEAN
            case int():
                return cls.INTEGER
            case float():
                return cls.NUMBER
            case list() | tuple():
                return cls.LIST
            case Mapping():
                return cls.OBJECT
        return cls.STRING

    def admits(self, other: Kind) -> bool:
        """Say whether every value of kind `other` may stand where this kind is wanted."""
        return self is other or (self is Kind.NUMBER and other is Kind.INTEGER)


class Role(enum.StrEnum):
    """What a step does for the safety of a release; declared, never guessed from its name."""

    VALIDATE = "validate"
    EVALUATE = "evaluate"
    APPROVE = "approve"
    DEPLOY = "deploy"
    ANONYMIZE = "anonymize"
    EXPORT = "export"


class Missing(enum.Enum):
    """The default of a parameter that has none."""

    MISSING = enum.auto()


MISSING = Missing.MISSING


@frozen(kw_only=True)
class Accelerator:
    """Devices on one machine. memory_mib: the least each device must have; None: any."""

    kind: str = "gpu"
    count: int = 1
    vendor: str | None = None
    model: str | None = None
    memory_mib: int | None = None

    @property
    def title(self) -> str:
        """What people call it: its kind, and who makes it where that is said."""
        return f"{self.vendor} {self.kind}" if self.vendor else self.kind


@frozen(kw_only=True)
class Resources:
    """What one attempt of a task may use; requests equal limits. cpu: cores. pool: a name of the project's."""

    cpu: float = 1.0
    memory_mib: int = 2048  # a scikit-learn or great-expectations process with a small table stays below 1 GiB
    accelerator: Accelerator | None = None
    machines: int = 1
    pool: str | None = None


@frozen(kw_only=True)
class Retry:
    """attempts counts the first; the wait doubles from backoff_s up to an hour."""

    attempts: int = 1
    backoff_s: int = 30


@frozen(kw_only=True)
class Input:
    """An artifact that a step reads. fits: its rows shape what is learned. many: a list of artifacts.

    hard: it need not be given, but where a step makes it, that step must have succeeded: without this an optional input
    lets its step run when the one that makes it was skipped. Either way it is absent where that one left it unwritten.
    """

    name: str
    type: Artifact
    optional: bool = False
    many: bool = False
    fits: bool = False
    hard: bool = False
    help: str = ""

    @property
    def is_soft(self) -> bool:
        """Whether its step runs without it where the step that makes it was skipped (language rule 1)."""
        return self.optional and not self.hard


@frozen(kw_only=True)
class Output:
    """What a step writes: an artifact, or a small value of some kind.

    split: which part of a split data set this is. same_as: the input that passes through unchanged. optional: an
    artifact that a success may leave unwritten, so that only optional inputs can read it. unless: the parameter
    which, if it is true, makes the step write it or not succeed. personal: it is about people, so that it leaves the
    project through a step of role `anonymize` only. personal_if: the parameter that says so where it is true. field:
    what a library step's class calls its place, where an input has the same name.
    """

    name: str
    type: Artifact | Kind
    split: str | None = None
    same_as: str | None = None
    optional: bool = False
    unless: str = ""
    personal: bool = False
    personal_if: str = ""
    field: str = ""
    help: str = ""


@frozen(kw_only=True)
class Parameter:
    """A value that a step takes.

    schema: its JSON Schema, constraints included. unit: of a number. secret: only a secret may be given.
    path: names a file beside the pipeline, which travels by content. location: a path or URL of data, read at run time.
    people: lists users and roles of the project; the compiler puts the members in a role's place. factory: names a
    function of the team, `package.module:function`, which the step's process imports from its image. instead_of: the
    parameter whose place it takes, so that only one of the two is given.
    """

    name: str
    kind: Kind
    schema: Mapping[str, Json] = field(default_factory=dict)
    default: Json | Missing = MISSING
    unit: str = ""
    secret: bool = False
    path: bool = False
    location: bool = False
    people: bool = False
    factory: bool = False
    instead_of: str = ""
    help: str = ""

    @property
    def is_required(self) -> bool:
        return self.default is MISSING


@frozen
class Slot:
    """The place in an argument of what a run gives: `inputs`, `outputs` or `parameters`, and a name among them."""

    root: str
    name: str


Word: TypeAlias = tuple[str | Slot, ...]  # what one argument is made of, from left to right


@frozen
class Words:
    """One element of a container's arguments. is_group: dropped whole when an input that it names is absent."""

    words: tuple[Word, ...]
    is_group: bool = False

    @property
    def slots(self) -> tuple[Slot, ...]:
        return tuple(part for word in self.words for part in word if isinstance(part, Slot))


@frozen(kw_only=True)
class Container:
    """How a step in another language is started: `kind: Step` manifests only. image: None for the project's."""

    command: tuple[str, ...]
    args: tuple[Words, ...] = ()
    image: str | None = None

    def describe(self) -> dict[str, Json]:
        """Return what is started as JSON, without the image: where it runs is not part of the contract."""
        return {
            "command": list(self.command),
            "args": [[argument.is_group, [_word(word) for word in argument.words]] for argument in self.args],
        }


def _word(word: Word) -> Json:
    return [part if isinstance(part, str) else [part.root, part.name] for part in word]


def _parameter(parameter: Parameter) -> Json:
    default = None if parameter.default is MISSING else [parameter.default]
    said = [parameter.name, parameter.kind, dict(parameter.schema), default, parameter.secret, parameter.path]
    return [*said, "factory"] if parameter.factory else said


@frozen(kw_only=True)
class Interface:
    """A step as the compiler knows it. version: its major version, as text. accelerators: kinds it can use.

    world: it asks or changes what lies outside of its inputs and parameters, so that no cache may answer for it.
    rooted: it reads or writes below the artifact root beside its own artifacts, as the releases there.
    distributed: its program finds its peers by itself when it is started on several machines. needs_accelerator: it is
    of no use without one of its accelerators.
    """

    name: str
    version: str
    summary: str
    role: Role | None = None
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    resources: Resources = Resources()
    accelerators: tuple[str, ...] = ()
    world: bool = False
    rooted: bool = False
    distributed: bool = False
    needs_accelerator: bool = False
    container: Container | None = None
    _digest: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def input(self, name: str) -> Input | None:
        return next((i for i in self.inputs if i.name == name), None)

    def output(self, name: str) -> Output | None:
        return next((o for o in self.outputs if o.name == name), None)

    def parameter(self, name: str) -> Parameter | None:
        return next((p for p in self.parameters if p.name == name), None)

    @property
    def artifacts(self) -> tuple[Output, ...]:
        """The outputs that are artifacts."""
        return tuple(o for o in self.outputs if isinstance(o.type, Artifact))

    @property
    def small_outputs(self) -> tuple[Output, ...]:
        """The outputs that are small values."""
        return tuple(o for o in self.outputs if isinstance(o.type, Kind))

    @property
    def always_runs(self) -> str:
        """Why no cache may answer for a step that declares this, or an empty text."""
        if self.role in (Role.APPROVE, Role.DEPLOY):
            return f"a step of role `{self.role}` always runs"
        if self.world:
            return "it asks or changes what lies outside of the run"
        if not self.outputs:
            return "it has no outputs, so it runs for its effect"
        if any(given.type is Artifact.ENDPOINT for given in self.inputs):
            return "it asks a server"
        return ""

    def describe(self) -> dict[str, Json]:
        """Return the contract as JSON: what callers and callee must agree on, without help texts and resources."""
        contract: dict[str, Json] = {
            "name": self.name,
            "version": self.version,
            "role": self.role,
            "inputs": [[i.name, i.type, i.optional, i.many, i.fits] for i in self.inputs],
            "outputs": [[o.name, o.type, o.split, o.same_as, o.optional] for o in self.outputs],
            "parameters": [_parameter(parameter) for parameter in self.parameters],
        }
        return {**contract, "container": self.container.describe()} if self.container else contract

    @property
    def digest(self) -> str:
        """The digest of the contract; a step that has another refuses to start."""
        if not self._digest:  # kept: every task of a plan is asked for it several times
            self._digest.append(digest.of_value(self.describe()))
        return self._digest[0]
