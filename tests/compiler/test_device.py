"""What is known of devices: how large they are, who makes them, and of what kind."""

from __future__ import annotations

import re

import pytest

from pipec.compiler import device

MODELS = tuple(device._MODELS)


@pytest.mark.parametrize("model", [name for name in MODELS if re.search(r"-[0-9]+gb$", name)])
def test_a_model_that_is_called_after_its_memory_has_it(model: str) -> None:
    found = device.known(model)
    assert found is not None
    assert model.endswith(f"-{found.memory_gib}gb")


@pytest.mark.parametrize("model", MODELS)
def test_what_has_several_sizes_has_the_largest_of_them(model: str) -> None:
    sizes = [each.memory_gib for name in MODELS if name.startswith(f"{model}-") and (each := device.known(name))]
    found = device.known(model)
    assert found is not None
    assert found.memory_gib >= max(sizes, default=0)


@pytest.mark.parametrize(
    ("model", "vendor", "kind"),
    [("a100", "nvidia", "gpu"), ("A100", "nvidia", "gpu"), ("mi300x", "amd", "gpu"), ("v5e", "google", "tpu")],
)
def test_a_model_is_of_one_maker_and_one_kind(model: str, vendor: str, kind: str) -> None:
    found = device.known(model)
    assert found is not None
    assert (found.vendor, found.kind) == (vendor, kind)
    assert device.makes(vendor, kind)


def test_of_what_is_not_known_nothing_is_said() -> None:
    assert device.known("made-up") is device.known(None) is device.known("") is None
    assert device.makes("made-up", "tpu")


@pytest.mark.parametrize(("vendor", "kind"), [("nvidia", "tpu"), ("amd", "tpu"), ("intel", "tpu"), ("google", "gpu")])
def test_a_kind_that_a_vendor_has_not_made_is_told(vendor: str, kind: str) -> None:
    assert not device.makes(vendor, kind)
