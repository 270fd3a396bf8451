"""One file, two engines, the same result: the emitted commands, run without either engine, make what `pipec run` makes.

Airflow is played by operators that keep what they are given, and by Jinja; Kubeflow by an interpreter of the few words
of its IR that pipec writes. Whether the real ones read the files so is proved in `tests/targets`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from dag_file import KubernetesPodOperator, Operator, load
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from needs import ROOT

from pipec.steps.command import order_text, parse_order

EXAMPLES = ROOT / "examples" / "pipelines"
ANA = "ana@example.org"
XCOM = "/airflow/xcom/return.json"  # where a pod's side-car would look
RUN_UUID = "0b5e"
RUN = "scheduled__2026-11-23T03:00:00+00:00"
MOMENT = datetime(2026, 11, 23, 3, tzinfo=UTC)
ANSWERED = datetime.now(UTC).replace(microsecond=0)  # an approval holds for a week, whatever day the tests run
TRACED = {"Dataset", "Model", "Metrics"}

Results = dict[str, dict[str, Any]]  # by task: the digest of every traced artifact, the value of every small output


def pipec(*arguments: str, cwd: Path) -> str:
    return call("pipec", *arguments, cwd=cwd)


def call(module: str, *arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, cwd=cwd, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, f"{module} {arguments[:1]}: {done.stderr[-2000:]}"
    return done.stdout


@dataclass(frozen=True, slots=True)
class Project:
    """A copy of an example with the environment `local`, in which containers would see this machine's files."""

    folder: Path
    name: str

    @property
    def file(self) -> str:
        return f"{self.name}.yaml"

    def compile(self, target: str) -> Path:
        """Return the folder with the files of a target."""
        pipec("compile", self.file, "--env", "local", "-t", target, "-o", target, cwd=self.folder)
        return self.folder / target

    def call(self, arguments: list[str], root: Path) -> str:
        """Run a step's command below an artifact root of its own, so that no way can read what another made.

        Without its devices, which this machine need not have: what a step computes does not hang on them here.
        """
        mine = [one.replace(f"{self.folder.as_uri()}/root", root.as_uri()) for one in arguments]
        if "--order" in mine:
            at = mine.index("--order") + 1
            mine[at] = order_text(replace(parse_order(mine[at]), devices=None))
        else:
            at = next(at for at, one in enumerate(mine) if one.startswith("{"))
            mine[at] = json.dumps({name: value for name, value in json.loads(mine[at]).items() if name != "$devices"})
        return call("pipec.steps", *mine, cwd=self.folder / "data")


@pytest.fixture(scope="module", params=["wine"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp(request.param)
    here = folder.as_uri()
    for part in ("data", "expectations"):
        shutil.copytree(EXAMPLES / part, folder / part)
    source = EXAMPLES / f"{request.param}.yaml"
    declared = yaml.safe_load(source.read_text(encoding="utf-8"))["parameters"]
    files = {name: one["default"] for name, one in declared.items() if str(one["default"]).startswith("data/")}
    overlay = {
        "parameters": {name: f"{here}/{path}" for name, path in files.items()},
        "steps": {"deploy": {"with": {"servers": 0}}},
    }
    add_environment(source, folder, overlay)
    add_environment(EXAMPLES / "pipec.yaml", folder, {"artifacts": f"{here}/root"})
    return Project(folder, request.param)


def add_environment(source: Path, folder: Path, body: Mapping[str, Any]) -> None:
    text = source.read_text(encoding="utf-8")
    head, line, tail = text.partition("\nenvironments:\n")
    assert line, f"{source.name} says no environments"
    (folder / source.name).write_text(f"{head}{line}  local: {json.dumps(body)}\n{tail}", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Ran:
    """What each of the three ways made of one file."""

    here: Results
    airflow: Results
    kubeflow: Results


@pytest.fixture(scope="module")
def ran(project: Project) -> Ran:
    """Run the three side by side: most of a step's time is spent on loading libraries."""
    with ThreadPoolExecutor(3) as pool:
        here, airflow, kubeflow = (pool.submit(way, project) for way in (run_here, run_as_airflow, run_as_kubeflow))
        return Ran(here.result(), airflow.result(), kubeflow.result())


def test_airflow_s_commands_make_what_a_run_here_makes(ran: Ran) -> None:
    assert ran.airflow == ran.here


def test_kubeflow_s_commands_make_what_a_run_here_makes(ran: Ran) -> None:
    assert ran.kubeflow == ran.here


def test_what_is_compared_is_the_whole_life_of_the_model(project: Project, ran: Ran) -> None:
    steps = {"ingest", "validate", "split", "train", "evaluate", "approve", "deploy"}
    assert set(ran.here) == steps | ({"monitor"} if project.name == "wine" else set())
    assert all(str(ran.here["evaluate"][name]).startswith("sha256:") for name in ("model", "metrics"))
    assert ran.here["approve"]["approved_by"] == (ANA if project.name == "wine" else "automatic")
    assert ran.here["deploy"]["generation"] == 1


# Here


def run_here(project: Project) -> Results:
    pipec("run", project.file, "--env", "local", "--approve-as", ANA, cwd=project.folder)
    steps = json.loads(pipec("runs", "latest", "--format", "json", cwd=project.folder))["trace"]["steps"]
    return {name: summary(step["artifacts"], step["values"]) for name, step in steps.items()}


def summary(artifacts: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one["digest"] for name, one in artifacts.items() if one["type"] in TRACED} | dict(values)


# As Airflow would


def run_as_airflow(project: Project) -> Results:
    dag = load((project.compile("airflow") / f"{project.name}.py").read_text(encoding="utf-8"))
    answer = SimpleNamespace(
        chosen_options=["Approve"], responded_at=ANSWERED, responded_by_user=SimpleNamespace(id="12", name=ANA)
    )
    left: dict[str, Any] = {"approve-decision": answer}
    params = {name: param.plain[0] for name, param in dag.keywords["params"].items()}
    context = {
        "run_id": RUN, "params": params, "dag_run": SimpleNamespace(run_after=MOMENT),
    }  # fmt: skip

    def instance(task: Operator) -> SimpleNamespace:
        return SimpleNamespace(task_id=task.task_id, xcom_pull=lambda task_ids: left[task_ids])

    jinja = SandboxedEnvironment(undefined=StrictUndefined)
    root = project.folder / "airflow-root"
    order = TopologicalSorter({name: task.upstream for name, task in dag.tasks.items()}).static_order()
    for task in (dag.tasks[name] for name in order if isinstance(dag.tasks[name], KubernetesPodOperator)):
        arguments = [
            jinja.from_string(one).render({**context, "ti": instance(task)}) for one in task.keywords["arguments"]
        ]
        assert task.keywords["cmds"] == ["pipec-step"]
        said = project.call(["-" if one == XCOM else one for one in arguments], root)
        if XCOM in arguments:
            left[task.task_id] = json.loads(said.splitlines()[-1])
    return dict(results_below(root))


def results_below(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in root.glob("runs/*/*/*/result.json"):
        body = json.loads(path.read_text(encoding="utf-8"))
        yield path.parent.name, summary(body["artifacts"], body["values"])


# As Kubeflow would


@dataclass(slots=True)
class Cluster:
    """What a Kubeflow run holds: the parts of the IR, and what tasks have left. place: where it keeps artifacts."""

    spec: dict[str, Any]
    place: Path
    parameters: dict[str, Any]
    left: dict[str, dict[str, Any]] = field(default_factory=dict)  # by task: its executor output

    def run(self, name: str, start: Callable[[list[str]], None]) -> None:
        task = self.spec["root"]["dag"]["tasks"][name]
        component = self.spec["components"][task["componentRef"]["name"]]
        container = self.spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        wanted = self._outputs(name, component.get("outputDefinitions", {}))
        executor_input = json.dumps({"inputs": self._inputs(task.get("inputs", {})), "outputs": wanted})
        assert container["command"] == ["pipec-step"]
        start([one.replace("{{$}}", executor_input) for one in container["args"]])
        self.left[name] = json.loads(Path(wanted["outputFile"]).read_text(encoding="utf-8"))
        for parameter, at in wanted["parameters"].items():  # the launcher reads these and not the executor output
            text, known = Path(at["outputFile"]).read_text(encoding="utf-8"), self.left[name]["parameterValues"]
            assert text == known[parameter] or json.loads(text) == known[parameter]

    def _inputs(self, given: dict[str, Any]) -> dict[str, Any]:
        artifacts = {}
        for name, source in given.get("artifacts", {}).items():
            place = source["taskOutputArtifact"]
            artifacts[name] = self.left[place["producerTask"]]["artifacts"][place["outputArtifactKey"]]
        values = {name: self._value(source) for name, source in given.get("parameters", {}).items()}
        return {"parameterValues": values, "artifacts": artifacts}

    def _value(self, source: dict[str, Any]) -> Any:
        match source:
            case {"componentInputParameter": name}:
                value = self.parameters[name]
            case {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}}:
                value = RUN_UUID
            case {"taskOutputParameter": {"producerTask": task, "outputParameterKey": name}}:
                value = self.left[task]["parameterValues"][name]
            case _:
                raise AssertionError(f"pipec writes no such source: {source}")
        # Kubeflow carries every number as a double (google.protobuf.Value).
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    def _outputs(self, task: str, declared: dict[str, Any]) -> dict[str, Any]:
        folder = self.place / task
        artifacts = {
            name: {"artifacts": [{"name": name, "uri": str(folder / name), "type": one["artifactType"]}]}
            for name, one in declared.get("artifacts", {}).items()
        }
        parameters = {name: {"outputFile": str(folder / "values" / name)} for name in declared.get("parameters", {})}
        return {"artifacts": artifacts, "parameters": parameters, "outputFile": str(folder / "executor.json")}

    def results(self) -> Results:
        return {name: self._result(name, output) for name, output in self.left.items()}

    def _result(self, task: str, output: dict[str, Any]) -> dict[str, Any]:
        declared = self.spec["components"][f"comp-{task}"].get("outputDefinitions", {}).get("artifacts", {})
        found = {
            name: {"type": one["artifactType"]["schemaTitle"].removeprefix("system."),
                   "digest": output["artifacts"][name]["artifacts"][0]["metadata"]["digest"]}
            for name, one in declared.items()
        }  # fmt: skip
        return summary(found, output["parameterValues"])


def run_as_kubeflow(project: Project) -> Results:
    spec = next(yaml.safe_load_all((project.compile("kubeflow") / project.file).read_text(encoding="utf-8")))
    declared = spec["root"]["inputDefinitions"]["parameters"]
    parameters = {name: one["defaultValue"] for name, one in declared.items()}
    cluster, root = Cluster(spec, project.folder / "pipeline-root", parameters), project.folder / "kubeflow-root"
    decision = root / "runs" / project.name / RUN_UUID / "approve" / "decision.json"
    decision.parent.mkdir(parents=True)
    body = {"format_version": "1.0", "decision": "approve", "by": ANA, "at": ANSWERED.isoformat()}
    decision.write_text(json.dumps(body), encoding="utf-8")
    tasks = spec["root"]["dag"]["tasks"]
    order = TopologicalSorter({name: set(task.get("dependentTasks", ())) for name, task in tasks.items()})
    for name in order.static_order():
        cluster.run(name, lambda argv: project.call(argv, root))
    return cluster.results()
