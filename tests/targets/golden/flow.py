# Written by pipec. Change the pipeline's YAML and compile again: changes made here are lost.
import ast
import re

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param, TaskGroup

RUN = ["--root", "s3://ml-prod/pipec", "--run", "{{ run_id }}"]
ITEM = ["--item", '{{ task.item | tojson | replace("$", "\\\\u0024") }}', "--iteration", "{{ ti.map_index }}"]
ENDS = ["--ends", '{{ ti.get_task_states(ti.dag_id, run_ids=[run_id])[run_id] | tojson | replace("$", "\\\\u0024") }}']
LOOPS = {"again": "again-items", "ask": ""}
LABELS = {
    "app.kubernetes.io/managed-by": "pipec",
    "app.kubernetes.io/part-of": "flow",
    "app.kubernetes.io/instance": "e",
    "app.kubernetes.io/version": "030b183c5de290a4",
}
POD = {
    "metadata": {"labels": LABELS},
    "spec": {
        "containers": [
            {
                "name": "base",
                "volumeMounts": [
                    {"name": "pipec-tmp", "mountPath": "/tmp"},
                    {"name": "pipec-work", "mountPath": "/work"},
                ],
            },
        ],
        "volumes": [{"name": "pipec-tmp", "emptyDir": {}}, {"name": "pipec-work", "emptyDir": {}}],
    },
}
POD_2 = {
    "metadata": {"labels": LABELS},
    "spec": {
        "containers": [
            {
                "name": "base",
                "volumeMounts": [
                    {"name": "pipec-tmp", "mountPath": "/tmp"},
                    {"name": "pipec-work", "mountPath": "/work"},
                    {"name": "pipec-shm", "mountPath": "/dev/shm"},
                ],
            },
        ],
        "volumes": [
            {"name": "pipec-tmp", "emptyDir": {}},
            {"name": "pipec-work", "emptyDir": {}},
            {"name": "pipec-shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2048Mi"}},
        ],
    },
}


class Step(KubernetesPodOperator):
    """A step's container, if the tasks before it ended as `needs` allows and `when` holds; else the task is skipped.

    What it ends with 1, 2 or 3 for, trying again cannot heal: that fails without a retry.
    """

    def __init__(self, *, needs=None, fail_fast=False, item=None, when="", **kwargs):
        super().__init__(**kwargs)
        self.needs, self.when = needs or {}, when
        self.fail_fast = fail_fast
        self.item = item

    def execute(self, context):
        if reason := self.obstacle(context):
            raise AirflowSkipException(reason)
        try:
            return super().execute(context)
        except AirflowSkipException as end:  # raised for the codes that `skip_on_exit_code` lists
            raise AirflowFailException("the step's last line says why, and what to do next") from end

    def obstacle(self, context):
        """Return why the task is not to run, or None."""
        run_id = context["run_id"]
        states = context["ti"].get_task_states(self.dag_id, run_ids=[run_id])[run_id]
        named = {"success": "succeeded", "failed": "failed"}  # what Airflow gave up for another's failure is skipped
        ends = {task: named.get(state, "skipped") for task, state in states.items()}
        for loop, items in LOOPS.items():  # one that had nothing to go over has done all there was to do
            each = {end for task, end in ends.items() if re.fullmatch(rf"{loop}_\d+", task)}
            is_empty = not each and ends.get(items) == "succeeded"
            ends[loop] = "failed" if "failed" in each else "succeeded" if is_empty or "succeeded" in each else "skipped"
        past = {"failed": "failed", "skipped": "was skipped"}
        for task, others in self.needs.items():
            if ends[task] not in ("succeeded", *others):
                return f"`{task}` {past[ends[task]]}"
        for task, end in ends.items():
            if self.fail_fast and end == "failed" and re.fullmatch(rf"{self.task_id}_\d+", task):
                return f"`{task.replace('_', '-')}` failed, and `fail_fast` starts no further one"
        try:
            holds = self.render_template(self.when, {**context, "ends": ends, "item": self.item}) in ("", "True")
        except Exception as fault:  # a value that it reads is absent, which is a failure and not false
            raise AirflowFailException(f"`when` cannot be answered: {fault}") from fault
        return None if holds else "`when` is false"


with DAG(
    dag_id="flow",
    schedule=None,
    catchup=False,
    max_active_runs=16,
    params={"seeds": Param([1, 2], type="array"), "limit": Param(0.5, type="number")},
    default_args={
        "skip_on_exit_code": [1, 2, 3],
        "cmds": ["pipec-step"],
        "startup_timeout_seconds": 900,
        "deferrable": False,
        "security_context": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "container_security_context": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "image": "registry.example/steps:1",
        "container_resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        "retries": 0,
        "pod_template_dict": POD,
        "xcom_sidecar_container_security_context": {
            "runAsUser": 65534,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    },
    tags=["environment:e"],
) as dag:
    ingest = Step(
        task_id="ingest",
        doc="Read a CSV or Parquet file from a path or URL and keep its rows as a data set.",
        name="flow-ingest",
        labels={"app.kubernetes.io/component": "ingest"},
        arguments=[
            "ingest",
            "--order",
            (
                '{"format": "1", "pipeline": "flow", "task": "ingest", "step": "ingest@1", '
                '"interface": "sha256:2a67f4910100dea9ff991a4c91415a2faa72f08bfda6fa62c1e565ac0d886798", '
                '"parameters": {"source": "s3://b/rows.csv", "format": "auto", "personal": false}, "inputs": {}, '
                '"environment": "e", "threads": 1, "wait_s": 0, "cache": true}'
            ),
            *RUN,
        ],
    )

    with TaskGroup("fit"):
        fit_split = Step(
            task_id="split",
            doc="Cut rows into a training and a test set, at random but always alike.",
            name="flow-fit-split",
            labels={"app.kubernetes.io/component": "fit.split"},
            arguments=[
                "split",
                "--order",
                (
                    '{"format": "1", "pipeline": "flow", "task": "fit.split", "step": "split@1", '
                    '"interface": "sha256:c40dc8ed8fc9e749eeb5ac83ffe2f55ed8c8923e757025d6cbb83ae963fb0bca", '
                    '"parameters": {"test_size": 0.2, "stratify": null, "seed": 0}, '
                    '"inputs": {"data": [{"$output": ["ingest", "data"]}]}, "environment": "e", "threads": 1, '
                    '"wait_s": 0, "cache": true}'
                ),
                *RUN,
            ],
        )

        fit_train = Step(
            task_id="train",
            doc=(
                "Fit a model on a training set and write its weights, its signature, "
                "its metrics and a profile of its rows."
            ),
            name="flow-fit-train",
            labels={"app.kubernetes.io/component": "fit.train"},
            arguments=[
                "train",
                "--order",
                (
                    '{"format": "1", "pipeline": "flow", "task": "fit.train", "step": "train@1", '
                    '"interface": "sha256:1be347f377380ce625bd6ff34234fe4235ee1706de41c99247170dc385872023", '
                    '"parameters": {"target": "y", "features": [], "estimator": "logistic-regression", "factory": "", '
                    '"task": "auto", "epochs": 20, "learning_rate": 0.001, "batch_size": 256, "hidden": [64, 32], '
                    '"precision": "float32", "seed": 0, "hyperparameters": {}}, '
                    '"inputs": {"data": [{"$output": ["fit.split", "train"]}]}, "environment": "e", "threads": 2, '
                    '"wait_s": 0, "cache": true}'
                ),
                *RUN,
            ],
            container_resources={"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
            pod_template_dict=POD_2,
        )

    judge = Step(
        task_id="judge",
        doc="Judge a model on rows it has not seen, and refuse it at a gate it does not pass.",
        name="flow-judge",
        labels={"app.kubernetes.io/component": "judge"},
        arguments=[
            "evaluate",
            "--order",
            (
                '{"format": "1", "pipeline": "flow", "task": "judge", "step": "evaluate@1", '
                '"interface": "sha256:ac806ec5cb0d07827fb693fe0ca00567353e22300d634438a32ec7135b08cf4b", '
                '"parameters": {"gates": [], "positive": ""}, "inputs": {"model": [{"$output": ["fit.train", '
                '"model"]}], "data": [{"$output": ["fit.split", "test"]}]}, "environment": "e", "threads": 2, '
                '"wait_s": 0, "cache": true}'
            ),
            *RUN,
            "--xcom",
            "/airflow/xcom/return.json",
        ],
        container_resources={"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
        pod_template_dict=POD_2,
        do_xcom_push=True,
    )

    again_items = PythonOperator(
        task_id="again-items",
        python_callable=ast.literal_eval,
        op_args=['{{ params["seeds"] }}'],
    )

    again = Step.partial(
        task_id="again",
        doc=(
            "Fit a model on a training set and write its weights, its signature, its metrics and a profile of its rows."
        ),
        name="flow-again",
        labels={"app.kubernetes.io/component": "again"},
        arguments=[
            "train",
            "--order",
            (
                '{"format": "1", "pipeline": "flow", "task": "again", "step": "train@1", '
                '"interface": "sha256:1be347f377380ce625bd6ff34234fe4235ee1706de41c99247170dc385872023", '
                '"parameters": {"target": "y", "features": [], "estimator": "logistic-regression", "factory": "", '
                '"task": "auto", "epochs": 20, "learning_rate": 0.001, "batch_size": 256, "hidden": [64, 32], '
                '"precision": "float32", "seed": {"$item": ["", "again"]}, "hyperparameters": {}}, '
                '"inputs": {"data": [{"$output": ["ingest", "data"]}]}, "environment": "e", "threads": 2, "wait_s": 0, '
                '"cache": true}'
            ),
            *RUN,
            *ITEM,
        ],
        container_resources={"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
        pod_template_dict=POD_2,
        max_active_tis_per_dagrun=2,
        fail_fast=True,
        when='{{ ti.xcom_pull("judge")["score"] < params["limit"] }}',
    ).expand(item=again_items.output)

    best = Step(
        task_id="best",
        doc="Keep the best of many models by one figure, from their reports or on rows given here.",
        name="flow-best",
        labels={"app.kubernetes.io/component": "best"},
        arguments=[
            "select",
            "--order",
            (
                '{"format": "1", "pipeline": "flow", "task": "best", "step": "select@1", '
                '"interface": "sha256:4ec84256689557f1a52c97f3def50cfa2866848c4bec22043b3bcf2890a95ad7", '
                '"parameters": {"metric": "", "mode": "auto"}, "inputs": {"models": [{"$each": ["again", "model"]}], '
                '"data": [{"$output": ["ingest", "data"]}]}, "environment": "e", "threads": 2, "wait_s": 0, '
                '"cache": true}'
            ),
            *RUN,
            *ENDS,
        ],
        container_resources={"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
        pod_template_dict=POD_2,
        trigger_rule="all_done",
        needs={"again": [], "ingest": []},
    )

    ask = Step.partial(
        task_id="ask",
        doc="Ask for a run of another pipeline; whoever runs pipelines there answers.",
        name="flow-ask",
        labels={"app.kubernetes.io/component": "ask"},
        arguments=[
            "trigger",
            "--order",
            (
                '{"format": "1", "pipeline": "flow", "task": "ask", "step": "trigger@1", '
                '"interface": "sha256:1a134bb9615b15cd4fcc0e5aa872423ca4ec6111342155d73c7e16bd1f5a4fd0", '
                '"parameters": {"pipeline": "other", "parameters": {}, "reason": {"$item": ["who", "ask"]}}, '
                '"inputs": {}, "environment": "e", "threads": 1, "wait_s": 0}'
            ),
            *RUN,
            *ITEM,
        ],
    ).expand(item=[{"who": "a"}, {"who": "b"}])

    watch = Step(
        task_id="watch",
        doc="Say whether new rows have drifted away from the rows a deployed model learned from.",
        name="flow-watch",
        labels={"app.kubernetes.io/component": "watch"},
        arguments=[
            "monitor",
            "--order",
            (
                '{"format": "1", "pipeline": "flow", "task": "watch", "step": "monitor@1", '
                '"interface": "sha256:743423ae2016f801590d24204c43b3b8382375625561a279bcd69329f672f465", '
                '"parameters": {"psi": 0.25, "ks": 0.2, "minimum_rows": 30, "columns": null, "fail_on_drift": false}, '
                '"inputs": {"reference": [{"$output": ["ingest", "data"]}], "batch": ["s3://b/new.csv"]}, '
                '"environment": "e", "threads": 1, "wait_s": 0}'
            ),
            *RUN,
        ],
    )

    warn = Step(
        task_id="warn",
        doc="Say something in the log, and to a webhook where one is given.",
        name="flow-warn",
        labels={"app.kubernetes.io/component": "warn"},
        arguments=[
            "notify",
            "--order",
            (
                '{"format": "1", "pipeline": "flow", "task": "warn", "step": "notify@1", '
                '"interface": "sha256:07f823d10b03553982dda1f46b31e3bb80405744e70381ebba610e1dbfcbbcf8", '
                '"parameters": {"channel": "ops", "message": "it drifts", "level": "info", "webhook": "", '
                '"timeout_s": 10}, "inputs": {}, "environment": "e", "threads": 1, "wait_s": 0}'
            ),
            *RUN,
            *ENDS,
        ],
        trigger_rule="all_done",
        when='{{ ends["watch"] == "failed" }}',
    )

    tell = Step(
        task_id="tell",
        doc="Say something in the log, and to a webhook where one is given.",
        name="flow-tell",
        labels={"app.kubernetes.io/component": "tell"},
        arguments=[
            "notify",
            "--order",
            (
                '{"format": "1", "pipeline": "flow", "task": "tell", "step": "notify@1", '
                '"interface": "sha256:07f823d10b03553982dda1f46b31e3bb80405744e70381ebba610e1dbfcbbcf8", '
                '"parameters": {"channel": "ops", "message": {"$text": ["it ", {"$run": "outcome"}]}, "level": "info", '
                '"webhook": "", "timeout_s": 10}, "inputs": {"report": [{"$output": ["judge", "report"]}]}, '
                '"environment": "e", "threads": 1, "wait_s": 0, "ends": [["ingest", [], false], ["fit.split", [], '
                'false], ["fit.train", [], false], ["judge", [], false], ["again", [], false], ["best", [], false], '
                '["ask", [], false], ["watch", [], false], ["warn", [], false]]}'
            ),
            *RUN,
            *ENDS,
        ],
    ).as_teardown()

    note = Step(
        task_id="note",
        doc="Say something in the log, and to a webhook where one is given.",
        name="flow-note",
        labels={"app.kubernetes.io/component": "note"},
        arguments=[
            "notify",
            "--order",
            (
                '{"format": "1", "pipeline": "flow", "task": "note", "step": "notify@1", '
                '"interface": "sha256:07f823d10b03553982dda1f46b31e3bb80405744e70381ebba610e1dbfcbbcf8", '
                '"parameters": {"channel": "ops", "message": "good", "level": "info", "webhook": "", "timeout_s": 10}, '
                '"inputs": {}, "environment": "e", "threads": 1, "wait_s": 0}'
            ),
            *RUN,
        ],
        when='{{ ends["judge"] == "succeeded" }}',
    ).as_teardown()

    end = EmptyOperator(task_id="end", trigger_rule="none_failed")

    ingest >> fit_split
    [fit_split, ingest] >> fit_train
    [fit_split, fit_train] >> judge
    [ingest, judge] >> again_items >> again
    [again, ingest] >> best
    ingest >> watch >> warn
    [fit_split, fit_train, judge, best, ask, warn] >> tell
    [fit_split, fit_train, judge, best, ask, warn] >> note
    [again, best, ask, watch, warn, tell, note] >> end

    dag.doc_md = (
        "Outputs of a run (`RUN` is its id, with `_` for `:` and `+`):\n\n"
        "- `model`: `s3://ml-prod/pipec/runs/flow/RUN/fit.train/model`\n"
        "- `models`: `s3://ml-prod/pipec/runs/flow/RUN/again-N/model` for the `N`th item, from 0\n\n"
    )
