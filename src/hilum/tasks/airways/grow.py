"""Growth of the tree from its trunk over the likelihood of a lumen, across short gaps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from hilum.imaging.morphology import Mask, bounding_box

__all__ = ["GROWTH", "GrowthRules", "grow_tree"]

_Floats = npt.NDArray[np.float32]
Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class GrowthRules:
    """Rules of the growth; chosen on phantoms of seeds 100 to 102 and by looking at scans.

    Attributes:
        lumen: A voxel is lumen from this likelihood on, if it hangs on the tree.
        passable: A gap is crossed over voxels of at least this likelihood.
        gap_cost: Dearest gap: a mm costs 1 / likelihood, so that this is 4 mm at 0.3.
        least_mm: Shortest extent of a part that is joined across a gap.
        cavity_ml: Cavities of the lumen up to this volume, in mL, are filled.
    """

    lumen: float = 0.6
    passable: float = 0.2
    gap_cost: float = 13.0
    least_mm: float = 3.0
    cavity_ml: float = 0.03


#: The rules in use.
GROWTH = GrowthRules()


def grow_tree(likelihood: _Floats, trunk: Mask, spacing: Spacing, rules: GrowthRules = GROWTH) -> Mask:
    """Join to the trunk what is likely lumen and hangs on it, directly or across a short gap.

    Cheapest paths are searched for from the trunk over likely voxels (Dijkstra): lumen costs nothing, a gap
    the length over the likelihood. A part of the lumen beyond a gap is joined by its cheapest path.

    Args:
        likelihood: 0 to 1, shape (x, y, z).
        trunk: Lumen that is known.
        spacing: Distance between voxels in mm.
        rules: The rules.

    Returns:
        The lumen, one piece with the trunk if that is one.
    """
    from scipy.sparse.csgraph import dijkstra

    box = bounding_box((likelihood >= rules.passable) | trunk, max(spacing), spacing)
    out = trunk.copy()
    if box is None:
        return out
    values, known = likelihood[box], trunk[box]
    index = np.flatnonzero((values >= rules.passable) & ~known)
    if not len(index):
        return out
    likely = values.ravel()[index]
    graph, touching = _graph(index, likely, known, spacing, rules.lumen)
    cost, before, _ = dijkstra(
        graph, indices=np.flatnonzero(touching), min_only=True, return_predecessors=True, limit=rules.gap_cost
    )
    reached = np.isfinite(cost) & (likely >= rules.lumen)
    kept = reached.copy()
    kept[_paths(cost, before, reached, index, values.shape, spacing, rules.least_mm)] = True
    kept &= ~_islands(kept, index, known, spacing, rules.least_mm)
    grown = known.copy()
    grown.ravel()[index[kept]] = True
    out[box] |= _without_cavities(grown, spacing, rules.cavity_ml)
    return out


def _without_cavities(lumen: Mask, spacing: Spacing, most_ml: float) -> Mask:
    """Fill the small cavities of a lumen: each would be a loop of its skeleton."""
    import cc3d

    most = most_ml * 1000.0 / float(np.prod(spacing))
    labels = cc3d.connected_components(np.pad(~lumen, 1, constant_values=True), connectivity=6)
    counts = np.bincount(labels.ravel())
    cavity = (counts <= most) & (np.arange(len(counts)) > 0)
    filled: Mask = lumen | cavity[labels][1:-1, 1:-1, 1:-1]
    return filled


def _graph(
    index: npt.NDArray[np.intp], likely: _Floats, trunk: Mask, spacing: Spacing, lumen: float
) -> tuple[object, npt.NDArray[np.bool_]]:
    """Return the graph of neighbouring voxels with the cost of each step, and which touch the trunk."""
    from scipy import sparse

    count = len(index)
    number = np.full(trunk.size, -1, np.int32)
    number[index] = np.arange(count, dtype=np.int32)
    places = np.stack(np.unravel_index(index, trunk.shape))
    price = np.where(likely >= lumen, 0.0, 1.0 / likely)
    touching = np.zeros(count, bool)
    rows, columns, prices = [], [], []
    for step in product((-1, 0, 1), repeat=3):
        if step == (0, 0, 0):
            continue
        there = places + np.array(step)[:, None]
        inside = np.all((there >= 0) & (there < np.array(trunk.shape)[:, None]), axis=0)
        here = np.flatnonzero(inside)
        flat = np.ravel_multi_index(tuple(there[:, inside]), trunk.shape)
        touching[here[trunk.ravel()[flat]]] = True
        other = number[flat]
        pair = other >= 0
        here, other = here[pair], other[pair]
        length = float(np.linalg.norm(np.array(step) * spacing))
        rows.append(here)
        columns.append(other)
        # A step within the lumen is free; the graph drops steps of cost 0, so it costs next to nothing.
        prices.append(np.maximum(length * 0.5 * (price[here] + price[other]), 1e-6))
    cells = (np.concatenate(prices), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(cells, shape=(count, count)), touching


def _paths(
    cost: npt.NDArray[np.float64],
    before: npt.NDArray[np.int32],
    reached: npt.NDArray[np.bool_],
    index: npt.NDArray[np.intp],
    shape: tuple[int, ...],
    spacing: Spacing,
    least_mm: float,
) -> npt.NDArray[np.intp]:
    """Return the voxels of the gaps on the way to each part of the lumen that is long enough."""
    labels, box = _labelled(reached, index, shape)
    mine = labels.ravel()[index]
    order = np.flatnonzero(reached)
    order = order[np.argsort(cost[order], kind="stable")]
    _, first = np.unique(mine[order], return_index=True)
    large = _extents(box, spacing) >= least_mm
    out: list[int] = []
    for start in order[first]:
        here = int(start)
        if not large[mine[start] - 1]:
            continue
        while before[here] >= 0:
            here = int(before[here])
            if not reached[here]:
                out.append(here)
    return np.array(sorted(set(out)), np.intp)


def _islands(
    kept: npt.NDArray[np.bool_],
    index: npt.NDArray[np.intp],
    trunk: Mask,
    spacing: Spacing,
    least_mm: float,
) -> npt.NDArray[np.bool_]:
    """Return which voxels belong to a part that does not hang on the trunk."""
    import cc3d

    whole = trunk.copy()
    whole.ravel()[index[kept]] = True
    labels = cc3d.connected_components(whole, connectivity=26)
    good = np.zeros(int(labels.max()) + 1, bool)
    good[np.unique(labels[trunk])] = True
    out: npt.NDArray[np.bool_] = ~good[labels.ravel()[index]]
    return out


def _labelled(
    chosen: npt.NDArray[np.bool_], index: npt.NDArray[np.intp], shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.uint32], list[tuple[slice, ...]]]:
    """Label the connected parts of some voxels, and return the box of each."""
    import cc3d
    from scipy import ndimage

    mask = np.zeros(shape, bool)
    mask.ravel()[index[chosen]] = True
    labels = cc3d.connected_components(mask, connectivity=26)
    return labels, ndimage.find_objects(labels)


def _extents(boxes: list[tuple[slice, ...]], spacing: Spacing) -> npt.NDArray[np.float64]:
    """Diagonal of each box in mm."""
    sizes = np.array([[part.stop - part.start for part in box] for box in boxes]).reshape(-1, 3)
    extents: npt.NDArray[np.float64] = np.linalg.norm((sizes - 1) * np.array(spacing), axis=1)
    return extents
