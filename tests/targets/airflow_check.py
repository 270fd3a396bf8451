"""Run by the Airflow environment's own Python: load DAG files, write and render them, and say as JSON what came out.

Usage: airflow_check.py DAGS. Prints one JSON object on the last line of standard output.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

try:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:  # Airflow 2.11
    from airflow.models.dagbag import DagBag
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization

ANSWER = {
    "chosen_options": ["Approve"],
    "params_input": {},
    "responded_at": datetime(2026, 11, 23, 10, tzinfo=UTC),
    "responded_by_user": {"id": "12", "name": "ana"},
}
SHOWN = {"subject": {"model": "sha256:m", "evidence": None}, "shown": "- model (model): `sha256:m`"}
FIELDS = ("arguments", "command", "env_vars", "environment", "image", "namespace", "subject", "body", "mounts", "name")


def main(folder: str) -> dict[str, Any]:
    bag, again = DagBag(dag_folder=folder), DagBag(dag_folder=folder)
    return {
        "errors": bag.import_errors,
        "warnings": bag.captured_warnings,
        "stable": {name: written(dag) == written(again.dags[name]) for name, dag in bag.dags.items()},
        "dags": {name: described(dag) for name, dag in bag.dags.items()},
    }


def written(dag: Any) -> str:
    return json.dumps(DagSerialization.to_dict(dag), sort_keys=True)


def described(dag: Any) -> dict[str, Any]:
    return {
        "catchup": dag.catchup,
        "schedule": type(dag.timetable).__name__,
        "description": dag.description,
        "params": dag.params.dump(),
        "hears": heard(dag),
        "edges": sorted([up, task.task_id] for task in dag.tasks for up in task.upstream_task_ids),
        "tasks": {task.task_id: rendered(dag, task) for task in dag.tasks if not hasattr(task, "partial_kwargs")},
    }


def heard(dag: Any) -> list[list[str]]:
    """Return the assets of which any starts a run, by name and by what Airflow makes of the URI."""
    found = getattr(dag.timetable, "asset_condition", None)
    return sorted([asset.name, asset.uri] for asset in getattr(found, "objects", ()))


def rendered(dag: Any, task: Any) -> dict[str, Any]:
    """Return the templated fields as a run would have them, and what the operator makes of its failures."""
    found: dict[str, Any] = {"retries": task.retries, "owner": task.owner, "pool": task.pool, "type": task.task_type}
    found |= {"tells": [[asset.name, asset.uri] for asset in task.outlets], "teardown": task.is_teardown}
    if task.task_type == "Step":
        found["final"] = final(task)
    task.resolve_template_files()
    pull = SimpleNamespace(
        task_id=task.task_id,
        dag_id=dag.dag_id,
        xcom_pull=lambda task_ids, key="": key or (SHOWN if task_ids.endswith("-subject") else ANSWER),
        get_task_states=lambda dag_id, run_ids: {run_ids[0]: {"a": "success"}},
    )
    moment = datetime(2026, 11, 23, 3, tzinfo=UTC)
    task.render_template_fields(
        {
            "params": dag.params.dump(),
            "run_id": "manual__1",
            "triggering_asset_events": {},
            "ti": pull,
            "task": task,
            "dag_run": SimpleNamespace(
                run_after=moment,
                logical_date=moment,
                get_task_instances=lambda: [SimpleNamespace(task_id="a", map_index=-1, state="success")],
            ),
        }
    )
    found |= {field: getattr(task, field) for field in FIELDS if hasattr(task, field)}
    if hasattr(task, "build_pod_request_obj"):
        found["pod"] = pod(task)
    return found


def final(task: Any) -> bool:
    """Say whether an exit code that means no fails the task for good; the operator tells it as a skip."""

    def skip(self: Any, context: Any) -> None:
        raise AirflowSkipException

    task.obstacle = lambda context: None
    task.prepare = lambda ti: None
    own = getattr(task, "prepared", None)
    finals = [not own, True, True, False, False]  # an image that is not pipec's may heal after 1
    parent = type(task).__mro__[1]
    before = parent.execute
    parent.execute = skip
    try:
        type(task).execute.__wrapped__(task, {"ti": None})
    except AirflowFailException:
        return [code in task.skip_on_exit_code for code in (1, 2, 3, 75, 137)] == finals
    finally:
        parent.execute = before
    return False


def pod(task: Any) -> Any:
    from kubernetes.client import ApiClient

    task.name = task._set_name(task.name)  # as its own `execute` does
    return ApiClient().sanitize_for_serialization(task.build_pod_request_obj(dry_run=True))


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1]), default=str))
