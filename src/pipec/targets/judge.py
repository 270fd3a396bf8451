"""What no container elsewhere can do, refused at its place: the judgement that cluster targets share.

Apart from `cluster.py`, which says how things are written, because this is said to people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pipec.compiler.plan import Plan, Task
from pipec.steps.interface import Accelerator
from pipec.targets.base import Feature, Options, Refusal, Use, every, place_of
from pipec.targets.cluster import (
    IMAGE,
    LABEL,
    NAME,
    VARIABLE,
    config_variables,
    is_relative,
    key_of,
    locations,
    secret_variables,
)
from pipec.targets.device import resource
from pipec.values import (
    ConfigRef,
    Gather,
    Json,
    Literal,
    ParameterRef,
    RunRef,
    SecretRef,
    Value,
    as_text,
    references,
    resolve,
)


def judge(
    plan: Plan, options: Options, target: str, finds: Callable[[Task, Value], bool] = lambda task, value: False
) -> Iterator[Refusal]:
    """Yield what of `plan` cannot run as containers on a cluster; `target` names the engine in messages.

    finds: says whether a run finds out the value of a variable before its task's container is made.
    """
    yield from _pipeline(plan, target)
    defaults: dict[str, object] = {p.name: p.default for p in plan.parameters}
    told: set[str] = set()
    for task in every(plan):
        if not task.loop:  # a loop runs nothing itself; the tasks of its body have images
            yield from _image(task, target)
            yield from _functions(task, options, target)
        yield from _locations(task, defaults, told)
        yield from _variables(task, finds)
        if not task.is_final:
            yield from _run_facts(task)
        if task.resources.accelerator:
            yield from _accelerator(task, task.resources.accelerator, target)


def _pipeline(plan: Plan, target: str) -> Iterator[Refusal]:
    if not NAME.fullmatch(plan.pipeline):
        yield Refusal(
            Use(Feature.METADATA, None, ("metadata", "name")),
            f"{target} cannot name a pipeline `{plan.pipeline}`",
            "use at most 63 of a-z, 0-9 and `-`, with a letter or digit at both ends",
        )
    for key, value in plan.labels:
        if not (LABEL.fullmatch(key) and (value == "" or LABEL.fullmatch(value))):
            yield Refusal(
                Use(Feature.METADATA, None, ("metadata", "labels", key)),
                f"{target} cannot label a pod `{key}: {value}`",
                "use at most 63 of A-Z, a-z, 0-9, `-`, `_` and `.` in a label's key and value",
            )
    for name, handed in plan.outputs:
        if isinstance(handed, Gather):
            yield unlisted(name, target)
    for parameter in plan.parameters:
        if not parameter.is_required and parameter.default is None:
            yield Refusal(
                Use(Feature.LOCATION_INPUT, None, ("inputs", parameter.name)),
                f"{target} cannot leave out the input `{parameter.name}` of a run",
                "give it a default, or remove `optional`",
            )
        if plan.schedules and parameter.is_required:
            yield Refusal(
                Use(Feature.SCHEDULE, None, ("parameters", parameter.name)),
                f"nobody gives `{parameter.name}` a value when the schedule starts a run",
                f"give it a default, or say `environments.<name>.parameters.{parameter.name}`",
            )


def unlisted(output: str, target: str) -> Refusal:
    """Return the refusal of a list of what several tasks wrote, as an output of the pipeline."""
    use = Use(Feature.OUTPUTS, None, ("outputs", output))
    return Refusal(use, f"{target} cannot give out what several tasks wrote as a list yet", "give out one of them")


def _image(task: Task, target: str) -> Iterator[Refusal]:
    if not task.image:
        yield Refusal(
            Use(Feature.IMAGE, task.step, ("image",)),
            f"step `{task.step}` has no image to run in on {target}",
            "say `image: <registry>/<name>@sha256:<digest>` in pipec.yaml",
        )
    elif not IMAGE.fullmatch(task.image):
        yield Refusal(
            Use(Feature.IMAGE, task.step, ("image",)),
            f"`{task.image}` is not the name of an image",
            "write `<registry>/<name>@sha256:<digest>`",
        )


def _functions(task: Task, options: Options, target: str) -> Iterator[Refusal]:
    """Yield the functions of the team in an image of which nothing is known; where it is known, a rule has judged.

    Not a rule, because only a cluster must find them in the image: a run on this machine imports them from here.
    """
    if options.contents(task.image or ""):
        return
    for name, value in task.functions:
        if isinstance(value, Literal):
            yield Refusal(
                Use(Feature.IMAGE, task.step, ("with", name)),
                f"{target} needs `{value.value}` in the image of `{task.step}`, "
                "and pipec.lock does not say what that has",
                "put it there: `pipec image build --with`, push the image, and run `pipec image lock`",
            )


def _locations(task: Task, defaults: Mapping[str, object], told: set[str]) -> Iterator[Refusal]:
    for name, value in locations(task):
        if not is_relative(value, defaults):
            continue
        parameter = next((ref.name for ref in references(value) if isinstance(ref, ParameterRef)), None)
        if parameter is None:
            yield Refusal(
                Use(Feature.LOCATION_INPUT, task.step, ("with", name)),
                f"a container cannot see this machine's files, and `{name}` of `{task.step}` names one",
                "give a URL, such as `s3://<bucket>/<path>`, in `environments.<name>.steps`",
            )
        elif parameter not in told:
            told.add(parameter)
            yield Refusal(
                Use(Feature.LOCATION_INPUT, None, ("parameters", parameter, "default")),
                f"a container cannot see this machine's files, and the default of `{parameter}` names one",
                f"set `environments.<name>.parameters.{parameter}` to a URL, such as `s3://<bucket>/<path>`",
            )


def _variables(task: Task, finds: Callable[[Task, Value], bool]) -> Iterator[Refusal]:
    for name, value in task.env:
        use = Use(Feature.ENV, task.step, ("env", name))
        if not VARIABLE.fullmatch(name) or name.startswith("PIPEC_"):
            yield Refusal(use, f"`{name}` cannot name a variable here", "use letters, digits and `_`; not `PIPEC_...`")
        elif isinstance(value, SecretRef | ConfigRef) or finds(task, value):
            continue
        elif any(references(value)):
            yield Refusal(use, "a variable must be known when the pipeline is compiled", "give it as a parameter")
        else:
            try:
                as_text(resolve(value, lambda reference: None))
            except TypeError:
                yield Refusal(use, "a variable can be text, a number or a boolean only", "give it as a parameter")


def cluster_secrets(task: Task, options: Options, target: str) -> Iterator[Refusal]:
    """Yield the secrets of a task that the environment does not keep in the cluster."""
    for _, name in secret_variables(task):
        if key_of(name, options.secrets):
            continue
        yield Refusal(
            secret_use(task, name),
            f"secret `{name}` is not in the cluster, where {target} could read it",
            f"say `secrets: {{{name}: {{kubernetes: {{name: <secret>, key: <key>}}}}}}` in pipec.yaml",
        )


def cluster_configs(task: Task, options: Options, target: str) -> Iterator[Refusal]:
    """Yield the configs of a task, known at run time only, that the environment does not keep in the cluster."""
    for _, name in config_variables(task):
        if key_of(name, options.configs):
            continue
        yield Refusal(
            Use(Feature.CONFIGS, task.step, place_of(task, ConfigRef(name))),
            f"config `{name}` is not in the cluster, where {target} could read it",
            f"say `configs: {{{name}: {{value: ...}}}}` or `{{kubernetes: {{name: <map>, key: <key>}}}}` in pipec.yaml",
        )


def cluster_volumes(task: Task, options: Options, target: str) -> Iterator[Refusal]:
    """Yield the volumes of a task that the environment does not keep in the cluster."""
    for mount, name in task.volumes:
        match options.volumes.get(name, {}).get("kubernetes"):
            case {"claim": str()}:
                continue
        yield Refusal(
            Use(Feature.VOLUMES, task.step, ("volumes", mount)),
            f"volume `{name}` is not in the cluster, where {target} could mount it",
            f"say `volumes: {{{name}: {{kubernetes: {{claim: <claim>}}}}}}` in the environment",
        )


def secret_use(task: Task, name: str) -> Use:
    """Return the first place in which a task uses the secret `name`."""
    return Use(Feature.SECRETS, task.step, place_of(task, SecretRef(name)))


def _run_facts(task: Task) -> Iterator[Refusal]:
    for name, value in task.parameters:
        if RunRef("outcome") in references(value):
            use = Use(Feature.RUN, task.step, ("with", name))
            yield Refusal(use, "the outcome of a run is known in `finally` only", "use `run.id` or `run.date`")


def _accelerator(task: Task, wanted: Accelerator, target: str) -> Iterator[Refusal]:
    if resource(wanted):
        return
    what = wanted.title
    yield Refusal(
        Use(Feature.ACCELERATOR, task.step, ("resources", "accelerator")),
        f"{target} does not know the resource of {'an' if what[0] in 'aefinoqu' and what != 'qpu' else 'a'} {what}",
        "use a gpu of vendor amd or nvidia, a tpu of google, or an npu of vendor aws, huawei (with its model) or intel",
    )


def is_exact(value: Json) -> bool:
    """Say whether a value survives engines that keep every number as a double: 2^53+1 becomes 2^53."""
    match value:
        case bool() | str() | None:
            return True
        case int():
            return abs(value) < 2**53
        case float():
            return value == value and abs(value) != float("inf")
        case Mapping():
            return all(is_exact(item) for item in value.values())
        case _:
            return all(is_exact(item) for item in value)
