"""Every example, run as processes and in containers: the same trace, bit for bit."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from images import base as shell
from images import built, node
from needs import ROOT

pytestmark = pytest.mark.docker

PIPEC = [sys.executable, "-m", "pipec"]
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PUBLISH_TOKEN": "a-token-that-nobody-may-see"}


def project(folder: Path) -> Path:
    """Copy the examples, with images that this machine has."""
    made = Path(shutil.copytree(ROOT / "examples/pipelines", folder, ignore=shutil.ignore_patterns(".pipec")))
    put(made / "pipec.yaml", r"^  dev: \{", f"  dev: {{image: '{built('gpu')}', ")
    put(made / "steps/publish.yaml", r"^image: .*", f"image: {shell()}")
    return made


def put(path: Path, pattern: str, text: str) -> None:
    before = path.read_text(encoding="utf-8")
    after, count = re.subn(pattern, text, before, flags=re.MULTILINE)
    assert count == 1, f"{path.name} has no line like {pattern}"
    path.write_text(after, encoding="utf-8")


@contextmanager
def served(project: Path) -> Iterator[None]:
    """Follow the project's release store, as a deploy step waits for."""
    with subprocess.Popen([*PIPEC, "serve", "--port", "0"], cwd=project, env=ENVIRON, stderr=subprocess.PIPE) as server:
        yield
        server.terminate()


def traces(project: Path, file: str, *arguments: str, times: int = 1) -> list[Any]:
    """Run a file of the project, more than once if asked to; return the traces of all runs that this made, in order."""
    command = [*PIPEC, "run", file, "--env", "dev", *arguments]
    found = []
    with served(project):
        for _ in range(times):
            done = subprocess.run(
                command, cwd=project, env=ENVIRON, capture_output=True, text=True, check=False, timeout=280
            )
            assert done.returncode == 0, done.stdout + done.stderr
            found += [trace(project, run) for run in re.findall(r"^run (\S+): succeeded", done.stdout, re.MULTILINE)]
    return found


def trace(project: Path, run: str) -> Any:
    shown = subprocess.check_output([*PIPEC, "runs", run, "--format", "json"], cwd=project, env=ENVIRON, text=True)
    return json.loads(shown)["trace"]


@pytest.mark.parametrize(
    ("file", "arguments", "times", "steps"),
    [
        ("wine.yaml", ("--approve-as", "ana@example.org"), 1, 8),
        ("digits.yaml", ("--set", "epochs=20"), 1, 7),
        ("images.yaml", ("--set", "epochs=6"), 1, 9),
        ("nightly.yaml", (), 1, 13),
        ("scoring.yaml", (), 2, 18),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_example_does_the_same_in_containers(
    tmp_path: Path, file: str, arguments: Sequence[str], times: int, steps: int
) -> None:
    with ThreadPoolExecutor(2) as pool:
        here = pool.submit(traces, project(tmp_path / "here"), file, *arguments, times=times)
        contained = pool.submit(traces, project(tmp_path / "there"), file, *arguments, "--containers", times=times)
    assert contained.result() == here.result()
    assert sum(len(one["steps"]) for one in here.result()) == steps


SMALL = """
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: small}
steps:
  ingest: {uses: ingest, with: {source: SOURCE}}
  train:
    uses: train
    with: {data: "${{ steps.ingest.data }}", target: cultivar, estimator: random-forest}
    resources: {cpu: 1, memory: 128Mi}
"""


def small(folder: Path, source: str, **environ: str) -> str:
    """Run two steps of the library in containers, of which the second needs more memory than it has; return the log."""
    (folder / "small.yaml").write_text(SMALL.replace("SOURCE", source), encoding="utf-8")
    done = subprocess.run(
        [*PIPEC, "run", "small.yaml", "--env", "dev", "--containers"], cwd=folder, env={**ENVIRON, **environ},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 4, done.stdout + done.stderr
    return done.stderr


def test_a_step_of_the_library_that_is_short_of_memory_says_so(tmp_path: Path) -> None:
    assert "train: failed: it ran out of memory: it may use 128 MiB; give it more under `resources`\n" in small(
        project(tmp_path / "here"), "data/wine.csv"
    )


class Expired(BaseHTTPRequestHandler):
    """A store that knows the caller's credentials, and that their time is over."""

    def do_GET(self) -> None:
        body = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
        self.send_response(400)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *words: object) -> None:
        pass


def test_credentials_that_have_expired_are_told_from_inside_a_container(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Expired) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        told = small(
            project(tmp_path / "here"), "s3://bucket/rows.csv", AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="k3y-of-x",
            AWS_SESSION_TOKEN="t0ken-of-x", AWS_REGION="us-east-1", AWS_ALLOW_HTTP="true",
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{server.server_port}",
        )  # fmt: skip
        server.shutdown()
    assert (
        "ingest: failed: `s3://bucket/rows.csv` could not be read: the credentials are missing, unknown or have" in told
    )
    assert "k3y-of-x" not in told and "t0ken-of-x" not in told


NODE = """
apiVersion: pipec/v1alpha1
kind: Step
metadata: {name: count, version: "1", description: Count the rows of a file}
inputs: {rows: {type: Dataset}}
parameters: {title: {type: string}, weights: {type: list, default: [1, 2.5]}}
outputs: {table: {type: File}, n: {type: integer}}
image: IMAGE
command: [node]
args: [-e, SCRIPT, "${{ inputs.rows }}", "${{ parameters.title }}", "${{ parameters.weights }}", "${{ outputs.table }}",
       "${{ outputs.n }}"]
"""
SCRIPT = (
    "const fs = require('fs'); const [rows, title, weights, table, n] = process.argv.slice(1);"
    " const lines = fs.readFileSync(rows, 'utf8').trim().split('\\n');"
    " fs.writeFileSync(table, JSON.stringify({title, weights: JSON.parse(weights), first: lines[0]}));"
    " fs.writeFileSync(n, String(lines.length - 1))"
)
SHELL = """
apiVersion: pipec/v1alpha1
kind: Step
metadata: {name: shout, version: "1", description: Write a file in capitals}
inputs: {table: {type: File}, more: {type: File, optional: true}}
outputs: {loud: {type: File}}
image: IMAGE
command: [sh, -c]
args: ['tr a-z A-Z < "$1" > "$2"; echo "$#" >> "$2"', shout, "${{ inputs.table }}", "${{ outputs.loud }}",
       [--more, "${{ inputs.more }}"]]
"""
PIPELINE = """
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: polyglot}
parameters: {title: {type: string, default: "it's \\"$HOME\\" {{ x }} `id` ünï 🙂"}}
steps:
  count: {uses: ./count.yaml, with: {rows: rows.csv, title: "${{ parameters.title }}"}}
  shout: {uses: ./shout.yaml, with: {table: "${{ steps.count.table }}"}}
outputs: {n: "${{ steps.count.n }}", loud: "${{ steps.shout.loud }}"}
"""


def test_steps_in_node_and_shell_run_in_their_own_images(tmp_path: Path) -> None:
    (tmp_path / "pipec.yaml").write_text("apiVersion: pipec/v1alpha1\nkind: Project\nmetadata: {name: poly}\n")
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    (tmp_path / "count.yaml").write_text(NODE.replace("IMAGE", node()).replace("SCRIPT", json.dumps(SCRIPT)))
    (tmp_path / "shout.yaml").write_text(SHELL.replace("IMAGE", shell()))
    (tmp_path / "polyglot.yaml").write_text(PIPELINE)
    done = subprocess.run(
        [*PIPEC, "run", "polyglot.yaml", "--containers"], cwd=tmp_path, env=ENVIRON, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (loud,) = re.findall(r"output loud: (\S+)", done.stdout)
    expected = {"title": 'it\'s "$HOME" {{ x }} `id` ünï 🙂', "weights": [1, 2.5], "first": "a,b"}
    table, count = Path(loud).read_text(encoding="utf-8").rsplit("}", 1)
    assert table + "}" == re.sub(
        "[a-z]", lambda m: m[0].upper(), json.dumps(expected, ensure_ascii=False, separators=(",", ":"))
    )
    assert count == "2\n"
    assert "output n: 3" in done.stdout
