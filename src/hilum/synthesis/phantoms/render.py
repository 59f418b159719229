"""Rendering of continuous geometry to voxels, chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.constants import AIR_HU, LOWEST_HU
from hilum.core.labels import Lung
from hilum.synthesis.phantoms.body import surroundings
from hilum.synthesis.phantoms.fields import Array
from hilum.synthesis.phantoms.grid import Grid
from hilum.synthesis.phantoms.injury_map import InjurySums, InjuryTruth, label_injury
from hilum.synthesis.phantoms.kernel import Kernel, apply_kernel, noise_slice
from hilum.synthesis.phantoms.lung import FLUID_HU, ChestModel, Tissue, lung_part
from hilum.synthesis.phantoms.truth import RegionTruth, Sums

__all__ = ["Rendering", "render"]

#: Sub-points a chunk; the working memory is some 20 arrays of this many float32.
CHUNK_POINTS = 2_000_000
#: Scanners store nothing below this value.
HIGHEST_HU = 3071


@dataclass(frozen=True, eq=False)
class Rendering:
    """Voxels of a phantom.

    Attributes:
        hu: int16 HU, shape of the grid.
        labels: uint8 lung labels by the label contract.
        tissue: uint8 tissue map, values of :class:`Tissue`.
        labelled: Volume, air and mass inside the labelled voxels before kernel and noise.
        injury: Label map of the injuries with mL and grams; None unless asked for.
    """

    hu: npt.NDArray[np.int16]
    labels: npt.NDArray[np.uint8]
    tissue: npt.NDArray[np.uint8]
    labelled: dict[str, RegionTruth]
    injury: InjuryTruth | None = None


@dataclass(frozen=True, eq=False)
class _Maps:
    """Label maps that are filled slice by slice."""

    labels: npt.NDArray[np.uint8]
    tissue: npt.NDArray[np.uint8]
    injury: npt.NDArray[np.uint8] | None

    @classmethod
    def empty(cls, shape: tuple[int, int, int], injury: bool) -> _Maps:
        """Make maps of zeros."""
        labels, tissue = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        return cls(labels, tissue, np.zeros(shape, np.uint8) if injury else None)

    def __getitem__(self, part: slice) -> _Maps:
        return _Maps(self.labels[part], self.tissue[part], None if self.injury is None else self.injury[part])


def render(
    model: ChestModel, grid: Grid, *, seed: int, noise_hu: float, kernel: Kernel, injury: bool = False
) -> Rendering:
    """Render a phantom on a grid.

    A voxel is the mean over its sub-points; each sub-point is a mixture of materials in the proportion of
    their volumes, so mass is conserved. The label is lung where more than half of the voxel is lung.

    Args:
        model: The phantom.
        grid: Where the voxels lie.
        seed: Seed of the noise.
        noise_hu: Standard deviation of the noise in HU.
        kernel: Reconstruction kernel.
        injury: Whether to label the injuries, too.
    """
    order = list(grid.order)
    shape = (grid.shape[order[0]], grid.shape[order[1]], grid.shape[order[2]])
    hu = np.empty(shape, np.int16)
    maps = _Maps.empty(shape, injury)
    sums, amounts = Sums(), InjurySums()
    lengths = np.linalg.norm(grid.affine[:3, :3], axis=0)[order]
    spacing = (float(lengths[1]), float(lengths[2]))
    points = int(np.prod(grid.factors())) * shape[1] * shape[2]
    thick = max(1, CHUNK_POINTS // points)
    for first in range(0, shape[0], thick):
        last = min(first + thick, shape[0])
        clean = _chunk(model, grid, (first, last), maps[first:last], sums)
        if maps.injury is not None:
            for side in (Lung.RIGHT, Lung.LEFT):
                mine = maps.labels[first:last] == side
                amounts.add(side, maps.injury[first:last][mine], clean[mine])
        for index in range(first, last):
            image = apply_kernel(clean[index - first], kernel, spacing)
            if noise_hu > 0:
                image += noise_slice(shape[1:], kernel, spacing, noise_hu, seed, index)
            np.rint(np.clip(image, LOWEST_HU, HIGHEST_HU), out=hu[index], casting="unsafe")
    cell_ml = float(abs(np.linalg.det(grid.affine[:3, :3]))) / 1000
    back = np.argsort(order)
    found = None
    if maps.injury is not None:
        found = InjuryTruth(maps.injury.transpose(back), amounts.amounts(cell_ml))
    return Rendering(
        hu.transpose(back),
        maps.labels.transpose(back),
        maps.tissue.transpose(back),
        sums.regions(cell_ml),
        found,
    )


def _chunk(
    model: ChestModel,
    grid: Grid,
    slices: tuple[int, int],
    maps: _Maps,
    sums: Sums,
) -> Array:
    """Noiseless HU of some slices; fills ``maps`` and adds to ``sums``."""
    lattice = grid.chunk(*slices, model.body.size)
    factors = grid.factors()
    hu = surroundings(model, lattice)
    shares: dict[int, Array] = {}
    for side, value in ((1, Lung.RIGHT), (-1, Lung.LEFT)):
        part = lung_part(model, lattice, side)
        if part is None:
            continue
        view = hu[part.window]
        view *= 1 - part.pleural
        view += part.lung * part.hu
        if part.lung is not part.pleural:
            view += part.fluid * np.float32(FLUID_HU)
            view += (part.pleural - part.lung - part.fluid) * np.float32(AIR_HU)
        share = _means(part.lung, part.window, hu.shape, factors)
        shares[side] = share
        maps.labels[share > 0.5] = value
        inner: dict[Tissue, Array] = {}
        for kind, cells in part.tissues.items():
            outside = kind in (Tissue.EFFUSION, Tissue.PNEUMOTHORAX)
            inside = cells if outside else cells * part.lung
            mean = _means(inside, part.window, hu.shape, factors)
            maps.tissue[mean > 0.5 if outside else (share > 0.5) & (mean > 0.5 * share)] = kind
            if not outside:
                inner[kind] = mean
        if maps.injury is not None:
            np.maximum(maps.injury, label_injury(inner, share), out=maps.injury)
    clean = _block_mean(hu, factors)
    for side, value in ((1, Lung.RIGHT), (-1, Lung.LEFT)):
        if side in shares:
            sums.add(side, (maps.labels == value).astype(np.float32), clean)
    return clean


def _means(
    part: Array, window: tuple[slice, slice, slice], shape: Any, factors: tuple[int, int, int]
) -> Array:
    """Means over voxels of values on a window of the sub-points."""
    if factors == (1, 1, 1) and part.shape == tuple(shape):
        return part
    whole = np.zeros(shape, np.float32)
    whole[window] = part
    return _block_mean(whole, factors)


def _block_mean(values: Array, factors: tuple[int, int, int]) -> Array:
    """Mean over blocks of sub-points."""
    a, b, c = factors
    if (a, b, c) == (1, 1, 1):
        return values
    n, m, k = (s // f for s, f in zip(values.shape, factors, strict=True))
    # One axis after the other, the slowest first: about three times faster than one mean over three axes.
    blocks = values.reshape(n, a, m * b * k * c).mean(axis=1) if a > 1 else values
    blocks = blocks.reshape(n * m, b, k * c).mean(axis=1) if b > 1 else blocks
    blocks = blocks.reshape(n * m * k, c).mean(axis=1) if c > 1 else blocks
    return blocks.reshape(n, m, k)
