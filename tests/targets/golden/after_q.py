# Written by pipec. Change the pipeline's YAML and compile again: changes made here are lost.
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.sdk import DAG, Asset, AssetAny, Param

RUN = ["--pipeline=q", "--env=there", "--task={{ ti.task_id }}", "--root=s3://b/r", "--run={{ run_id }}"]
PARAMETERS = ["--parameters", '{{ given(params, triggering_asset_events) | tojson | replace("$", "\\\\u0024") }}']
TRIGGERS = ["pipec://p/run/q-1", "pipec://p/a/q-2"]
LABELS = {
    "app.kubernetes.io/managed-by": "pipec",
    "app.kubernetes.io/part-of": "q",
    "app.kubernetes.io/instance": "there",
    "app.kubernetes.io/version": "31637d7e57c34788",
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


def given(params, events):
    """Return a run's parameters: over those that are declared, what the newest event gives by which it was started."""
    told = [event for asset, each in events.items() if asset.name in TRIGGERS for event in each]
    extra = max(told, key=lambda event: event.timestamp).extra if told else {}
    return {name: extra.get(name, value) for name, value in params.items()}


with DAG(
    dag_id="q",
    schedule=AssetAny(Asset("pipec://p/run/q-1"), Asset("pipec://p/a/q-2")),
    catchup=False,
    max_active_runs=16,
    params={
        "why": Param("nobody", type="string"),
        "rows": Param(0, type="integer"),
        "share": Param(0.5, type="number"),
        "go": Param(True, type="boolean"),
        "names": Param([], type="array"),
        "more": Param({}, type="object"),
    },
    user_defined_macros={"given": given},
    default_args={
        "skip_on_exit_code": [1, 2, 3],
        "name": "q-{{ ti.task_id }}",
        "cmds": ["pipec-step"],
        "startup_timeout_seconds": 900,
        "deferrable": False,
        "security_context": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "container_security_context": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    },
    tags=["environment:there"],
) as dag:
    z = Step(
        task_id="z",
        doc="Say something in the log, and to a webhook where one is given.",
        image="i:1",
        arguments=["notify@1:2ea00606e388", '{"channel": "ml", "message": {"$parameter": "why"}}', *RUN, *PARAMETERS],
        container_resources={"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        pod_template_dict=POD,
        retries=0,
    )

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
