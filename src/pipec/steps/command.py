"""How a step is called: the values that carry a call, and their one text form.

The compiler's half of a call is an `Order` (static, byte-stable JSON); the run's half comes from whoever runs it, and
`steps/decode.py` joins the two to a `Call`. What a step computes must not depend on who called it. Knows no plan and
no target.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, field
from typing import assert_never

from pipec.condition import Condition, describe, parse
from pipec.record import frozen
from pipec.steps.declare import CallerError
from pipec.values import (
    ConfigRef,
    EachRef,
    ItemRef,
    Json,
    MatrixRef,
    OutputRef,
    ParameterRef,
    Reference,
    RunRef,
    SecretRef,
    Value,
    decode,
    encode,
)

FORMAT = "1"
# A task's result file: {"format", "outcome", "message", "values": {name: small output}, "artifacts": {name: {"type",
# "digest"}}, "inputs": {name: [digest, ...]}}. No time, host or path may enter it: traces of engines are compared.
ATTEMPT = "PIPEC_ATTEMPT"  # a variable: an engine on this machine started the process and looks after it; names it
RESULT = "result.json"  # beside a task's outputs: small outputs and digests, read by the tasks that follow
PLACES = "places.json"  # beside a result that lies apart from its artifacts: {output: location}
FINAL_STATUS = "final-status"  # an input: how Kubeflow saw the run end, for a final step
ITERATION = "iteration"  # an input: tells a task's iterations in a loop apart, and is the same for all its attempts
RUN_ID = "PIPEC_RUN_ID"  # a variable: the run's id, where it must not be an input, because a cache keys by inputs
# Ends of the names of tasks that Airflow has beside an approval's own: what shows the subject, and what asks a person.
ITEMS = "-items"  # behind a loop's name: what finds out its list on Airflow
SUBJECT_HALF, DECISION_HALF = "-subject", "-decision"
INPUTS_HALF, RUN_HALF = "-inputs", "-run"  # and beside a step of another image: what is before it, and that image
HALVES = ((SUBJECT_HALF, DECISION_HALF), (INPUTS_HALF, RUN_HALF))
STATE, REASON = "pipec-state", "pipec-reason"  # small outputs of a task that reports: how it ended, and why
_TEMPLATE = re.compile(r"\{[{%#]|\$[$(]")
_ENCODER = json.JSONEncoder(allow_nan=False)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_DOLLAR = re.compile(r"\$(?=[$(])")


@frozen
class ReportedNeed:
    """A need on a task that reports; the fields are those of the plan's `Need`."""

    task: str
    soft: bool = False
    forgiving: bool = False
    any_of: str = ""


@frozen
class Report:
    """What a task needs to judge by itself whether it runs, for an orchestrator that knows hard edges only.

    Such a task leaves its end as small outputs, and ends with 0 however the step did. needs: on tasks that report; all
    others have succeeded, or the container would not have been started. timeout_s: of one attempt, or None.
    """

    needs: tuple[ReportedNeed, ...] = ()
    when: Condition | None = None
    timeout_s: int | None = None


@frozen
class Ended:
    """A task that has ended before a final step starts. needs: tasks. is_conditional: it may have been skipped."""

    task: str
    needs: tuple[str, ...] = ()
    is_conditional: bool = False


@frozen(kw_only=True)
class Order:
    """What is known of a task's call at compile time.

    step: `name@version`. interface: the digest of the interface compiled against. inputs: artifacts, each a reference
    to an output or a location. environment: its name, or empty. wait_s: how long the step may wait for the world.
    attempts, backoff_s: how often the runtime itself tries (see `steps/again.py`), where the orchestrator cannot tell a
    refusal from a failure. env: the digest of the task's plain variables, there only so that a cache sees them.
    hidden: names of variables whose values are secrets, so that no log shows them. devices: kind and count of the
    accelerators that must be there. cache: whether the runtime keeps a cache, because the orchestrator has none.
    report: set for a task that judges by itself whether it runs. ledger: what of its results is also kept in the run's
    folder: `all`, or `bad` ones only where tasks share a place there. ends: of a final step, all tasks of the run
    before it. forgiven: those of the tasks named in `report` and `ends` that have `continue_on_error`. marks: how
    many attempts the orchestrator lets follow one that ended badly, whatever that was, so that an end for good is noted
    in the run's folder; 0: none. foreign: what the task declares, where no library has it (`steps/carried.py`).
    """

    pipeline: str
    task: str
    step: str
    interface: str
    parameters: tuple[tuple[str, Value], ...] = ()
    inputs: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    environment: str = ""
    threads: int = 1
    wait_s: int = 0
    attempts: int = 1
    backoff_s: int = 0
    env: str = ""
    hidden: tuple[str, ...] = ()
    devices: tuple[str, int] | None = None
    cache: bool = False
    report: Report | None = None
    ledger: str = ""
    ends: tuple[Ended, ...] = ()
    forgiven: tuple[str, ...] = ()
    marks: int = 0
    foreign: Mapping[str, Json] | None = None


@frozen
class Location:
    """Where an artifact lies (a path or URL), and the digest it must have, if known. digest: `sha256:...` or None."""

    uri: str
    digest: str | None = None


@frozen(kw_only=True)
class Call:
    """Everything one attempt of a step needs.

    outputs: where each artifact goes, by name; under `*`, a folder for all of them. uris: what Kubeflow calls the place
    of each artifact, where that differs from where it is mounted. result: where the result file goes.
    secrets: parameters whose value is a secret, as parameter -> name of the secret. A call file must not hold the
    value: `decode_arguments` takes it from the environment, at `secret_variable(name)`.
    small_outputs: extra files that want one small output each as text (Kubeflow), by name.
    kubeflow_output: where Kubeflow wants its executor output, or None. decision: a location, or `json:` and the text.
    foreign: the whole interface (`steps/carried.py`) of a step in another language, or of what is handed to one; None
    for a step of the library.
    prefix: words that start the container in which its command runs, instead of the command's own first word.
    hidden, devices, env, ledger: as an order has them. cache: where work done earlier is kept (a location), or None.
    mark: where an end for good is noted, or None. marks: as an order has them. xcom: where the small outputs also go,
    for Airflow's rules: a file, or `-` for the last line of standard output. workspace: a folder that another image
    sees too. variables: that image's. tries: how many attempts it may make; attempt: which of them went well.
    """

    pipeline: str
    task: str
    step: str
    interface: str
    run_id: str
    parameters: Mapping[str, Json] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, tuple[Location, ...]] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    uris: Mapping[str, str] = field(default_factory=dict)
    result: str | None = None
    small_outputs: Mapping[str, str] = field(default_factory=dict)
    kubeflow_output: str | None = None
    environment: str = ""
    scheduled_at: str = ""
    outcome: str = ""
    threads: int = 1
    decision: str | None = None
    wait_s: float = 0.0
    releases: str | None = None
    triggers: str | None = None
    base: str | None = None
    attempts: int = 1
    backoff_s: float = 0.0
    foreign: Mapping[str, Json] | None = None
    prefix: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    devices: tuple[str, int] | None = None
    cache: str | None = None
    env: str = ""
    ledger: str = ""
    mark: str | None = None
    marks: int = 0
    xcom: str | None = None
    variables: Mapping[str, Json] = field(default_factory=dict)
    workspace: str | None = None
    tries: int = 1
    attempt: int = 0

    def as_json(self) -> str:
        """Return the call as the text of a call file."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)


def order_text(order: Order) -> str:
    """Return the order as one JSON text that no template engine on its way reads as a template.

    Three lie on the way: KFP's placeholders and Airflow's Jinja look for `{{`, `{%`, `{#`; Kubernetes rewrites
    `$(NAME)` and `$$` in a container's arguments. Inside strings such a `{` is written `\\u007b` and such a `$`
    `\\u0024`; JSON itself never puts two braces side by side at the opening of an object.
    """
    body: dict[str, Json] = {
        "format": FORMAT,
        "pipeline": order.pipeline,
        "task": order.task,
        "step": order.step,
        "interface": order.interface,
        "parameters": {name: encode(value) for name, value in order.parameters},
        "inputs": {name: [encode(value) for value in values] for name, values in order.inputs},
        "environment": order.environment,
        "threads": order.threads,
        "wait_s": order.wait_s,
    }
    if order.attempts > 1:
        body |= {"attempts": order.attempts, "backoff_s": order.backoff_s}
    if order.env:
        body["env"] = order.env
    if order.hidden:
        body["hidden"] = list(order.hidden)
    if order.devices:
        body["devices"] = list(order.devices)
    if order.cache:
        body["cache"] = True
    if order.report:
        body["report"] = _described(order.report)
    if order.ledger:
        body["ledger"] = order.ledger
    if order.ends:
        body["ends"] = [[end.task, list(end.needs), end.is_conditional] for end in order.ends]
    if order.forgiven:
        body["forgiven"] = list(order.forgiven)
    if order.marks:
        body["marks"] = order.marks
    if order.foreign is not None:
        body["foreign"] = order.foreign
    return guarded(_ENCODER.encode(body))


def guarded(text: str) -> str:
    """Return JSON text that means the same, and that no template engine on its way reads as a template."""
    if _TEMPLATE.search(text) is None:
        return text
    return _STRING.sub(lambda found: _DOLLAR.sub(r"\\u0024", found[0].replace("{", r"\u007b")), text)


def parse_order(text: str) -> Order:
    """Return the order that `order_text` wrote. Raises CallerError at any other text."""
    try:
        body = json.loads(text)
        if body["format"] != FORMAT:
            raise CallerError(f"the order has format {body['format']}, this image reads {FORMAT}: compile again")
        return Order(
            pipeline=body["pipeline"],
            task=body["task"],
            step=body["step"],
            interface=body["interface"],
            parameters=tuple((name, decode(value)) for name, value in body["parameters"].items()),
            inputs=tuple((name, tuple(decode(v) for v in values)) for name, values in body["inputs"].items()),
            environment=body["environment"],
            threads=body["threads"],
            wait_s=body["wait_s"],
            attempts=body.get("attempts", 1),
            backoff_s=body.get("backoff_s", 0),
            env=body.get("env", ""),
            hidden=tuple(body.get("hidden", ())),
            devices=devices_of(body.get("devices")),
            cache=body.get("cache", False),
            report=_report(body.get("report")),
            ledger=body.get("ledger", ""),
            ends=tuple(_ended(end) for end in body.get("ends", ())),
            forgiven=tuple(body.get("forgiven", ())),
            marks=body.get("marks", 0),
            foreign=body.get("foreign"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise CallerError(f"--order is not an order that pipec wrote ({fault}): compile the pipeline again") from fault


def _described(report: Report) -> dict[str, Json]:
    return {
        "needs": [[need.task, need.soft, need.forgiving, need.any_of] for need in report.needs],
        "when": describe(report.when) if report.when else None,
        "timeout_s": report.timeout_s,
    }


def _report(written: Mapping[str, Json] | None) -> Report | None:
    match written:
        case None:
            return None
        case {"needs": [*needs], "when": when, "timeout_s": int() | None as timeout_s}:
            return Report(tuple(_need(need) for need in needs), None if when is None else parse(when), timeout_s)
    raise ValueError("its report is not needs, a condition and a time")


def _need(written: Json) -> ReportedNeed:
    match written:
        case [str(task), bool(soft), bool(forgiving), str(any_of)]:
            return ReportedNeed(task, soft, forgiving, any_of)
    raise ValueError("a need of its report is not one")


def _ended(written: Json) -> Ended:
    match written:
        case [str(task), [*needs], bool(is_conditional)]:
            return Ended(task, tuple(str(need) for need in needs), is_conditional)
    raise ValueError("an end that it names is not one")


def devices_of(written: list[Json] | None) -> tuple[str, int] | None:
    match written:
        case None:
            return None
        case [str(kind), int(count)]:
            return kind, count
    raise ValueError("its devices are not a kind and a count")


def parse_call(text: str) -> Call:
    """Return the call of a call file. Raises CallerError at any other text."""
    try:
        body = json.loads(text)
        if body.pop("format") != FORMAT:
            raise CallerError(f"the call has another format than {FORMAT}: engine and step library differ in version")
        body["inputs"] = {name: tuple(Location(**at) for at in places) for name, places in body["inputs"].items()}
        body["hidden"] = tuple(body.get("hidden", ()))
        body["devices"] = devices_of(body.get("devices"))
        body["prefix"] = tuple(body.get("prefix", ()))
        return Call(**body)
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise CallerError(f"the call file is not one that pipec wrote ({fault})") from fault


def input_name(reference: Reference) -> str:
    """Return the name under which Kubeflow carries the value of `reference` into a task."""
    match reference:
        case ParameterRef(name):
            return f"parameter-{name}"
        case OutputRef(task, output):
            return f"output-{task}-{output}"
        case RunRef("date"):
            return input_name(RunRef("scheduled_at"))  # the date is cut from it
        case RunRef(name):
            return f"run-{name}"
        case ItemRef(field, loop):
            return "-".join(part for part in ("item", loop, field) if part)
        case EachRef(task, output):
            return f"each-{task}-{output}"
        case SecretRef(name) | ConfigRef(name):
            raise AssertionError(f"`{name}` reaches a step by its environment, not as an input")
        case MatrixRef(axis, _):
            raise AssertionError(f"command.input_name got the axis `{axis}` (lower puts the cell's value in its place)")
        case _:
            assert_never(reference)


def state_name(task: str) -> str:
    """Return the name under which Kubeflow carries how `task` ended into a task that asks."""
    return f"state-{task}"


def reason_name(task: str) -> str:
    """Return the name under which Kubeflow carries why `task` ended so."""
    return f"reason-{task}"


def run_folder(root: str, pipeline: str, run_id: str) -> str:
    """Return where a run keeps its artifacts below `root`; run ids may hold `:` and `+`, locations better not."""
    safe = "".join(char if char.isalnum() or char in "-_." else "_" for char in run_id)
    return f"{root.rstrip('/')}/runs/{pipeline}/{safe}"


def run_fact(name: str, *, run_id: str, scheduled_at: str, outcome: str) -> Json:
    """Return `run.<name>`; the date is that of the trigger, so that a resumed run keeps it."""
    match name:
        case "id":
            return run_id
        case "scheduled_at":
            return scheduled_at
        case "date":
            return scheduled_at[:10]
        case "outcome":
            return outcome
    raise CallerError(f"`run.{name}` is not known here")


def secret_variable(name: str) -> str:
    """Return the environment variable in which secret `name` reaches a step."""
    return "PIPEC_SECRET_" + name.upper().replace("-", "_")


def config_variable(name: str) -> str:
    """Return the environment variable in which config `name` reaches a step."""
    return "PIPEC_CONFIG_" + name.upper().replace("-", "_")
