"""Tables and sums of full trees: one row a branch, volumes by cross-section."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hilum.synthesis.phantoms.lung import ChestModel
from hilum.synthesis.phantoms.trees import Branch, Kind, Tree, as_coordinates
from hilum.synthesis.phantoms.tubes import Tubes

__all__ = ["BRANCH_COLUMNS", "branch_rows", "tree_summary"]

#: Columns of ``branches.csv``; lengths, diameters and positions in mm, positions in RAS.
BRANCH_COLUMNS = (
    "kind",
    "id",
    "parent",
    "generation",
    "side",
    "lobe",
    "start_x",
    "start_y",
    "start_z",
    "end_x",
    "end_y",
    "end_z",
    "length_mm",
    "diameter_mm",
    "wall_mm",
    "plugged",
)
_SIDES = {1: "right", -1: "left", 0: "none"}
#: Upper bounds of the classes BV5 and BV5-10: area of the section in mm2 (Estepar et al., AJRCCM 2013).
SMALL_MM2, MEDIUM_MM2 = 5.0, 10.0


def branch_rows(trees: Mapping[Kind, Tree]) -> list[list[object]]:
    """One row a branch, columns of :data:`BRANCH_COLUMNS`; ids and parents count from 0 in each kind."""
    return [_row(kind, index, branch) for kind, tree in trees.items() for index, branch in enumerate(tree)]


def _row(kind: Kind, index: int, branch: Branch) -> list[object]:
    return [
        kind.value,
        index,
        branch.parent if branch.parent >= 0 else "",
        branch.generation,
        _SIDES[branch.side],
        branch.lobe or "",
        *(round(value, 3) for value in (*branch.start, *branch.end)),
        round(branch.length, 3),
        round(2 * branch.radius, 4),
        round(branch.wall, 4),
        int(branch.plugged),
    ]


def tree_summary(model: ChestModel) -> dict[str, object]:
    """Counts, lengths and volumes of the trees of a phantom, as plain data.

    Volumes are integrals of the area of the section along the axes (area of a branch times its length).
    Those of vessels count what lies inside the lungs: in all, and by the area of the section below 5, from 5
    to below 10 and from 10 mm2 on.
    """
    size = model.body.size
    airways = model.trees[Kind.AIRWAY]
    generations: dict[str, dict[str, float]] = {}
    for number in range(max(b.generation for b in airways) + 1):
        mine = [b for b in airways if b.generation == number]
        generations[str(number)] = {
            "branches": len(mine),
            "length_mm": float(sum(b.length for b in mine)) * size,
            "lumen_mm": float(np.mean([2 * b.radius for b in mine])) * size,
            "wall_mm": float(np.mean([b.wall for b in mine])) * size,
        }
    return {
        "airways": {
            "branches": len(airways),
            "length_mm": float(sum(b.length for b in airways)) * size,
            "lumen_ml": float(sum(np.pi * b.radius**2 * b.length for b in airways)) * size**3 / 1000,
            "plugged": sum(b.plugged for b in airways),
            "generations": generations,
        },
        "vessels": {
            "arteries": len(model.trees[Kind.ARTERY]),
            "veins": len(model.trees[Kind.VEIN]),
            **_vessel_volumes(model),
        },
    }


def _vessel_volumes(model: ChestModel) -> dict[str, float]:
    """Volume in the lungs by kind and by area of the section, in mL."""
    size = model.body.size
    result: dict[str, float] = {}
    area_: list[npt.NDArray[np.float64]] = []
    volume_: list[npt.NDArray[np.float64]] = []
    for kind in (Kind.ARTERY, Kind.VEIN):
        inside: list[npt.NDArray[np.float64]] = []
        for side in (1, -1):
            tubes = Tubes.of([b for b in model.trees[kind] if b.side == side])
            length = np.linalg.norm(tubes.end - tubes.start, axis=1)
            p = as_coordinates((tubes.start + tubes.end) / 2)
            lung, _ = model.injuries.displace(model.anatomy.lung(p, side), p, side)
            area = np.pi * tubes.radius**2 * size**2
            volume = np.where(np.asarray(lung).reshape(-1) < 0, area * length * size / 1000, 0.0)
            inside.append(volume)
            area_.append(area)
            volume_.append(volume)
        result[f"{kind.value}_ml"] = float(sum(v.sum() for v in inside))
    areas, volumes = np.concatenate(area_), np.concatenate(volume_)
    result["total_ml"] = float(volumes.sum())
    result["bv5_ml"] = float(volumes[areas < SMALL_MM2].sum())
    result["bv5_10_ml"] = float(volumes[(areas >= SMALL_MM2) & (areas < MEDIUM_MM2)].sum())
    result["bv10_plus_ml"] = float(volumes[areas >= MEDIUM_MM2].sum())
    return result
