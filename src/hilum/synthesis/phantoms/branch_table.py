"""Tables and sums of full trees: one row a branch, volumes by cross-section."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hilum.synthesis.phantoms.anatomy import LUNG_BOX, Lobe
from hilum.synthesis.phantoms.fields import Lattice
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
#: Distance of the points that are counted for the volume of vessels, in mm.
COUNT_STEP_MM = 0.8


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
        Lobe(branch.lobe).label if branch.lobe else "",
        *(round(value, 3) for value in (*branch.start, *branch.end)),
        round(branch.length, 3),
        round(2 * branch.radius, 4),
        round(branch.wall, 4),
        int(branch.plugged),
    ]


def tree_summary(model: ChestModel) -> dict[str, object]:
    """Counts, lengths and volumes of the trees of a phantom, as plain data.

    The lumen is the area of the section integrated along the axes (area of a branch times its length). The
    volumes of vessels count what lies inside the lungs: in all, and by the area of the section of the branch
    below 5, from 5 to below 10 and from 10 mm2 on.
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
    """Volume in the lungs by kind and by area of the section, in mL.

    Branches overlap at forks, so areas times lengths would count a part twice. Points of a fine lattice are
    counted instead, each with the widest branch that holds it and arteries before veins; those in airways and
    outside the lung do not count.
    """
    size = model.body.size
    classes = {
        "bv5_ml": (0.0, SMALL_MM2),
        "bv5_10_ml": (SMALL_MM2, MEDIUM_MM2),
        "bv10_plus_ml": (MEDIUM_MM2, np.inf),
    }
    result = dict.fromkeys(("artery_ml", "vein_ml", "total_ml", *classes), 0.0)
    for side in (1, -1):
        lattice = _lattice(side)
        free = ~Tubes.of([b for b in model.trees[Kind.AIRWAY] if b.side in (side, 0)]).inside(
            lattice, grow=1.0
        )
        for kind, name in ((Kind.ARTERY, "artery_ml"), (Kind.VEIN, "vein_ml")):
            tubes = Tubes.of([b for b in model.trees[kind] if b.side == side])
            area = np.pi * (tubes.radius * size) ** 2
            # From the widest class on, so that a point belongs to the widest branch.
            for part, (low, high) in reversed(classes.items()):
                cells = tubes.take((area >= low) & (area < high)).inside(lattice) & free
                free &= ~cells
                ml = float(_in_lung(model, lattice, cells, side) * (COUNT_STEP_MM * size) ** 3 / 1000)
                for key in (part, name, "total_ml"):
                    result[key] += ml
    return result


def _lattice(side: int) -> Lattice:
    """A fine lattice over one lung."""
    low, high = LUNG_BOX[0] * 1.08, LUNG_BOX[1] * 1.08
    (low if side > 0 else high)[0] = -8.0 * side
    counts = np.ceil((high - low) / COUNT_STEP_MM).astype(int).tolist()
    return Lattice(np.eye(3) * COUNT_STEP_MM, low, (counts[0], counts[1], counts[2]))


def _in_lung(model: ChestModel, lattice: Lattice, cells: npt.NDArray[np.bool_], side: int) -> int:
    """How many of some points of a lattice lie in the lung."""
    p = as_coordinates(np.argwhere(cells) @ lattice.matrix.T + lattice.origin)
    left, _ = model.injuries.displace(model.anatomy.lung(p, side), p, side)
    return int(np.count_nonzero(left < 0))
