"""Accelerators that this process can see, told before any data is read. Imports no driver: it looks for device files.

What is not known to have any (fpga, qpu) is not judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipec.steps.declare import CallerError

_DEV = Path("/dev")
# Device files by kind, first the commonest; a container sees only those that it was given.
_FILES: Mapping[str, tuple[str, ...]] = {
    "gpu": ("nvidia[0-9]*", "dri/renderD[0-9]*"),  # the second: AMD and Intel
    "tpu": ("accel[0-9]*", "accel/accel[0-9]*", "vfio/[0-9]*"),
    "npu": ("davinci[0-9]*",),
}
_CHOICES = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")  # of what is there, those that may be used
_ALL, _NONE = ("all",), ("", "none", "void", "no", "NoDevFiles", "-1")


def check(kind: str, count: int, environ: Mapping[str, str], dev: Path = _DEV) -> None:
    """Raise CallerError where fewer devices are seen than were asked for.

    Not one for another attempt: this container was given none, and a further one is given what this one was.
    """
    found = visible(kind, environ, dev)
    if found is not None and found < count:
        noun = kind.upper() + ("" if count == 1 else "s")
        raise CallerError(
            f"the step asks for {count} {noun}, but this container sees {found or 'none'}: "
            "hand them to it (device plugin, container toolkit), or ask for fewer under `resources`"
        )


def visible(kind: str, environ: Mapping[str, str], dev: Path = _DEV) -> int | None:
    """Return how many devices of a kind can be used, or None where that is not known."""
    patterns = _FILES.get(kind)
    if patterns is None or (dev / "dxg").exists():  # Windows' own door to GPUs does not say how many
        return None
    found = next((n for pattern in patterns if (n := len(list(dev.glob(pattern))))), 0)
    if kind != "gpu":
        return found
    for variable in _CHOICES:
        chosen = environ.get(variable, "all").strip()
        if chosen in _NONE:
            return 0
        if chosen not in _ALL:
            # Parts of one device (MIG) have names of their own, and one device file.
            names = chosen.split(",")
            found = len(names) if "MIG-" in chosen and found else min(found, len(names))
    return found
