"""What every way of joining an order to a run's half of the call needs. Knows no caller."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipec.steps.command import Order
from pipec.steps.declare import CallerError
from pipec.values import Json


def common(order: Order, run_id: str) -> dict[str, Any]:
    """Return the fields that a call takes from its order as they are."""
    return {
        "pipeline": order.pipeline, "task": order.task, "step": order.step, "interface": order.interface,
        "run_id": run_id, "environment": order.environment, "threads": order.threads, "wait_s": float(order.wait_s),
        "attempts": order.attempts, "backoff_s": float(order.backoff_s), "hidden": order.hidden,
        "devices": order.devices, "env": order.env, "foreign": order.foreign,
    }  # fmt: skip


def known(values: Mapping[str, Json], name: str, what: str) -> Json:
    """Return what the caller gave under a name. Raises CallerError where it gave nothing."""
    if name not in values:
        raise CallerError(f"the caller gave no {what} `{name}`: compile and deploy the pipeline again")
    return values[name]


def json_object(text: str, name: str) -> Mapping[str, Json]:
    """Return the object that an argument holds. Raises CallerError."""
    try:
        body = json.loads(text)
    except ValueError as fault:
        raise CallerError(f"`{name}` is not JSON ({fault})") from fault
    if not isinstance(body, dict):
        raise CallerError(f"`{name}` must be a JSON object")
    return body
