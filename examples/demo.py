"""The whole way on this machine: check, compile for both engines, serve, run, and ask the deployed model.

    make demo

Uses what any user has: the `pipec` command. No GPU, no container, no account.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = Path("examples/pipelines/wine.yaml")
HOME = Path("build/demo")
PIPEC = (sys.executable, "-m", "pipec")
# Wine 0 of the UCI data, a cultivar_1: what the deployed model should say is known.
WINE = ROOT / "examples" / "pipelines" / "data" / "wine.csv"


def pipec(*arguments: str) -> None:
    print(f"\n$ pipec {' '.join(arguments)}", flush=True)
    subprocess.run([*PIPEC, *arguments], cwd=ROOT, check=True)


def serve(log: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server on a free port and return it with its address, once it has told it."""
    arguments = ("serve", "--store", str(HOME / "releases"), "--port", "0")
    print(f"\n$ pipec {' '.join(arguments)} &", flush=True)
    with log.open("wb") as stream:
        server = subprocess.Popen([*PIPEC, *arguments], cwd=ROOT, stdout=stream, stderr=stream)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        address = next((w for w in log.read_text(encoding="utf-8").split() if w.startswith("http://")), None)
        if address:
            return server, address.rstrip(",.;/")
        time.sleep(0.2)
    server.kill()
    raise SystemExit(f"the server did not start: see {log}")


def ask(address: str) -> None:
    """Send one real wine to the deployed model and print its answer."""
    header, first = WINE.read_text(encoding="utf-8").splitlines()[:2]
    wine = dict(zip(header.split(","), first.split(","), strict=True))
    truth = wine.pop("cultivar")
    columns = [{"name": name, "shape": [1], "datatype": "FP64", "data": [float(value)]} for name, value in wine.items()]
    url = f"{address}/v2/models/wine/infer"
    request = urllib.request.Request(
        url, data=json.dumps({"inputs": columns}).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    print(f"\nPOST {url}\n  a wine with {first.rsplit(',', 1)[0]}\n  (really {truth})\nanswer:")
    print(json.dumps(answer, indent=2))


def main() -> None:
    build = ROOT / "build"
    shutil.rmtree(ROOT / HOME, ignore_errors=True)
    build.mkdir(exist_ok=True)
    pipec("check", str(EXAMPLE))
    pipec("compile", str(EXAMPLE), "--env", "prod", "-t", "kubeflow", "-o", "build/kubeflow")
    pipec("compile", str(EXAMPLE), "--env", "prod", "-t", "airflow", "-o", "build/airflow")
    server, address = serve(build / "serve.log")
    try:
        pipec("run", str(EXAMPLE), "--env", "dev", "--home", str(HOME), "--approve-as", "ana@example.org")
        ask(address)
    finally:
        server.terminate()
        server.wait(timeout=30)
    print("\nKubeflow: build/kubeflow/    Airflow: build/airflow/    runs, artifacts, releases: build/demo/")


if __name__ == "__main__":
    main()
