"""The small parts that documents of every kind share: durations, memory, resources, retries, defaults."""

from __future__ import annotations

from typing import Any

from pipec.schema.model import Ask, Defaults, Places
from pipec.steps.interface import Accelerator, Retry

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MEBIBYTES = {"Mi": 1, "Gi": 1024, "Ti": 1024 * 1024}


def seconds(text: str) -> int:
    """Return a duration of the language, such as `5m`, in seconds."""
    return int(text[:-1]) * _SECONDS[text[-1]]


def mebibytes(text: str) -> int:
    """Return an amount of memory of the language, such as `16Gi`, in MiB."""
    return int(text[:-2]) * _MEBIBYTES[text[-2:]]


def ask(body: Any) -> Ask:
    """Return what a `resources` mapping asks for; of nothing, an Ask that is silent."""
    if not body:
        return Ask()
    memory = body.get("memory")
    return Ask(
        cpu=float(body["cpu"]) if "cpu" in body else None,
        memory_mib=mebibytes(memory) if memory else None,
        accelerator=accelerator(body["accelerator"]) if "accelerator" in body else None,
        machines=body.get("machines"),
        pool=body.get("pool"),
    )


def accelerator(body: Any) -> Accelerator:
    """Return the devices that an `accelerator` mapping describes."""
    return Accelerator(
        kind=body.get("kind", "gpu"),
        count=body.get("count", 1),
        vendor=body.get("vendor"),
        model=body.get("model"),
        memory_mib=mebibytes(body["memory"]) if "memory" in body else None,
    )


def retry(body: Any) -> Retry | None:
    """Return what a `retry` mapping says, or None where there is none."""
    if body is None:
        return None
    backoff = seconds(body["backoff"]) if "backoff" in body else Retry().backoff_s
    return Retry(attempts=body.get("attempts", 1), backoff_s=backoff)


def defaults(body: Any) -> Defaults:
    """Return what a `defaults` mapping says."""
    if not body:
        return Defaults()
    asked = ask(body["resources"]) if "resources" in body else None
    return Defaults(retry(body.get("retry")), seconds(body["timeout"]) if "timeout" in body else None, asked)


def places(environments: Any) -> dict[str, tuple[Places, Places]]:
    """Return where secrets and configs lie, by environment, as a document says it."""
    said = environments.items() if isinstance(environments, dict) else ()
    return {
        name: (body.get("secrets") or {}, body.get("configs") or {}) for name, body in said if isinstance(body, dict)
    }
