"""A multi-layer perceptron in PyTorch: standardised columns in, class scores or one quantity out.

B batch, N rows, F features as read, D prepared columns, M number columns, C classes (1 for a regression). What the
network needs to know of the training rows (medians, means, scales) are its buffers, so they lie beside the weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipec.steps.ml import device as place
from pipec.steps.ml.card import Card
from pipec.steps.ml.estimator import CLASSIFICATION
from pipec.steps.ml.fault import AskFault, DataFault
from pipec.steps.ml.feature import Matrix
from pipec.steps.ml.recipe import Recipe

ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "tanh": nn.Tanh}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SCORED_AT_ONCE = 65536  # rows; bounds the memory of a prediction over a large table


class Network(nn.Module):
    """Columns as `feature.matrix` gives them -> class scores or the standardised target, float32 [B, C]."""

    def __init__(self, card: Card, *, hidden: list[int], activation: str) -> None:
        super().__init__()
        self.numbers = [position for position, column in enumerate(card.columns) if not column.is_text]
        self.texts = [(p, len(column.categories)) for p, column in enumerate(card.columns) if column.is_text]
        for name, start in (("median_M", 0.0), ("mean_M", 0.0), ("scale_M", 1.0)):
            self.register_buffer(name, torch.full((len(self.numbers),), start, dtype=torch.float64))
        self.register_buffer("target_mean", torch.zeros((), dtype=torch.float64))
        self.register_buffer("target_scale", torch.ones((), dtype=torch.float64))
        widths = [len(self.numbers) + sum(width for _, width in self.texts), *hidden, card.n_scores]
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(widths):
            # Without PyTorch's own first values: those would draw from the process's one random generator.
            layers += [nn.utils.skip_init(nn.Linear, n_in, n_out), ACTIVATIONS[activation]()]  # type: ignore[no-untyped-call]
        self.layers = nn.Sequential(*layers[:-1])

    def prepare(self, x_BF: Tensor) -> Tensor:
        """Return the columns as the layers want them, float32 [B, D]; float64 [B, F] in, NaN for a missing number."""
        numbers_BM = x_BF[:, self.numbers]
        numbers_BM = torch.where(numbers_BM.isnan(), self.get_buffer("median_M"), numbers_BM)
        parts = [(numbers_BM - self.get_buffer("mean_M")) / self.get_buffer("scale_M")]
        for position, width in self.texts:
            # A missing or unseen text is -1 and equals no category: all its columns are 0.
            parts.append(x_BF[:, position, None] == torch.arange(width, device=x_BF.device))
        return torch.cat([part.to(torch.float32) for part in parts], dim=1)  # [B, D]

    def forward(self, z_BD: Tensor) -> Tensor:
        scores_BC: Tensor = self.layers(z_BD)
        return scores_BC

    def initialise(self, generator: torch.Generator) -> None:
        """Draw first weights in the way of nn.Linear, from `generator` alone."""
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                bound = layer.in_features**-0.5
                nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)

    def learn_scales(self, x_NF: Matrix, y_N: NDArray[Any], *, regression: bool) -> None:
        """Keep what the training rows say of each number column, and of the target of a regression."""
        x_NM = x_NF[:, self.numbers]
        median_M = np.nanmedian(x_NM, axis=0) if self.numbers else np.zeros(0)
        x_NM = np.where(np.isnan(x_NM), median_M, x_NM)
        self._keep("median_M", median_M)
        self._keep("mean_M", x_NM.mean(axis=0))
        self._keep("scale_M", _scale(x_NM.std(axis=0)))
        if regression:
            self._keep("target_mean", y_N.mean())
            self._keep("target_scale", _scale(y_N.std()))

    def _keep(self, name: str, value: Any) -> None:
        self.get_buffer(name).copy_(torch.as_tensor(np.asarray(value, dtype=np.float64)))


def _scale(spread: Any) -> Any:
    return np.where(spread > 0, spread, 1.0)  # a constant column stays 0 instead of becoming NaN


@dataclass(frozen=True, slots=True)
class Body:
    """A fitted network on the CPU. Implements `model.Body`."""

    network: Network
    task: str

    def scores(self, x_NF: Matrix) -> Matrix:
        """Return probabilities [N, C], or predicted quantities [N, 1]."""
        parts = [self._scores(part) for part in torch.split(torch.as_tensor(x_NF), SCORED_AT_ONCE)]
        return np.asarray(torch.cat(parts).numpy(), dtype=np.float64)

    @torch.no_grad()
    def _scores(self, x_BF: Tensor) -> Tensor:
        scores_BC: Tensor = self.network(self.network.prepare(x_BF)).double()
        if self.task == CLASSIFICATION:
            return scores_BC.softmax(dim=1)
        return scores_BC * self.network.get_buffer("target_scale") + self.network.get_buffer("target_mean")

    def dump(self) -> bytes:
        return safetensors.torch.save({name: t.contiguous() for name, t in self.network.state_dict().items()})


def settings(recipe: Recipe) -> dict[str, object]:
    """Return everything that shapes the network and its training, beside the seed. Raises AskFault."""
    given: Mapping[str, Any] = recipe.settings  # scalars: the table of estimators has looked
    activation = given.get("activation", "relu")
    decay = given.get("weight_decay", 0.0)
    if activation not in ACTIVATIONS:
        raise AskFault(f"`activation` is one of {', '.join(sorted(ACTIVATIONS))}, not `{activation}`")
    if isinstance(decay, (bool, str)) or decay is None or not 0 <= decay < float("inf"):
        raise AskFault(f"`weight_decay` needs a number of 0 or more, not `{decay}`")
    if recipe.precision not in DTYPES:
        raise AskFault(f"`precision` is one of {', '.join(sorted(DTYPES))}, not `{recipe.precision}`")
    return {
        "activation": activation, "batch_size": recipe.batch_size, "epochs": recipe.epochs,
        "hidden": list(recipe.hidden), "learning_rate": recipe.learning_rate, "precision": recipe.precision,
        "weight_decay": float(decay),
    }  # fmt: skip


def fit(
    card: Card,
    x_NF: Matrix,
    y_N: NDArray[Any],
    threads: int,
    log: Callable[[str], None],
) -> tuple[Body, list[float]]:
    """Return the network of `card`, trained, and the mean loss of every epoch. Raises DataFault where it diverges.

    y_N: int64 class positions, or float64 quantities. Runs on a GPU if there is one. The same card, rows, threads and
    device give the same weights, bit for bit.
    """
    device = place.choose(threads, log)
    regression = card.task != CLASSIFICATION
    network = _build(card)
    network.initialise(torch.Generator().manual_seed(card.seed))
    network.learn_scales(x_NF, y_N, regression=regression)
    network.to(device)
    z_ND = network.prepare(torch.as_tensor(x_NF, device=device))
    target_N = torch.tensor(y_N, device=device)
    if regression:
        centred_N = target_N - network.get_buffer("target_mean")
        target_N = (centred_N / network.get_buffer("target_scale")).float()
    try:
        losses = _train(network, z_ND, target_N, card, log)
    except torch.OutOfMemoryError as fault:
        raise DataFault("the GPU's memory ran out: lower `batch_size` or `hidden`, or ask for a larger one") from fault
    return Body(network.cpu().eval(), card.task), losses


def _train(network: Network, z_ND: Tensor, target_N: Tensor, card: Card, log: Callable[[str], None]) -> list[float]:
    """Train in place by AdamW on mini-batches; z_ND, target_N: on the network's device."""
    knobs: Any = card.hyperparameters
    dtype = DTYPES[knobs["precision"]]
    loss_of = functional.cross_entropy if card.task == CLASSIFICATION else _squared_error
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=knobs["learning_rate"], weight_decay=knobs["weight_decay"], foreach=False
    )
    shuffle = torch.Generator().manual_seed(card.seed)  # on the CPU: the same order of rows on every device
    losses = []
    for epoch in range(1, knobs["epochs"] + 1):
        total = 0.0
        for batch_B in torch.split(torch.randperm(len(z_ND), generator=shuffle), knobs["batch_size"]):
            batch_B = batch_B.to(z_ND.device)  # noqa: PLW2901
            with torch.autocast(z_ND.device.type, dtype=dtype, enabled=dtype is not torch.float32):
                scores_BC = network(z_ND[batch_B])
            loss = loss_of(scores_BC.float(), target_N[batch_B])
            total += _finite(loss, epoch) * len(batch_B)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        losses.append(total / len(z_ND))
        if epoch == 1 or epoch == knobs["epochs"] or epoch % max(1, knobs["epochs"] // 10) == 0:
            log(f"epoch {epoch} of {knobs['epochs']}: loss {losses[-1]:.4f}")
    return losses


def _squared_error(scores_B1: Tensor, target_B: Tensor) -> Tensor:
    return functional.mse_loss(scores_B1.squeeze(1), target_B)


def _finite(loss: Tensor, epoch: int) -> float:
    value = loss.item()
    if not np.isfinite(value):
        raise DataFault(f"the loss became {value} in epoch {epoch}: lower `learning_rate`, or look for extreme values")
    return value


def load(card: Card, weights: bytes) -> Body:
    """Return the network in `weights`. Raises DataFault unless it is the one that `card` describes."""
    try:
        network = _build(card)
        network.load_state_dict(safetensors.torch.load(weights), strict=True)
    except Exception as fault:  # what the reader, the table of settings and PyTorch raise shares no other ancestor
        raise DataFault("the weights do not fit model.json: the model was damaged or put together from two") from fault
    if not all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values()):
        raise DataFault("the weights hold NaN or an infinite number: train the model again")
    return Body(network.eval(), card.task)


def _build(card: Card) -> Network:
    knobs: Any = card.hyperparameters
    return Network(card, hidden=knobs["hidden"], activation=knobs["activation"])
