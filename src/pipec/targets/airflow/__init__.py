"""Airflow 3.1 and later, or 2.11: one readable DAG file per pipeline, importing Airflow and its providers only.

Tasks are pods, or containers of the worker's Docker daemon with `-O operator=docker`. The table below is what README
shows; where a word of the language is emitted only in part, `refuse` says which part is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipec.compiler.plan import Plan
from pipec.targets.base import Feature, File, Options, Refusal, Support, Target
from pipec.targets.cluster import KUBERNETES_NAME, POD_SETTINGS
from pipec.values import Json

FEATURES = {
    Feature.PARAMETERS: Support.EMITTED,
    Feature.NEEDS: Support.EMITTED,
    Feature.WHEN: Support.EMITTED,  # the worker judges, before a container starts
    Feature.STATUS: Support.EMITTED,
    Feature.OPTIONAL_INPUT: Support.EMITTED,
    Feature.MANY_INPUT: Support.EMITTED,
    Feature.LOCATION_INPUT: Support.EMITTED,
    Feature.ENV: Support.EMITTED,
    Feature.SECRETS: Support.EMITTED,
    Feature.CONFIGS: Support.EMITTED,
    Feature.RUN: Support.EMITTED,
    # Exit codes 1, 2 and 3 are listed in the operator's `skip_on_exit_code`, and the file's one class turns that skip
    # into a failure without retry. Anything else is Airflow's own retry.
    Feature.RETRY: Support.EMITTED,
    Feature.TIMEOUT: Support.EMITTED,
    Feature.CACHE: Support.EMITTED,  # the runtime keeps a cache below the artifact root: Airflow has none
    Feature.CONTINUE_ON_ERROR: Support.EMITTED,
    Feature.FINALLY: Support.EMITTED,  # teardowns
    Feature.MATRIX: Support.EMITTED,  # cells in a task group
    Feature.LOOP: Support.EMITTED,  # mapped tasks; of a body of one step
    Feature.FAN_IN: Support.EMITTED,
    Feature.PIPELINE_STEP: Support.EMITTED,  # task groups
    Feature.ACCELERATOR: Support.EMITTED,
    Feature.MACHINES: Support.REFUSED,
    Feature.POOL: Support.EMITTED,
    Feature.VOLUMES: Support.EMITTED,
    Feature.FOREIGN_IMAGE: Support.EMITTED,  # between two tasks of ours, over a volume that all three mount
    Feature.OUTPUTS: Support.EMULATED,  # the DAG's page says where a run leaves them
    Feature.SCHEDULE: Support.EMITTED,
    Feature.AFTER: Support.EMITTED,  # an event that one pipeline's DAG tells of and the other's is scheduled by
    Feature.DATA: Support.EMITTED,  # an asset, of whose events whoever changes the data tells Airflow
    Feature.CONCURRENCY: Support.EMITTED,
    Feature.APPROVAL: Support.EMITTED,  # what it is about, a human task, then the step, which seals the answer
    Feature.IMAGE: Support.EMITTED,
    Feature.ARTIFACTS: Support.EMITTED,
    Feature.METADATA: Support.EMITTED,
}
SETTINGS: Mapping[str, Json] = {
    "type": "object",
    "description": "How runs of this environment are placed by Airflow.",
    "additionalProperties": False,
    "properties": {
        "namespace": {**KUBERNETES_NAME, "description": "The namespace of the pods."},
        "service_account": {**KUBERNETES_NAME, "description": "The service account that pods run as."},
        **POD_SETTINGS,
        "pool": {"type": "string", "description": "The Airflow pool that tasks take their slots from."},
        "pool_slots": {
            "type": "integer",
            "minimum": 1,
            "maximum": 2_147_483_647,  # what Airflow's database holds
            "description": "How many slots `<pipeline>.pools.json` gives that pool; 128 by default.",
        },
        "workspace": {
            "type": "string",
            "description": "The volume of the environment over which steps of one's own image are handed files.",
        },
        "users": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "The id of each person's Airflow user, for approvals.",
        },
    },
}
OPTIONS = {"operator": ("kubernetes", "docker"), "version": ("3.1", "2.11")}


# What follows is imported when it is asked for: checking reads the tables of all targets, and compiling writes for one.
def emit(plan: Plan, options: Options) -> tuple[File, ...]:
    """Return `<pipeline>.py`, and the pool that it needs beside it. Assumes that `refuse` found nothing."""
    from pipec.targets.airflow.dag import dag_file
    from pipec.targets.airflow.pools import pools_file

    return (File(f"{plan.pipeline}.py", dag_file(plan, options)), *pools_file(plan, options))


def refuse(plan: Plan, options: Options) -> Iterator[Refusal]:
    """Yield what of `plan` Airflow cannot say beyond the table of features."""
    from pipec.targets.airflow.refusal import refused

    return refused(plan, options)


TARGET = Target(name="airflow", features=FEATURES, settings=SETTINGS, emit=emit, options=OPTIONS, refuse=refuse)
