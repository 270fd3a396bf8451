# Written by pipec. Change the pipeline's YAML and compile again: changes made here are lost.
import json

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.sdk import DAG, Asset, BaseOperator

RUN = ["--pipeline=p", "--env=there", "--task={{ ti.task_id }}", "--root=s3://b/r", "--run={{ run_id }}"]
LABELS = {
    "app.kubernetes.io/managed-by": "pipec",
    "app.kubernetes.io/part-of": "p",
    "app.kubernetes.io/instance": "there",
    "app.kubernetes.io/version": "b4caf988f9bec318",
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
                ],
            },
        ],
        "volumes": [{"name": "pipec-tmp", "emptyDir": {}}, {"name": "pipec-work", "emptyDir": {}}],
    },
}


def with_ends(context):
    """Return what conditions are rendered with: also `ends`, which says by task how it has ended."""
    ti, run_id = context["ti"], context["run_id"]
    states = ti.get_task_states(ti.dag_id, run_ids=[run_id])[run_id]
    named = {"success": "succeeded", "failed": "failed"}  # what Airflow gave up for another's failure is skipped
    ends = {task: named.get(state, "skipped") for task, state in states.items()}
    return {**context, "ends": ends}


def holds(task, condition, context):
    """Say whether a condition is true; one that asks nothing is."""
    try:
        return task.render_template(condition, context) in ("", "True")
    except Exception as fault:  # a value that it reads is absent, which is a failure and not false
        raise AirflowFailException(f"`when` cannot be answered: {fault}") from fault


class Step(KubernetesPodOperator):
    """A step's container. What it ends with 1, 2 or 3 for, trying again cannot heal: that fails without a retry."""

    def execute(self, context):
        try:
            return super().execute(context)
        except AirflowSkipException as end:  # raised for the codes that `skip_on_exit_code` lists
            raise AirflowFailException("the step's last line says why, and what to do next") from end


class Event(BaseOperator):
    """What tells Airflow to start another pipeline: an event of its asset, if the run has `ended` so and `when` holds.

    Else the task is skipped. How it ends itself is nothing to the run.
    """

    def __init__(self, *, ended="", otherwise="", when="", parameters=None, cooldown_s=0, **kwargs):
        super().__init__(**kwargs)
        self.ended, self.otherwise, self.when = ended, otherwise, when
        self.parameters = parameters or {}
        self.cooldown_s = cooldown_s

    def execute(self, context):
        context = with_ends(context)
        if not holds(self, self.ended, context):
            raise AirflowSkipException(self.otherwise)
        if not holds(self, self.when, context):
            raise AirflowSkipException("`when` is false")
        extra = {name: self.told(name, said, context) for name, said in self.parameters.items()}
        if reason := self.rest(context):
            raise AirflowSkipException(reason)
        context["outlet_events"][self.outlets[0]].extra = extra

    def told(self, name, said, context):
        """Return the value of a parameter, which is a template that renders to JSON."""
        try:
            value = json.loads(self.render_template(said, {**context, "as_text": as_text}))
        except Exception as fault:
            raise AirflowFailException(f"parameter `{name}` reads a value that is absent: {fault}") from fault
        if value is None:
            raise AirflowFailException(f"parameter `{name}` reads a value that is absent")
        return value

    def rest(self, context):
        """Return why nothing is to be started yet, or None."""
        last = max((event.timestamp for event in context["inlet_events"][0]), default=None) if self.cooldown_s else None
        if last and 0 <= (context["ti"].start_date - last).total_seconds() < self.cooldown_s:
            return f"it was last started so at {last:%Y-%m-%dT%H:%M:%SZ}, and rests for {self.cooldown_s} s"
        return None


def as_text(value):
    """Return a value as it stands inside a text: whole numbers without a point, and all but texts as JSON."""
    if value is None:
        raise ValueError("a value is absent")
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return value if isinstance(value, str) else json.dumps(int(value) if whole else value)


with DAG(
    dag_id="p",
    schedule=None,
    catchup=False,
    max_active_runs=16,
    default_args={
        "skip_on_exit_code": [1, 2, 3],
        "name": "p-{{ ti.task_id }}",
        "cmds": ["pipec-step"],
        "startup_timeout_seconds": 900,
        "deferrable": False,
        "security_context": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "container_security_context": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "image": "i:1",
        "container_resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        "retries": 0,
        "pod_template_dict": POD,
        "xcom_sidecar_container_security_context": {
            "runAsUser": 65534,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    },
    tags=["environment:there"],
) as dag:
    a = Step(
        task_id="a",
        doc="Read a CSV or Parquet file from a path or URL and keep its rows as a data set.",
        arguments=[
            "ingest@1:baed8a00508e",
            '{"source": "s3://b/rows.csv"}',
            *RUN,
            "--xcom",
            "/airflow/xcom/return.json",
        ],
        do_xcom_push=True,
    )

    b = Step(
        task_id="b",
        doc="Say something in the log, and to a webhook where one is given.",
        arguments=["notify@1:2ea00606e388", '{"channel": "ml", "message": "hello"}', *RUN],
    )

    start_q_1 = Event(
        task_id="start-q-1",
        when='{{ ends["b"] == "failed" }}',
        parameters={"why": '"it failed"'},
        outlets=[Asset("pipec://p/run/q-1")],
    ).as_teardown()

    start_q_2 = Event(
        task_id="start-q-2",
        ended='{{ ends["a"] == "succeeded" }}',
        otherwise="`a` has not succeeded",
        when='{{ ti.xcom_pull("a")["n_rows"] > 1 }}',
        parameters={
            "rows": '{{ ti.xcom_pull("a")["n_rows"] | tojson }}',
            "why": '{{ (as_text(ti.xcom_pull("a")["n_rows"]) ~ " rows in " ~ run_id) | tojson }}',
        },
        cooldown_s=43200,
        inlets=[Asset("pipec://p/a/q-2")],
        outlets=[Asset("pipec://p/a/q-2")],
    ).as_teardown()

    a >> b >> start_q_1
    a >> start_q_2

    dag.doc_md = (
        "What it was compiled from:\n\n```yaml\napiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {name: p}\n"
        "steps: {a: {uses: ingest, with: {source: 's3://b/rows.csv'}}, b: {needs: [a], uses: notify, "
        "with: {channel: ml, message: hello}}}\n---\napiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {name: q}\n"
        "triggers:\n  - after: {pipeline: p, outcome: any, when: failed(b), parameters: {why: it failed}}\n"
        "  - after: {pipeline: p, step: a, when: steps.a.n_rows > 1, cooldown: 12h, parameters: {rows: '${{ "
        "steps.a.n_rows }}', why: '${{ steps.a.n_rows }} rows in ${{ run.id }}'}}\nparameters:\n"
        "  why: {type: string, default: nobody}\n  rows: {type: integer, default: 0}\n  share: {type: number, "
        "default: 0.5}\n  go: {type: boolean, default: true}\n  names: {type: list, default: []}\n"
        "  more: {type: object, default: {}}\nsteps: {z: {uses: notify, with: {channel: ml, "
        "message: '${{ parameters.why }}'}}}\n```\n"
    )
