"""Accelerators as clusters name them: the resource that a device plugin offers, and the labels of nodes that have it.

Only names that their makers document stand here; a device whose name would be guessed is refused by the targets.
Sources: the documentation of each vendor's device plugin; NVIDIA's GPU feature discovery, which labels a node with the
name that its driver gives the device, blanks as hyphens.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipec.record import frozen
from pipec.steps.interface import Accelerator

_USUAL = {"gpu": "nvidia", "tpu": "google"}  # the vendor where a step names none
_RESOURCES = {
    ("gpu", "nvidia"): "nvidia.com/gpu",
    ("gpu", "amd"): "amd.com/gpu",
    ("tpu", "google"): "google.com/tpu",
    ("npu", "aws"): "aws.amazon.com/neuron",
    ("npu", "intel"): "habana.ai/gaudi",
}
# Huawei's plugin has a resource for each chip, so the model is said by it.
_ASCEND = {name.lower(): f"huawei.com/{name}" for name in ("Ascend910", "Ascend310", "Ascend310P")}
PRODUCT, MEMORY = "nvidia.com/gpu.product", "nvidia.com/gpu.memory"
_PRODUCTS = {
    "p4": ("Tesla-P4",),
    "p100": ("Tesla-P100-PCIE-12GB", "Tesla-P100-PCIE-16GB", "Tesla-P100-SXM2-16GB"),
    "v100": ("Tesla-V100-PCIE-16GB", "Tesla-V100-PCIE-32GB", "Tesla-V100-SXM2-16GB", "Tesla-V100-SXM2-32GB"),
    "v100-16gb": ("Tesla-V100-PCIE-16GB", "Tesla-V100-SXM2-16GB"),
    "v100-32gb": ("Tesla-V100-PCIE-32GB", "Tesla-V100-SXM2-32GB"),
    "t4": ("Tesla-T4",),
    "a2": ("NVIDIA-A2",),
    "a10": ("NVIDIA-A10",),
    "a10g": ("NVIDIA-A10G",),
    "a30": ("NVIDIA-A30",),
    "a40": ("NVIDIA-A40",),
    "a100": ("NVIDIA-A100-80GB-PCIe", "NVIDIA-A100-PCIE-40GB", "NVIDIA-A100-SXM4-40GB", "NVIDIA-A100-SXM4-80GB"),
    "a100-40gb": ("NVIDIA-A100-PCIE-40GB", "NVIDIA-A100-SXM4-40GB"),
    "a100-80gb": ("NVIDIA-A100-80GB-PCIe", "NVIDIA-A100-SXM4-80GB"),
    "l4": ("NVIDIA-L4",),
    "l40": ("NVIDIA-L40",),
    "l40s": ("NVIDIA-L40S",),
    "h100": ("NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-NVL", "NVIDIA-H100-PCIe"),
    "h100-80gb": ("NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-PCIe"),
    "h200": ("NVIDIA-H200", "NVIDIA-H200-NVL"),
    "b200": ("NVIDIA-B200",),
}
# Drivers keep some of a device's memory: a T4 of 16 GiB tells 15109 MiB, an L4 of 24 GiB 23034. No two sizes on offer
# are as near to each other as that.
_TOLD = 0.9


@frozen
class Requirement:
    """What a label of a node must be. operator: `In` or `Gt`, as Kubernetes' node affinity has them."""

    key: str
    operator: str
    values: tuple[str, ...]


def vendor(wanted: Accelerator) -> str:
    """Return who makes the device that is asked for, or an empty text where that cannot be told."""
    return wanted.vendor or _USUAL.get(wanted.kind, "")


def resource(wanted: Accelerator) -> str | None:
    """Return the resource by which a pod asks for the device, or None where no name is documented."""
    if (wanted.kind, vendor(wanted)) == ("npu", "huawei"):
        return _ASCEND.get((wanted.model or "").lower())
    return _RESOURCES.get((wanted.kind, vendor(wanted)))


def has_labels(wanted: Accelerator, what: str) -> bool:
    """Say whether nodes tell `model` or `memory` of such a device by a label that is known here."""
    if what == "model" and wanted.vendor == "huawei":
        return True
    is_nvidia = (wanted.kind, vendor(wanted)) == ("gpu", "nvidia")
    return is_nvidia and (what == "memory" or bool(products(wanted.model or "")))


def products(model: str) -> tuple[str, ...]:
    """Return the names that NVIDIA's label has for a model; a name as the label has it stands for itself."""
    if model.startswith(("NVIDIA-", "Tesla-")):
        return (model,)
    return _PRODUCTS.get(model.lower(), ())


def requirements(wanted: Accelerator) -> Iterator[Requirement]:
    """Yield what the labels of a node must say for it to have the device, where `has_labels` holds."""
    if wanted.model and (names := products(wanted.model)):
        yield Requirement(PRODUCT, "In", names)
    if wanted.memory_mib:
        yield Requirement(MEMORY, "Gt", (str(int(wanted.memory_mib * _TOLD) - 1),))
