"""Retrain and release the model that tells a wine's cultivar from its chemistry.

Every Monday at three the measured wines are read, judged and split, a model is trained and evaluated on rows it has not
seen. One of the ML leads approves it, and it is deployed; the last task says whether new wines still look alike.

Everything that a run makes lies below `s3://ml-prod/pipec/runs/wine/<run id>/<task>`, the model under `evaluate/model`.
Artifacts are written whole or not at all, so any task may be cleared and run again.
"""

from datetime import timedelta

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, CronTriggerTimetable, Param

RUN = "s3://ml-prod/pipec/runs/wine/{{ run_id }}"


class Step(KubernetesPodOperator):
    """A pod that is not tried again when it ends with 1 (a bug), 2 (bad arguments) or 3 (a gate said no)."""

    def execute(self, context):
        try:
            return super().execute(context)
        except AirflowSkipException as end:
            raise AirflowFailException("see the last line of the log") from end


with DAG(
    dag_id="wine",
    description="Retrain and release the model that tells a wine's cultivar from its chemistry",
    schedule=CronTriggerTimetable("0 3 * * 1", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    params={
        "source": Param("s3://wine/measured.parquet", type="string", description="Where the measured wines are"),
        "batch": Param("s3://wine/last-week.parquet", type="string", description="Wines that the model will see"),
        "minimum_f1": Param(0.9, type="number", minimum=0, maximum=1, description="The least macro F1"),
    },
    default_args={
        "owner": "ml-platform",
        "image": "registry.example/pipec-steps@sha256:157a479510e8e443b8c0e8771f2bfdebbe73ede3de1a4b4b1f0d089a55a1b013",
        "namespace": "ml",
        "service_account_name": "pipec",
        "cmds": ["steps"],
        "labels": {
            "app.kubernetes.io/managed-by": "airflow",
            "app.kubernetes.io/part-of": "wine",
            "app.kubernetes.io/instance": "prod",
            "team": "ml",
        },
        "container_resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        "security_context": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "container_security_context": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        # The image of the XCom side-car runs as root unless it is told otherwise, and the namespace is restricted.
        "xcom_sidecar_container_security_context": {
            "runAsUser": 65534,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "startup_timeout_seconds": 900,
        "active_deadline_seconds": 1800,
        "skip_on_exit_code": [1, 2, 3],
        "retries": 1,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(hours=1),
    },
    tags=["team:ml", "environment:prod", "production"],
    doc_md=__doc__,
) as dag:
    ingest = Step(
        task_id="ingest",
        doc="Read a Parquet file and keep its rows.",
        name="wine-ingest",
        arguments=["ingest", "--source", "{{ params.source }}", "--data", f"{RUN}/ingest/data"],
    )

    validate = Step(
        task_id="validate",
        doc="Check rows against expectations and pass them on only if every one holds.",
        name="wine-validate",
        arguments=[
            "validate-data",
            "--data",
            f"{RUN}/ingest/data",
            "--expectations",
            "/etc/wine/expectations.yaml",
            "--valid",
            f"{RUN}/validate/data",
        ],
    )

    split = Step(
        task_id="split",
        doc="Cut rows into a training and a test set.",
        name="wine-split",
        arguments=[
            "split",
            "--data",
            f"{RUN}/validate/data",
            "--test-size",
            "0.3",
            "--stratify",
            "cultivar",
            "--seed",
            "7",
            "--train",
            f"{RUN}/split/train",
            "--test",
            f"{RUN}/split/test",
        ],
    )

    train = Step(
        task_id="train",
        doc="Fit a logistic regression.",
        name="wine-train",
        arguments=[
            "train",
            "--data",
            f"{RUN}/split/train",
            "--target",
            "cultivar",
            "--estimator",
            "logistic-regression",
            "--seed",
            "7",
            "--model",
            f"{RUN}/train/model",
        ],
        container_resources={"requests": {"cpu": "2", "memory": "2Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}},
    )

    evaluate = Step(
        task_id="evaluate",
        doc="Judge the model on rows it has not seen, and refuse it below the gate.",
        name="wine-evaluate",
        arguments=[
            "evaluate",
            "--model",
            f"{RUN}/train/model",
            "--data",
            f"{RUN}/split/test",
            "--minimum-f1",
            "{{ params.minimum_f1 }}",
            "--report",
            f"{RUN}/evaluate/report",
        ],
        container_resources={"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
    )

    approve_subject = Step(
        task_id="approve-subject",
        doc="Find out the digests of what is to be approved.",
        name="wine-subject",
        arguments=["subject", "--model", f"{RUN}/train/model", "--report", f"{RUN}/evaluate/report"],
        do_xcom_push=True,
        retries=0,
    )

    approve_decision = ApprovalOperator(
        task_id="approve-decision",
        subject="Release of wine",
        body="May this model be deployed?\n\n{{ ti.xcom_pull(task_ids='approve-subject')['shown'] }}",
        defaults="Reject",
        response_timeout=timedelta(days=7),
        assigned_users=[{"id": "12", "name": "ana@example.org"}, {"id": "13", "name": "bo@example.org"}],
        retries=1,
        retry_delay=timedelta(seconds=30),
    )

    approve = Step(
        task_id="approve",
        doc="Write down who allowed the model.",
        name="wine-approve",
        arguments=[
            "approve",
            "--model",
            f"{RUN}/train/model",
            "--answer",
            "{{ ti.xcom_pull(task_ids='approve-decision').chosen_options[0] }}",
            "--by",
            "{{ ti.xcom_pull(task_ids='approve-decision').responded_by_user.name }}",
            "--subject",
            "{{ ti.xcom_pull(task_ids='approve-subject') | tojson }}",
            "--approval",
            f"{RUN}/approve/approval",
        ],
        retries=0,
    )

    deploy = Step(
        task_id="deploy",
        doc="Release the approved model and wait until servers serve it.",
        name="wine-deploy",
        arguments=["deploy", "--model", f"{RUN}/train/model", "--approval", f"{RUN}/approve/approval"],
    )

    monitor = Step(
        task_id="monitor",
        doc="Say whether new rows have drifted away from those that the model learned from.",
        name="wine-monitor",
        arguments=[
            "monitor",
            "--reference",
            f"{RUN}/split/train",
            "--batch",
            "{{ params.batch }}",
            "--drift",
            f"{RUN}/monitor/drift",
        ],
    )

    ingest >> validate >> split >> train
    [split, train] >> evaluate >> approve_subject >> approve_decision >> approve >> deploy
    [deploy, split] >> monitor
