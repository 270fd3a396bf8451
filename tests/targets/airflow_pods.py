"""Run by the Airflow environment's own Python: load DAG files, and say as JSON which pods their operators build.

Usage: airflow_pods.py DAGS. Prints one JSON object on the last line of standard output: pods by DAG and task.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from kubernetes.client import ApiClient


def main(folder: str) -> dict[str, Any]:
    bag = DagBag(dag_folder=folder)
    return {
        "errors": bag.import_errors,
        "pods": {
            f"{name}.{task.task_id}": pod(task) for name, dag in bag.dags.items() for task in dag.tasks if is_pod(task)
        },
    }


def is_pod(task: Any) -> bool:
    return bool(task.task_type == "Step")


def pod(task: Any) -> Any:
    """Return the pod as Kubernetes is sent it; of a mapped task, that of one item."""
    one = task.unmap({"item": 1}) if task.is_mapped else task
    for field in ("name", "pod_template_dict"):  # which say what the task is called
        setattr(one, field, one.render_template(getattr(one, field), {"ti": one}))
    one.name = one._set_name(one.name)  # as its own `execute` does
    if getattr(one, "prepared", None):
        given = {"command": [["sh"], ["$(HOME) {{ x }} $$"], ["/w/", "/out.sh"]], "attempts": 2}
        one.prepare(SimpleNamespace(xcom_pull=lambda task_ids: given, xcom_push=lambda key, value: None, try_number=4))
    return ApiClient().sanitize_for_serialization(one.build_pod_request_obj(dry_run=True))


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
