"""Slices for training: brought to the input's size once, then read from a memory map.

Which slices stand in a batch, and how they are varied, is a function of the seed and of the number of the
step alone. A resumed run so sees exactly what it would have seen.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from hilum.core.cores import thread_count
from hilum.core.errors import InputError
from hilum.core.segmentation import Progress
from hilum.datasets.index import Dataset, SliceRecord
from hilum.io import write_json
from hilum.io.atomic import writable
from hilum.io.text import read_json
from hilum.models.preprocess import fit_slice, resize, to_input
from hilum.training.config import TrainConfig

__all__ = ["SliceCache", "TrainingBatches", "ValidationBatches", "build_cache"]


@dataclass(frozen=True, eq=False)
class SliceCache:
    """Slices at the size of the input, on disk, mapped into memory.

    Attributes:
        folder: Where they lie.
        subjects: Subject of each slice.
        has_lung: Whether each slice holds lung.
    """

    folder: Path
    size: tuple[int, int]
    subjects: npt.NDArray[np.int64]
    has_lung: npt.NDArray[np.bool_]

    @property
    def complete(self) -> bool:
        """Whether the files are as large as they must be."""
        pixels = len(self.subjects) * self.size[0] * self.size[1]
        files = ((self.folder / "hu.bin", 2 * pixels), (self.folder / "lung.bin", pixels))
        return all(file.is_file() and file.stat().st_size == size for file, size in files)

    def open(self) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
        """Map HU (int16) and share of lung (0 to 255), each (n, height, width)."""
        shape = (len(self.subjects), *self.size)
        hu = np.memmap(self.folder / "hu.bin", np.int16, "r", shape=shape)
        lung = np.memmap(self.folder / "lung.bin", np.uint8, "r", shape=shape)
        return hu, lung


def build_cache(
    dataset: Dataset,
    records: Sequence[SliceRecord],
    config: TrainConfig,
    folder: Path,
    progress: Progress | None = None,
) -> SliceCache:
    """Bring slices to the input's size, or take up what an earlier run made.

    Args:
        dataset: Dataset of the slices.
        records: The slices to take.
        config: Size and window.
        folder: Where to put them: three bytes a pixel.
        progress: Called with the fraction done and a word.

    Raises:
        InputError: A slice is missing or corrupted.
        OutputError: The disk is full.
    """
    key = {
        "index_sha256": dataset.index_sha256,
        "slices": [[r.subject, r.slice] for r in records],
        "size": list(config.slices.size),
        "window": list(config.hu_window),
    }
    cache = SliceCache(
        folder,
        config.slices.size,
        np.array([r.subject for r in records], np.int64),
        np.array([r.lung_fraction > 0 for r in records], bool),
    )
    marker = folder / "cache.json"
    if cache.complete and _stored(marker) == key:
        return cache
    with writable(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            _fill(dataset, records, config, cache, progress)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)  # gigabytes that nothing would read
            raise
    write_json(marker, key)
    return cache


def _stored(marker: Path) -> object:
    """Return what a cache was made of; None if unknown, so that it is made again."""
    with suppress(InputError):
        return read_json(marker)  # type: ignore[no-any-return]
    return None


def _fill(
    dataset: Dataset,
    records: Sequence[SliceRecord],
    config: TrainConfig,
    cache: SliceCache,
    progress: Progress | None,
) -> None:
    def one(record: SliceRecord) -> tuple[bytes, bytes]:
        image, mask = dataset.image(record), dataset.mask(record)
        fit = fit_slice((record.rows, record.cols), config.slices.size, record.spacing_mm)
        hu = to_input(image[None], fit, config.hu_window)[0]
        share = np.zeros(config.slices.size, np.float32)
        rows, cols = (slice(o, o + i) for o, i in zip(fit.offset, fit.inner, strict=True))
        share[rows, cols] = resize((mask > 0).astype(np.float32), fit.inner)
        return np.rint(hu).astype(np.int16).tobytes(), np.rint(255 * share).astype(np.uint8).tobytes()

    with (
        ThreadPoolExecutor(thread_count()) as pool,
        (cache.folder / "hu.bin").open("wb") as hu_file,
        (cache.folder / "lung.bin").open("wb") as lung_file,
    ):
        block = 64  # so that finished slices do not pile up before the disk
        for start in range(0, len(records), block):
            for hu, lung in pool.map(one, records[start : start + block]):
                hu_file.write(hu)
                lung_file.write(lung)
            if progress:
                progress(min(1.0, (start + block) / len(records)), "reading slices")
        for file in (hu_file, lung_file):
            file.flush()
            os.fsync(file.fileno())


class TrainingBatches(TorchDataset[dict[str, Any]]):
    """Batch number ``step`` of a training: item ``step`` of this data set.

    Args:
        cache: All slices.
        train: Subjects to take.
        config: Batch size, seed and share of slices without lung.
        rank: Which of several processes this is; each draws its own slices.
    """

    def __init__(self, cache: SliceCache, train: Sequence[int], config: TrainConfig, rank: int = 0) -> None:
        self.cache, self.config, self.rank = cache, config, rank
        self._maps: tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]] | None = None
        self._with = _by_subject(cache, train, True)
        self._without = _by_subject(cache, train, False)

    def chosen(self, step: int) -> npt.NDArray[np.int64]:
        """Return the slices of a batch: first a subject, then one of its slices, all as likely."""
        rng = np.random.default_rng([self.config.seed, 1, step, self.rank])
        out = []
        for _ in range(self.config.batch):
            empty = rng.random() < self.config.slices.without_lung
            groups = (self._without if empty else self._with) or self._with or self._without
            group = groups[rng.integers(len(groups))]
            out.append(group[rng.integers(len(group))])
        return np.array(out, np.int64)

    def __getitem__(self, step: int) -> dict[str, Any]:
        if self._maps is None:  # in the process that reads
            self._maps = self.cache.open()
        rows = self.chosen(step)
        hu, lung = (np.stack([part[row] for row in rows]) for part in self._maps)
        return {"hu": torch.from_numpy(hu), "lung": torch.from_numpy(lung), "step": step}


def _by_subject(cache: SliceCache, subjects: Sequence[int], lung: bool) -> list[npt.NDArray[np.int64]]:
    groups = [np.flatnonzero((cache.subjects == s) & (cache.has_lung == lung)) for s in subjects]
    return [group for group in groups if group.size]


class ValidationBatches(TorchDataset[dict[str, Any]]):
    """The validation part in batches, as it is; at most ``limit`` slices, evenly spread."""

    def __init__(
        self,
        cache: SliceCache,
        subjects: Sequence[int],
        batch: int,
        limit: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        rows = np.flatnonzero(np.isin(cache.subjects, np.asarray(subjects)))
        if rows.size > limit:
            rows = rows[np.linspace(0, rows.size - 1, limit).round().astype(int)]
        self._rows = rows[rank::world]
        self._cache, self._batch = cache, batch

    def __len__(self) -> int:
        return -(-len(self._rows) // self._batch)

    def __getitem__(self, index: int) -> dict[str, Any]:
        hu, lung = self._cache.open()
        rows = self._rows[index * self._batch : (index + 1) * self._batch]
        return {"hu": torch.from_numpy(hu[rows]), "lung": torch.from_numpy(lung[rows]), "step": -1}


def as_float(batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Return HU and share of lung as float32, (n, 1, height, width)."""
    return batch["hu"].float().unsqueeze(1), batch["lung"].float().unsqueeze(1) / 255.0
