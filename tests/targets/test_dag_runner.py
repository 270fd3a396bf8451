"""The runner of DAG files keeps Airflow's rules, in whatever order tasks end."""

from __future__ import annotations

from typing import Any

import dag_file
import pytest
from dag_runner import DagRun

HEAD = """from airflow.sdk import DAG
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator as Pod

with DAG(dag_id="d", default_args={"arguments": [], "skip_on_exit_code": [3], "retries": 1}) as dag:
    a, b = Pod(task_id="a"), Pod(task_id="b")
"""


def conducted(text: str, order: str, codes: dict[str, list[int]]) -> tuple[str, dict[str, str | None]]:
    """Return how a run of HEAD with `text` below it ended. order: of the tasks that can run, the first here runs."""

    def start(task: dag_file.Operator, arguments: list[str]) -> tuple[int, Any]:
        return codes.get(task.task_id, [0]).pop(0), None

    run = DagRun(dag_file.load(HEAD + text), start, lambda queued: min(queued, key=order.index))
    return run.conduct(), run.states


# What stands below the head, which tasks go first, codes of attempts; the state of the run, and that of `c`.
RULES = {
    "gives-up-at-the-first-failure": ("c = Pod(task_id='c')\n    [a, b] >> c", "abc", {"a": [1, 1]}, "failed",
                                      "upstream_failed"),
    "skips-at-the-first-skip": ("c = Pod(task_id='c')\n    [a, b] >> c", "abc", {"a": [3], "b": [1, 1]}, "success",
                                "skipped"),
    "gives-up-where-the-failure-comes-first": ("c = Pod(task_id='c')\n    [a, b] >> c", "bac",
                                               {"a": [3], "b": [1, 1]}, "failed", "upstream_failed"),
    "tries-again": ("c = Pod(task_id='c')\n    [a, b] >> c", "abc", {"a": [1, 0]}, "success", "success"),
    "starts-when-all-are-done": ("c = Pod(task_id='c', trigger_rule='all_done')\n    [a, b] >> c", "abc",
                                 {"a": [1, 1]}, "success", "success"),
    "passes-over-skips": ("c = Pod(task_id='c', trigger_rule='none_failed')\n    [a, b] >> c", "abc", {"a": [3]},
                          "success", "success"),
    "looks-past-a-teardown": ("c = Pod(task_id='c').as_teardown()\n    [a, b] >> c", "abc",
                              {"a": [1, 1], "c": [1, 1]}, "failed", "failed"),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_a_task_starts_and_a_run_ends_by_airflows_rules(name: str) -> None:
    text, order, codes, state, end = RULES[name]
    run, states = conducted(f"    {text}\n", order, {task: list(listed) for task, listed in codes.items()})
    assert (run, states["c"]) == (state, end)
