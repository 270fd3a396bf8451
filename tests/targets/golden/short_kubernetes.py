# Written by pipec. Change the pipeline's YAML and compile again: changes made here are lost.
from datetime import timedelta

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.sdk import DAG, Param

RUN = ["--pipeline=short", "--env=dev", "--task={{ ti.task_id }}", "--root=s3://ml-prod/pipec", "--run={{ run_id }}"]
PARAMETERS = ["--parameters", '{{ params | tojson | replace("$", "\\\\u0024") }}']
LABELS = {
    "app.kubernetes.io/managed-by": "pipec",
    "app.kubernetes.io/part-of": "short",
    "app.kubernetes.io/instance": "dev",
    "app.kubernetes.io/version": "6d56ab7372d3fa00",
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


class Step(KubernetesPodOperator):
    """A step's container. What it ends with 1, 2 or 3 for, trying again cannot heal: that fails without a retry."""

    def execute(self, context):
        try:
            return super().execute(context)
        except AirflowSkipException as end:  # raised for the codes that `skip_on_exit_code` lists
            raise AirflowFailException("the step's last line says why, and what to do next") from end


with DAG(
    dag_id="short",
    schedule=None,
    catchup=False,
    max_active_runs=16,
    params={"source": Param("s3://wine/rows.csv", type="string")},
    default_args={
        "pool": "gpu",
        "skip_on_exit_code": [1, 2, 3],
        "namespace": "ml",
        "service_account_name": "pipec",
        "name": "short-{{ ti.task_id }}",
        "cmds": ["pipec-step"],
        "startup_timeout_seconds": 900,
        "deferrable": False,
        "security_context": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "container_security_context": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "image": "registry.example/pipec-steps@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "container_resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        "pod_template_dict": POD,
    },
    tags=["environment:dev"],
) as dag:
    ingest = Step(
        task_id="ingest",
        arguments=["ingest@1:f281c51b5955", '{"source": {"$parameter": "source"}}', *RUN, *PARAMETERS],
        retries=1,
        retry_delay=timedelta(seconds=30),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(seconds=3600),
    )

    train = Step(
        task_id="train",
        arguments=["train@1:61de94631983", '{"data": {"$output": "ingest.data"}, "target": "quality"}', *RUN],
        active_deadline_seconds=600,
        retries=0,
    )

    ingest >> train
