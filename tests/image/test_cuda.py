"""The gpu image's packages resolve with CUDA for Python 3.11 and 3.12: shown by metadata alone, no wheel is downloaded.

A machine of CI has neither the disk nor the time for gigabytes of CUDA; a name that does not exist or a conflict would
show here.
"""

from __future__ import annotations

import subprocess
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from needs import ROOT, missing

from pipec.image import variant, wheels

CUDA = ("cuda-", "nvidia-", "triton")  # torch itself pins them; the constraints do not know them
MOST_BYTES = 64 << 20  # of answers of the index; the wheels are some 3 GB


def resolved(python: str, cache: Path) -> dict[str, str]:
    """Return the packages of the gpu image with their versions, chosen for Linux on x86_64."""
    if find_spec("uv") is None:
        missing("uv: pip install 'pipec[dev]'")
    from uv import find_uv_bin

    extras = [word for extra in variant.EXTRAS["gpu"] for word in ("--extra", extra)]
    done = subprocess.run(
        [find_uv_bin(), "pip", "compile", "--quiet", "--no-config", "--no-header", "--no-annotate",
         "--cache-dir", cache, "--python-version", python, "--python-platform", "x86_64-manylinux_2_28",
         "--only-binary", ":all:",
         "--constraint", wheels.constraints(), *extras, ROOT / "pyproject.toml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode and ("Failed to fetch" in done.stderr or "dns error" in done.stderr):
        missing(f"a package index ({done.stderr.strip().splitlines()[-1].strip()})")
    assert done.returncode == 0, done.stderr
    return dict(line.split("==") for line in done.stdout.splitlines() if "==" in line)


@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_the_gpu_image_resolves_with_cuda_and_no_wheel_is_downloaded(python: str, tmp_path: Path) -> None:
    found = resolved(python, tmp_path)
    cuda = {name for name in found if name.startswith(CUDA)}
    assert {"triton", "cuda-toolkit", "nvidia-cublas", "nvidia-cudnn-cu13", "nvidia-nccl-cu13"} <= cuda
    lines = (line.partition("==") for line in wheels.constraints().read_text(encoding="utf-8").splitlines())
    pinned = {name.replace(".", "-"): version for name, found, version in lines if found}
    assert {name: version for name, version in found.items() if name not in cuda}.items() <= pinned.items()
    assert found["torch"] == pinned["torch"]
    held = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in held if path.suffix == ".whl" or zipfile.is_zipfile(path)] == []
    assert sum(path.stat().st_size for path in held) < MOST_BYTES
