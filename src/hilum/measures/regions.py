"""The measured regions and their voxels, collected in one pass over the labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LabelSet
from hilum.core.volume import Volume
from hilum.measures.edge import boundary_of, margin
from hilum.measures.sample import EdgeShift, Sample

__all__ = ["LabelVoxels", "Region", "collect", "regions_of"]

#: Thirds along the patient's front-back and head-foot axis, in the order of increasing +y and +z in RAS.
FRONT_BACK = ("dorsal", "mid_ap", "ventral")
HEAD_FOOT = ("basal", "middle", "apical")
_AXES = (1, 2)  # rows of the affine for these two axes
_PARTS = 9  # cells per label: three by three thirds
_CHUNK_VOXELS = 2**20  # voxels per chunk: tens of MB of working memory
#: Largest share of a region's boundary without medians near it: its weight is then sure to a hundredth, since
#: the whole correction is about a tenth of it.
_UNKNOWN_SHARE = 0.1


@dataclass(frozen=True)
class Region:
    """A region: its name, its labels and, if any, its third.

    Attributes:
        name: Name in every output.
        values: Its label values.
        axis: 0 for thirds from back to front, 1 for thirds from foot to head, None for whole structures.
        third: Which third, 0 to 2 along the increasing axis.
    """

    name: str
    values: tuple[int, ...]
    axis: int | None = None
    third: int = 0


def regions_of(label_set: LabelSet) -> tuple[Region, ...]:
    """Return the regions of a label set in output order: whole regions, then their thirds."""
    wholes = [Region(region.name, region.values) for region in label_set.regions]
    parts = [
        Region(f"{whole.name}_{thirds[third]}", whole.values, axis, third)
        for whole in wholes
        for axis, thirds in enumerate((FRONT_BACK, HEAD_FOOT))
        for third in (2, 1, 0)  # ventral to dorsal, apical to basal
    ]
    return (*wholes, *parts)


@dataclass(frozen=True, eq=False)
class LabelVoxels:
    """HU of the labelled voxels, grouped by label and third.

    Attributes:
        label_set: Meaning of the labels.
        histograms: Counts (9 cells per label, HU steps) of an integer scan; None for a float scan.
        low: HU of the first step.
        values: The HU of each cell of a float scan; None for an integer scan.
        split: Whether a label has thirds, (labels, 2 axes): not if it is fewer than three
            voxel layers thick, as in a single slice.
        edge: Of each cell, what partial volume at the boundary changes, (cells, 4): tissue and air in voxels,
            boundary voxels of the mask, and those of them without medians near.
    """

    label_set: LabelSet

    histograms: npt.NDArray[np.int64] | None
    low: int
    values: list[npt.NDArray[np.float32]] | None
    split: npt.NDArray[np.bool_]
    edge: npt.NDArray[np.float64]

    def sample(self, region: Region) -> Sample:
        """Return the voxels of ``region``."""
        cells = np.zeros((len(self.label_set), 3, 3), bool)
        for index in self._places(region):
            if region.axis is None:
                cells[index] = True
            elif region.axis == 0:
                cells[index, region.third] = True
            else:
                cells[index, :, region.third] = True
        chosen = np.flatnonzero(cells)
        edge = self._edge(chosen)
        if self.histograms is not None:
            counts = self.histograms[chosen].sum(axis=0)
            steps = np.flatnonzero(counts)
            return Sample.of(steps + self.low, counts[steps], edge)
        assert self.values is not None
        values = np.concatenate([self.values[cell] for cell in chosen])
        values.sort()
        return Sample.of(values, None, edge)

    def has_thirds(self, region: Region) -> bool:
        """Whether all labels of ``region`` can be split along its axis."""
        return region.axis is None or all(self.split[index, region.axis] for index in self._places(region))

    def _edge(self, chosen: npt.NDArray[np.intp]) -> EdgeShift | None:
        tissue, air, boundary, unknown = (float(total) for total in self.edge[chosen].sum(axis=0))
        return None if unknown > _UNKNOWN_SHARE * boundary else EdgeShift(tissue, air)

    def _places(self, region: Region) -> list[int]:
        """Return the indices of a region's labels in the label set."""
        order = list(self.label_set)
        return [order.index(value) for value in region.values]


def collect(volume: Volume, labels: LabelVolume) -> LabelVoxels:
    """Group the voxels of the lungs by label and third.

    The thirds are those of each lung's extent (from the outer faces of its voxels) along the axes of the
    patient: back to front (+y of RAS) and foot to head (+z), for any orientation of the grid. On an
    oblique grid a voxel belongs to the third of its centre. Thirds are anatomical: in a prone patient the
    dorsal third is the upper one.

    Args:
        volume: The scan.
        labels: The label map, on the same grid.
    """
    label_set = labels.label_set
    count, cells = len(label_set), _PARTS * len(label_set)
    grid = _Grid.of(volume, _numbered(labels))
    if grid is None:
        none, whole = np.zeros((cells, 1), np.int64), np.zeros((count, 2), bool)
        return LabelVoxels(label_set, none, 0, None, whole, np.zeros((cells, 4)))
    cuts, split = _thirds(grid, count)
    edge = _edge(grid, cuts, count)
    if grid.hu.dtype.kind == "f":
        parts: list[list[npt.NDArray[np.float32]]] = [[] for _ in range(cells)]
        for cell, hu in _chunks(grid, cuts):
            for number in range(cells):
                parts[number].append(hu[cell == number])
        return LabelVoxels(label_set, None, 0, [np.concatenate(part) for part in parts], split, edge)
    low, high = int(grid.hu.min()), int(grid.hu.max())
    steps = high - low + 1
    total = np.zeros(cells * steps, np.int64)
    for cell, hu in _chunks(grid, cuts):
        cell *= steps
        cell += hu
        cell -= low
        total += np.bincount(cell, minlength=total.size)
    return LabelVoxels(label_set, total.reshape(cells, steps), low, None, split, edge)


def _numbered(labels: LabelVolume) -> npt.NDArray[np.uint8]:
    """Return the labels with the values 1, 2 ... in the order of the label set."""
    values = list(labels.label_set)
    numbers = list(range(1, len(values) + 1))
    if values == numbers:
        return labels.data
    lookup = np.zeros(256, np.uint8)
    lookup[values] = numbers
    return lookup[labels.data]


@dataclass(frozen=True, eq=False)
class _Grid:
    """The bounding box of the labelled voxels, axes in memory order.

    Attributes:
        hu: HU in the box.
        labels: Numbers of the labels in the box, from 1 in the order of the label set.
        rows: (2, 3) rows of the affine for the patient's +y and +z, in mm per voxel step of the box,
            counted from the first voxel of the box.
        spacing: Voxel size along the axes of the box, mm.
        wide: HU and labels of the box widened by what the boundary needs, and how far it begins before the
            box along each axis.
    """

    hu: npt.NDArray[Any]
    labels: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.float64]
    spacing: tuple[float, ...]
    wide: tuple[npt.NDArray[Any], npt.NDArray[np.uint8], tuple[int, ...]]

    @classmethod
    def of(cls, volume: Volume, labels: npt.NDArray[np.uint8]) -> _Grid | None:
        """Crop to the labelled voxels; None if there are none."""
        order = np.argsort([-abs(step) for step in volume.hu.strides], kind="stable")
        hu, labels = volume.hu.transpose(order), labels.transpose(order)
        flat = np.bitwise_or.reduce(labels, axis=0)
        planes = np.array([plane.any() for plane in labels])
        found = [np.flatnonzero(line) for line in (planes, flat.any(axis=1), flat.any(axis=0))]
        if any(line.size == 0 for line in found):
            return None
        box = tuple(slice(int(line[0]), int(line[-1]) + 1) for line in found)
        spacing = tuple(volume.spacing[axis] for axis in order)
        before = tuple(min(b.start, n) for b, n in zip(box, margin(spacing, labels.shape), strict=True))
        around = tuple(
            slice(b.start - n, b.stop + deep)
            for b, n, deep in zip(box, before, margin(spacing, labels.shape), strict=True)
        )
        rows = volume.affine[list(_AXES)][:, order]
        return cls(hu[box], labels[box], rows, spacing, (hu[around], labels[around], before))

    def chunks(self) -> Iterator[slice]:
        """Yield chunks along the first axis of about ``_CHUNK_VOXELS`` voxels."""
        depth = max(1, _CHUNK_VOXELS // (self.labels.shape[1] * self.labels.shape[2]))
        for start in range(0, self.labels.shape[0], depth):
            yield slice(start, min(start + depth, self.labels.shape[0]))

    def places(self, axis: int, chunk: slice) -> npt.NDArray[np.float32]:
        """Return the positions of a chunk's voxel centres along the patient's axis, in mm."""
        a, b, c = self.rows[axis]
        _, nj, nk = self.labels.shape
        i, j, k = np.arange(chunk.start, chunk.stop), np.arange(nj), np.arange(nk)
        plane = (b * j[:, None] + c * k[None, :]).astype(np.float32)
        out: npt.NDArray[np.float32] = (a * i).astype(np.float32)[:, None, None] + plane
        return out


def _thirds(grid: _Grid, count: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return the (2 axes, 2 cuts, labels) positions of the cuts in mm, and whether labels can be split."""
    low = np.full((2, count), np.inf)
    high = np.full((2, count), -np.inf)
    last = grid.labels.shape[2] - 1
    for chunk in grid.chunks():
        for index in range(count):
            mask = grid.labels[chunk] == index + 1
            i, j = np.nonzero(mask.any(axis=2))
            if i.size == 0:
                continue
            # The extremes of a linear function along a line of voxels are at its two ends.
            lines = mask[i, j]
            ends = np.stack([lines.argmax(axis=1), last - lines[:, ::-1].argmax(axis=1)])
            for axis, (a, b, c) in enumerate(grid.rows):
                place = a * (i + chunk.start) + b * j + c * ends
                low[axis, index] = min(low[axis, index], float(place.min()))
                high[axis, index] = max(high[axis, index], float(place.max()))
    layer = np.abs(grid.rows).sum(axis=1)[:, None]  # extent of one voxel along the axis
    missing = ~np.isfinite(low)  # no voxel of this label
    extent = np.where(missing, 0.0, high - low + layer)
    first = np.where(missing, 0.0, low - layer / 2)
    cuts = np.stack([first + extent / 3, first + 2 * extent / 3], axis=1).astype(np.float32)
    return cuts, (extent > 2.5 * layer).T


def _edge(grid: _Grid, cuts: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float64]:
    """Return what :attr:`LabelVoxels.edge` holds; a voxel outside counts in the third that it lies in."""
    hu, labels, before = grid.wide
    total = np.zeros((_PARTS * count, 4))
    for found in boundary_of(hu, labels, grid.spacing, count):
        cell = np.full(found.tissue.shape, found.label, np.intp)
        for axis, row in enumerate(grid.rows):
            place = sum(
                step * (line - n).astype(np.float32)
                for step, line, n in zip(row.astype(np.float32), found.index, before, strict=True)
            )
            low, high = cuts[axis, :, found.label]
            cell = 3 * cell + (place > low) + (place > high)
        columns = (found.tissue, found.air, np.full(cell.shape, found.inside), found.unknown)
        for column, values in enumerate(columns):
            total[:, column] += np.bincount(cell, values, minlength=len(total))
    return total


def _chunks(
    grid: _Grid, cuts: npt.NDArray[np.float32]
) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[Any]]]:
    """Yield cell number (by label, back to front, foot to head) and HU of the labelled voxels."""
    for chunk in grid.chunks():
        marked = grid.labels[chunk].ravel()
        inside = np.flatnonzero(marked)
        index = marked[inside] - np.uint8(1)
        cell = index.astype(np.intp)
        for axis in range(2):
            place = grid.places(axis, chunk).ravel()[inside]
            third = (place > cuts[axis, 0][index]).view(np.uint8) + (place > cuts[axis, 1][index])
            cell *= 3
            cell += third
        yield cell, grid.hu[chunk].ravel()[inside]
