"""The bill of materials: by CycloneDX's own schema, complete, and the same bytes for the same wheels."""

from __future__ import annotations

import json
from pathlib import Path

import made
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from pipec.image import sbom, wheel


def faults(body: dict) -> object:
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(body))


def bill(folder: Path) -> dict:
    made.wheel(folder, "a", "1.0", head="License-Expression: MIT\n")
    made.wheel(folder, "b", "2.0", head="License: Some words of their own\n")
    read = [wheel.read(path) for path in sorted(folder.glob("*.whl"))]
    return sbom.of("core", "0.1.0", "python:3.11-slim", read, {"a": ("b", "not-there")})


def test_a_bill_is_as_the_schema_says_and_names_each_wheel_with_its_digest(tmp_path: Path) -> None:
    body = bill(tmp_path)
    assert faults(body) is None
    parts = {each["name"]: each for each in body["components"]}
    assert sorted(parts) == ["a", "b", "python:3.11-slim"]
    found = wheel.read(tmp_path / "a-1.0-py3-none-any.whl")
    assert parts["a"]["purl"] == "pkg:pypi/a@1.0"
    assert parts["a"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert parts["a"]["hashes"] == [{"alg": "SHA-256", "content": found.digest.removeprefix("sha256:")}]
    needed = {each["ref"]: each.get("dependsOn", []) for each in body["dependencies"]}
    assert needed["pkg:pypi/a@1.0"] == ["pkg:pypi/b@2.0"]


def test_a_bill_has_the_same_bytes_twice(tmp_path: Path) -> None:
    body = bill(tmp_path)
    assert sbom.text(body) == sbom.text(bill(tmp_path))
    assert "serialNumber" not in body
    assert "timestamp" not in body["metadata"]


def test_a_layer_adds_its_wheels_to_the_bill_of_the_image_below(tmp_path: Path) -> None:
    before = bill(tmp_path / "below")
    added = wheel.read(made.wheel(tmp_path / "layer", "c", "3.0"))
    body = sbom.extended(before, "team", [added], {"c": ("a",)})
    assert faults(body) is None
    assert sbom.versions(body) == {"a": "1.0", "b": "2.0", "c": "3.0"}
    assert body["metadata"] == before["metadata"]
    whole = next(each for each in body["dependencies"] if each["ref"] == "pipec-steps")
    assert "pkg:pypi/c@3.0" in whole["dependsOn"]
