"""What a training is asked for, as one value. Light: the backends read it, nobody changes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """task: `auto`, or what to learn. settings: the estimator's own. epochs: passes over the rows, 1 or more.

    learning_rate, batch_size (rows), hidden (widths of the layers) and precision are the mlp's alone.
    """

    estimator: str
    task: str = "auto"
    settings: Mapping[str, object] = field(default_factory=dict)
    epochs: int = 20
    learning_rate: float = 1e-3
    batch_size: int = 256
    hidden: tuple[int, ...] = (64, 32)
    precision: str = "float32"
    seed: int = 0
