"""Runs a compiled pipeline with kfp's own local runner: `kfp_local.py FILE ROOT PARAMETERS`.

A program of its own, as the runner's state is that of the process. It prints the outputs as JSON, last.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def start(client: Any, image: str, command: list[str], volumes: Any, **more: Any) -> int:
    """Run a container; return its exit code. In kfp's own way it goes by itself, and what is gone is a success."""
    container = client.containers.run(image=image, command=command, detach=True, volumes=volumes, **more)
    try:
        code: int = container.wait()["StatusCode"]
        print(container.logs().decode(), file=sys.stderr)
    finally:
        container.remove(force=True)
    return code


def main(file: str, root: str, parameters: str) -> None:
    from kfp import local
    from kfp.components import load_component_from_text
    from kfp.local import docker_task_handler

    docker_task_handler.run_docker_container = start
    local.init(local.DockerRunner(network_mode="none"), pipeline_root=root, raise_on_error=True)
    text = Path(file).read_text(encoding="utf-8").split("\n---\n")[0]  # the platform document is not read in any case
    task = load_component_from_text(text)(**json.loads(parameters))
    print(json.dumps({name: getattr(value, "metadata", value) for name, value in task.outputs.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
