"""Every extra can be imported whole: a green resolver is no green import."""

from __future__ import annotations

import importlib.metadata as metadata
import re
import subprocess
import sys
import tomllib

import pytest
from needs import ROOT, missing

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED = PROJECT["optional-dependencies"]


def whole(requirement: str) -> list[str]:
    """Return a requirement, or in the place of an extra of our own what that one is made of."""
    own = re.fullmatch(r"pipec\[(\w+)\]", requirement)
    return [one for each in DECLARED[own[1]] for one in whole(each)] if own else [requirement]


EXTRAS = {
    "base": PROJECT["dependencies"],
    **{extra: [one for each in names for one in whole(each)] for extra, names in DECLARED.items()},
}
# Distributions whose module has another name than their own, or that are commands and type stubs.
MODULES = {
    "pyyaml": "yaml", "scikit-learn": "sklearn", "great-expectations": "great_expectations", "skl2onnx": "skl2onnx",
    "kfp-kubernetes": "kfp.kubernetes", "apache-airflow-client": "airflow_client.client", "mlflow-skinny": "mlflow",
    "openlineage-python": "openlineage.client", "pyopenssl": "OpenSSL", "prometheus-client": "prometheus_client",
    "pytest-xdist": "xdist", "pytest-timeout": "pytest_timeout", "model-signing": "model_signing",
    "google-re2": "re2", "types-pyyaml": "", "types-jsonschema": "", "types-networkx": "", "ruff": "",
    "cyclonedx-python-lib": "cyclonedx", "cel-python": "celpy",
}  # fmt: skip


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9_.-]+", requirement)
    assert found
    return found[0].lower()


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_package_of_an_extra_can_be_imported(extra: str) -> None:
    names = [name_of(requirement) for requirement in EXTRAS[extra]]
    for name in names:
        try:
            metadata.distribution(name)
        except metadata.PackageNotFoundError:
            missing(f"{name}: pip install 'pipec[{extra}]'")
    modules = [MODULES.get(name, name.replace("-", "_")) for name in names]
    code = "\n".join(f"import {module}" for module in modules if module)
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_requirement_has_a_lower_bound_and_no_exact_pin(extra: str) -> None:
    for requirement in EXTRAS[extra]:
        assert ">=" in requirement
        assert "==" not in requirement


def test_what_was_tested_is_pinned_in_the_constraints() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0] for line in lines if "==" in line}
    assert {name_of(requirement) for names in EXTRAS.values() for requirement in names} <= pinned
    assert "torch==2.13.0" in lines
