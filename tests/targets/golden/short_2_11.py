# Written by pipec. Change the pipeline's YAML and compile again: changes made here are lost.
from datetime import timedelta

from airflow.datasets import Dataset, DatasetAny
from airflow.exceptions import AirflowFailException, AirflowSkipException
from airflow.models.dag import DAG
from airflow.models.param import Param
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.timetables.datasets import DatasetOrTimeSchedule
from airflow.timetables.trigger import CronTriggerTimetable
from airflow.utils.timezone import utc_epoch

RUN = ["--pipeline=short", "--env=dev", "--task={{ ti.task_id }}", "--root=/var/pipec", "--run={{ run_id }}"]
PARAMETERS = ["--parameters", '{{ params | tojson | replace("$", "\\\\u0024") }}']


class Step(DockerOperator):
    """A step's container. What it ends with 1, 2 or 3 for, trying again cannot heal: that fails without a retry."""

    def execute(self, context):
        try:
            return super().execute(context)
        except AirflowSkipException as end:  # raised for the codes that `skip_on_exit_code` lists
            raise AirflowFailException("the step's last line says why, and what to do next") from end


with DAG(
    dag_id="short",
    schedule=DatasetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 3 * * 1", timezone="Europe/Vienna"),
        datasets=DatasetAny(Dataset("s3://b/k"), Dataset("s3://b/l")),
    ),
    start_date=utc_epoch(),
    catchup=False,
    max_active_runs=16,
    params={"source": Param("s3://wine/rows.csv", type="string")},
    default_args={
        "skip_on_exit_code": [1, 2, 3],
        "labels": {
            "app.kubernetes.io/managed-by": "pipec",
            "app.kubernetes.io/part-of": "short",
            "app.kubernetes.io/instance": "dev",
            "app.kubernetes.io/version": "6d56ab7372d3fa00",
        },
        "entrypoint": ["pipec-step"],
        "mount_tmp_dir": False,
        "auto_remove": "force",
        "do_xcom_push": False,
        "mounts": [{"source": "/var/pipec", "target": "/var/pipec", "type": "bind"}],
        "image": "registry.example/pipec-steps@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "cpus": 1.0,
        "mem_limit": "2048m",
    },
    tags=["environment:dev"],
) as dag:
    ingest = Step(
        task_id="ingest",
        command=["ingest@1:f281c51b5955", '{"source": {"$parameter": "source"}}', *RUN, *PARAMETERS],
        retries=1,
        retry_delay=timedelta(seconds=30),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(seconds=3600),
    )

    train = Step(
        task_id="train",
        command=["train@1:61de94631983", '{"data": {"$output": "ingest.data"}, "target": "quality"}', *RUN],
        execution_timeout=timedelta(seconds=600),
        retries=0,
    )

    ingest >> train
