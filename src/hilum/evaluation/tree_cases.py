"""One case of a tree: the airways or the vessels, whole, by diameter and by generation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError
from hilum.core.labels import LabelRegion
from hilum.evaluation.branch_table import BranchTable
from hilum.evaluation.case_values import Box, Grid, box_of, overlap_values, size_errors
from hilum.evaluation.cases import Case, CaseResult
from hilum.evaluation.class_cases import class_sizes
from hilum.evaluation.class_sets import CLASS_SETS, ClassSet
from hilum.evaluation.tree_metrics import cl_dice_values, part_values, tree_values
from hilum.evaluation.tree_parts import Centreline, TreeBin, TreePart
from hilum.evaluation.trees import TreeScores, score_tree
from hilum.measures import Value

__all__ = ["TREES", "evaluate_tree", "tree_classes", "tree_mask"]

_Bools = npt.NDArray[np.bool_]
_Labels = npt.NDArray[np.uint8]
#: Tasks whose label maps show trees, and the values that are the tree.
TREES = {task: classes.tree for task, classes in CLASS_SETS.items() if classes.tree}
_TITLES = {"airways": "Airways", "vessels": "Vessels"}
#: Airways are one tree; vessels are several, which the edge of the lungs cuts into more.
_ONE_TREE = {"airways": True, "vessels": False}
#: Trees are summed up from this diameter on as well: what slices of 1 mm show.
_FROM_MM = 2.0


def evaluate_tree(case: Case, classes: ClassSet, table: BranchTable | None = None) -> CaseResult:
    """Compute the metrics of a tree.

    Args:
        case: Masks of the airways or the vessels.
        classes: Their classes.
        table: Exact diameters and generations of the reference; without it diameters are twice the distance
            to the outside, and there are no generations.

    Returns:
        Values of the whole tree, of what is 2 mm and wider, by bins of diameter, of each class apart from the
        tree that both masks hold, and by generation.

    Raises:
        InputError: The voxel size is unknown, the reference is empty, or the table does not fit it.
    """
    spacing = _spacing(case)
    task, box = classes.task, box_of(case.prediction, case.reference)
    p, r = tree_mask(case.prediction[box], task), tree_mask(case.reference[box], task)
    scores = score_tree(
        p,
        r,
        spacing,
        one_tree=_ONE_TREE[task],
        diameter_mm=None
        if table is None
        else lambda voxels: table.diameter_mm[table.owners(_to_mm(voxels, box, case))],
        ignore=r,  # what the largest component of the reference leaves out is not wrong
    )
    title = _TITLES[task]
    values: dict[str, dict[str, Value]] = {task: tree_values(scores)}
    titles = {task: title}
    values[task] |= _masks(p, r, case.grid, title.lower())
    for name, words, part in _by_diameter(scores, title):
        values[f"{task}_{name}"], titles[f"{task}_{name}"] = part_values(part), words
    values[f"{task}_from_{_FROM_MM:g}_mm"] |= cl_dice_values(scores, _FROM_MM)
    for entry in tree_classes(case, classes):
        masks = [labels[box] == entry.values[0] for labels in (case.prediction, case.reference)]
        values[entry.name] = _masks(masks[0], masks[1], case.grid, entry.title.lower())
        titles[entry.name] = entry.title
    if table is not None:
        owners = table.owners(_to_mm(scores.centreline.voxels, box, case))
        _add_table(values, task, scores, table, owners)
        for number, part_of in _by_generation(scores.centreline, table, owners).items():
            name = f"generation_{number}"
            values[name], titles[name] = part_of, f"Generation {number}"
    return CaseResult(case.name, case.subject, values, titles)


def tree_mask(labels: _Labels, task: str) -> _Bools:
    """Return the voxels of the tree."""
    return np.isin(labels, TREES[task])


def tree_classes(case: Case, classes: ClassSet) -> list[LabelRegion]:
    """Return the classes that are evaluated by themselves, since both masks distinguish them.

    The walls of airways are; arteries and veins are where both masks hold both.
    """
    wanted = [entry for entry in classes.classes if entry.values[0] == 2]
    if not all((labels == 2).any() for labels in (case.prediction, case.reference)):
        return []
    return wanted if classes.task == "airways" else list(classes.classes)


def _spacing(case: Case) -> tuple[float, float, float]:
    if case.grid.pixel_mm is None or case.grid.slice_mm is None or case.reference.shape[0] == 1:
        raise InputError(
            "A tree needs a volume with a known voxel size.", "Give masks with spacing, such as NIfTI."
        )
    return (case.grid.slice_mm, *case.grid.pixel_mm)


def _to_mm(voxels: npt.NDArray[np.intp], box: Box, case: Case) -> npt.NDArray[np.float64]:
    """Place of voxels of the cropped masks in RAS mm."""
    assert case.affine is not None
    whole = voxels + np.array([part.start for part in box])
    return np.asarray(whole @ case.affine[:3, :3].T + case.affine[:3, 3])


def _masks(p: _Bools, r: _Bools, grid: Grid, noun: str) -> dict[str, Value]:
    """Dice and volume; the mass of a thin tube is mostly that of its neighbours, so it is left out."""
    values = {
        **overlap_values(p, r, noun),
        **class_sizes(p, r, None, grid),
        **size_errors(p, r, None, grid, noun),
    }
    return {name: value for name, value in values.items() if name == "dice" or name.startswith("volume_")}


def _by_diameter(scores: TreeScores, title: str) -> list[tuple[str, str, TreeBin]]:
    """Return name, title and part of the tree from 2 mm on, and of each bin of diameter."""
    from_two = scores.from_diameter(_FROM_MM)
    out = [(f"from_{_FROM_MM:g}_mm", f"{title} ≥ {_FROM_MM:g} mm", from_two)]
    for part in scores.bins:
        low, high = f"{part.low_mm:g}", f"{part.high_mm:g}"
        if part.high_mm == float("inf"):
            out.append((f"bin_from_{low}_mm", f"≥ {low} mm", part))
        else:
            out.append((f"bin_{low}_to_{high}_mm", f"{low} to < {high} mm", part))
    return out


def _add_table(
    values: dict[str, dict[str, Value]],
    task: str,
    scores: TreeScores,
    table: BranchTable,
    owners: npt.NDArray[np.int64],
) -> None:
    """Add what was found of the branches of the table to the regions of diameter."""
    ranges = {f"{task}_{name}": (part.low_mm, part.high_mm) for name, _, part in _by_diameter(scores, "")}
    ranges[task] = (0.0, np.inf)
    for name, (low, high) in ranges.items():
        values[name] |= _of_table(
            scores.centreline, (table.diameter_mm >= low) & (table.diameter_mm < high), owners
        )


def _of_table(line: Centreline, mine: _Bools, owners: npt.NDArray[np.int64]) -> dict[str, Value]:
    """What was found of some branches of the table, of those that the skeleton shows."""
    detected, sizes = line.detected((owners + 1).astype(np.int32))
    shown = np.flatnonzero(mine[: len(sizes) - 1] & (sizes[1:] > 0))
    share = Value(float(detected[1:][shown].mean()), "") if len(shown) else None
    return {
        "table_branches": Value(float(len(shown)), ""),
        "table_bd": share or Value(None, "", "the reference shows no branch of this kind"),
    }


def _by_generation(
    line: Centreline, table: BranchTable, owners: npt.NDArray[np.int64]
) -> dict[int, dict[str, Value]]:
    generation = table.generation[owners].astype(np.float64)
    median = np.rint(line.by_branch(generation))
    out = {}
    for number in sorted({int(value) for value in generation}):
        part = TreePart(**line.part(generation == number, median == number))  # type: ignore[arg-type]
        out[number] = part_values(part) | _of_table(line, table.generation == number, owners)
    return out
