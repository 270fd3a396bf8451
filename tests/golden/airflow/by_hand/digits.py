"""Train and release a network that reads handwritten digits.

Started by hand: choose where the images are and how long to train. A network that reads fewer than 95 of 100 digits
right is refused and goes no further; any other is approved by that gate alone and becomes the champion.

Everything that a run makes lies below `s3://ml-prod/pipec/runs/digits/<run id>/<task>`, the model under
`evaluate/model` and its accuracy under `evaluate/score`.
"""

from datetime import timedelta

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.sdk import DAG, Param

RUN = "s3://ml-prod/pipec/runs/digits/{{ run_id }}"
# PyTorch's loaders hand batches over in shared memory, of which a container has 64 MiB by default.
SHARED_MEMORY = {
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
    dag_id="digits",
    description="Train and release a network that reads handwritten digits",
    schedule=None,
    catchup=False,
    max_active_runs=16,
    params={
        "source": Param("s3://digits/images.parquet", type="string", description="Where the images are"),
        "epochs": Param(30, type="integer", minimum=1, description="Passes over the training images"),
    },
    default_args={
        "owner": "ml-platform",
        "image": "registry.example/pipec-steps@sha256:157a479510e8e443b8c0e8771f2bfdebbe73ede3de1a4b4b1f0d089a55a1b013",
        "namespace": "ml",
        "service_account_name": "pipec",
        "cmds": ["steps"],
        "labels": {
            "app.kubernetes.io/managed-by": "airflow",
            "app.kubernetes.io/part-of": "digits",
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
        doc="Read the images and keep them.",
        name="digits-ingest",
        arguments=["ingest", "--source", "{{ params.source }}", "--data", f"{RUN}/ingest/data"],
    )

    validate = Step(
        task_id="validate",
        doc="Check the images against expectations and pass them on only if every one holds.",
        name="digits-validate",
        arguments=[
            "validate-data",
            "--data",
            f"{RUN}/ingest/data",
            "--expectations",
            "/etc/digits/expectations.yaml",
            "--valid",
            f"{RUN}/validate/data",
        ],
    )

    split = Step(
        task_id="split",
        doc="Cut the images into a training and a test set.",
        name="digits-split",
        arguments=[
            "split",
            "--data",
            f"{RUN}/validate/data",
            "--test-size",
            "0.25",
            "--stratify",
            "digit",
            "--seed",
            "1",
            "--train",
            f"{RUN}/split/train",
            "--test",
            f"{RUN}/split/test",
        ],
    )

    train = Step(
        task_id="train",
        doc="Fit a network with one hidden layer on a GPU.",
        name="digits-train",
        arguments=[
            "train",
            "--data",
            f"{RUN}/split/train",
            "--target",
            "digit",
            "--estimator",
            "mlp",
            "--hidden",
            "64",
            "--batch-size",
            "32",
            "--epochs",
            "{{ params.epochs }}",
            "--learning-rate",
            "0.01",
            "--seed",
            "1",
            "--model",
            f"{RUN}/train/model",
        ],
        container_resources={
            "requests": {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"},
            "limits": {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"},
        },
        pod_template_dict=SHARED_MEMORY,
    )

    evaluate = Step(
        task_id="evaluate",
        doc="Judge the network on images it has not seen, and refuse it below the gate.",
        name="digits-evaluate",
        arguments=[
            "evaluate",
            "--model",
            f"{RUN}/train/model",
            "--data",
            f"{RUN}/split/test",
            "--minimum-accuracy",
            "0.95",
            "--report",
            f"{RUN}/evaluate/report",
        ],
        container_resources={"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
        pod_template_dict=SHARED_MEMORY,
    )

    approve = Step(
        task_id="approve",
        doc="Write down that the gate allowed the network.",
        name="digits-approve",
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
        doc="Release the approved network.",
        name="digits-deploy",
        arguments=["deploy", "--model", f"{RUN}/train/model", "--approval", f"{RUN}/approve/approval"],
    )

    ingest >> validate >> split >> train
    [split, train] >> evaluate >> approve >> deploy
