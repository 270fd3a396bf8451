"""Kubeflow Pipelines v2: IR YAML with its Kubernetes platform document, and a side-car for schedules.

Written as plain data: no kfp is needed to compile. The table below is what README shows; where a word of the language
is emitted only in part, `refuse` says which part is not.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipec.compiler.plan import Plan
from pipec.targets.base import Feature, File, Form, Options, Refusal, Remark, Support, Target
from pipec.targets.kubeflow.profile import VERSIONS
from pipec.targets.kubeflow.settings import SETTINGS

FEATURES = {
    Feature.PARAMETERS: Support.EMITTED,
    Feature.NEEDS: Support.EMITTED,
    Feature.WHEN: Support.EMITTED,
    Feature.STATUS: Support.EMULATED,  # a task that is asked ends well for KFP, and leaves its state as an output
    Feature.OPTIONAL_INPUT: Support.EMITTED,  # where its producer may be skipped alone, that tells so itself
    Feature.MANY_INPUT: Support.EMITTED,  # an input of the component for each artifact
    Feature.LOCATION_INPUT: Support.EMITTED,
    Feature.ENV: Support.EMITTED,
    Feature.SECRETS: Support.EMITTED,
    Feature.CONFIGS: Support.EMITTED,
    Feature.RUN: Support.EMITTED,
    # KFP repeats any failure, a refusal too. So validate, evaluate and approve get no retryPolicy: the runtime repeats
    # them in their pod, and only after exit 75. All other steps have KFP's own.
    Feature.RETRY: Support.EMULATED,
    Feature.TIMEOUT: Support.EMITTED,
    Feature.CACHE: Support.EMITTED,
    Feature.CONTINUE_ON_ERROR: Support.EMULATED,  # in the same way
    Feature.FINALLY: Support.EMITTED,
    Feature.MATRIX: Support.EMITTED,  # a task for each cell; where they are counted, each waits for one before it
    Feature.LOOP: Support.EMITTED,
    Feature.FAN_IN: Support.EMITTED,
    Feature.PIPELINE_STEP: Support.EMITTED,
    Feature.ACCELERATOR: Support.EMITTED,
    Feature.MACHINES: Support.REFUSED,
    Feature.POOL: Support.EMITTED,
    Feature.VOLUMES: Support.EMITTED,
    Feature.FOREIGN_IMAGE: Support.EMITTED,
    Feature.OUTPUTS: Support.EMITTED,
    Feature.SCHEDULE: Support.EMULATED,  # a side-car file: IR has no triggers
    Feature.AFTER: Support.REFUSED,
    Feature.DATA: Support.REFUSED,
    Feature.CONCURRENCY: Support.EMULATED,  # of scheduled runs only, in the same file
    Feature.APPROVAL: Support.EMULATED,  # a step that waits for a decision under the artifact root
    Feature.IMAGE: Support.EMITTED,
    Feature.ARTIFACTS: Support.EMITTED,
    Feature.METADATA: Support.EMITTED,
}
OPTIONS: dict[str, tuple[str, ...] | Form] = {
    "version": VERSIONS,
    "manifests": ("true", "false"),
    "size_limit": Form("none|[1-9][0-9]{0,11}", "none, or a number of bytes"),
}


# What follows is imported when it is asked for: checking reads the tables of all targets, and compiling writes for one.
def emit(plan: Plan, options: Options) -> tuple[File, ...]:
    """Return `<pipeline>.yaml` and the files beside it. Assumes that `refuse` found nothing."""
    from pipec.targets.kubeflow.files import files

    return files(plan, options)


def refuse(plan: Plan, options: Options) -> Iterator[Refusal]:
    """Yield what of `plan` Kubeflow cannot say beyond the table of features."""
    from pipec.targets.kubeflow.refusal import refused

    return refused(plan, options)


def judge_files(files: tuple[File, ...], options: Options) -> Iterator[Remark]:
    """Yield what there is to say of the size of a pipeline's own file, which `emit` returns first."""
    from pipec.targets.kubeflow.size import limit_of, remarks

    return remarks(len(files[0].text), limit_of(options.values.get("size_limit", "")))  # ASCII: a byte for each letter


TARGET = Target(
    name="kubeflow", features=FEATURES, settings=SETTINGS, emit=emit, options=OPTIONS, refuse=refuse,
    judge_files=judge_files,
)  # fmt: skip
