"""A real Airflow on this machine, with servers of its own, for as long as a test needs it; and what its REST API says.

Scheduler, DAG processor and API server are started one by one, each in a session of its own, and ended with all that
they started: `airflow standalone` leaves its children behind. Knows Airflow, and nothing of pipec.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from needs import ROOT, missing

ADMIN, ANA, BO, EVE = "admin", "ana", "bo", "eve"
USERS = {ADMIN: "admin", ANA: "op", BO: "op", EVE: "viewer"}  # two may answer what waits for a person, one may look
PARTS = ("api-server", "scheduler", "dag-processor")  # since Airflow 3.3 who waits for a person needs no triggerer
HEALTHY = ("metadatabase", "scheduler", "dag_processor")
ENDED = {"success", "failed"}
# An answer given sooner races with the end of the task's first half, and may be lost (seen with SQLite).
SETTLED_S = 2.0
START_S, STOP_S = 120, 20
RUN_S = 900  # all runs are started at once, so who waits for the first may wait for most of them
POLL_S = 0.5
Key = tuple[str, int]  # a task's id, and which of its mapped instances; -1: it is not mapped


class No(Exception):
    """The API said no. status: of HTTP."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"{status} {said}")
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """How a task's instance ended. state: Airflow's word. tries: begun. reason: of a skip, where the task said it.

    fields: those that were templates, as they were filled.
    """

    state: str
    tries: int
    reason: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A run that has ended. state: `success` or `failed`. parameters: with their defaults."""

    run_id: str
    state: str
    parameters: Mapping[str, Any]
    tasks: Mapping[Key, Instance]


@dataclass(frozen=True, slots=True, kw_only=True)
class Airflow:
    """A running Airflow. url: of its API server. dags: the folder of DAG files. tokens: by user."""

    url: str
    home: Path
    tokens: dict[str, str] = field(default_factory=dict)
    writing: Lock = field(default_factory=Lock)

    @property
    def dags(self) -> Path:
        return self.home / "dags"

    def ask(self, path: str, body: Any = None, *, method: str = "", user: str = ADMIN) -> Any:
        """Return what the API answers below `/api/v2`. Raises No.

        SQLite takes one writer at a time, and a request that meets another one may end as a fault of the server: it is
        made once more.
        """
        if body is None:
            return self._once(path, None, method or "GET", user)
        with self.writing:
            try:
                return self._once(path, body, method or "POST", user)
            except No as no:
                if no.status != 500:
                    raise
                time.sleep(0.5)
                return self._once(path, body, method or "POST", user)

    def _once(self, path: str, body: Any, method: str, user: str) -> Any:
        if user not in self.tokens:
            given = {"username": user, "password": user}
            self.tokens[user] = _http(f"{self.url}/auth/token", given, "POST")["access_token"]
        return _http(f"{self.url}/api/v2{path}", body, method, self.tokens[user])

    def wait_for_dag(self, dag: str) -> None:
        """Wait until a DAG can be run; a file that cannot be imported ends the test at once."""

        def seen() -> bool:
            if errors := self.ask("/importErrors")["import_errors"]:
                raise AssertionError("\n".join(one["stack_trace"] for one in errors))
            try:
                return bool(self.ask(f"/dags/{dag}"))
            except No as no:
                if no.status != 404:
                    raise
                return False

        self._wait(seen, f"DAG {dag}", START_S)

    def trigger(self, dag: str, parameters: Mapping[str, Any] | None = None) -> str:
        """Start a run, and return its id. Raises No: 400 where the DAG does not take those parameters."""
        body = {"logical_date": None, "conf": dict(parameters or {})}
        run: str = self.ask(f"/dags/{dag}/dagRuns", body)["dag_run_id"]
        return run

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG, whoever started them."""
        found: list[dict[str, Any]] = self.ask(f"/dags/{dag}/dagRuns")["dag_runs"]
        return found

    def run_started(self, dag: str, number: int = 1) -> str:
        """Wait until something has started so many runs of a DAG, and return the id of the last of them."""
        self._wait(lambda: len(self.runs(dag)) >= number, f"run {number} of {dag}", RUN_S)
        run: str = sorted(self.runs(dag), key=lambda one: one["run_after"])[number - 1]["dag_run_id"]
        return run

    def happen(self, asset: str, extra: Mapping[str, Any] | None = None) -> None:
        """Say that an asset has changed. asset: its name."""
        query = urllib.parse.urlencode({"name_pattern": asset})
        (one,) = (one for one in self.ask(f"/assets?{query}")["assets"] if one["name"] == asset)
        self.ask("/assets/events", {"asset_id": one["id"], "extra": dict(extra or {})})

    def asked(self, dag: str, run: str, task: str) -> dict[str, Any]:
        """Wait until a task asks a person and takes an answer, and return what it asks."""

        def waits() -> bool:
            return bool(self._task(dag, run, task)["state"] == "awaiting_input")

        self._wait(waits, f"a question of {dag}.{task}", RUN_S)
        time.sleep(SETTLED_S)
        return self.detail(dag, run, task)

    def detail(self, dag: str, run: str, task: str) -> dict[str, Any]:
        """Return what a task asks a person, and what was answered."""
        told: dict[str, Any] = self.ask(f"{_place(dag, run)}/{task}/-1/hitlDetails")
        return told

    def answer(self, dag: str, run: str, task: str, said: str, user: str) -> None:
        """Answer what a task asks. said: the option that is chosen. Raises No: 403 for a user who may not.

        Airflow 3.3 may lose an answer that comes while its first half is still ending, and then asks again.
        """
        path = f"{_place(dag, run)}/{task}/-1/hitlDetails"
        body = {"chosen_options": [said], "params_input": {}}
        for _ in range(3):
            asked = self._task(dag, run, task)["try_number"]
            self.ask(path, body, method="PATCH", user=user)

            def is_settled(asked: int = asked) -> bool:
                now = self._task(dag, run, task)
                return now["state"] in ENDED or (now["try_number"] > asked and now["state"] == "awaiting_input")

            self._wait(is_settled, f"the answer of {dag}.{task}", RUN_S)
            if self._task(dag, run, task)["state"] in ENDED:
                return
            time.sleep(SETTLED_S)

    def finished(self, dag: str, run: str) -> Finished:
        """Wait until a run has ended, and return what became of its tasks."""
        path = f"/dags/{dag}/dagRuns/{_quoted(run)}"
        self._wait(lambda: self.ask(path)["state"] in ENDED, f"the run of {dag}", RUN_S)
        told = self.ask(path)
        listed = self.ask(f"{path}/taskInstances?limit=1000")["task_instances"]
        tasks = {(one["task_id"], one["map_index"]): self._instance(path, one) for one in listed}
        defaults = {name: one["value"] for name, one in self.ask(f"/dags/{dag}/details")["params"].items()}
        return Finished(run_id=run, state=told["state"], parameters=defaults | told["conf"], tasks=tasks)

    def said(self, dag: str, run: str, lines: int = 12) -> str:
        """Return the ends of the logs of the tasks that failed, for people."""
        path = f"/dags/{dag}/dagRuns/{_quoted(run)}"
        listed = self.ask(f"{path}/taskInstances?state=failed&limit=1000")["task_instances"]
        logs = {one["task_id"]: self.log(path, one["task_id"], one["map_index"], one["try_number"]) for one in listed}
        return "\n".join(f"== {task}\n" + "\n".join(one["event"] for one in log[-lines:]) for task, log in logs.items())

    def log(self, path: str, task: str, number: int, attempt: int) -> list[dict[str, Any]]:
        """Return the lines of an attempt's log, as Airflow keeps them. path: of the run."""
        query = f"map_index={number}&full_content=true"
        said = self.ask(f"{path}/taskInstances/{task}/logs/{attempt}?{query}")
        return [line for line in said["content"] if isinstance(line, dict)]

    def _instance(self, path: str, told: Mapping[str, Any]) -> Instance:
        reason = ""
        if told["state"] == "skipped" and told["try_number"]:
            lines = self.log(path, told["task_id"], told["map_index"], told["try_number"])
            # How the task's runner tells the text of an AirflowSkipException (execution_time/task_runner.py).
            reason = next((one["reason"] for one in lines if one["event"] == "Skipping task." and "reason" in one), "")
        return Instance(
            state=told["state"] or "none", tries=told["try_number"], reason=reason, fields=told["rendered_fields"]
        )

    def _task(self, dag: str, run: str, task: str) -> dict[str, Any]:
        told: dict[str, Any] = self.ask(f"{_place(dag, run)}/{task}")
        assert told["state"] not in {"failed", "upstream_failed", "skipped"}, f"{dag}.{task} is {told['state']}"
        return told

    def _wait(self, is_so: Callable[[], bool], what: str, longest_s: float) -> None:
        _until(is_so, f"{what} did not come within {longest_s} s", longest_s, self.home)


def _place(dag: str, run: str) -> str:
    return f"/dags/{dag}/dagRuns/{_quoted(run)}/taskInstances"


def _quoted(run: str) -> str:
    return urllib.parse.quote(run, safe="")


def _http(url: str, body: Any, method: str, token: str = "") -> Any:
    given = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, given, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read() or b"null")
    except urllib.error.HTTPError as fault:
        raise No(fault.code, fault.read().decode("utf-8", "replace")) from None


def _until(is_so: Callable[[], bool], otherwise: str, longest_s: float, home: Path) -> None:
    end = time.monotonic() + longest_s
    while not is_so():
        if time.monotonic() > end:
            raise AssertionError(f"{otherwise}\n{tails(home)}")
        time.sleep(POLL_S)


def airflow_python(number: str = "") -> Path:
    """Return the Python of the environment that Airflow is in. number: `2` for version 2.11."""
    variable = f"PIPEC_AIRFLOW{number}_PYTHON"
    given = os.environ.get(variable)
    python = Path(given) if given else ROOT / f".venv-airflow{number}/bin/python"
    if not python.exists():
        name = f"Airflow {number}.11" if number else "Airflow"
        missing(f"{name}: {python} does not exist (`make airflow{number}`, or name another in {variable})")
    return python


@contextmanager
def airflow(home: Path, environ: Mapping[str, str]) -> Iterator[Airflow]:
    """Start Airflow in an empty folder and end it. environ: variables that tasks see. DAG files go to `home/dags`."""
    port = _free_port()
    settings = {**_settings(home, port, airflow_python()), **environ}
    (home / "dags").mkdir(exist_ok=True)
    (home / "passwords.json").write_text(json.dumps({user: user for user in USERS}), encoding="utf-8")
    command = str(airflow_python().with_name("airflow"))
    _migrate(command, home, settings)
    started: list[subprocess.Popen[bytes]] = []
    try:
        for part in PARTS:
            with (home / f"{part}.log").open("wb") as log:
                started.append(
                    subprocess.Popen(
                        [command, part], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=settings, cwd=home,
                        start_new_session=True,
                    )
                )  # fmt: skip
        found = Airflow(url=f"http://127.0.0.1:{port}", home=home)
        _until(lambda: _is_healthy(found, started), "Airflow did not come up", START_S, home)
        yield found
    finally:
        left = _end(started)
    assert not left, f"Airflow's processes stayed: {left}\n{tails(home)}"


def _settings(home: Path, port: int, python: Path) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}"
    said = {
        "CORE": {
            "DAGS_FOLDER": str(home / "dags"), "LOAD_EXAMPLES": "False", "DAGS_ARE_PAUSED_AT_CREATION": "False",
            "EXECUTOR": "LocalExecutor", "PARALLELISM": "4",
            "SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in USERS.items()),
            "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
            "EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "MAX_TEMPLATED_FIELD_LENGTH": "1000000",  # longer ones are kept cut, and tests read them
        },
        "API": {"HOST": "127.0.0.1", "PORT": str(port), "BASE_URL": url, "WORKERS": "1",
                "SECRET_KEY": secrets.token_hex(16)},
        "API_AUTH": {"JWT_SECRET": secrets.token_hex(64)},
        "DAG_PROCESSOR": {"REFRESH_INTERVAL": "5", "MIN_FILE_PROCESS_INTERVAL": "3600", "PARSING_PROCESSES": "1"},
        "SCHEDULER": {"SCHEDULER_IDLE_SLEEP_TIME": "0.5"},
    }  # fmt: skip
    named = {f"AIRFLOW__{part}__{key}": value for part, keys in said.items() for key, value in keys.items()}
    kept = {name: os.environ[name] for name in ("DOCKER_HOST", "HOME", "LANG", "TMPDIR") if name in os.environ}
    # Airflow starts itself again by name.
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, **named, "AIRFLOW_HOME": str(home), "PATH": path, "NO_COLOR": "1"}


def _migrate(command: str, home: Path, settings: Mapping[str, str]) -> None:
    done = subprocess.run(
        [command, "db", "migrate"], capture_output=True, text=True, check=False, env=settings, cwd=home
    )
    assert done.returncode == 0, done.stderr[-2000:]


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port


def _is_healthy(found: Airflow, started: list[subprocess.Popen[bytes]]) -> bool:
    ended = [part for part, process in zip(PARTS, started, strict=True) if process.poll() is not None]
    assert not ended, f"Airflow's {', '.join(ended)} ended\n{tails(found.home)}"
    try:
        told = _http(f"{found.url}/api/v2/monitor/health", None, "GET")
    except OSError:  # it does not listen yet
        return False
    return all(told[part]["status"] == "healthy" for part in HEALTHY)


def _end(started: list[subprocess.Popen[bytes]]) -> list[str]:
    """End all servers; return what of their sessions could not be ended.

    The scheduler waits for its workers, and one of them at times for a word that never comes (seen with 3.3.2, in one
    of ten): what is there after a while is killed.
    """
    sessions = {process.pid for process in started}
    for process in started:
        process.terminate()
    _gone(started, STOP_S)
    for pid, _ in list(_members(sessions)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _gone(started, STOP_S)
    end = time.monotonic() + STOP_S
    while (left := sorted(line for _, line in _members(sessions))) and time.monotonic() < end:
        time.sleep(POLL_S)  # whom nobody waits for goes to the machine's first process, which is not always quick
    return left


def _gone(started: list[subprocess.Popen[bytes]], longest_s: float) -> None:
    end = time.monotonic() + longest_s
    for process in started:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, end - time.monotonic()))


def _members(sessions: set[int]) -> Iterator[tuple[int, str]]:
    """Yield the processes of sessions, by number and command line (proc(5): after the name come state, parent, group
    and session).
    """
    for place in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session = (place / "stat").read_text().rpartition(")")[2].split()[:4]
            line = (place / "cmdline").read_text().replace("\0", " ").strip()
        except OSError:  # it has ended
            continue
        if int(session) in sessions and state != "Z":
            yield int(place.name), line


def tails(home: Path, lines: int = 30) -> str:
    """Return the ends of the servers' logs."""
    logs = {path.name: path.read_text(encoding="utf-8", errors="replace") for path in sorted(home.glob("*.log"))}
    return "\n".join(f"== {name}\n" + "\n".join(text.splitlines()[-lines:]) for name, text in logs.items())
