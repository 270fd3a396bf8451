"""What a target is: a pure function from a plan to files, and an honest table of what it can say.

Every feature of the language is, on every target, emitted, emulated or refused at its place; nothing is dropped in
silence. Adding a target is one module that builds a `Target`, and one line in `api.TARGETS`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field

from pipec.compiler.plan import After, Plan, Task
from pipec.contents import Contents
from pipec.diagnostics import Rule
from pipec.record import frozen
from pipec.steps.interface import Container
from pipec.values import ConfigRef, EachRef, Gather, Json, OutputRef, Reference, RunRef, SecretRef, Value, references


@frozen
class File:
    """A file to write. path: relative to the output folder, with `/`."""

    path: str
    text: str


class Feature(enum.StrEnum):
    """What a plan may ask of a target, by the words of the language."""

    PARAMETERS = "parameters"
    NEEDS = "needs"
    WHEN = "when"
    STATUS = "status functions"
    OPTIONAL_INPUT = "optional inputs"
    MANY_INPUT = "inputs of many"
    LOCATION_INPUT = "locations as inputs"
    ENV = "env"
    SECRETS = "secrets"
    CONFIGS = "configs"
    RUN = "run.*"
    RETRY = "retry"
    TIMEOUT = "timeout"
    CACHE = "cache: false"
    CONTINUE_ON_ERROR = "continue_on_error"
    FINALLY = "finally"
    MATRIX = "matrix"
    LOOP = "for_each"
    FAN_IN = "steps.x[*]"
    PIPELINE_STEP = "pipelines as steps"
    ACCELERATOR = "resources.accelerator"
    MACHINES = "resources.machines"
    POOL = "resources.pool"
    VOLUMES = "volumes"
    FOREIGN_IMAGE = "steps of your own image"
    OUTPUTS = "outputs"
    SCHEDULE = "triggers.schedule"
    AFTER = "triggers.after"
    DATA = "triggers.data"
    CONCURRENCY = "concurrency"
    APPROVAL = "approve"
    IMAGE = "image"
    ARTIFACTS = "artifacts"
    METADATA = "metadata"


class Support(enum.StrEnum):
    """How a target meets a feature."""

    EMITTED = "emitted"
    EMULATED = "emulated"
    REFUSED = "no"


@frozen
class Use:
    """A plan's use of a feature. step: the user's step, or None for the pipeline. field: where, within either.

    Triggers are numbered as plans have them, those of each kind by themselves.
    """

    feature: Feature
    step: str | None
    field: tuple[str, ...]


@frozen
class Refusal:
    """Something in a plan that a target cannot say. message, help: as in a finding."""

    use: Use
    message: str
    help: str = ""


@frozen
class Remark:
    """What is to be said of a target's files, at the pipeline that they were made of. rule: the kind of finding."""

    rule: Rule
    message: str
    help: str = ""


@frozen
class Form:
    """Texts that an option may have, where they cannot be listed. pattern: of the whole. told: what people read."""

    pattern: str
    told: str


@frozen(kw_only=True)
class Options:
    """What emission depends on beside the plan.

    artifacts: the environment's artifact root, or None. settings: the environment's words for this target. values: the
    user's `-O name=value`. secrets: where each secret lies in the environment, as the project says it. source: the text
    of the pipeline's file, for targets that show it. image: of all steps that say none themselves. version: pipec's
    own. contents: what an image holds by its name in the plan, or None where the lock does not say it. listeners: by
    pipeline of the file that may start after this one, its triggers `after`.
    """

    artifacts: str | None = None
    settings: Mapping[str, Json] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    configs: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    volumes: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    pools: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    source: str = ""
    image: str | None = None
    version: str = ""
    contents: Callable[[str], Contents | None] = lambda image: None
    listeners: Mapping[str, tuple[After, ...]] = field(default_factory=dict)


@frozen(kw_only=True)
class Target:
    """An engine that pipec compiles for.

    options: the names `-O` knows, each with its allowed values (empty: any text). settings: JSON Schema of what an
    environment may say under the target's name. refuse: what of a plan it cannot say beyond `features`. emit: files.
    judge_files: what there is to say of the files that a plan became; nothing is written where one of it is an error.
    """

    name: str
    features: Mapping[Feature, Support]
    settings: Mapping[str, Json]
    emit: Callable[[Plan, Options], tuple[File, ...]]
    options: Mapping[str, tuple[str, ...] | Form] = field(default_factory=dict)
    refuse: Callable[[Plan, Options], Iterator[Refusal]] = lambda plan, options: iter(())
    judge_files: Callable[[tuple[File, ...], Options], Iterator[Remark]] = lambda files, options: iter(())


def refusals(target: Target, plan: Plan, options: Options) -> Iterator[Refusal]:
    """Yield everything in `plan` that `target` cannot say, in the order of the tasks."""
    for use in uses(plan):
        if target.features.get(use.feature, Support.REFUSED) is Support.REFUSED:
            able = ", ".join(_shown(f) for f in sorted(target.features) if target.features[f] is not Support.REFUSED)
            yield Refusal(use, f"{target.name} cannot say {_shown(use.feature)} yet", f"{target.name} can say {able}")
    yield from target.refuse(plan, options)


def _shown(feature: Feature) -> str:
    """Return a feature as it stands in a sentence: what is typed so, in backticks."""
    return feature if " " in feature and ": " not in feature else f"`{feature}`"


def uses(plan: Plan) -> Iterator[Use]:
    """Yield every feature that `plan` uses, with its place."""
    if plan.parameters:
        yield Use(Feature.PARAMETERS, None, ("parameters",))
    if plan.outputs:
        yield Use(Feature.OUTPUTS, None, ("outputs",))
    if plan.schedules:
        yield Use(Feature.SCHEDULE, None, ("triggers", "0", "schedule"))
    if plan.after:
        yield Use(Feature.AFTER, None, ("triggers", "0", "after"))
    if plan.data:
        yield Use(Feature.DATA, None, ("triggers", "0", "data"))
    if plan.concurrency:
        yield Use(Feature.CONCURRENCY, None, ("concurrency",))
    if plan.labels:
        yield Use(Feature.METADATA, None, ("metadata", "labels"))
    told: set[Use] = set()  # the tasks of one step use the same
    for task in every(plan):
        for feature, *place in _task_uses(task):
            use = Use(feature, task.step, tuple(str(part) for part in place))
            if use not in told:
                told.add(use)
                yield use


def every(plan: Plan) -> Iterator[Task]:
    """Yield all tasks of a plan, each loop before those in it."""
    for task in plan.tasks:
        yield task
        yield from inside(task)


def inside(task: Task) -> Iterator[Task]:
    """Yield the tasks of a loop's body, those of loops inside of it included."""
    for each in task.loop.body if task.loop else ():
        yield each
        yield from inside(each)


def _task_uses(task: Task) -> Iterator[tuple[Feature, *tuple[str, ...]]]:
    if any(need.order_only for need in task.needs):
        yield Feature.NEEDS, "needs"
    if task.when:
        yield Feature.WHEN, "when"
    if task.env:
        yield Feature.ENV, "env"
    if task.retry.attempts > 1:
        yield Feature.RETRY, "retry"
    if task.timeout_s is not None:
        yield Feature.TIMEOUT, "timeout"
    if not task.cache:
        yield Feature.CACHE, "cache"
    if task.continue_on_error:
        yield Feature.CONTINUE_ON_ERROR, "continue_on_error"
    if task.is_final:
        yield Feature.FINALLY, "uses"
    if task.group:
        yield Feature.MATRIX, "matrix"
    if task.loop:
        yield Feature.LOOP, "for_each"
    if "." in task.step:
        yield Feature.PIPELINE_STEP, "uses"
    if task.volumes:
        yield Feature.VOLUMES, "volumes"
    if task.resources.accelerator:
        yield Feature.ACCELERATOR, "resources", "accelerator"
    if task.resources.machines > 1:
        yield Feature.MACHINES, "resources", "machines"
    if task.resources.pool:
        yield Feature.POOL, "resources", "pool"
    if task.image:
        yield Feature.IMAGE, "image"
    if isinstance(task.interface.container, Container):
        yield Feature.FOREIGN_IMAGE, "uses"
    if task.interface.role == "approve":
        yield Feature.APPROVAL, "uses"
    yield from _input_uses(task)
    yield from _reference_uses(task)


def _input_uses(task: Task) -> Iterator[tuple[Feature, *tuple[str, ...]]]:
    for name, values in task.inputs:
        declared = task.interface.input(name)
        if declared and declared.optional:
            yield Feature.OPTIONAL_INPUT, "with", name
        if len(values) > 1 or (declared and declared.many):
            yield Feature.MANY_INPUT, "with", name
        if not all(isinstance(value, OutputRef | EachRef) for value in values):
            yield Feature.LOCATION_INPUT, "with", name


def placed(task: Task) -> Iterator[tuple[tuple[str, str], Value]]:
    """Yield every value that a task is given, with its place in the step."""
    for name, value in task.parameters:
        yield ("with", name), value
    for name, value in task.env:
        yield ("env", name), value
    for name, values in task.inputs:
        for value in values:
            yield ("with", name), value


def place_of(task: Task, *wanted: Reference) -> tuple[str, ...]:
    """Return the first place in which a task uses one of these references, or nothing."""
    return next((at for at, value in placed(task) if not set(wanted).isdisjoint(references(value))), ())


def _reference_uses(task: Task) -> Iterator[tuple[Feature, *tuple[str, ...]]]:
    for place, value in placed(task):
        if isinstance(value, Gather):
            yield Feature.FAN_IN, *place
        for reference in references(value):
            if isinstance(reference, EachRef):
                yield Feature.FAN_IN, *place
            if isinstance(reference, ConfigRef):
                yield Feature.CONFIGS, *place
            if isinstance(reference, SecretRef):
                yield Feature.SECRETS, *place
            if isinstance(reference, RunRef):
                yield Feature.RUN, *place
