"""Pipelines in KFP's own DSL, with everything that its compiler writes: what the verifier must take without a word."""

# No `from __future__ import annotations` here: kfp reads annotations as objects, and it knows no `X | None`.
from collections.abc import Callable
from typing import Optional

from kfp import dsl, kubernetes
from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output

IMAGE = "registry.example/steps:1"


@dsl.component(base_image=IMAGE)
def flip() -> str:
    return "heads"


@dsl.component(base_image=IMAGE)
def number() -> int:
    return 3


@dsl.component(base_image=IMAGE)
def listed() -> list[str]:
    return ["a", "b"]


@dsl.component(base_image=IMAGE)
def records() -> list[dict]:
    return [{"a": 1, "b": "x"}]


@dsl.component(base_image=IMAGE)
def say(text: str) -> str:
    return text


@dsl.component(base_image=IMAGE)
def say_or(text: str = "nothing") -> str:
    return text


@dsl.component(base_image=IMAGE)
def double(value: int) -> int:
    return 2 * value


@dsl.component(base_image=IMAGE)
def total(values: list[int]) -> int:
    return sum(values)


@dsl.component(base_image=IMAGE)
def every_type(
    text: str = "a", count: int = 3, rate: float = 0.5, is_fast: bool = False, items: list = [1, "a"],  # noqa: B006
    options: dict = {"k": 1},  # noqa: B006
) -> str:  # fmt: skip
    return text


@dsl.component(base_image=IMAGE)
def make(rows: Output[Dataset], metrics: Output[Metrics], n: int = 3) -> int:
    return n


@dsl.component(base_image=IMAGE)
def fit(rows: Input[Dataset], model: Output[Model], rate: float = 1e-3) -> None: ...


@dsl.component(base_image=IMAGE)
def look(thing: Input[Artifact]) -> str:
    return thing.uri


@dsl.component(base_image=IMAGE)
def look_at_all(models: Input[list[Model]]) -> None: ...


@dsl.component(base_image=IMAGE)
def maybe(rows: Input[Dataset] = None, text: Optional[str] = None) -> None: ...  # noqa: UP045


@dsl.component(base_image=IMAGE)
def tell(status: dsl.PipelineTaskFinalStatus, text: str = "done") -> None: ...


@dsl.component(base_image=IMAGE)
def packed() -> str:
    return "it is `{{ no placeholder }}`, {% nor this %}, 1e-3"


@dsl.container_component
def shell(text: str, count: int, rows: Input[Dataset], out: Output[Dataset], lines: dsl.OutputPath(int)):
    return dsl.ContainerSpec(
        image=IMAGE, command=["sh", "-c", f'cp "$0" "$1" && echo {count} > "$2"'], args=[rows.path, out.path, lines]
    )


@dsl.container_component
def joined(first: str, second: str = "b"):
    return dsl.ContainerSpec(
        image=IMAGE, command=["echo"], args=[dsl.ConcatPlaceholder(["--x=", first, "-", second]), f"{first}/{second}"]
    )


@dsl.container_component
def perhaps(text: Optional[str] = None, rows: Input[Dataset] = None):  # noqa: UP045
    return dsl.ContainerSpec(
        image=IMAGE,
        command=["run"],
        args=[
            dsl.IfPresentPlaceholder(input_name="text", then=["--text", text], else_=["--no-text"]),
            dsl.IfPresentPlaceholder(input_name="text", then=dsl.ConcatPlaceholder(["--t=", text])),
        ],
    )


@dsl.container_component
def bare():
    return dsl.ContainerSpec(image=IMAGE, command=["date"])


@dsl.pipeline(name="chain")
def chain(source: str = "s3://b/k", n: int = 10):
    made = make(n=n)
    fitted = fit(rows=made.outputs["rows"])
    look(thing=fitted.outputs["model"]).after(made)
    say(text=source)


@dsl.pipeline(name="types", description="of every type", display_name="Every Type")
def types(
    text: str = "a", count: int = 3, rate: float = 1e-3, is_fast: bool = True, items: list = ["a"],  # noqa: B006
    options: dict = {"k": {"l": [1]}}, needed: str = "",  # noqa: B006
):  # fmt: skip
    every_type(text=text, count=count, rate=rate, is_fast=is_fast, items=items, options=options)
    every_type()
    every_type(text="1e-3", count=-1, rate=2.0, is_fast=False, items=[[1], {"a": False}], options={})
    every_type(text=f"{text}-{count}", options={"text": text}, items=[text, count])


@dsl.pipeline(name="containers")
def containers(text: str = "a"):
    made = make()
    shell(text=text, count=3, rows=made.outputs["rows"])
    joined(first=text)
    joined(first="x", second="y")
    perhaps()
    perhaps(text=text)
    bare()


@dsl.pipeline(name="if")
def condition():
    coin = flip()
    with dsl.If(coin.output == "heads", "win"):
        say(text="yes")


@dsl.pipeline(name="if-elif-else")
def conditions(limit: int = 3, is_fast: bool = True) -> str:
    count = number()
    with dsl.If(count.output > limit):
        one = say(text="many")
    with dsl.Elif(count.output == 2):
        two = say(text="two")
    with dsl.Else():
        other = say(text="few")
    with dsl.If(is_fast == True):  # noqa: E712
        say(text="fast")
    return dsl.OneOf(one.output, two.output, other.output)


@dsl.pipeline(name="one-of-artifacts")
def one_of_artifacts() -> Dataset:
    coin = flip()
    with dsl.If(coin.output == "heads"):
        one = make()
    with dsl.Else():
        two = make(n=2)
    chosen = dsl.OneOf(one.outputs["rows"], two.outputs["rows"])
    look(thing=chosen)
    return chosen


@dsl.pipeline(name="nested-conditions")
def nested_conditions(text: str = "a"):
    coin = flip()
    with dsl.If(coin.output != "tails"):
        again = flip()
        with dsl.If(again.output == text):
            say(text=coin.output)
        with dsl.Else():
            say(text=again.output)


@dsl.pipeline(name="loop-over-constants")
def loop():
    with dsl.ParallelFor(["a", "b"]) as item:
        say(text=item)
    with dsl.ParallelFor([1, 2, 3], parallelism=2) as count:
        double(value=count)
    with dsl.ParallelFor([{"a": "x", "b": "y"}]) as pair:
        say(text=pair.a)


@dsl.pipeline(name="loop-over-a-parameter")
def loop_over_parameter(items: list = ["a"]):  # noqa: B006
    with dsl.ParallelFor(items, name="each of them") as item:
        say(text=item)


@dsl.pipeline(name="loop-over-an-output")
def loop_over_output():
    with dsl.ParallelFor(listed().output) as item:
        said = say(text=item)
        look_again = say(text=said.output)
        look_again.after(said)
    with dsl.ParallelFor(records().output) as record:
        say(text=record.b)


@dsl.pipeline(name="nested-loops")
def nested_loops(items: list = [1, 2]):  # noqa: B006
    with dsl.ParallelFor(items) as first, dsl.ParallelFor([1, 2]) as second:
        double(value=second)
        double(value=first)


@dsl.pipeline(name="loop-with-conditions")
def loop_with_conditions(limit: int = 2):
    with dsl.ParallelFor([1, 2, 3]) as count:
        twice = double(value=count)
        with dsl.If(twice.output > limit):
            say(text="large")
        with dsl.If(count == 1):
            say(text="first")


@dsl.pipeline(name="collected-parameters")
def collected() -> int:
    with dsl.ParallelFor([1, 2, 3]) as count:
        twice = double(value=count)
    return total(values=dsl.Collected(twice.output)).output


@dsl.pipeline(name="collected-artifacts")
def collected_artifacts() -> list[Model]:
    made = make()
    with dsl.ParallelFor([0.1, 0.2], parallelism=1) as rate:
        fitted = fit(rows=made.outputs["rows"], rate=rate)
    look_at_all(models=dsl.Collected(fitted.outputs["model"]))
    return dsl.Collected(fitted.outputs["model"])


@dsl.pipeline(name="collected-under-a-condition")
def collected_conditions(limit: int = 2):
    with dsl.ParallelFor([1, 2, 3]) as count, dsl.If(count >= limit):
        twice = double(value=count)
    total(values=dsl.Collected(twice.output))


@dsl.pipeline(name="exit-handler")
def exit_handler(text: str = "a"):
    with dsl.ExitHandler(tell(text=text), name="all of it"):
        made = say(text=text)
        say(text=made.output)


@dsl.pipeline(name="exit-handlers")
def exit_handlers():
    with dsl.ExitHandler(tell()):
        say(text="a")
    with dsl.ExitHandler(say(text="done")):
        say(text="b")
    say(text="c")


@dsl.pipeline(name="ignored-failure")
def ignored_failure(text: str = "a"):
    made = say(text=text)
    say_or(text=made.output).ignore_upstream_failure()


@dsl.pipeline(name="importer")
def importer(uri: str = "s3://b/m"):
    fixed = dsl.importer(artifact_uri="s3://b/d.csv", artifact_class=Dataset, reimport=False, metadata={"k": "v"})
    given = dsl.importer(artifact_uri=uri, artifact_class=Model, reimport=True, metadata={"from": uri})
    fit(rows=fixed.output)
    look(thing=given.output)
    coin = flip()
    with dsl.If(coin.output == "heads"):
        look(thing=dsl.importer(artifact_uri=uri, artifact_class=Artifact).output)


@dsl.pipeline(name="inner")
def inner(text: str, n: int = 2) -> str:
    make(n=n)
    return say(text=text).output


@dsl.pipeline(name="inner-model")
def inner_model(rows: Input[Dataset]) -> Model:
    return fit(rows=rows).outputs["model"]


@dsl.pipeline(name="sub-pipelines")
def sub_pipelines(text: str = "a") -> str:
    said = inner(text=text)
    again = inner(text=said.output, n=5)
    model = inner_model(rows=make().outputs["rows"])
    look(thing=model.output)
    coin = flip()
    with dsl.If(coin.output == "heads"):
        inner(text="in a condition")
    return again.output


@dsl.pipeline(name="sub-pipeline-as-exit")
def sub_pipeline_exit(text: str = "a"):
    with dsl.ExitHandler(inner(text=text)):
        say(text=text)


@dsl.pipeline(name="optional-inputs")
def optional(text: Optional[str] = None):  # noqa: UP045
    maybe()
    maybe(rows=make().outputs["rows"], text=text)


@dsl.pipeline(name="resources")
def resources(cpu: str = "2", kind: str = "nvidia.com/gpu", devices: int = 1):
    task = say(text="a")
    task.set_cpu_request("500m").set_cpu_limit("2").set_memory_request("512Mi").set_memory_limit("4Gi")
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(2)
    say(text="b").set_cpu_limit(cpu).set_memory_limit("1G")
    say(text="c").set_accelerator_type(kind).set_accelerator_limit("1")
    flip().set_memory_limit("16Gi").set_cpu_limit("0.5")
    other = say(text="d")
    other.set_cpu_limit(say(text="4").output)
    other.set_container_image("registry.example/other@sha256:" + "0" * 64)


@dsl.pipeline(name="retries-and-caches")
def retries():
    flip().set_retry(3)
    number().set_retry(2, backoff_duration="30s", backoff_factor=2, backoff_max_duration="1h")
    say(text="a").set_caching_options(False)
    say(text="b").set_caching_options(True, cache_key="k")
    say(text="c").set_env_variable("MODE", "fast").set_env_variable("LANG", "C").set_display_name("See, Three")


@dsl.pipeline(name="facts-of-the-run")
def facts():
    say(text=dsl.PIPELINE_JOB_NAME_PLACEHOLDER)
    say(text=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
    say(text=dsl.PIPELINE_TASK_NAME_PLACEHOLDER)
    say(text=dsl.PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER)
    packed()


@dsl.pipeline(name="cluster")
def cluster(secret: str = "s", claim: str = "c"):
    task = say(text="a")
    kubernetes.use_secret_as_env(task, secret_name="warehouse", secret_key_to_env={"dsn": "DSN"})
    kubernetes.use_secret_as_env(task, secret_name=secret, secret_key_to_env={"a": "A"})
    kubernetes.use_secret_as_volume(task, secret_name="tls", mount_path="/tls", optional=True)
    kubernetes.use_config_map_as_env(task, config_map_name="site", config_map_key_to_env={"region": "REGION"})
    kubernetes.use_config_map_as_volume(task, config_map_name="site", mount_path="/site")
    kubernetes.use_field_path_as_env(task, env_name="POD", field_path="metadata.name")
    kubernetes.mount_pvc(task, pvc_name=claim, mount_path="/data")
    kubernetes.set_image_pull_secrets(task, ["registry"])
    kubernetes.set_image_pull_policy(task, "Always")
    kubernetes.add_pod_label(task, "team", "ml")
    kubernetes.add_pod_annotation(task, "note", "any text, at all")


@dsl.pipeline(name="placement")
def placement():
    task = say(text="a")
    kubernetes.add_node_selector(task, "gpu", "a100")
    kubernetes.add_toleration(task, key="nvidia.com/gpu", operator="Exists", effect="NoExecute", toleration_seconds=60)
    kubernetes.add_node_affinity(task, match_expressions=[{"key": "k", "operator": "In", "values": ["v"]}], weight=5)
    kubernetes.set_timeout(task, 600)
    kubernetes.set_security_context(task, run_as_user=1000, run_as_group=0, run_as_non_root=True)
    kubernetes.empty_dir_mount(task, volume_name="tmp", mount_path="/scratch", medium="Memory", size_limit="1Gi")
    kubernetes.add_ephemeral_volume(
        task, volume_name="big", mount_path="/big", access_modes=["ReadWriteOnce"], size="5Gi",
        storage_class_name="fast",
    )  # fmt: skip


@dsl.pipeline(name="placement-by-parameters")
def placement_by_parameters(toleration: dict = {}, selector: dict = {}, affinity: dict = {}):  # noqa: B006
    task = say(text="a")
    kubernetes.add_toleration_json(task, toleration)
    kubernetes.add_node_selector_json(task, selector)
    kubernetes.add_node_affinity_json(task, affinity)


@dsl.pipeline(name="volumes")
def volumes():
    made = kubernetes.CreatePVC(pvc_name_suffix="-data", access_modes=["ReadWriteMany"], size="5Gi")
    task = say(text="a")
    kubernetes.mount_pvc(task, pvc_name=made.outputs["name"], mount_path="/data")
    kubernetes.DeletePVC(pvc_name=made.outputs["name"]).after(task)


@dsl.pipeline(
    name="workspace",
    pipeline_config=dsl.PipelineConfig(
        workspace=dsl.WorkspaceConfig(
            size="1Gi", kubernetes=dsl.KubernetesWorkspaceConfig(pvcSpecPatch={"accessModes": ["ReadWriteOnce"]})
        )
    ),
)
def workspace():
    say(text=dsl.WORKSPACE_PATH_PLACEHOLDER)


PIPELINES: tuple[Callable[..., object], ...] = (
    chain, types, containers, condition, conditions, one_of_artifacts, nested_conditions, loop, loop_over_parameter,
    loop_over_output, nested_loops, loop_with_conditions, collected, collected_artifacts, collected_conditions,
    exit_handler, exit_handlers, ignored_failure, importer, sub_pipelines, sub_pipeline_exit, optional, resources,
    retries, facts, cluster, placement, placement_by_parameters, volumes, workspace,
)  # fmt: skip
