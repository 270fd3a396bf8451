"""Parsing an emitted DAG file beside one written by hand, and beside dag-factory's YAML: what a parser pays each time.

    python benchmarks/airflow.py [--save]

The same tasks four times: pods of three sizes, with two tries and two edges each. By hand they are written twice: as
`tests/golden/airflow/by_hand` has them, with the class that keeps Airflow from repeating a refusal, and plainly,
without what pipec does for that. CPU seconds of a DagBag in one warm process of the Airflow environment, which
`make airflow` makes; all in turn, the least of the rounds; read the ratios. `--save` writes
benchmarks/results/airflow.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import ENVIRON, ROOT, ROUNDS, tell

RESULTS = ROOT / "benchmarks" / "results" / "airflow.json"
PYTHON = Path(os.environ.get("PIPEC_AIRFLOW_PYTHON", ROOT / ".venv-airflow/bin/python"))
SIZES = (10, 100, 1000)
LOADS = {10: 60, 100: 20, 1000: 6}  # a DagBag of 10 tasks takes 4 ms, which a neighbour soon doubles
MOST_BY_HAND, MOST_FACTORY = 1.1, 0.2  # of the CPU of each; dag-factory's from 100 tasks on
PROJECT = """
apiVersion: pipec/v1alpha1
kind: Project
metadata: {name: bench, owner: ml}
image: registry.example/steps:1
defaults: {retry: {attempts: 2, backoff: 30s}, timeout: 1h}
environments: {prod: {artifacts: "s3://bucket/store", airflow: {namespace: ml, service_account: pipec}}}
"""
HEADER = "apiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {name: ours}\nsteps:\n"
FIRST = '  t%d: {uses: ingest, with: {source: "s3://bucket/rows.parquet"}, resources: {cpu: %d}}\n'
NEXT = '  t%d: {uses: split, needs: [t%d], with: {data: "${{ steps.t%d.%s }}", seed: %d}, resources: {cpu: %d}}\n'
# As one writes it: what all share in `default_args`, resources as dicts (facts of the provider: V1 objects cost more).
PLAIN = """from datetime import timedelta

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG

with DAG(
    dag_id="plain",
    schedule=None,
    catchup=False,
    default_args={
        "owner": "ml", "retries": 1, "retry_delay": timedelta(seconds=30), "image": "registry.example/steps:1",
        "namespace": "ml", "service_account_name": "pipec", "cmds": ["pipec-step"], "startup_timeout_seconds": 900,
        "labels": {"team": "ml"}, "active_deadline_seconds": 3600,
        "security_context": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "container_security_context": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    },
):
"""
CLASS = """

class Step(KubernetesPodOperator):
    \"\"\"A pod that is not tried again when it ends with 1 (a bug), 2 (bad arguments) or 3 (a gate said no).\"\"\"

    def execute(self, context):
        try:
            return super().execute(context)
        except AirflowSkipException as end:
            raise AirflowFailException("see the last line of the log") from end

"""
TASK = """    t%d = KubernetesPodOperator(
        task_id="t%d",
        doc="Cut rows into a training and a test set, at random but always alike.",
        name="hand-t%d",
        arguments=[
            "split", "--data", "s3://bucket/store/runs/hand/{{ run_id }}/t%d/train", "--seed", "%d",
            "--train", "s3://bucket/store/runs/hand/{{ run_id }}/t%d/train",
            "--test", "s3://bucket/store/runs/hand/{{ run_id }}/t%d/test",
        ],
        container_resources={
            "requests": {"cpu": "%d", "memory": "2Gi"},
            "limits": {"cpu": "%d", "memory": "2Gi"},
        },
    )

"""
FACTORY = """# Airflow looks into a file only if it names a dag and airflow.
from pathlib import Path

from dagfactory import load_yaml_dags

load_yaml_dags(globals_dict=globals(), config_filepath=str(Path(__file__).with_suffix(".yaml")))
"""
FAULTS = "from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException\n"
MEASURE = """
import gc, json, sys, time, warnings
warnings.simplefilter("ignore")
from airflow.dag_processing.dagbag import DagBag
files, n_tasks = sys.argv[1].split(","), int(sys.argv[2])
least = dict.fromkeys(files, float("inf"))
for round in range(int(sys.argv[3])):
    for file in files:
        gc.collect()  # or one file pays for what the one before it left
        began = time.process_time()
        bag = DagBag(dag_folder=file)
        took = time.process_time() - began
        assert not bag.import_errors, bag.import_errors
        assert [len(dag.tasks) for dag in bag.dags.values()] == [n_tasks], file
        if round:
            least[file] = min(least[file], took)
print(json.dumps(least))
"""


def written(folder: Path, n_tasks: int) -> dict[str, Path]:
    """Write the same tasks in the four ways; return the files that a DagBag is given."""
    (folder / "pipec.yaml").write_text(PROJECT, encoding="utf-8")
    text = HEADER + FIRST % (0, 1) + NEXT % (1, 0, 0, "data", 1, 2)
    text += "".join(NEXT % (i, i - 2, i - 1, "train", i, i % 3 + 1) for i in range(2, n_tasks))
    (folder / "ours.yaml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pipec", "compile", "ours.yaml", "--env", "prod", "-t", "airflow", "-o", "."]
    subprocess.run(command, cwd=folder, check=True, env=ENVIRON, stdout=subprocess.DEVNULL)
    tasks = "".join(TASK % (i, i, i, max(0, i - 1), i, i, i, i % 3 + 1, i % 3 + 1) for i in range(n_tasks))
    edges = "    t0 >> t1\n" + "".join(f"    [t{i - 1}, t{i - 2}] >> t{i}\n" for i in range(2, n_tasks))
    plain = PLAIN + tasks + edges
    (folder / "plain.py").write_text(plain, encoding="utf-8")
    by_hand = plain.replace("from airflow.sdk", f"{FAULTS}from airflow.sdk").replace("DAG\n", f"DAG\n{CLASS}", 1)
    by_hand = by_hand.replace("= KubernetesPodOperator(", "= Step(").replace('"plain"', '"hand"')
    by_hand = by_hand.replace('"retries": 1,', '"retries": 1, "skip_on_exit_code": [1, 2, 3],')
    (folder / "hand.py").write_text(by_hand, encoding="utf-8")
    (folder / "factory.yaml").write_text(json.dumps(factory(n_tasks)), encoding="utf-8")
    (folder / "factory.py").write_text(FACTORY, encoding="utf-8")
    return {name: folder / f"{name}.py" for name in ("ours", "hand", "plain", "factory")}


def factory(n_tasks: int) -> dict[str, object]:
    """Return the tasks as dag-factory's document; YAML holds JSON."""
    sizes = [{"cpu": str(cpu), "memory": "2Gi"} for cpu in (1, 2, 3)]
    root = "s3://bucket/store/runs/factory/{{ run_id }}"
    tasks = [
        {
            "task_id": f"t{i}", "operator": "airflow.providers.cncf.kubernetes.operators.pod.KubernetesPodOperator",
            "name": f"factory-t{i}", "cmds": ["pipec-step"], "image": "registry.example/steps:1", "namespace": "ml",
            "arguments": ["split", "--data", f"{root}/t{max(0, i - 1)}/train", "--seed", str(i),
                          "--train", f"{root}/t{i}/train", "--test", f"{root}/t{i}/test"],
            "container_resources": {"requests": sizes[i % 3], "limits": sizes[i % 3]}, "retries": 1,
            "service_account_name": "pipec", "startup_timeout_seconds": 900, "active_deadline_seconds": 3600,
            "dependencies": [f"t{j}" for j in (i - 1, i - 2) if j >= 0],
        }
        for i in range(n_tasks)
    ]  # fmt: skip
    return {"factory": {"default_args": {"owner": "ml", "start_date": "2026-01-01"}, "schedule": None,
                        "catchup": False, "tasks": tasks}}  # fmt: skip


def measured(files: list[Path], n_tasks: int, home: Path) -> dict[str, float]:
    """Return the CPU seconds of each file in one warm process."""
    environ = {**ENVIRON, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
               "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}  # fmt: skip
    command = [
        str(PYTHON),
        "-c",
        MEASURE,
        ",".join(map(str, files)),
        str(n_tasks),
        str(LOADS[n_tasks] if ROUNDS > 1 else 2),
    ]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return {Path(file).stem: took for file, took in json.loads(done.stdout.splitlines()[-1]).items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    if not PYTHON.exists():
        print(f"{PYTHON} does not exist: `make airflow` makes it")
        return 1
    has_factory = not subprocess.run(
        [str(PYTHON), "-c", "import dagfactory"], capture_output=True, check=False
    ).returncode
    seconds: dict[str, dict[str, float]] = {}
    ratios: dict[str, float] = {}
    for n_tasks in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            files = written(Path(folder), n_tasks)
            found = measured(
                [file for name, file in files.items() if has_factory or name != "factory"], n_tasks, Path(folder)
            )
        seconds[f"{n_tasks} tasks"] = {name: round(took, 5) for name, took in found.items()}
        ratios[f"{n_tasks} tasks, emitted / by hand (at most {MOST_BY_HAND})"] = round(found["ours"] / found["hand"], 3)
        ratios[f"{n_tasks} tasks, emitted / by hand, repeating refusals"] = round(found["ours"] / found["plain"], 3)
        if has_factory:
            limit = f" (at most {MOST_FACTORY})" if n_tasks >= 100 else ""
            ratios[f"{n_tasks} tasks, emitted / dag-factory{limit}"] = round(found["ours"] / found["factory"], 3)
    figures = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "warm DagBag, CPU s": seconds,
        "ratios": ratios,
    }
    tell(figures, RESULTS, save=options.save)
    return 0


if __name__ == "__main__":
    sys.exit(main())
