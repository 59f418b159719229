"""What all trainings share: learning-rate schedule, EMA of the weights, and step numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import Sampler

__all__ = ["StepSampler", "log_mean_dice", "mix", "update_ema", "warmup_cosine"]


def warmup_cosine(optimizer: torch.optim.Optimizer, steps: int, warmup: float) -> dict[str, Any]:
    """Return the optimizer settings for Lightning: linear warm-up, then cosine decay to a hundredth.

    Args:
        optimizer: Its rate is the highest one.
        steps: Length of the training.
        warmup: Share of the steps in which the rate rises.
    """
    rise = max(1, round(warmup * steps))

    def rate(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        done = min(1.0, (step - rise) / max(1, steps - rise))
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def update_ema(mean: nn.Module, network: nn.Module, ema: float, step: int) -> None:
    """Update the EMA of the weights; the decay ramps up over the first steps.

    Args:
        mean: Network that holds the EMA; changed in place.
        network: The trained network, of the same architecture.
        ema: Decay: the share of the old mean that is kept.
        step: Number of training steps so far.
    """
    decay = min(ema, (1 + step) / (10 + step))
    with torch.no_grad():
        for old, new in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
            if old.dtype.is_floating_point:
                old.lerp_(new, 1 - decay)
            else:
                old.copy_(new)


class StepSampler(Sampler[int]):
    """Numbers of the steps of an epoch; an epoch is what lies between two validations.

    It has no ``__len__``: Lightning would assume that the last epoch is as long as the first one. It may be
    shorter, and its validation would be skipped.
    """

    def __init__(self, steps: int, every: int) -> None:
        self.steps, self.every, self.epoch = steps, every, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch except the first of a run or of a resumed run."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        first = self.epoch * self.every
        return iter(range(first, min(first + self.every, self.steps)))


def log_mean_dice(module: LightningModule, values: Tensor) -> None:
    """Log ``val_dice``, the mean of the values (n,) of all processes; 0 where there are none."""
    sums = torch.stack([values.sum(), torch.tensor(float(len(values)), device=values.device)])
    sums = module.trainer.strategy.reduce(sums, reduce_op="sum")
    module.log("val_dice", (sums[0] / sums[1].clamp(min=1)).float(), rank_zero_only=False)


def mix(*numbers: int) -> int:
    """Return one seed below 2**63 for several numbers, well spread."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
