"""The same pipelines in KFP's own DSL, by hand: what a compiled file of ours is compared with.

A component here is what a container of the step library is to KFP: its inputs and outputs, its image, its command.
"""

# No `from __future__ import annotations` here: kfp reads annotations as objects.
from collections.abc import Callable
from typing import Any, NamedTuple

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output, OutputPath

IMAGE = "registry.example/steps:1"
ROOT = "s3://ml/pipec"


def runs(name: str) -> dsl.ContainerSpec:
    """Return the container of a step; what else it is called with is ours, and no part of the structure."""
    return dsl.ContainerSpec(image=IMAGE, command=["pipec-step"], args=[name])


@dsl.container_component
def ingest(data: Output[Dataset], n_rows: OutputPath(int)):  # type: ignore[valid-type]
    return runs("ingest")


@dsl.container_component
def split(rows: Input[Dataset], train: Output[Dataset], test: Output[Dataset]):
    return runs("split")


@dsl.container_component
def seeded(seed: int, train: Output[Dataset], test: Output[Dataset]):
    return runs("split")


@dsl.container_component
def train(rows: Input[Dataset], model: Output[Model], metrics: Output[Metrics], profile: Output[Artifact]):
    return runs("train")


@dsl.container_component
def stretched(
    rows: Input[Dataset], epochs: int, model: Output[Model], metrics: Output[Metrics], profile: Output[Artifact]
):
    return runs("train")


@dsl.container_component
def select(
    models: Input[list[Model]], model: Output[Model], report: Output[Artifact], index: OutputPath(int),  # type: ignore[valid-type]
    score: OutputPath(float),  # type: ignore[valid-type]
):  # fmt: skip
    return runs("select")


@dsl.container_component
def evaluate(
    weights: Input[Model], rows: Input[Dataset], model: Output[Model], report: Output[Artifact],
    metrics: Output[Metrics], verdict: OutputPath(str), score: OutputPath(float),  # type: ignore[valid-type]
    better: OutputPath(bool),  # type: ignore[valid-type]
):  # fmt: skip
    return runs("evaluate")


@dsl.container_component
def notify(sent: OutputPath(bool)):  # type: ignore[valid-type]
    return runs("notify")


def sized(task: dsl.PipelineTask, cpu: str = "1", memory: str = "2Gi") -> dsl.PipelineTask:
    task.set_cpu_request(cpu).set_cpu_limit(cpu)
    return task.set_memory_request(memory).set_memory_limit(memory)


def taken() -> dsl.PipelineTask:
    """Rows from a location: what lies there may change, so no cache answers."""
    return sized(ingest()).set_caching_options(False)


def cut(rows: Any) -> dsl.PipelineTask:
    return sized(split(rows=rows))


def fitted(rows: Any) -> dsl.PipelineTask:
    return sized(train(rows=rows), "2", "4Gi")


def judged(model: Any, rows: Any) -> dsl.PipelineTask:
    return sized(evaluate(weights=model, rows=rows), "2", "4Gi")


@dsl.pipeline(pipeline_root=ROOT)
def chain() -> None:
    parts = cut(taken().outputs["data"])
    fitted(parts.outputs["train"])


@dsl.pipeline(pipeline_root=ROOT)
def fan_in() -> None:
    rows = taken()
    parts = cut(rows.outputs["data"])
    model = fitted(parts.outputs["train"])
    judged(model.outputs["model"], parts.outputs["test"]).after(rows)


@dsl.pipeline(pipeline_root=ROOT)
def condition(mode: str = "full") -> None:
    rows = taken()
    with dsl.If(mode == "full"):
        parts = cut(rows.outputs["data"])
        fitted(parts.outputs["train"])


@dsl.pipeline(pipeline_root=ROOT)
def nested_condition() -> None:
    rows = taken()
    with dsl.If(rows.outputs["n_rows"] > 10):
        parts = cut(rows.outputs["data"])
        model = fitted(parts.outputs["train"])
        score = judged(model.outputs["model"], parts.outputs["test"])
        with dsl.If(score.outputs["score"] >= 0.5):
            again = fitted(parts.outputs["train"])
            again.after(score)


@dsl.pipeline(pipeline_root=ROOT)
def loop() -> None:
    parts = cut(taken().outputs["data"])
    with dsl.ParallelFor([3, 4], parallelism=1) as epochs:
        model = sized(stretched(rows=parts.outputs["train"], epochs=epochs), "2", "4Gi")
    sized(select(models=dsl.Collected(model.outputs["model"])), "2", "4Gi")


@dsl.pipeline(pipeline_root=ROOT)
def run_time_loop(seeds: list[int] = [1, 2]) -> None:  # noqa: B006
    with dsl.ParallelFor(seeds) as seed:
        sized(seeded(seed=seed)).set_caching_options(False)


@dsl.pipeline(pipeline_root=ROOT)
def exit_handler() -> None:
    last = sized(notify()).set_caching_options(False)
    with dsl.ExitHandler(last):
        cut(taken().outputs["data"])


class Made(NamedTuple):
    model: Model
    test: Dataset


@dsl.pipeline
def inner(rows: Input[Dataset]) -> Made:
    parts = cut(rows)
    model = fitted(parts.outputs["train"])
    return Made(model.outputs["model"], parts.outputs["test"])


@dsl.pipeline(pipeline_root=ROOT)
def sub_pipeline() -> None:
    fit = inner(rows=taken().outputs["data"])
    judged(fit.outputs["model"], fit.outputs["test"])


TWINS: dict[str, Callable[..., Any]] = {
    "chain": chain, "fan-in": fan_in, "condition": condition, "nested-condition": nested_condition, "loop": loop,
    "run-time-loop": run_time_loop, "exit-handler": exit_handler, "sub-pipeline": sub_pipeline,
}  # fmt: skip
OURS = {
    "chain": """
steps:
  ingest: {uses: ingest, with: {source: "s3://b/rows.csv"}}
  split: {uses: split, with: {data: "${{ steps.ingest.data }}"}}
  train: {uses: train, with: {data: "${{ steps.split.train }}", target: y}}
""",
    "fan-in": """
steps:
  ingest: {uses: ingest, with: {source: "s3://b/rows.csv"}}
  split: {uses: split, with: {data: "${{ steps.ingest.data }}"}}
  train: {uses: train, with: {data: "${{ steps.split.train }}", target: y}}
  evaluate: {uses: evaluate, needs: [ingest],
             with: {model: "${{ steps.train.model }}", data: "${{ steps.split.test }}"}}
""",
    "condition": """
parameters: {mode: {type: string, default: full}}
steps:
  ingest: {uses: ingest, with: {source: "s3://b/rows.csv"}}
  split: {uses: split, when: parameters.mode == 'full', with: {data: "${{ steps.ingest.data }}"}}
  train: {uses: train, with: {data: "${{ steps.split.train }}", target: y}}
""",
    "nested-condition": """
steps:
  ingest: {uses: ingest, with: {source: "s3://b/rows.csv"}}
  split: {uses: split, when: steps.ingest.n_rows > 10, with: {data: "${{ steps.ingest.data }}"}}
  train: {uses: train, with: {data: "${{ steps.split.train }}", target: y}}
  evaluate: {uses: evaluate, with: {model: "${{ steps.train.model }}", data: "${{ steps.split.test }}"}}
  train-2: {uses: train, needs: [evaluate], when: steps.evaluate.score >= 0.5,
            with: {data: "${{ steps.split.train }}", target: y}}
""",
    "loop": """
steps:
  ingest: {uses: ingest, with: {source: "s3://b/rows.csv"}}
  split: {uses: split, with: {data: "${{ steps.ingest.data }}"}}
  stretched: {uses: train, for_each: {items: [3, 4], max_parallel: 1},
              with: {data: "${{ steps.split.train }}", target: y, epochs: "${{ item }}"}}
  select: {uses: select, with: {models: "${{ steps.stretched[*].model }}"}}
""",
    "run-time-loop": """
parameters: {seeds: {type: list, default: [1, 2]}}
steps:
  seeded: {uses: split, for_each: "${{ parameters.seeds }}", with: {data: "s3://b/rows.csv", seed: "${{ item }}"}}
""",
    "exit-handler": """
steps:
  ingest: {uses: ingest, with: {source: "s3://b/rows.csv"}}
  split: {uses: split, with: {data: "${{ steps.ingest.data }}"}}
finally:
  notify: {uses: notify, with: {channel: ops, message: it is over}}
""",
    "sub-pipeline": """
steps:
  ingest: {uses: ingest, with: {source: "s3://b/rows.csv"}}
  inner: {uses: ./inner.yaml, with: {rows: "${{ steps.ingest.data }}"}}
  evaluate: {uses: evaluate, with: {model: "${{ steps.inner.model }}", data: "${{ steps.inner.test }}"}}
""",
}
INNER = """
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: inner}
inputs: {rows: {type: Dataset}}
steps:
  split: {uses: split, with: {data: "${{ inputs.rows }}"}}
  train: {uses: train, with: {data: "${{ steps.split.train }}", target: y}}
outputs: {model: "${{ steps.train.model }}", test: "${{ steps.split.test }}"}
"""
