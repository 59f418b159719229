"""Fits a small network of dense layers to features of voxels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hilum.tasks.airways.classifier import Network

__all__ = ["as_arrays", "fit_network"]

_Floats = npt.NDArray[np.float32]
_BATCH, _RATE = 4096, 4e-3
#: Few rows are passed more often.
_LEAST_STEPS = 2500


def fit_network(
    features: _Floats,
    truth: npt.NDArray[np.bool_],
    weights: _Floats,
    *,
    hidden: Sequence[int],
    epochs: float,
    seed: int = 0,
) -> Network:
    """Fit a network by cross entropy with Adam and a rate that falls to 0.

    Args:
        features: Array (n, features).
        truth: Whether each row is lumen, shape (n,).
        weights: Weight of each row, shape (n,).
        hidden: Sizes of the hidden layers.
        epochs: Passes over the rows; may be a fraction.
        seed: Of the weights and the order of the rows.

    Returns:
        The network for NumPy.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # layers this small are not worth a second one
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-3
    values = torch.from_numpy((features - mean) / scale)
    wanted, weight = torch.from_numpy(truth.astype(np.float32)), torch.from_numpy(weights)
    sizes = [features.shape[1], *hidden, 1]
    layers: list[torch.nn.Module] = []
    for before, after in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    optimiser = torch.optim.Adam(network.parameters(), lr=_RATE)
    steps = max(_LEAST_STEPS, int(epochs * len(values) / _BATCH))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps + 1)
    for _ in range(steps):
        rows = torch.randint(len(values), (_BATCH,), generator=generator)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            network(values[rows])[:, 0], wanted[rows], weight[rows]
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    dense = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    pairs = tuple((d.weight.detach().numpy().T.copy(), d.bias.detach().numpy().copy()) for d in dense)
    return Network(mean.astype(np.float32), scale.astype(np.float32), pairs)


def as_arrays(networks: Mapping[str, Network]) -> dict[str, npt.NDArray[Any]]:
    """Return networks by stage as the arrays of the file that hilum ships."""
    out: dict[str, npt.NDArray[Any]] = {}
    for stage, network in networks.items():
        out[f"{stage}_mean"], out[f"{stage}_scale"] = network.mean, network.scale
        for number, (weights, bias) in enumerate(network.layers):
            out[f"{stage}_weights{number}"], out[f"{stage}_bias{number}"] = weights, bias
    return out
