# Written by pipec. Change the pipeline's YAML and compile again: changes made here are lost.
import ast
import re

from airflow.exceptions import AirflowFailException, AirflowSkipException
from airflow.models.dag import DAG
from airflow.models.param import Param
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.utils.task_group import TaskGroup

RUN = ["--pipeline=flow", "--env=e", "--task={{ ti.task_id }}", "--root=s3://ml-prod/pipec", "--run={{ run_id }}"]
ITEM = ["--item", '{{ task.item | tojson | replace("$", "\\\\u0024") }}', "--iteration", "{{ ti.map_index }}"]
ENDS = ["--ends", '{{ task.states(dag_run) | tojson | replace("$", "\\\\u0024") }}']
LOOPS = {"again": "again-items", "ask": ""}
LABELS = {
    "app.kubernetes.io/managed-by": "pipec",
    "app.kubernetes.io/part-of": "flow",
    "app.kubernetes.io/instance": "e",
    "app.kubernetes.io/version": "030b183c5de290a4",
    "app.kubernetes.io/component": "{{ ti.task_id }}",
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
                    {"name": "pipec-shm", "mountPath": "/dev/shm"},
                ],
            },
        ],
        "volumes": [
            {"name": "pipec-tmp", "emptyDir": {}},
            {"name": "pipec-work", "emptyDir": {}},
            {"name": "pipec-shm", "emptyDir": {"medium": "Memory"}},
        ],
    },
}


def with_ends(context):
    """Return what conditions are rendered with: also `ends`, which says by task how it has ended."""
    states = context["task"].states(context["dag_run"])
    named = {"success": "succeeded", "failed": "failed"}  # what Airflow gave up for another's failure is skipped
    ends = {task: named.get(state, "skipped") for task, state in states.items()}
    for loop, items in LOOPS.items():  # one that had nothing to go over has done all there was to do
        each = {end for task, end in ends.items() if re.fullmatch(rf"{loop}_\d+", task)}
        is_empty = not each and ends.get(items) == "succeeded"
        ends[loop] = "failed" if "failed" in each else "succeeded" if is_empty or "succeeded" in each else "skipped"
    known = {name: context[name] for name in ("dag_run", "params", "run_id", "ti")}  # others, read, would warn
    return {**known, "ends": ends}


def holds(task, condition, context):
    """Say whether a condition is true; one that asks nothing is."""
    try:
        return task.render_template(condition, context) in ("", "True")
    except Exception as fault:  # a value that it reads is absent, which is a failure and not false
        raise AirflowFailException(f"`when` cannot be answered: {fault}") from fault


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

    def states(self, dag_run):
        """Return how the tasks of a run stand, by id; those that are mapped have their number behind a `_`."""
        found = dag_run.get_task_instances()
        return {ti.task_id + (f"_{ti.map_index}" if ti.map_index >= 0 else ""): ti.state for ti in found}

    def obstacle(self, context):
        """Return why the task is not to run, or None."""
        context = with_ends(context)
        ends = context["ends"]
        past = {"failed": "failed", "skipped": "was skipped"}
        for task, others in self.needs.items():
            if ends[task] not in ("succeeded", *others):
                return f"`{task}` {past[ends[task]]}"
        for task, end in ends.items():
            if self.fail_fast and end == "failed" and re.fullmatch(rf"{self.task_id}_\d+", task):
                return f"`{task.replace('_', '-')}` failed, and `fail_fast` starts no further one"
        context = {**context, "item": self.item}
        return None if holds(self, self.when, context) else "`when` is false"


with DAG(
    dag_id="flow",
    schedule=None,
    catchup=False,
    max_active_runs=16,
    params={"seeds": Param([1, 2], type="array"), "limit": Param(0.5, type="number")},
    default_args={
        "skip_on_exit_code": [1, 2, 3],
        "name": "flow-{{ ti.task_id }}",
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
        arguments=["ingest@1:baed8a00508e", '{"source": "s3://b/rows.csv"}', *RUN],
    )

    with TaskGroup("fit"):
        fit_split = Step(
            task_id="split",
            doc="Cut rows into a training and a test set, at random but always alike.",
            arguments=["split@1:f4a485da51f5", '{"data": {"$output": "ingest.data"}}', *RUN],
        )

        fit_train = Step(
            task_id="train",
            doc=(
                "Fit a model on a training set and write its weights, its signature, its metrics and a profile of its "
                "rows."
            ),
            arguments=[
                "train@1:46571bbfa698",
                '{"data": {"$output": "fit.split.train"}, "target": "y", "$threads": 2}',
                *RUN,
            ],
            container_resources={"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
        )

    judge = Step(
        task_id="judge",
        doc="Judge a model on rows it has not seen, and refuse it at a gate it does not pass.",
        arguments=[
            "evaluate@1:341982650dba",
            '{"model": {"$output": "fit.train.model"}, "data": {"$output": "fit.split.test"}, "$threads": 2}',
            *RUN,
            "--xcom",
            "/airflow/xcom/return.json",
        ],
        container_resources={"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
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
        arguments=[
            "train@1:46571bbfa698",
            '{"data": {"$output": "ingest.data"}, "target": "y", "seed": {"$item": ["", "again"]}, "$threads": 2}',
            *RUN,
            *ITEM,
        ],
        container_resources={"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
        max_active_tis_per_dagrun=2,
        fail_fast=True,
        when='{{ ti.xcom_pull("judge")["score"] < params["limit"] }}',
    ).expand(item=again_items.output)

    best = Step(
        task_id="best",
        doc="Keep the best of many models by one figure, from their reports or on rows given here.",
        arguments=[
            "select@1:ab53117e2fd3",
            '{"models": {"$each": ["again", "model"]}, "data": {"$output": "ingest.data"}, "$threads": 2}',
            *RUN,
            *ENDS,
        ],
        container_resources={"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
        trigger_rule="all_done",
        needs={"again": [], "ingest": []},
    )

    ask = Step.partial(
        task_id="ask",
        doc="Ask for a run of another pipeline; whoever runs pipelines there answers.",
        arguments=[
            "trigger@1:2b1cfefdaeed",
            '{"pipeline": "other", "reason": {"$item": ["who", "ask"]}}',
            *RUN,
            *ITEM,
        ],
    ).expand(item=[{"who": "a"}, {"who": "b"}])

    watch = Step(
        task_id="watch",
        doc="Say whether new rows have drifted away from the rows a deployed model learned from.",
        arguments=[
            "monitor@1:92cf61951626",
            '{"reference": {"$output": "ingest.data"}, "batch": "s3://b/new.csv"}',
            *RUN,
        ],
    )

    warn = Step(
        task_id="warn",
        doc="Say something in the log, and to a webhook where one is given.",
        arguments=["notify@1:2ea00606e388", '{"channel": "ops", "message": "it drifts"}', *RUN, *ENDS],
        trigger_rule="all_done",
        when='{{ ends["watch"] == "failed" }}',
    )

    tell = Step(
        task_id="tell",
        doc="Say something in the log, and to a webhook where one is given.",
        arguments=[
            "notify@1:2ea00606e388",
            (
                '{"report": {"$output": "judge.report"}, "channel": "ops", "message": {"$text": ["it ", '
                '{"$run": "outcome"}]}, "$ends": ["ingest", "fit.split", "fit.train", "judge", "again", "best", "ask", '
                '"watch", "warn"]}'
            ),
            *RUN,
            *ENDS,
        ],
    ).as_teardown()

    note = Step(
        task_id="note",
        doc="Say something in the log, and to a webhook where one is given.",
        arguments=["notify@1:2ea00606e388", '{"channel": "ops", "message": "good"}', *RUN],
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
        "Outputs of a run (`RUN` is its id, with `_` for `:` and `+`):\n\n- `model`: "
        "`s3://ml-prod/pipec/runs/flow/RUN/fit.train/model`\n- `models`: "
        "`s3://ml-prod/pipec/runs/flow/RUN/again-N/model` for the `N`th item, from 0\n\n"
    )
