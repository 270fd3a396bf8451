"""Run by the Python of the environment of Airflow 2.11: run DAGs with `dag.test()`, and say as JSON how tasks ended.

Usage: airflow2_run.py DAGS JOBS. JOBS: a JSON file with the parameters of one run of each DAG, by its id. Prints one
JSON object on the last line of standard output.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from airflow.models.dagbag import DagBag


def main(folder: str, jobs: str) -> dict[str, Any]:
    bag = DagBag(dag_folder=folder)
    assert not bag.import_errors, bag.import_errors
    wanted = json.loads(Path(jobs).read_text(encoding="utf-8"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        runs = {name: ran(bag.dags[name], given) for name, given in wanted.items()}
    # What the DAG files themselves are to blame for, whoever calls them.
    return {"runs": runs, "warnings": sorted({str(one.message) for one in caught if folder in one.filename})}


def ran(dag: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Run a DAG once. given: parameters."""
    reasons: dict[tuple[str, int], str] = {}
    for kind in {type(task) for task in dag.tasks if hasattr(task, "obstacle")} | _mapped(dag):
        _overhear(kind, reasons)
    run = dag.test(run_conf=given)
    tasks = [
        {"task": ti.task_id, "number": ti.map_index, "state": str(ti.state), "tries": ti.try_number,
         "reason": reasons.get((ti.task_id, ti.map_index), "") if ti.state == "skipped" else ""}
        for ti in run.get_task_instances()
    ]  # fmt: skip
    return {"run_id": run.run_id, "state": str(run.state), "parameters": {**dag.params.dump(), **given}, "tasks": tasks}


def _mapped(dag: Any) -> set[type]:
    return {
        task.operator_class
        for task in dag.tasks
        if hasattr(task, "partial_kwargs") and hasattr(task.operator_class, "obstacle")
    }


def _overhear(kind: Any, reasons: dict[tuple[str, int], str]) -> None:
    """Keep why tasks of a file's own class do not run."""
    asked = kind.obstacle

    def obstacle(self: Any, context: Any) -> Any:
        found = asked(self, context)
        if found:
            reasons[self.task_id, context["ti"].map_index] = found
        return found

    kind.obstacle = obstacle


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
