"""What all trainings share: the learning rate, the EMA of the weights, and the numbers of the steps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Sampler

__all__ = ["StepSampler", "mix", "update_ema", "warmup_cosine"]


def warmup_cosine(optimizer: torch.optim.Optimizer, steps: int, warmup: float) -> dict[str, Any]:
    """Return what Lightning takes: the rate rises in a line, then falls as a cosine to a hundredth.

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
    """Move the running mean of a network's weights; in the beginning it forgets faster.

    Args:
        mean: Changed in place.
        network: Of the same shape.
        ema: Share of the old mean that is kept.
        step: Number of the step that was made.
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

    It tells no length: Lightning would take the length of the first epoch for that of the last one, which
    may be shorter, and leave its validation out.
    """

    def __init__(self, steps: int, every: int) -> None:
        self.steps, self.every, self.epoch = steps, every, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch but the first, which may be any one of a resumed run."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        first = self.epoch * self.every
        return iter(range(first, min(first + self.every, self.steps)))


def mix(*numbers: int) -> int:
    """Return one seed below 2**63 for several numbers, well spread."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
