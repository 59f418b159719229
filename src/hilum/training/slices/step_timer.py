"""Timing of a training step alone, without loading: it sets the length of a training."""

from __future__ import annotations

import time

import torch

from hilum.training.config import TrainConfig
from hilum.training.slices.module import LungModule

__all__ = ["StepTimer", "time_step"]


class StepTimer:
    """A training step on one batch in memory: forward, loss, backward, clipping, AdamW; timed.

    Args:
        config: Network, batch and size.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._module = LungModule(config, 1000).to(self._device)
        self._optimizer = torch.optim.AdamW(self._module.network.parameters(), lr=1e-6)
        self._clip, self._steps = config.clip, 0
        generator = torch.Generator().manual_seed(0)
        self._x = torch.rand((config.batch, 1, *config.slices.size), generator=generator).to(self._device)

    def __call__(self) -> float:
        """Do one step and return its seconds."""
        start = time.perf_counter()
        self._optimizer.zero_grad(set_to_none=True)
        # The time does not depend on the values, so noise will do.
        loss = self._module.loss(self._x * 2 - 1, (self._x > 0.5).float(), self._steps)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._module.network.parameters(), self._clip)
        self._optimizer.step()
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        self._steps += 1
        return time.perf_counter() - start


def time_step(config: TrainConfig, least_s: float = 4.0) -> float:
    """Return the median seconds of a step of the network alone, on one batch in memory.

    Args:
        config: Network, batch and size.
        least_s: Least seconds of measuring, after two steps of warm-up.
    """
    step = StepTimer(config)
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 5 or (time.perf_counter() - begin < least_s and len(times) < 50):
        times.append(step())
    return sorted(times[2:])[len(times[2:]) // 2]
