# Written by pipec. Change the pipeline's YAML and compile again: changes made here are lost.
from datetime import timedelta

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.secret import Secret
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, CronTriggerTimetable, Param

RUN = ["--pipeline=placed", "--env=prod", "--task={{ ti.task_id }}", "--root=s3://ml-prod/pipec", "--run={{ run_id }}"]
PARAMETERS = ["--parameters", '{{ params | tojson | replace("$", "\\\\u0024") }}']
LABELS = {
    "app.kubernetes.io/managed-by": "pipec",
    "app.kubernetes.io/part-of": "placed",
    "app.kubernetes.io/instance": "prod",
    "team": "ml",
    "app.kubernetes.io/version": "472445e9d08e94df",
    "app.kubernetes.io/component": "{{ ti.task_id }}",
}
POD = {
    "metadata": {"labels": LABELS},
    "spec": {
        "containers": [
            {
                "name": "base",
                "env": [{"name": "REGION", "valueFrom": {"configMapKeyRef": {"name": "site", "key": "region"}}}],
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
            {"name": "pipec-shm", "emptyDir": {"medium": "Memory"}},
        ],
    },
}
POD_3 = {
    "metadata": {"labels": LABELS},
    "spec": {
        "containers": [
            {
                "name": "base",
                "env": [
                    {
                        "name": "PIPEC_CONFIG_TARGET",
                        "valueFrom": {"configMapKeyRef": {"name": "site", "key": "target"}},
                    },
                ],
                "volumeMounts": [
                    {"name": "pipec-tmp", "mountPath": "/tmp"},
                    {"name": "pipec-work", "mountPath": "/work"},
                    {"name": "pipec-shm", "mountPath": "/dev/shm"},
                    {"name": "volume-1", "mountPath": "/scratch", "subPath": "wine"},
                ],
            },
        ],
        "volumes": [
            {"name": "pipec-tmp", "emptyDir": {}},
            {"name": "pipec-work", "emptyDir": {}},
            {"name": "pipec-shm", "emptyDir": {"medium": "Memory"}},
            {"name": "volume-1", "persistentVolumeClaim": {"claimName": "scratch-rwx"}},
        ],
    },
}


class Step(KubernetesPodOperator):
    """A step's container. What it ends with 1, 2 or 3 for, trying again cannot heal: that fails without a retry."""

    def execute(self, context):
        try:
            return super().execute(context)
        except AirflowSkipException as end:  # raised for the codes that `skip_on_exit_code` lists
            raise AirflowFailException("the step's last line says why, and what to do next") from end


class Decision(ApprovalOperator):
    """A person's answer. A no skips nothing: the step behind it seals the answer, refuses, and so fails the run."""

    def skip(self, ti, tasks):
        """Leave what follows to its own rules."""


with DAG(
    dag_id="placed",
    description="Where and how",
    schedule=CronTriggerTimetable("0 3 * * 1", timezone="UTC"),
    catchup=False,
    max_active_runs=16,
    params={
        "source": Param("s3://wine/rows.csv", type="string", description="Where rows come from."),
        "stage": Param("dev", type="string", enum=["dev", "prod"]),
    },
    default_args={
        "owner": "ml-platform",
        "skip_on_exit_code": [1, 2, 3],
        "namespace": "ml",
        "service_account_name": "pipec",
        "image_pull_policy": "IfNotPresent",
        "image_pull_secrets": "registry",
        "annotations": {"pipec-owner": "ml-platform"},
        "name": "placed-{{ ti.task_id }}",
        "cmds": ["pipec-step"],
        "startup_timeout_seconds": 900,
        "deferrable": False,
        "security_context": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "container_security_context": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "image": "registry.example/pipec-steps@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "container_resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        "retries": 0,
        "pod_template_dict": POD_2,
        "xcom_sidecar_container_security_context": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    },
    tags=["team:ml", "environment:prod"],
) as dag:
    ingest = Step(
        task_id="ingest",
        arguments=[
            "ingest@1:f281c51b5955",
            (
                '{"source": {"$parameter": "source"}, "dsn": {"$secret": "warehouse"}, "$cache": false, '
                '"$env": "sha256:66c657d7f47308672c03c9e0a37ef6b0709bf457578cef8c6f325316c6b62c0f"}'
            ),
            *RUN,
            *PARAMETERS,
        ],
        env_vars={"MODE": "fast"},
        secrets=[Secret("env", "PIPEC_SECRET_WAREHOUSE", "wh", "dsn")],
        active_deadline_seconds=3600,
        pod_template_dict=POD,
        retries=2,
        retry_delay=timedelta(seconds=30),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(seconds=3600),
    )

    split = Step(task_id="split", arguments=["split@1:f1a50e83f4e3", '{"data": {"$output": "ingest.data"}}', *RUN])

    train = Step(
        task_id="train",
        labels={"kueue.x-k8s.io/queue-name": "ml", "kueue.x-k8s.io/priority-class": "high"},
        arguments=[
            "train@1:61de94631983",
            (
                '{"data": {"$output": "split.train"}, "target": {"$config": "target"}, "note": {"$parameter": '
                '"stage"}, "$threads": 4, "$cache": false, "$env": '
                '"sha256:f949271f490c58d4c78ef32150946f4cae622ae22678fbb34a4d24262504f5b5", "$hidden": ["WH"], '
                '"$devices": ["gpu", 2]}'
            ),
            *RUN,
            *PARAMETERS,
        ],
        container_resources={
            "requests": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "2"},
            "limits": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "2"},
        },
        node_selector={"disk": "nvme"},
        affinity={
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {
                                    "key": "nvidia.com/gpu.product",
                                    "operator": "In",
                                    "values": [
                                        "NVIDIA-A100-80GB-PCIe",
                                        "NVIDIA-A100-PCIE-40GB",
                                        "NVIDIA-A100-SXM4-40GB",
                                        "NVIDIA-A100-SXM4-80GB",
                                    ],
                                },
                                {"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": ["36863"]},
                            ],
                        },
                    ],
                },
            },
        },
        tolerations=[
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "spot", "operator": "Equal", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60},
        ],
        secrets=[Secret("env", "WH", "wh", "dsn")],
        pod_template_dict=POD_3,
    )

    evaluate = Step(
        task_id="evaluate",
        arguments=[
            "evaluate@1:3801274321f4",
            '{"model": {"$output": "train.model"}, "data": {"$output": "split.test"}}',
            *RUN,
        ],
    )

    approve_subject = Step(
        task_id="approve-subject",
        labels={"app.kubernetes.io/component": "approve"},
        arguments=[
            "--subject",
            "approve@1:0ba8855f07ce",
            (
                '{"model": {"$output": "evaluate.judged"}, "evidence": {"$output": "evaluate.report"}, '
                '"approvers": ["ana@example.org"], "$task": "approve"}'
            ),
            *RUN,
            "--xcom",
            "/airflow/xcom/return.json",
        ],
        do_xcom_push=True,
    )

    approve_decision = Decision(
        task_id="approve-decision",
        subject="approve: release of placed (prod)",
        body=(
            "The steps before this one say what is released.\n\nWho may decide: ana@example.org.\n\n"
            'What is approved:\n\n{{ ti.xcom_pull(task_ids="approve-subject").shown }}'
        ),
        defaults="Reject",
        response_timeout=timedelta(seconds=604800),
        assigned_users=[{"id": "12", "name": "ana@example.org"}],
        retries=1,
        retry_delay=timedelta(seconds=30),
    )

    approve = Step(
        task_id="approve",
        arguments=[
            "approve@1:0ba8855f07ce",
            (
                '{"model": {"$output": "evaluate.judged"}, "evidence": {"$output": "evaluate.report"}, '
                '"approvers": ["ana@example.org"]}'
            ),
            *RUN,
            "--decision",
            (
                '{% set answer = ti.xcom_pull(task_ids="approve-decision") %}{% set user = answer.responded_by_user '
                '%}{% set shown = ti.xcom_pull(task_ids="approve-subject") %}{"format_version": "1.0", '
                '"decision": "{{ "expired" if not user else "approve" if answer.chosen_options == ["Approve"] else '
                '"reject" }}", "by": {{ ({"12": "ana@example.org"}.get(user.id) or user.name ~ " (airflow user " ~ '
                'user.id ~ ")" if user else "") | tojson | replace("$", "\\\\u0024") }}, '
                '"at": {{ answer.responded_at | string | replace(" ", "T") | tojson }}, "subject": {{ shown.subject | '
                "tojson }}}"
            ),
        ],
    )

    monitor = Step(
        task_id="monitor",
        arguments=[
            "monitor@1:25c2a49be00c",
            (
                '{"endpoint": "s3://ml/endpoint", "reference": {"$output": "split.train"}, '
                '"batch": "s3://wine/new.csv", "rows": {"$output": "ingest.rows"}}'
            ),
            *RUN,
        ],
    )

    ingest >> split >> train
    [split, train] >> evaluate >> approve_subject >> approve_decision >> approve
    [ingest, split] >> monitor

    dag.doc_md = (
        "Outputs of a run (`RUN` is its id, with `_` for `:` and `+`):\n\n- `model`: "
        "`s3://ml-prod/pipec/runs/placed/RUN/evaluate/judged`\n- `score`: "
        "`s3://ml-prod/pipec/runs/placed/RUN/evaluate/score`\n\n"
    )
