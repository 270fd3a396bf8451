"""Compiled DAG files run by a real Airflow, over its REST API, with the step image: their traces equal the engine's.

All runs that were asked for are started together, once Airflow is up, the engine's as well, and each test waits for its
own.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from unittest.mock import ANY

import airflow_live
import ir_project
import pytest
import test_ir_examples
import test_ir_features
from airflow_live import ANA, BO, EVE, Airflow, Finished, Instance, No
from airflow_project import example_project, feature_project
from airflow_trace import trace
from ir_project import Project
from needs import missing
from test_airflow_says import EXAMPLES, FEATURES
from test_examples import drifted
from test_ir_features import states

from pipec.steps.command import run_folder

pytestmark = [pytest.mark.airflow, pytest.mark.docker, pytest.mark.timeout(1200)]  # see `airflow_live.RUN_S`
ASKS = "approve-decision"  # the task in which a person decides
DECIDED = {"approved": ("Approve", "succeeded"), "rejected": ("Reject", "refused")}
ASKING = ("unanswered", "signed", *DECIDED)  # runs of the approval
HEALING = """
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: healing}
steps:
  tell:
    uses: notify
    with: {channel: ml, message: hello, webhook: "${{ secrets.healer }}"}
    retry: {attempts: 3, backoff: 1s}
"""
# In an image of its own, which pipec is not in.
REFUSING = """
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: refusing}
steps:
  foreign: {uses: ./steps/refuse.yaml, retry: {attempts: 3, backoff: 1s}}
  after: {uses: ./steps/script.yaml, with: {word: hello, before: "${{ steps.foreign.told }}"}}
  mend: {uses: notify, when: failed(foreign), with: {channel: ml, message: it refused}}
finally:
  tell: {uses: ./steps/script.yaml, with: {word: done}}
"""
# It waits for data to change; its first step skips itself.
TOLD = """
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: told}
parameters: {go: {type: boolean, default: false}}
triggers: [{data: {uri: "s3://news/today.csv"}}]
steps:
  plain: {uses: notify, when: parameters.go, with: {channel: ml, message: hello}}
  after: {uses: notify, needs: [plain], with: {channel: ml, message: hello}}
"""
# Two pipelines: where the first finds more rows than it is to, it starts the second, and then rests.
LISTENING = """
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: watched}
parameters: {source: {type: string, default: "PLACE/data/few.csv"}, most: {type: integer, default: 100}}
steps:
  watch: {uses: ingest, with: {source: "${{ parameters.source }}"}}
---
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: listening}
parameters:
  reason: {type: string, default: nobody}
  rows: {type: integer, default: 0}
  names: {type: list, default: []}
triggers:
  - after:
      pipeline: watched
      step: watch
      when: steps.watch.n_rows > parameters.most
      parameters:
        reason: ${{ steps.watch.n_rows }} rows in {{ it }}
        rows: ${{ steps.watch.n_rows }}
        names: [a, b]
      cooldown: 12h
  - after: {pipeline: watched, when: steps.watch.n_rows == 0}
steps:
  tell: {uses: notify, when: parameters.rows == 138, with: {channel: ml, message: "${{ parameters.reason }}"}}
  each: {uses: notify, for_each: "${{ parameters.names }}", with: {channel: ml, message: "${{ item }}"}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A run that a test waits for. file, pipeline: what of the project is run. parameters: of the run. words: more for
    the engine.
    """

    project: Project
    file: str
    pipeline: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    words: Sequence[str] = ()

    def here(self) -> dict[str, Any]:
        """Run it with the engine, and return its trace."""
        given = self.parameters.items()
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given}
        sets = [word for key, text in texts.items() for word in ("--set", f"{key}={text}")]
        return self.project.here(self.file, *sets, *self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A running Airflow and what was started in it. jobs, runs: by what the tests call them. here: the engine's traces
    of them.
    """

    airflow: Airflow
    jobs: Mapping[str, Job]
    runs: Mapping[str, str]
    here: Mapping[str, Future[dict[str, Any]]]

    def finished(self, name: str) -> Finished:
        return self.airflow.finished(self.jobs[name].pipeline, self.runs[name])

    def trace(self, name: str) -> dict[str, Any]:
        job = self.jobs[name]
        plan = job.project.plan(job.file, job.pipeline)
        return trace(self.finished(name), plan, str(job.project.folder))

    def said(self, name: str) -> str:
        """Return what the tasks of a run that failed said, for whoever reads why a test did."""
        return self.airflow.said(self.jobs[name].pipeline, self.runs[name])

    def asked(self, name: str) -> dict[str, Any]:
        return self.airflow.asked(self.jobs[name].pipeline, self.runs[name], ASKS)

    def answer(self, name: str, said: str, user: str) -> None:
        self.airflow.answer(self.jobs[name].pipeline, self.runs[name], ASKS, said, user)


def jobs(folder: Path, wanted: set[str], hook: str) -> dict[str, Job]:
    """Return the runs that the tests want; each of a project in a folder of its own. hook: of `healer`."""
    found = {}
    for name in sorted(wanted):
        place = folder / name
        if name in EXAMPLES:
            case = test_ir_examples.CASES[name]
            found[name] = Job(
                project=example_project(place, name), file=case.file, pipeline=case.pipeline,
                parameters=dict(case.parameters),
                words=("--pipeline", case.pipeline, *(("--approve-as", ir_project.ANA) if case.person else ())),
            )  # fmt: skip
        elif name in FEATURES:
            parameters = test_ir_features.CASES[name].parameters
            found[name] = Job(project=feature_project(place), file=f"{name}.yaml", pipeline=name, parameters=parameters)
        elif name == "healing":
            found[name] = Job(project=healing_project(place, hook), file="healing.yaml", pipeline="healing")
        elif name == "refusing":
            project = feature_project(place)
            (place / "refusing.yaml").write_text(REFUSING, encoding="utf-8")
            found[name] = Job(project=project, file="refusing.yaml", pipeline="refusing")
    asking = Job(project=feature_project(folder / "approval"), file="approval.yaml", pipeline="approval")
    return found | {name: asking for name in ASKING if name in wanted}


def healing_project(folder: Path, hook: str) -> Project:
    found = feature_project(folder)
    path = folder / "pipec.yaml"
    text = path.read_text(encoding="utf-8").replace("{hook: {env: HOOK}}", "{healer: {env: HEALER}}")
    path.write_text(text, encoding="utf-8")
    (folder / "healing.yaml").write_text(HEALING, encoding="utf-8")
    return replace(found, environ={**found.environ, "HEALER": f"{hook}/here"})


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start Airflow, and in it the runs of all tests that were asked for: each says by `name` which is its own."""
    items = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    wanted = {item.callspec.params["name"] for item in items}
    home = tmp_path_factory.mktemp("airflow")
    with healer() as hook:
        made = jobs(tmp_path_factory.mktemp("projects"), wanted, hook)
        write_dags(home / "dags", made.values())
        environ = {"HOOK": ir_project.HOOK, "REGION": "eu", "PUBLISH_TOKEN": "t", "HEALER": f"{hook}/there"}
        with airflow_live.airflow(home, environ) as found:
            for job in made.values():
                found.wait_for_dag(job.pipeline)
            runs = {name: found.trigger(job.pipeline, job.parameters) for name, job in made.items()}
            with ThreadPoolExecutor(2) as pool:
                here = {name: pool.submit(job.here) for name, job in made.items() if name not in ASKING}
                yield Site(airflow=found, jobs=made, runs=runs, here=here)
                pool.shutdown(cancel_futures=True)
        left = containers(job.project.folder for job in made.values())
        subprocess.run(["docker", "rm", "--force", *left], capture_output=True, check=False)
        assert not left, f"containers stayed: {left}"


def write_dags(folder: Path, listed: Iterable[Job]) -> None:
    """Compile what is to run before Airflow starts: it reads all files at once then, and later one in some seconds."""
    folder.mkdir()
    for job in listed:
        text, errors = job.project.compiled(job.file, job.pipeline)
        assert text, errors
        (folder / f"{job.pipeline}.py").write_text(text, encoding="utf-8")


def containers(folders: Iterable[Path]) -> list[str]:
    """Return the ids of the containers that see any of these folders."""
    given = [word for folder in folders for word in ("--filter", f"volume={folder}")]
    asked = ["docker", "ps", "--all", "--quiet", *given]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split() if given else []


@contextmanager
def healer() -> Iterator[str]:
    """Answer webhooks of containers: each path takes what it is given at the third attempt."""
    counts: dict[str, int] = {}

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            counts[self.path] = counts.get(self.path, 0) + 1
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200 if counts[self.path] > 2 else 503)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing: the tests' own output is read."""

    address = gateway()
    server = ThreadingHTTPServer((address, 0), Answer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{address}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def gateway() -> str:
    """Return the address at which containers see this machine."""
    asked = ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        missing("a Docker daemon with a network of its own")
    return done.stdout.strip()


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_does_the_same_here_and_on_airflow(site: Site, name: str) -> None:
    job, case = site.jobs[name], test_ir_features.CASES[name]
    here = site.here[name].result()
    assert (here["status"], states(here)) == (case.status, dict.fromkeys(here["steps"], "succeeded") | case.ends)
    assert site.trace(name) == here, site.said(name)
    folder = job.project.folder
    assert job.project.requests(folder / "triggers") == job.project.requests(folder / ".pipec/triggers")


@pytest.mark.parametrize("name", ["healing"])
def test_a_retry_heals_on_airflow(site: Site, name: str) -> None:
    here = site.here[name].result()
    assert here["steps"]["tell"]["attempts"] == 3
    assert site.trace(name) == here, site.said(name)


@pytest.mark.parametrize("name", ["refusing"])
def test_a_foreign_image_s_no_is_not_asked_again(site: Site, name: str) -> None:
    here = site.here[name].result()
    finished, there = site.finished(name), site.trace(name)
    ended = {task: (one.state, one.tries) for (task, _), one in finished.tasks.items() if task.startswith("foreign")}
    assert ended == {"foreign-inputs": ("success", 1), "foreign-run": ("failed", 1), "foreign": ("upstream_failed", 0)}
    # Nothing of ours is in that image to tell a no from another failure.
    assert (here["status"], there["status"]) == ("refused", "failed")
    assert {**there["steps"]["foreign"], "state": "refused"} == here["steps"]["foreign"]
    others = ("after", "mend", "tell")
    assert [there["steps"][step]["state"] for step in others] == [here["steps"][step]["state"] for step in others]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_does_the_same_here_and_on_airflow(site: Site, name: str) -> None:
    here = site.here[name].result()
    assert here["status"] == "succeeded"
    if test_ir_examples.CASES[name].person:
        site.asked(name)
        site.answer(name, "Approve", ANA)
    assert site.trace(name) == here, site.said(name)


@pytest.mark.parametrize("name", DECIDED)
def test_a_person_decides_here_and_on_airflow_alike(site: Site, name: str) -> None:
    said, status = DECIDED[name]
    site.asked(name)
    site.answer(name, said, ANA)
    here = test_ir_features.decided(site.jobs[name].project, *(["--reject"] if name == "rejected" else []))
    assert here["status"] == status
    assert site.trace(name) == here, site.said(name)


@pytest.mark.parametrize("name", ["signed"])
def test_an_approval_says_who_and_when(site: Site, name: str) -> None:
    job, run = site.jobs[name], site.runs[name]
    site.asked(name)
    site.answer(name, "Approve", ANA)
    assert site.finished(name).state == "success"
    folder = Path(run_folder(str(job.project.folder), job.pipeline, run))
    sealed = json.loads((folder / "approve" / "approval").read_text(encoding="utf-8"))
    told = site.airflow.detail(job.pipeline, run, ASKS)
    assert (told["responded_by_user"]["id"], sealed["by"], sealed["decision"]) == (ANA, ir_project.ANA, "approve")
    assert sealed["at"][:19] == told["responded_at"][:19]  # to the second


@pytest.mark.parametrize("user", [BO, EVE])
@pytest.mark.parametrize("name", ["unanswered"])
def test_who_may_not_decide_is_told_so(site: Site, name: str, user: str) -> None:
    assert [one["id"] for one in site.asked(name)["assigned_users"]] == [ANA]
    with pytest.raises(No) as no:
        site.answer(name, "Approve", user)
    assert no.value.status == 403


@pytest.mark.parametrize("given", [{"whole": "seven"}, {"number": None}, {"list": {}}, {"truth": 1}], ids=str)
@pytest.mark.parametrize("name", ["parameters"])
def test_parameters_of_another_type_start_no_run(site: Site, name: str, given: dict[str, Any]) -> None:
    before = len(site.airflow.runs(name))
    with pytest.raises(No) as no:
        site.airflow.trigger(name, given)
    assert (no.value.status, len(site.airflow.runs(name))) == (400, before)


def test_a_change_of_data_starts_a_run_once_and_a_skip_says_why(site: Site, tmp_path: Path) -> None:
    project = feature_project(tmp_path)
    (tmp_path / "told.yaml").write_text(TOLD, encoding="utf-8")
    text, errors = project.compiled("told.yaml")
    assert text, errors
    (site.airflow.dags / "told.py").write_text(text, encoding="utf-8")
    site.airflow.wait_for_dag("told")
    site.airflow.happen("s3://news/today.csv", {"drifted": True})
    finished = site.airflow.finished("told", site.airflow.run_started("told"))
    assert finished.tasks == {
        ("plain", -1): Instance(state="skipped", tries=1, reason="`when` is false", fields=ANY),
        ("after", -1): Instance(state="skipped", tries=0, fields=ANY),
    }
    assert len(site.airflow.runs("told")) == 1


def test_drift_after_a_run_starts_another_pipeline_once_and_with_its_parameters(site: Site, tmp_path: Path) -> None:
    project = feature_project(tmp_path)
    (tmp_path / "data/few.csv").write_text("a,b\n1,2\n3,4\n", encoding="utf-8")
    (tmp_path / "listening.yaml").write_text(LISTENING.replace("PLACE", str(tmp_path)), encoding="utf-8")
    for name in ("watched", "listening"):
        text, errors = project.compiled("listening.yaml", name)
        assert text, errors
        (site.airflow.dags / f"{name}.py").write_text(text, encoding="utf-8")
    for name in ("watched", "listening"):
        site.airflow.wait_for_dag(name)

    def ended(source: str) -> tuple[Instance, Instance]:
        """Return what became of the events behind a run, which succeeds in any case."""
        finished = site.airflow.finished("watched", site.airflow.trigger("watched", {"source": source}))
        assert finished.state == "success", site.airflow.said("watched", finished.run_id)
        return finished.tasks["start-listening-1", -1], finished.tasks["start-listening-2", -1]

    skipped = Instance(state="skipped", tries=1, reason="`when` is false", fields=ANY)
    assert ended(f"{tmp_path}/data/few.csv") == (skipped, skipped)
    assert site.airflow.runs("listening") == []
    assert [one.state for one in ended(f"{tmp_path}/data/wine.csv")] == ["success", "skipped"]
    started = site.airflow.finished("listening", site.airflow.run_started("listening"))
    assert {key: one.state for key, one in started.tasks.items()} == {
        ("tell", -1): "success", ("each-items", -1): "success", ("each", 0): "success", ("each", 1): "success",
    }  # fmt: skip
    words = started.tasks["tell", -1].fields["command"]
    assert json.loads(words[words.index("--parameters") + 1]) == {
        "reason": "138 rows in {{ it }}", "rows": 138, "names": ["a", "b"],
    }  # fmt: skip
    rests, _ = ended(f"{tmp_path}/data/wine.csv")
    assert (rests.state, rests.reason.partition(" at ")[0]) == ("skipped", "it was last started so")
    assert rests.reason.endswith(", and rests for 43200 s")
    assert len(site.airflow.runs("listening")) == 1


def test_a_monitor_that_sees_drift_has_the_model_trained_again(site: Site, tmp_path: Path) -> None:
    project = example_project(tmp_path, "scoring")
    # Under other names, since the examples are there as well, and without the schedule, which would start runs too.
    path = tmp_path / "scoring.yaml"
    text = path.read_text(encoding="utf-8").replace(test_ir_examples.BY_HAND, "{}")
    text = text.replace('  - schedule: {cron: "0 6 * * *"}\n', "")
    text = text.replace("pipeline: scoring", "pipeline: watching").replace("name: scoring", "name: watching")
    path.write_text(text.replace("name: retraining", "name: mending"), encoding="utf-8")
    for name in ("watching", "mending"):
        text, errors = project.compiled("scoring.yaml", name)
        assert text, errors
        (site.airflow.dags / f"{name}.py").write_text(text, encoding="utf-8")
    for name in ("watching", "mending"):
        site.airflow.wait_for_dag(name)

    def events(parameters: Mapping[str, Any]) -> tuple[str, list[str]]:
        """Return the id of a run of the scoring, and what became of the events behind it."""
        run = site.airflow.trigger("watching", parameters)
        finished = site.airflow.finished("watching", run)
        assert finished.state == "success", site.airflow.said("watching", run)
        return run, [finished.tasks[f"start-mending-{number}", -1].state for number in (1, 2)]

    assert events({})[1] == ["success", "skipped"]  # there is no model yet
    first = site.airflow.run_started("mending")
    assert site.airflow.finished("mending", first).state == "success", site.airflow.said("mending", first)
    run, told = events({"batch": f"file://{tmp_path}/{drifted(tmp_path)}"})
    assert told == ["skipped", "success"]
    words = site.airflow.finished("mending", site.airflow.run_started("mending", 2)).tasks["tell", -1].fields["command"]
    given = json.loads(words[words.index("--parameters") + 1])
    assert given["reason"] == f"run {run} met rows that have drifted"
