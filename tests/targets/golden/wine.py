# Written by pipec. Change the pipeline's YAML and compile again: changes made here are lost.
import json
import os
from datetime import timedelta

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Asset, AssetAny, AssetOrTimeSchedule, MultipleCronTriggerTimetable, Param

RUN = ["--pipeline=wine-quality", "--env=prod", "--task={{ ti.task_id }}", "--root=/var/pipec", "--run={{ run_id }}"]
PARAMETERS = ["--parameters", '{{ params | tojson | replace("$", "\\\\u0024") }}']
SCHEDULED = ["--scheduled-at", '{{ dag_run.run_after.strftime("%Y-%m-%dT%H:%M:%SZ") }}']


class Step(DockerOperator):
    """A step's container. What it ends with 1, 2 or 3 for, trying again cannot heal: that fails without a retry."""

    def execute(self, context):
        try:
            last = super().execute(context)
            return json.loads(last) if self.do_xcom_push else None
        except AirflowSkipException as end:  # raised for the codes that `skip_on_exit_code` lists
            raise AirflowFailException("the step's last line says why, and what to do next") from end


class Decision(ApprovalOperator):
    """A person's answer. A no skips nothing: the step behind it seals the answer, refuses, and so fails the run."""

    def skip(self, ti, tasks):
        """Leave what follows to its own rules."""


def from_worker(names):
    """Return variables of the worker under a step's names; one that is missing stays missing, and the step says so."""
    return {name: os.environ[source] for name, source in names.items() if source in os.environ}


with DAG(
    dag_id="wine-quality",
    description='Retrain and "release" the wine classifier',
    schedule=AssetOrTimeSchedule(
        timetable=MultipleCronTriggerTimetable("0 3 * * 1", "0 4 * * 2", timezone="UTC"),
        assets=AssetAny(Asset("s3://b/k"), Asset("s3://b/l")),
    ),
    catchup=False,
    max_active_runs=1,
    params={
        "source": Param("s3://wine/prod.parquet", type="string", description="Where rows come from."),
        "epochs": Param(40, type="integer", minimum=1),
        "rate": Param(0.001, type="number", exclusiveMinimum=0),
        "stage": Param("dev", type="string", enum=["dev", "prod"]),
        "layers": Param([64, 32], type="array", items={"type": "integer"}),
        "options": Param({"bias": True, "drop": None}, type="object"),
    },
    default_args={
        "owner": "ml-platform",
        "pool": "gpu",
        "skip_on_exit_code": [1, 2, 3],
        "labels": {
            "app.kubernetes.io/managed-by": "pipec",
            "app.kubernetes.io/part-of": "wine-quality",
            "app.kubernetes.io/instance": "prod",
            "team": "ml",
            "app.kubernetes.io/version": "76994a7c431e65d9",
        },
        "entrypoint": ["pipec-step"],
        "mount_tmp_dir": False,
        "auto_remove": "force",
        "do_xcom_push": False,
        "user": "7:8",
        "force_pull": True,
        "mounts": [{"source": "/var/pipec", "target": "/var/pipec", "type": "bind"}],
        "image": "registry.example/pipec-steps@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "cpus": 1.0,
        "mem_limit": "2048m",
        "retries": 0,
    },
    tags=["team:ml", "environment:prod", "production"],
) as dag:
    ingest = Step(
        task_id="ingest",
        command=[
            "ingest@1:f281c51b5955",
            '{"source": {"$parameter": "source"}, "dsn": {"$secret": "warehouse"}, "$cache": false}',
            *RUN,
            *PARAMETERS,
        ],
        private_environment=from_worker({"PIPEC_SECRET_WAREHOUSE": "WAREHOUSE_DSN"}),
        execution_timeout=timedelta(seconds=3600),
        retries=2,
        retry_delay=timedelta(seconds=30),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(seconds=3600),
    )

    validate = Step(
        task_id="validate",
        command=[
            "validate-data@1:b701db8d4fe2",
            (
                '{"data": {"$output": "ingest.data"}, "expectations": {"$file": ["wine.yaml", '
                '"columns: {quality: {between: [0, 10]}}\\n"]}}'
            ),
            *RUN,
        ],
        execution_timeout=timedelta(seconds=600),
        retries=2,
        retry_delay=timedelta(seconds=30),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(seconds=3600),
    )

    split = Step(
        task_id="split",
        command=["split@1:f1a50e83f4e3", '{"data": {"$output": "validate.checked"}, "seed": 7}', *RUN],
        mounts=[
            {"source": "/var/pipec", "target": "/var/pipec", "type": "bind"},
            {"source": "/mnt/scratch", "target": "/scratch", "type": "bind"},
        ],
    )

    train = Step(
        task_id="train",
        command=[
            "train@1:61de94631983",
            (
                '{"data": {"$output": "split.train"}, "target": "quality", "epochs": {"$parameter": "epochs"}, '
                '"rate": {"$parameter": "rate"}, "note": {"$text": ["it\'s \\u007b\\u007b run_id }} and '
                '\\u007b\\u007b$}} of ", {"$parameter": "stage"}]}, "layers": {"$parameter": "layers"}, '
                '"options": {"$parameter": "options"}, "$threads": 4, "$cache": false, "$env": '
                '"sha256:e1046ba8cde5c3b216fc179a7f9a0b0aec15c9573d71915892dcf2c251d0af20", "$hidden": ["WH"], '
                '"$devices": ["gpu", 2]}'
            ),
            *RUN,
            *PARAMETERS,
        ],
        cpus=4,
        mem_limit="16384m",
        shm_size="8192m",
        device_requests=[{"count": 2, "capabilities": [["gpu"]]}],
        environment={"OMP_NUM_THREADS": "4", "NOTE": "$(HOME) costs $5"},
        private_environment=from_worker({"WH": "WAREHOUSE_DSN"}),
        retries=1,
        retry_delay=timedelta(seconds=60),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(seconds=3600),
    )

    evaluate = Step(
        task_id="evaluate",
        doc="Judge on rows that training never saw",
        command=[
            "evaluate@1:3801274321f4",
            (
                '{"model": {"$output": "train.model"}, "data": {"$output": "split.test"}, "gates": [{"metric": '
                '"f1_macro", "minimum": 0.9}]}'
            ),
            *RUN,
        ],
    )

    approve_subject = Step(
        task_id="approve-subject",
        command=[
            "--subject",
            "approve@1:0ba8855f07ce",
            (
                '{"model": {"$output": "evaluate.judged"}, "evidence": {"$output": "evaluate.report"}, '
                '"approvers": ["ana@example.org", "bo@example.org"], "$task": "approve"}'
            ),
            *RUN,
            "--xcom",
            "-",
        ],
        do_xcom_push=True,
    )

    approve_decision = Decision(
        task_id="approve-decision",
        subject="approve: release of wine-quality (prod)",
        body=(
            "The steps before this one say what is released.\n\nWho may decide: ana@example.org, bo@example.org.\n\n"
            'What is approved:\n\n{{ ti.xcom_pull(task_ids="approve-subject").shown }}'
        ),
        defaults="Reject",
        response_timeout=timedelta(seconds=604800),
        assigned_users=[{"id": "12", "name": "ana@example.org"}, {"id": "13", "name": "bo@example.org"}],
        do_xcom_push=True,
        retries=1,
        retry_delay=timedelta(seconds=30),
    )

    approve = Step(
        task_id="approve",
        command=[
            "approve@1:0ba8855f07ce",
            (
                '{"model": {"$output": "evaluate.judged"}, "evidence": {"$output": "evaluate.report"}, '
                '"approvers": ["ana@example.org", "bo@example.org"]}'
            ),
            *RUN,
            "--decision",
            (
                '{% set answer = ti.xcom_pull(task_ids="approve-decision") %}{% set user = answer.responded_by_user '
                '%}{% set shown = ti.xcom_pull(task_ids="approve-subject") %}{"format_version": "1.0", '
                '"decision": "{{ "expired" if not user else "approve" if answer.chosen_options == ["Approve"] else '
                '"reject" }}", "by": {{ ({"12": "ana@example.org", "13": "bo@example.org"}.get(user.id) or user.name ~ '
                '" (airflow user " ~ user.id ~ ")" if user else "") | tojson | replace("$", "\\\\u0024") }}, '
                '"at": {{ answer.responded_at | string | replace(" ", "T") | tojson }}, "subject": {{ shown.subject | '
                "tojson }}}"
            ),
        ],
    )

    deploy = Step(
        task_id="deploy",
        command=[
            "deploy@1:d68603e6b8a8",
            (
                '{"model": {"$output": "approve.approved"}, "approval": {"$output": "approve.approval"}, '
                '"release": {"$text": [{"$run": "date"}, "/", {"$run": "id"}]}}'
            ),
            *RUN,
            *SCHEDULED,
        ],
    )

    monitor = Step(
        task_id="monitor",
        command=[
            "monitor@1:25c2a49be00c",
            (
                '{"endpoint": {"$output": "deploy.endpoint"}, "reference": {"$output": "split.train"}, '
                '"batch": "s3://wine/new.csv", "since": {"$run": "scheduled_at"}, "rows": {"$output": "ingest.rows"}}'
            ),
            *RUN,
            *SCHEDULED,
        ],
    )

    ingest >> validate >> split >> train
    [split, train] >> evaluate >> approve_subject >> approve_decision >> approve >> deploy
    [deploy, ingest, split, validate] >> monitor

    dag.doc_md = (
        "Outputs of a run (`RUN` is its id, with `_` for `:` and `+`):\n\n- `model`: "
        "`/var/pipec/runs/wine-quality/RUN/evaluate/judged`\n- `score`: "
        "`/var/pipec/runs/wine-quality/RUN/evaluate/score`\n\n"
    )
