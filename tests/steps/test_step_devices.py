"""Accelerators a container sees, and what is said where they are too few: before any data is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import runtime_probe as probes

from pipec.steps.command import Location, Order, order_text, parse_call, parse_order
from pipec.steps.declare import CallerError, interface_of
from pipec.steps.device import check, visible

NVIDIA = ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm")


@pytest.mark.parametrize(
    ("kind", "files", "environ", "expected"),
    [
        ("gpu", NVIDIA, {}, 2),
        ("gpu", ("nvidiactl",), {}, 0),
        ("gpu", (), {}, 0),
        ("gpu", ("dri/renderD128", "dri/card0"), {}, 1),
        ("gpu", NVIDIA, {"CUDA_VISIBLE_DEVICES": "1"}, 1),
        ("gpu", NVIDIA, {"CUDA_VISIBLE_DEVICES": ""}, 0),
        ("gpu", NVIDIA, {"CUDA_VISIBLE_DEVICES": "-1"}, 0),
        ("gpu", NVIDIA, {"CUDA_VISIBLE_DEVICES": "0,1,2"}, 2),
        ("gpu", NVIDIA[:1], {"CUDA_VISIBLE_DEVICES": "MIG-a,MIG-b"}, 2),
        ("gpu", NVIDIA, {"NVIDIA_VISIBLE_DEVICES": "all"}, 2),
        ("gpu", NVIDIA, {"NVIDIA_VISIBLE_DEVICES": "none"}, 0),
        ("gpu", NVIDIA, {"NVIDIA_VISIBLE_DEVICES": "void"}, 0),
        ("gpu", NVIDIA, {"NVIDIA_VISIBLE_DEVICES": "GPU-77"}, 1),
        ("gpu", ("dxg",), {}, None),
        ("tpu", ("accel0", "accel1", "accel2", "accel3"), {"CUDA_VISIBLE_DEVICES": ""}, 4),
        ("tpu", ("vfio/0", "vfio/vfio"), {}, 1),
        ("npu", ("davinci0", "davinci_manager"), {}, 1),
        ("fpga", (), {}, None),
        ("qpu", (), {}, None),
    ],
)
def test_devices_are_counted_by_their_files(
    kind: str, files: tuple[str, ...], environ: dict[str, str], expected: int | None, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert visible(kind, environ, tmp_path) == expected


@pytest.mark.parametrize(("count", "asked", "seen"), [(1, "1 GPU", "none"), (4, "4 GPUs", "2")])
def test_too_few_are_told_with_what_was_asked_and_what_is_there(
    count: int, asked: str, seen: str, tmp_path: Path
) -> None:
    for name in NVIDIA if seen == "2" else ():
        (tmp_path / name).touch()
    with pytest.raises(CallerError) as told:
        check("gpu", count, {}, tmp_path)
    assert str(told.value) == (
        f"the step asks for {asked}, but this container sees {seen}: "
        "hand them to it (device plugin, container toolkit), or ask for fewer under `resources`"
    )


def test_enough_or_more_is_well(tmp_path: Path) -> None:
    for name in NVIDIA:
        (tmp_path / name).touch()
    check("gpu", 2, {}, tmp_path)
    check("gpu", 1, {}, tmp_path)
    check("qpu", 9, {}, tmp_path)


def test_a_step_without_its_devices_reads_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    probes.register(monkeypatch)
    nowhere = {"data": (Location("s3://none/none"),)}  # would be asked for, and not answer
    assert probes.probe(tmp_path, inputs=nowhere, devices=("npu", 1)) == 2
    assert capfd.readouterr().err.startswith("t (probe@1): the step asks for 1 NPU, but this container sees none: ")
    assert probes.result(tmp_path)["inputs"] == {}


def test_devices_travel_with_orders_and_calls_that_have_some() -> None:
    order = Order(pipeline="p", task="t", step="s@1", interface="sha256:0")
    assert "devices" not in json.loads(order_text(order))
    some = Order(pipeline="p", task="t", step="s@1", interface="sha256:0", devices=("gpu", 2))
    assert parse_order(order_text(some)) == some
    call = probes.call(interface_of(probes.Probe), Path("/x"), devices=("gpu", 2))
    assert parse_call(call.as_json()) == call
