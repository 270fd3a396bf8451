"""Train the model that scores the wines, and release it if it is good enough.

Started by the end of the DAG `scoring`: when there is no model yet, or when its rows have drifted away from those that
the model learned from. The event says why, and the last task tells the channel what came of it, whatever that was.

Everything that a run makes lies below `s3://ml-prod/pipec/runs/retraining/<run id>/<task>`.
"""

from datetime import timedelta

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.sdk import DAG, Asset, AssetAny, Param

RUN = "s3://ml-prod/pipec/runs/retraining/{{ run_id }}"
REASON = (
    "{{ (triggering_asset_events.values() | first | last).extra.reason if triggering_asset_events else params.reason }}"
)
SCRATCH = {
    "spec": {
        "containers": [{"name": "base", "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}]}],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
    },
}


class Step(KubernetesPodOperator):
    """A pod that is not tried again when it ends with 1 (a bug), 2 (bad arguments) or 3 (a gate said no)."""

    def execute(self, context):
        try:
            return super().execute(context)
        except AirflowSkipException as end:
            raise AirflowFailException("see the last line of the log") from end


with DAG(
    dag_id="retraining",
    description="Train the model that scores the wines, and release it if it is good enough",
    schedule=AssetAny(Asset("scoring/no-model"), Asset("scoring/drift")),
    catchup=False,
    max_active_runs=1,
    params={
        "source": Param("s3://wine/measured.parquet", type="string", description="Where the measured wines are"),
        "reason": Param("somebody asked", type="string", description="Why it is trained"),
    },
    default_args={
        "owner": "ml-platform",
        "image": "registry.example/pipec-steps@sha256:157a479510e8e443b8c0e8771f2bfdebbe73ede3de1a4b4b1f0d089a55a1b013",
        "namespace": "ml",
        "service_account_name": "pipec",
        "cmds": ["steps"],
        "labels": {
            "app.kubernetes.io/managed-by": "airflow",
            "app.kubernetes.io/part-of": "retraining",
            "app.kubernetes.io/instance": "prod",
        },
        "container_resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        "security_context": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "container_security_context": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "startup_timeout_seconds": 900,
        "active_deadline_seconds": 1800,
        "skip_on_exit_code": [1, 2, 3],
        "retries": 1,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(hours=1),
    },
    tags=["environment:prod", "production"],
    doc_md=__doc__,
) as dag:
    ingest = Step(
        task_id="ingest",
        doc="Read the measured wines and keep their rows.",
        name="retraining-ingest",
        arguments=["ingest", "--source", "{{ params.source }}", "--data", f"{RUN}/ingest/data"],
    )

    validate = Step(
        task_id="validate",
        doc="Check rows against expectations and pass them on only if every one holds.",
        name="retraining-validate",
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
        name="retraining-split",
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
        name="retraining-train",
        arguments=[
            "train",
            "--data",
            f"{RUN}/split/train",
            "--target",
            "cultivar",
            "--seed",
            "7",
            "--model",
            f"{RUN}/train/model",
            "--profile",
            f"{RUN}/train/profile",
        ],
        container_resources={"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
        pod_template_dict=SCRATCH,
    )

    evaluate = Step(
        task_id="evaluate",
        doc="Judge the model on rows it has not seen, and refuse it below the gate.",
        name="retraining-evaluate",
        arguments=[
            "evaluate",
            "--model",
            f"{RUN}/train/model",
            "--data",
            f"{RUN}/split/test",
            "--minimum-f1",
            "0.9",
            "--report",
            f"{RUN}/evaluate/report",
        ],
        container_resources={"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
        pod_template_dict=SCRATCH,
    )

    approve = Step(
        task_id="approve",
        doc="Write down that the gate allowed the model.",
        name="retraining-approve",
        arguments=[
            "approve",
            "--model",
            f"{RUN}/train/model",
            "--evidence",
            f"{RUN}/evaluate/report",
            "--approval",
            f"{RUN}/approve/approval",
        ],
        retries=0,
    )

    deploy = Step(
        task_id="deploy",
        doc="Release the approved model as `wines`.",
        name="retraining-deploy",
        arguments=[
            "deploy",
            "--model",
            f"{RUN}/train/model",
            "--approval",
            f"{RUN}/approve/approval",
            "--profile",
            f"{RUN}/train/profile",
            "--name",
            "wines",
        ],
    )

    tell = Step(
        task_id="tell",
        doc="Tell the channel what came of it.",
        name="retraining-tell",
        arguments=[
            "notify",
            "--channel",
            "ml-scoring",
            "--message",
            f"retraining ({REASON})",
            "--states",
            "{{ ti.get_task_states(ti.dag_id, run_ids=[run_id])[run_id] | tojson }}",
        ],
    ).as_teardown()

    ingest >> validate >> split >> train
    [split, train] >> evaluate >> approve
    [train, approve] >> deploy >> tell
