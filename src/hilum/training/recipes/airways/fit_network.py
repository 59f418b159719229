"""Trains the network of the airways on patches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from hilum.training.recipes.airways.cases import UNSURE
from hilum.training.recipes.airways.patches import Patches
from hilum.training.recipes.airways.unet import CLASSES, AirwayNet3d

__all__ = ["HU_WINDOW", "fit_airways", "loss_of"]

#: HU that become -1 and 1.
HU_WINDOW = (-1050.0, 250.0)
#: Weight of each class in the cross entropy, and of its Dice: background, lumen, wall, vessel.
_WEIGHTS, _DICE = (1.0, 2.0, 1.0, 0.7), (0.0, 1.0, 0.3, 0.1)
_RATE, _WARM_UP, _BATCH = 4e-3, 0.05, 2
#: Voxels added to both sums of the Dice.
_FLOOR = 100.0


def scaled(hu: Tensor) -> Tensor:
    """Clip HU and scale them to -1 to 1."""
    low, high = HU_WINDOW
    return (hu.clamp(low, high) - low) * (2 / (high - low)) - 1


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy and soft Dice (Milletari 2016) of what counts.

    Args:
        logits: (n, classes, x, y, z).
        labels: (n, x, y, z), with :data:`UNSURE`.
    """
    entropy = functional.cross_entropy(
        logits, labels, torch.tensor(_WEIGHTS), ignore_index=UNSURE, label_smoothing=0.0
    )
    counts = (labels != UNSURE)[:, None]
    truth = functional.one_hot(labels.clamp(max=CLASSES - 1) * counts[:, 0], CLASSES).movedim(-1, 1) * counts
    found = torch.softmax(logits, 1) * counts
    axes = (0, 2, 3, 4)
    dice = (2 * (found * truth).sum(axes) + _FLOOR) / (found.square() + truth).sum(axes).add(_FLOOR)
    weights = torch.tensor(_DICE)
    return entropy + (weights * (1 - dice)).sum() / weights.sum()


def fit_airways(
    patches: Patches,
    steps: int,
    *,
    minutes: float = math.inf,
    seed: int = 0,
    keep: Path | None = None,
    say: Callable[[str], None] = print,
) -> AirwayNet3d:
    """Train with AdamW, a warm-up, and a rate that falls to 0 as a cosine.

    Args:
        patches: Draws the patches.
        steps: Steps of the training.
        minutes: The rate falls so that the training ends after so many minutes if steps take long.
        seed: Of the weights.
        keep: Where the weights are kept from time to time.
        say: Told how it goes.
    """
    torch.manual_seed(seed)
    network = AirwayNet3d().to(memory_format=torch.channels_last_3d).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-4)
    begin, step, mean = time.monotonic(), 0, 0.0
    while True:
        done = max(step / steps, (time.monotonic() - begin) / 60 / minutes)
        if done >= 1:
            break
        rate = _RATE * min(1.0, (done + 1e-3) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * done))
        for group in optimiser.param_groups:
            group["lr"] = rate
        hu, labels = patches.batch(_BATCH)
        x = scaled(hu).contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(x)
        loss = loss_of(logits.float(), labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        mean += (float(loss.detach()) - mean) / min(step, 50)
        if step % 25 == 0:
            say(f"{step} steps, {(time.monotonic() - begin) / 60:.1f} min, loss {mean:.3f}, rate {rate:.2g}")
        if keep is not None and step % 100 == 0:
            torch.save(network.state_dict(), keep)
    if keep is not None:
        torch.save(network.state_dict(), keep)
    return network.eval()
