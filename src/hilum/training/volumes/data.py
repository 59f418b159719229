"""Examples and validation volumes for the training of volumes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from hilum.datasets.volumes import VolumeDataset, VolumeRecord
from hilum.training.config import TrainConfig
from hilum.training.volumes.pool import CasePool
from hilum.training.volumes.sources import VolumeCase

__all__ = ["CaseBatch", "Examples", "ValidationVolumes"]


class CaseBatch:
    """The cases of a step, of different sizes; Lightning would take a list apart."""

    def __init__(self, cases: list[VolumeCase]) -> None:
        self.cases = cases

    def __iter__(self) -> Iterator[VolumeCase]:
        return iter(self.cases)


class Examples(TorchDataset[dict[str, Any]]):
    """The cases of each step, by its number.

    Args:
        pool: Gives the cases.
        config: Seed and batch.
        rank: Number of this process among ``world``.
        world: Number of processes.
    """

    def __init__(self, pool: CasePool, config: TrainConfig, rank: int = 0, world: int = 1) -> None:
        self.pool, self.config, self.rank, self.world = pool, config, rank, world

    def __getitem__(self, step: int) -> dict[str, Any]:
        cases = []
        for number in range(self.config.batch):
            example = step * self.config.batch + number
            rng = np.random.default_rng([self.config.seed, 31, self.rank, example])
            cases.append(self.pool.draw(example, rng))
        return {"cases": CaseBatch(cases), "step": step}


class ValidationVolumes(TorchDataset[dict[str, torch.Tensor]]):
    """Whole volumes of the validation part, as they are, and cases made of them; one a batch."""

    def __init__(
        self,
        data: VolumeDataset,
        records: list[VolumeRecord],
        rank: int = 0,
        world: int = 1,
        cases: Sequence[VolumeCase] = (),
    ) -> None:
        self.data, self.records, self.cases = data, records[rank::world], cases[rank::world]

    def __len__(self) -> int:
        return len(self.records) + len(self.cases)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if index >= len(self):
            raise IndexError(index)
        if index >= len(self.records):
            case = self.cases[index - len(self.records)]
            return {"hu": torch.from_numpy(case.hu), "labels": torch.from_numpy(case.labels)}
        record = self.records[index]
        hu, labels = (
            torch.from_numpy(np.array(a)) for a in (self.data.image(record), self.data.mask(record))
        )
        return {"hu": hu, "labels": labels}
