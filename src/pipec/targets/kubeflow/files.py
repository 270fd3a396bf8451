"""The files that a plan becomes: the pipeline with its platform document, and what lies beside it."""

from __future__ import annotations

from typing import Any

from pipec.compiler.plan import Plan
from pipec.targets.base import File, Options
from pipec.targets.kubeflow.ir import pipeline_spec
from pipec.targets.kubeflow.nest import arrange
from pipec.targets.kubeflow.platform import manifests, platform_spec, side_files
from pipec.targets.kubeflow.text import dump


def files(plan: Plan, options: Options) -> tuple[File, ...]:
    """Return `<pipeline>.yaml` and the files beside it. Assumes that `refuse` found nothing."""
    spec, platform = documents(plan, options)
    text = dump(spec, platform)
    found = (File(f"{plan.pipeline}.yaml", text), *side_files(plan, options))
    if options.values.get("manifests") != "true":
        return found
    return (*found, manifests(plan, options, spec, platform, text))


def documents(plan: Plan, options: Options) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the pipeline and its platform document, as plain data."""
    root = arrange(plan)
    return pipeline_spec(plan, options, root), platform_spec(plan, options, root)
