"""Accelerators that many clusters have, by the names they are asked for: what they are, who makes them, their memory.

For contradictions alone: a model that is not listed is never doubted. Where one name is sold with several sizes, the
largest counts. A vendor's GB is taken for a GiB, so that a device is never thought smaller than it is.
Source: the makers' data sheets and product pages (NVIDIA Data Center GPUs, AMD Instinct, Google Cloud TPU).
"""

from __future__ import annotations

from typing import NamedTuple


class Device(NamedTuple):
    """A model of accelerator. memory_gib: of one device, at most."""

    kind: str
    vendor: str
    model: str
    memory_gib: int


_NVIDIA = {
    "k80": 24, "p4": 8, "p100": 16, "v100": 32, "v100-16gb": 16, "v100-32gb": 32, "t4": 16, "a2": 16, "a10": 24,
    "a10g": 24, "a30": 24, "a40": 48, "a100": 80, "a100-40gb": 40, "a100-80gb": 80, "l4": 24, "l40": 48, "l40s": 48,
    "h100": 96, "h100-80gb": 80, "h200": 144, "b200": 192,
}  # fmt: skip
_AMD = {"mi100": 32, "mi210": 64, "mi250": 128, "mi250x": 128, "mi300a": 128, "mi300x": 192, "mi325x": 256}
_GOOGLE = {"v5litepod": 16, "v5e": 16, "v5p": 95, "v6e": 32}
_MODELS = {
    **{name: Device("gpu", "nvidia", name, memory) for name, memory in _NVIDIA.items()},
    **{name: Device("gpu", "amd", name, memory) for name, memory in _AMD.items()},
    **{name: Device("tpu", "google", name, memory) for name, memory in _GOOGLE.items()},
}
_NEVER = {
    "nvidia": ("tpu",),
    "amd": ("tpu",),
    "intel": ("tpu",),
    "google": ("gpu",),
}  # kinds that a vendor has not made


def listed() -> tuple[Device, ...]:
    """Return all that is known, for people to see what is assumed."""
    return tuple(_MODELS.values())


def known(model: str | None) -> Device | None:
    """Return what is known of a model, or None. Letters count alike in both cases."""
    return _MODELS.get(model.lower()) if model else None


def makes(vendor: str, kind: str) -> bool:
    """Say whether a vendor may make devices of a kind; of an unknown one, that it may."""
    return kind not in _NEVER.get(vendor, ())
