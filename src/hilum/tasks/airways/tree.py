"""The tree of the airways: branches from the trachea on, with generation, side and place for a lobe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError, UsageError
from hilum.core.labels import LOBES, Lung
from hilum.core.volume import spacing_of, voxel_ml_of
from hilum.imaging.centreline_tree import Branch, CentrelineTree, direct
from hilum.imaging.graph_cleaning import SPUR_MM, break_loops, merge_junctions, prune_spurs
from hilum.imaging.morphology import bounding_box, components, depth
from hilum.imaging.skeleton import centrelines
from hilum.imaging.skeleton_graph import build_graph
from hilum.tasks.airways.calibre_values import BranchCalibre

__all__ = ["BRANCH_RULE", "LOBE_RULE", "AirwayBranch", "AirwayTree", "build_tree"]

_Mask = npt.NDArray[np.bool_]
_Points = npt.NDArray[np.float64]
#: An end piece shorter than this many radii of the bifurcation that it leaves is a bulge of the parent: most
#: of it lies in the lumen of the latter.
STUB_RADII = 1.6
#: How branches are counted, in words.
BRANCH_RULE = (
    "a branch is a piece of the centreline between two bifurcations or a bifurcation and an end; an end "
    f"piece shorter than the larger of {SPUR_MM:g} mm and {STUB_RADII:g} radii of the bifurcation that it "
    "leaves is none; bifurcations closer than the radius of the larger are one; the trachea counts as one"
)
#: The trachea ends where the tree parts: this is the last branch that more than this share of the airways in
#: each lung hangs on. At most one of several branches can hold more than half.
_COMMON_SHARE = 0.5
#: What leaves the trachea and ends without having reached a lung is no bronchus. Where one lung is not
#: reached at all, as on thick slices, it is one from this length on, in mm: the main bronchi are longer.
_REACHES_LUNG_MM = 15.0
#: A branch belongs to a lobe where more than this share of it, and of what hangs on it, lies in that lobe:
#: the bronchi that two lobes share hold less of either.
LOBE_SHARE = 0.9
#: How the lobe of a branch is chosen, in words.
LOBE_RULE = (
    f"the lobe that holds more than {100 * LOBE_SHARE:g} % of the branch and of what hangs on it, within the "
    "lungs; else, where more than half of the branch lies in the lungs, the lobe that most of it lies in; "
    "else none; trachea and main bronchi have none"
)
#: Sides of a branch; the trachea has none.
SIDES: Mapping[int, str] = {Lung.RIGHT.value: "right", Lung.LEFT.value: "left"}


@dataclass(frozen=True, eq=False)
class AirwayBranch:
    """A branch of the airways.

    Attributes:
        points: Smoothed centreline in RAS mm from the trachea's side to the tip, shape (n, 3).
        mask_radii: Radius of the inscribed ball of the lumen mask at each point in mm, shape (n,).
        parent: Index of the parent branch; -1 for the first.
        generation: 0 for the trachea, 1 for the main bronchi, one more at each bifurcation.
        side: ``right``, ``left`` or ``none`` (the trachea).
        lobe: Name of the lobe in the label set ``lobes``; empty where it has none or no lobes are known.
        length_mm: Length of the smoothed centreline in mm.
        calibre: Lumen and wall; None where they were not measured.
    """

    points: _Points
    mask_radii: npt.NDArray[np.float64]
    parent: int
    generation: int
    side: str
    length_mm: float
    mask_ml: float = 0.0
    lobe: str = ""
    calibre: BranchCalibre | None = None

    @property
    def lumen_mm(self) -> float | None:
        """Diameter of the lumen in mm by the fit; None where it is not known."""
        return None if self.calibre is None else self.calibre.lumen_mm

    @property
    def radii(self) -> npt.NDArray[np.float64]:
        """Radius in mm at each point: that of the fit, or that of the mask where there is none."""
        if self.lumen_mm is None:
            return self.mask_radii
        return np.full(len(self.points), self.lumen_mm / 2)


@dataclass(frozen=True, eq=False)
class AirwayTree:
    """The branches of the airways; a parent stands before its children.

    Attributes:
        branches: The branches.
        dropped_ml: Volume of parts of the mask that do not hang on the tree, in mL.
    """

    branches: tuple[AirwayBranch, ...]
    dropped_ml: float = 0.0

    @property
    def length_mm(self) -> float:
        """Sum of the lengths of all branches in mm."""
        return float(sum(branch.length_mm for branch in self.branches))

    @property
    def trachea(self) -> tuple[AirwayBranch, ...]:
        """The pieces of the trachea, from the top."""
        return tuple(branch for branch in self.branches if branch.generation == 0)

    def children(self) -> list[list[int]]:
        """Return the indices of the children of each branch."""
        return _children([branch.parent for branch in self.branches])

    def main_bronchus(self, side: str) -> AirwayBranch | None:
        """Return the main bronchus of a side: of the first generation there the one with the longest tree."""
        first = [n for n, b in enumerate(self.branches) if b.generation == 1 and b.side == side]
        if not first:
            return None
        parents = [branch.parent for branch in self.branches]
        totals = _subtree_sums(parents, [[branch.length_mm] for branch in self.branches])[:, 0]
        return self.branches[max(first, key=lambda n: totals[n])]

    def of(self, side: str) -> tuple[AirwayBranch, ...]:
        """Return the branches of a side."""
        return tuple(branch for branch in self.branches if branch.side == side)

    def of_lobe(self, lobe: str) -> tuple[AirwayBranch, ...]:
        """Return the branches of a lobe, by its name in the label set ``lobes``."""
        return tuple(branch for branch in self.branches if branch.lobe == lobe)

    def with_calibres(self, calibres: Sequence[BranchCalibre | None]) -> AirwayTree:
        """Return the tree with lumen and wall of each branch."""
        pairs = zip(self.branches, calibres, strict=True)
        return replace(self, branches=tuple(replace(branch, calibre=found) for branch, found in pairs))

    def centrelines(self) -> CentrelineTree:
        """Return the same tree as lines with radii."""
        return CentrelineTree(tuple(Branch(b.points, b.radii, b.parent, b.generation) for b in self.branches))


def build_tree(
    lumen: _Mask,
    affine: npt.NDArray[np.float64],
    lungs: npt.NDArray[np.integer[Any]],
    *,
    lobes: npt.NDArray[np.integer[Any]] | None = None,
) -> AirwayTree:
    """Build the tree of a lumen mask, directed away from the top of the trachea.

    The mask is thinned; loops are cut, spurs removed and bifurcations that are one merged, see
    :data:`BRANCH_RULE`. The trachea is all from the top down to the bifurcation that parts the lungs, so that
    a bronchus that leaves it above is of the first generation. The side of a branch is that of the lung in
    which most of what hangs on it lies; its lobe is told by :data:`LOBE_RULE`. What leaves the trachea and
    never reaches a lung is left out, and so are other short parts of this kind.

    Args:
        lumen: Bool array (i, j, k). Its largest component counts.
        affine: 4 x 4 matrix from voxel index to RAS mm.
        lungs: Labels of the lungs on the same grid, 1 right and 2 left.
        lobes: Values of the label set ``lobes`` on the same grid; None where they are not known.

    Returns:
        The tree, without calibres.

    Raises:
        UsageError: The arrays differ in shape.
        InputError: The mask is empty or gives no line.
    """
    if lungs.shape != lumen.shape or (lobes is not None and lobes.shape != lumen.shape):
        raise UsageError(f"lungs and lobes must have the shape of the lumen, {lumen.shape}.")
    spacing = spacing_of(affine)
    box = bounding_box(lumen, pad_mm=2 * max(spacing), spacing=spacing)
    if box is None:
        raise _no_tree()
    labels, sizes = components(lumen[box], 26)
    largest = 1 + int(np.argmax(sizes[1:]))
    mask = labels == largest
    dropped = int(sizes[1:].sum() - sizes[largest])
    shifted = affine.copy()
    shifted[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    lines = _centrelines(mask, shifted, spacing)
    if not lines:
        raise _no_tree()
    lines = _without_stubs(lines, _in_lungs(lines, lungs[box], shifted))
    placed = _placed(lines, _in_lungs(lines, lungs[box], shifted))
    if lobes is not None:
        placed = _in_lobes(placed, _values_at(lobes[box], [line.points for line in lines], shifted))
    voxel_ml = voxel_ml_of(affine)
    volumes = _volumes(mask, shifted, placed)
    branches = (replace(b, mask_ml=n * voxel_ml) for b, n in zip(placed, volumes, strict=True))
    return AirwayTree(tuple(branches), dropped * voxel_ml)


def _no_tree() -> InputError:
    return InputError("No airways were found in this scan.", "Look at the scan: is the trachea in view?")


def _centrelines(
    mask: _Mask, affine: npt.NDArray[np.float64], spacing: tuple[float, float, float]
) -> tuple[Branch, ...]:
    """Thin a mask, clean the graph and direct it away from its top."""
    # Beyond the border of the box there is background, also where the scan ends in the trachea.
    radius = depth(np.pad(mask, 1), spacing)[1:-1, 1:-1, 1:-1]
    graph = build_graph(centrelines(mask, spacing), affine, radius_mm=radius)
    graph = merge_junctions(prune_spurs(break_loops(graph), shortest_radii=STUB_RADII))
    if not graph.edges:
        return ()
    places = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    top = places[places[:, 2] > places[:, 2].max() - 2 * max(spacing)].mean(axis=0)
    x, y, z = top.tolist()
    return direct(graph, (x, y, z), all_parts=False).branches


def _children(parents: Sequence[int]) -> list[list[int]]:
    out: list[list[int]] = [[] for _ in parents]
    for index, parent in enumerate(parents):
        if parent >= 0:
            out[parent].append(index)
    return out


def _subtree_sums(parents: Sequence[int], own: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """Add to the values of each branch those of all that hang on it."""
    sums = np.array(own, np.float64)
    for index in range(len(parents) - 1, -1, -1):  # children stand behind their parents
        if parents[index] >= 0:
            sums[parents[index]] += sums[index]
    return sums


def _values_at(
    labels: npt.NDArray[np.integer[Any]], lines: Sequence[_Points], affine: npt.NDArray[np.float64]
) -> list[npt.NDArray[np.int64]]:
    """Look up the label at each point of some lines."""
    inverse = np.linalg.inv(affine)
    out = []
    for points in lines:
        index = np.rint(points @ inverse[:3, :3].T + inverse[:3, 3]).astype(np.intp)
        index = np.clip(index, 0, np.array(labels.shape) - 1)
        out.append(labels[tuple(index.T)].astype(np.int64))
    return out


def _in_lungs(
    lines: Sequence[Branch], lungs: npt.NDArray[np.integer[Any]], affine: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the length in mm that each line and those beyond have in the right and in the left lung."""
    values = _values_at(lungs, [line.points for line in lines], affine)
    own = [
        [line.length_mm * float(np.mean(value == side)) for side in SIDES]
        for line, value in zip(lines, values, strict=True)
    ]
    return _subtree_sums([line.parent for line in lines], own)


def _without_stubs(lines: Sequence[Branch], sums: npt.NDArray[np.float64]) -> tuple[Branch, ...]:
    """Leave out short parts that never reach a lung, and join what is then one branch."""
    parents = [line.parent for line in lines]
    lengths = _subtree_sums(parents, [[line.length_mm] for line in lines])[:, 0]
    trachea = _trachea(parents, sums)
    both = bool((sums[0] > 0).all())

    def is_bronchus(n: int) -> bool:
        if both and parents[n] in trachea:
            return n in trachea or bool(sums[n].any())
        return bool(sums[n].any()) or lengths[n] >= _REACHES_LUNG_MM

    kept = [parents[n] < 0 or is_bronchus(n) for n in range(len(lines))]
    for index, parent in enumerate(parents):
        kept[index] = kept[index] and (parent < 0 or kept[parent])
    count = [sum(kept[child] for child in children) for children in _children(parents)]
    new: list[Branch] = []
    number: dict[int, int] = {}
    for index in (n for n in range(len(lines)) if kept[n]):
        line, parent = lines[index], parents[index]
        if parent >= 0 and count[parent] == 1:
            before = new[number[parent]]
            points = np.concatenate([before.points, line.points[1:]])
            radii = np.concatenate([before.radii, line.radii[1:]])
            number[index] = number[parent]
            new[number[index]] = Branch(points, radii, before.parent, before.generation)
        else:
            number[index] = len(new)
            new.append(Branch(line.points, line.radii, number.get(parent, -1), line.generation))
    return tuple(new)


def _placed(lines: Sequence[Branch], sums: npt.NDArray[np.float64]) -> list[AirwayBranch]:
    """Give each line its generation and side, from the lung that its points and those beyond lie in."""
    parents = [line.parent for line in lines]
    trachea = _trachea(parents, sums)
    out: list[AirwayBranch] = []
    for index, line in enumerate(lines):
        if index in trachea:
            generation, side = 0, "none"
        else:
            generation = out[line.parent].generation + 1
            if sums[index].any():
                side = tuple(SIDES.values())[int(np.argmax(sums[index]))]
            elif line.parent not in trachea:
                side = out[line.parent].side
            else:  # a main bronchus that is seen up to the hilum: RAS counts towards the right
                side = "right" if line.points[-1, 0] > line.points[0, 0] else "left"
        out.append(AirwayBranch(line.points, line.radii, line.parent, generation, side, line.length_mm))
    return out


def _trachea(parents: Sequence[int], sums: npt.NDArray[np.float64]) -> set[int]:
    """Find the branches from the top to the bifurcation that parts the lungs."""
    children = _children(parents)
    last = 0
    if (sums[0] > 0).all():
        while True:
            common = [n for n in children[last] if (sums[n] > _COMMON_SHARE * sums[0]).all()]
            if not common:
                break
            last = common[0]
    out = set()
    while last >= 0:
        out.add(last)
        last = parents[last]
    return out


def _volumes(mask: _Mask, affine: npt.NDArray[np.float64], branches: Sequence[AirwayBranch]) -> list[int]:
    """Count the voxels that lie nearest to the centreline of each branch."""
    from scipy.spatial import KDTree

    places = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    points = np.concatenate([branch.points for branch in branches])
    owners = np.repeat(np.arange(len(branches)), [len(branch.points) for branch in branches])
    nearest = owners[KDTree(points).query(places)[1]]
    counted: list[int] = np.bincount(nearest, minlength=len(branches)).tolist()
    return counted


def _in_lobes(
    branches: Sequence[AirwayBranch], values: Sequence[npt.NDArray[np.int64]]
) -> list[AirwayBranch]:
    """Give each branch its lobe, see :data:`LOBE_RULE`, from the labels at its points."""
    own: npt.NDArray[np.float64] = np.array(
        [
            [branch.length_mm * float(np.mean(value == lobe)) for lobe in LOBES]
            for branch, value in zip(branches, values, strict=True)
        ]
    )
    sums = _subtree_sums([branch.parent for branch in branches], own.tolist())
    names = [info.name for info in LOBES.values()]
    out = []
    for branch, mine, below in zip(branches, own, sums, strict=True):
        name = ""
        if branch.generation >= 2 and below.max() > LOBE_SHARE * below.sum():
            name = names[int(np.argmax(below))]
        elif branch.generation >= 2 and 2 * mine.sum() > branch.length_mm:
            name = names[int(np.argmax(mine))]
        out.append(replace(branch, lobe=name))
    return out
