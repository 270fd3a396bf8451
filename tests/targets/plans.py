"""Plans made by hand: whole lives of models that need neither the parser nor the step library."""

from __future__ import annotations

from pathlib import Path

from pipec.compiler.plan import Concurrency, Need, Plan, PlanParameter, Schedule, Task
from pipec.steps.declare import interface_of, param, reads, step, writes
from pipec.steps.interface import (
    Accelerator,
    Approval,
    Dataset,
    Endpoint,
    Interface,
    Kind,
    Metrics,
    Model,
    Report,
    Resources,
    Retry,
    Role,
)
from pipec.targets.base import Options
from pipec.values import Attachment, ConfigRef, Literal, OutputRef, ParameterRef, RunRef, SecretRef, Text, Value

IMAGE = "registry.example/pipec-steps@sha256:" + "0" * 64
ROOT = "s3://ml-prod/pipec"
# Texts that some reader on the way might take for more than text.
HOSTILE = [
    "{{ macros.uuid.os.popen('echo PWN').read() }}",
    "{% raw %}{{ x }}{% endraw %}",
    "a{# x #}b",
    "{{$}}",
    "$(HOME) for $$5, $1",
    "x\n",
    "a\r\nb\rc",
    "run.sh",
    "prod.env",
    "it's \"both\" \\ and \\\" '''",
    '"""',
    "#!coding: unicode_escape\\nimport os",
    "\\u007b\\u007b x",
    "é\u2028\x00\x7f\U0001f600",
    "]); import os; os.system('x')  #",
    "x" * 300 + "'" * 40 + '"' * 40,
    "",
]


@step("ingest", version="1")
class Ingest:
    """Copy rows in."""

    data: Path = writes(Dataset)
    rows: int = writes()
    source: str = param(location=True)
    dsn: str | None = param(default=None, secret=True)


@step("validate-data", version="1", role=Role.VALIDATE)
class Validate:
    """Judge rows."""

    data: Path = reads(Dataset)
    checked: Path = writes(Dataset, same_as="data")
    expectations: dict[str, object] | None = param(default=None, path=True)


@step("split", version="1")
class Split:
    """Part rows."""

    data: Path = reads(Dataset)
    train: Path = writes(Dataset, split="train")
    test: Path = writes(Dataset, split="test")
    seed: int = param(default=0)


@step("train", version="1", accelerators=("gpu",))
class Train:
    """Fit."""

    data: Path = reads(Dataset, fits=True)
    model: Path = writes(Model)
    metrics: Path = writes(Metrics)
    target: str = param()
    epochs: int = param(default=10)
    rate: float = param(default=1e-3)
    note: str = param(default="")
    layers: list[int] = param(default=[])
    options: dict[str, object] = param(default={})


@step("evaluate", version="1", role=Role.EVALUATE)
class Evaluate:
    """Judge a model."""

    model: Path = reads(Model)
    data: Path = reads(Dataset)
    judged: Path = writes(Model, same_as="model")
    report: Path = writes(Report)
    score: float = writes()
    gates: list[dict[str, object]] = param(default=[])


@step("approve", version="1", role=Role.APPROVE)
class Approve:
    """Ask people."""

    model: Path = reads(Model)
    evidence: Path = reads(Report, optional=True)
    approved: Path = writes(Model, same_as="model")
    approval: Path = writes(Approval)
    approvers: list[str] = param(people=True)


@step("deploy", version="1", role=Role.DEPLOY)
class Deploy:
    """Release."""

    model: Path = reads(Model)
    approval: Path = reads(Approval)
    endpoint: Path = writes(Endpoint)
    release: str = param(default="")


@step("monitor", version="1")
class Monitor:
    """Watch."""

    endpoint: Path = reads(Endpoint)
    reference: Path = reads(Dataset)
    batch: Path = reads(Dataset)
    drift: Path = writes(Report)
    since: str = param(default="")
    rows: int = param(default=0)


def task(name: str, cls: type, **fields: object) -> Task:
    """Return a task of step `cls` whose needs follow from what it reads; `needs` adds order alone."""
    interface: Interface = interface_of(cls)
    parameters: dict[str, Value] = dict(fields.pop("parameters", {}))  # type: ignore[call-overload]
    inputs: dict[str, Value] = dict(fields.pop("inputs", {}))  # type: ignore[call-overload]
    extra: list[str] = list(fields.pop("needs", ()))  # type: ignore[call-overload]
    filled = [(p.name, parameters.get(p.name, Literal(p.default))) for p in interface.parameters]  # type: ignore[arg-type]
    read = {v.task for v in [*inputs.values(), *parameters.values()] if isinstance(v, OutputRef)}
    needs = [Need(n) for n in read] + [Need(n, order_only=True) for n in extra if n not in read]
    fields.setdefault("image", IMAGE)
    return Task(
        name=name,
        step=name,
        interface=interface,
        parameters=tuple(filled),
        inputs=tuple((at, (value,)) for at, value in inputs.items()),
        needs=tuple(sorted(needs, key=lambda need: need.task)),
        **fields,  # type: ignore[arg-type]
    )


def parameter(name: str, kind: Kind, **fields: object) -> PlanParameter:
    schema = {"type": kind.json_type, **fields.pop("schema", {})}  # type: ignore[dict-item]
    return PlanParameter(name=name, kind=kind, schema=schema, **fields)  # type: ignore[arg-type]


def wine() -> Plan:
    """The eight steps of a model's life, with everything in them that the examples use."""
    tasks = (
        task(
            "ingest",
            Ingest,
            parameters={"source": ParameterRef("source"), "dsn": SecretRef("warehouse")},
            retry=Retry(attempts=3, backoff_s=30),
            timeout_s=3600,
        ),
        task(
            "validate",
            Validate,
            inputs={"data": OutputRef("ingest", "data")},
            parameters={"expectations": Attachment("wine.yaml", "columns: {quality: {between: [0, 10]}}\n")},
            retry=Retry(attempts=3, backoff_s=30),
            timeout_s=600,
        ),
        task("split", Split, inputs={"data": OutputRef("validate", "checked")}, parameters={"seed": Literal(7)}),
        task(
            "train",
            Train,
            inputs={"data": OutputRef("split", "train")},
            parameters={
                "target": Literal("quality"),
                "epochs": ParameterRef("epochs"),
                "rate": ParameterRef("rate"),
                "note": Text((Literal("it's {{ run_id }} and {{$}} of "), ParameterRef("stage"))),
                "layers": ParameterRef("layers"),
                "options": ParameterRef("options"),
            },
            resources=Resources(cpu=4, memory_mib=16384, accelerator=Accelerator(count=2)),
            env=(
                ("OMP_NUM_THREADS", Literal(4)),
                ("NOTE", Literal("$(HOME) costs $5")),
                ("WH", SecretRef("warehouse")),
            ),
            retry=Retry(attempts=2, backoff_s=60),
            cache=False,
        ),
        task(
            "evaluate",
            Evaluate,
            inputs={"model": OutputRef("train", "model"), "data": OutputRef("split", "test")},
            parameters={"gates": Literal([{"metric": "f1_macro", "minimum": 0.9}])},
            description="Judge on rows that training never saw",
        ),
        task(
            "approve",
            Approve,
            inputs={"model": OutputRef("evaluate", "judged"), "evidence": OutputRef("evaluate", "report")},
            parameters={"approvers": Literal(["ana@example.org", "bo@example.org"])},
        ),
        task(
            "deploy",
            Deploy,
            inputs={"model": OutputRef("approve", "approved"), "approval": OutputRef("approve", "approval")},
            parameters={"release": Text((RunRef("date"), Literal("/"), RunRef("id")))},
        ),
        task(
            "monitor",
            Monitor,
            inputs={
                "endpoint": OutputRef("deploy", "endpoint"),
                "reference": OutputRef("split", "train"),
                "batch": Literal("s3://wine/new.csv"),
            },
            parameters={"since": RunRef("scheduled_at"), "rows": OutputRef("ingest", "rows")},
            needs=("validate",),
        ),
    )
    return Plan(
        pipeline="wine-quality",
        description='Retrain and "release" the wine classifier',
        owner="ml-platform",
        labels=(("team", "ml"),),
        environment="prod",
        production=True,
        parameters=(
            parameter("source", Kind.STRING, default="s3://wine/prod.parquet", description="Where rows come from."),
            parameter("epochs", Kind.INTEGER, default=40, schema={"minimum": 1}),
            parameter("rate", Kind.NUMBER, default=1e-3, schema={"exclusiveMinimum": 0}),
            parameter("stage", Kind.STRING, default="dev", schema={"enum": ["dev", "prod"]}),
            parameter("layers", Kind.LIST, default=[64, 32], schema={"items": {"type": "integer"}}),
            parameter("options", Kind.OBJECT, default={"bias": True, "drop": None}),
        ),
        tasks=tasks,
        outputs=(("model", OutputRef("evaluate", "judged")), ("score", OutputRef("evaluate", "score"))),
        schedules=(Schedule(cron="0 3 * * 1"),),
        concurrency=Concurrency(maximum=1),
    )


def short() -> Plan:
    """Two steps: few enough for a golden to be read."""
    return Plan(
        pipeline="short",
        environment="dev",
        parameters=(parameter("source", Kind.STRING, default="s3://wine/rows.csv"),),
        tasks=(
            task("ingest", Ingest, parameters={"source": ParameterRef("source")}, retry=Retry(attempts=2)),
            task(
                "train",
                Train,
                inputs={"data": OutputRef("ingest", "data")},
                parameters={"target": Literal("quality")},
                timeout_s=600,
            ),
        ),
    )


def placed() -> Plan:
    """Five steps that ask for all that a cluster can be asked for: every key that the emitters write is in it."""
    return Plan(
        pipeline="placed",
        description="Where and how",
        owner="ml-platform",
        labels=(("team", "ml"),),
        environment="prod",
        parameters=(
            parameter("source", Kind.STRING, default="s3://wine/rows.csv", description="Where rows come from."),
            parameter("stage", Kind.STRING, is_required=True, schema={"enum": ["dev", "prod"]}),
        ),
        tasks=(
            task(
                "ingest",
                Ingest,
                parameters={"source": ParameterRef("source"), "dsn": SecretRef("warehouse")},
                env=(("REGION", ConfigRef("region")), ("MODE", Literal("fast"))),
                retry=Retry(attempts=3, backoff_s=30),
                timeout_s=3600,
            ),
            task("split", Split, inputs={"data": OutputRef("ingest", "data")}),
            task(
                "train",
                Train,
                inputs={"data": OutputRef("split", "train")},
                parameters={"target": ConfigRef("target"), "note": ParameterRef("stage")},
                env=(("WH", SecretRef("warehouse")),),
                resources=Resources(
                    cpu=4,
                    memory_mib=16384,
                    accelerator=Accelerator(model="a100", memory_mib=40960, count=2),
                    pool="fast",
                ),
                volumes=(("/scratch", "scratch"),),
            ),
            task(
                "evaluate",
                Evaluate,
                inputs={"model": OutputRef("train", "model"), "data": OutputRef("split", "test")},
            ),
            task(
                "approve",
                Approve,
                inputs={"model": OutputRef("evaluate", "judged"), "evidence": OutputRef("evaluate", "report")},
                parameters={"approvers": Literal(["ana@example.org"])},
            ),
            task(
                "monitor",
                Monitor,
                inputs={
                    "endpoint": Literal("s3://ml/endpoint"),
                    "reference": OutputRef("split", "train"),
                    "batch": Literal("s3://wine/new.csv"),
                },
                parameters={"rows": OutputRef("ingest", "rows")},
            ),
        ),
        outputs=(("model", OutputRef("evaluate", "judged")), ("score", OutputRef("evaluate", "score"))),
    )


PLACES: dict[str, object] = {
    "configs": {
        "region": {"kubernetes": {"name": "site", "key": "region"}},
        "target": {"kubernetes": {"name": "site", "key": "target"}},
    },
    "volumes": {"scratch": {"kubernetes": {"claim": "scratch-rwx", "sub_path": "wine"}}},
    "pools": {
        "fast": {
            "node_selector": {"disk": "nvme"},
            "tolerations": [
                {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
                {"key": "spot", "operator": "Equal", "value": "yes", "effect": "NoExecute", "seconds": 60},
            ],
            "queue": "ml",
            "priority": "high",
        }
    },
    "settings": {
        "namespace": "ml",
        "service_account": "pipec",
        "experiment": "wine",
        "pull_secrets": ["registry"],
        "pull_policy": "IfNotPresent",
        "run_as_user": 10001,
        "run_as_group": 10001,
    },
}


def options(**fields: object) -> Options:
    given: dict[str, object] = {
        "artifacts": ROOT,
        "secrets": {"warehouse": {"kubernetes": {"name": "wh", "key": "dsn"}}},
        "version": "0.1.0",
    } | fields
    return Options(**given)  # type: ignore[arg-type]


def chain(n_tasks: int) -> Plan:
    """A plan of that many tasks, each reading the one before it, for measuring."""
    tasks = [task("t0", Split, inputs={"data": Literal("s3://b/k")})]
    tasks += [task(f"t{i}", Split, inputs={"data": OutputRef(f"t{i - 1}", "train")}) for i in range(1, n_tasks)]
    return Plan(pipeline="chain", tasks=tuple(tasks))
