"""A real push: what `pipec image lock` writes is what compile names, and Docker finds the image by it."""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import needs
import pytest
from registry import registry

from pipec import api, contents
from pipec.api import UsageError
from pipec.commands.lock import lock
from pipec.contents import Contents, Version
from pipec.steps import catalog

pytestmark = pytest.mark.docker
HELD = Contents(
    pipec="0.1.0", variant="light", python="3.11",
    steps={each.name: Version(each.version, each.digest) for each in catalog.interfaces()},
)  # fmt: skip
PROJECT = """apiVersion: pipec/v1alpha1
kind: Project
metadata: {{name: wine}}
image: {image}
environments: {{prod: {{production: true, artifacts: "s3://ml/pipec"}}}}
"""
PIPELINE = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: wine}
steps: {a: {uses: ingest, with: {source: "s3://ml/wine.csv"}}}
"""


def docker(*words: str, given: bytes | None = None) -> str:
    done = subprocess.run(["docker", *words], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


@pytest.fixture
def image() -> Iterator[str]:
    """The name of an image that says what it holds, in a registry that would take it."""
    command = ["docker", "version", "--format", "{{.Server.Os}}"]
    if not shutil.which("docker") or subprocess.run(command, capture_output=True, check=False).returncode:
        needs.missing("a Docker daemon")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(contents.FILE.removeprefix("/"))
        entry.size = len(HELD.text())
        archive.addfile(entry, io.BytesIO(HELD.text().encode()))
    with registry() as host:
        name = f"{host}/pipec-test/steps:1.4"
        docker("import", "-", name, given=packed.getvalue())
        try:
            yield name
        finally:
            for left in docker("images", "--no-trunc", "--quiet", f"{host}/pipec-test/steps").split():
                docker("rmi", "--force", left)


def test_an_image_is_locked_once_it_is_pushed_and_found_by_what_compile_names(
    image: str, tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "pipec.yaml").write_text(PROJECT.format(image=image))
    (tmp_path / "p.yaml").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)
    options = argparse.Namespace(images=[], check=False)
    with pytest.raises(UsageError, match="has no digest in a registry, because it was neither pushed nor pulled"):
        lock(options)
    docker("push", image)
    assert lock(options) == 0
    assert lock(argparse.Namespace(images=[], check=True)) == 0
    (unit,) = api.check(api.Request(path=Path("p.yaml"), environment="prod")).units
    assert unit.plan is not None
    (named,) = {task.image for task in unit.plan.tasks}
    assert named is not None
    assert named.startswith(f"{image}@sha256:")
    known = docker("image", "inspect", "--format", "{{.Id}}", image)
    assert docker("image", "inspect", "--format", "{{.Id}}", named) == known
    docker("rmi", image)
    docker("pull", named)
    assert docker("image", "inspect", "--format", "{{.Id}}", named) == known
