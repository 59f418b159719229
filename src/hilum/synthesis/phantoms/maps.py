"""Label maps of full trees and of the lobes on the grid of a scan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from hilum.core.labels import Lung
from hilum.synthesis.phantoms.anatomy import Lobe
from hilum.synthesis.phantoms.branch_table import tree_summary
from hilum.synthesis.phantoms.fields import Lattice
from hilum.synthesis.phantoms.grid import Grid
from hilum.synthesis.phantoms.lung import ChestModel, Tissue
from hilum.synthesis.phantoms.trees import Kind
from hilum.synthesis.phantoms.tubes import Tubes

__all__ = ["Airway", "TreeTruth", "Vessel", "tree_truth"]

#: Slices of the map of lobes that are computed at once.
SLICES_AT_ONCE = 16


class Airway(IntEnum):
    """Values of the map of airways."""

    LUMEN = 1
    WALL = 2
    MUCUS = 3
    """A lumen filled with mucus."""


class Vessel(IntEnum):
    """Values of the map of vessels."""

    ARTERY = 1
    VEIN = 2


@dataclass(frozen=True, eq=False)
class TreeTruth:
    """What is true of full trees: label maps, uint8, shape of the scan, and their sums.

    A voxel has the label of what lies at its centre. So the volume of a label is right on the mean for tubes
    of any thickness, and a tube thinner than about 1.4 voxels is a broken line.

    Attributes:
        airways: Values of :class:`Airway`, from the larynx on.
        vessels: Values of :class:`Vessel`, from the hila on; the trunks in the mediastinum have no label.
        lobes: Values of :class:`hilum.core.labels.Lobe` in the labelled lungs.
        summary: Counts, lengths and volumes, see
            :func:`hilum.synthesis.phantoms.branch_table.tree_summary`; plain data.
    """

    airways: npt.NDArray[np.uint8]
    vessels: npt.NDArray[np.uint8]
    lobes: npt.NDArray[np.uint8]
    summary: dict[str, object]


def tree_truth(
    model: ChestModel, grid: Grid, labels: npt.NDArray[np.uint8], tissue: npt.NDArray[np.uint8]
) -> TreeTruth:
    """Draw the label maps of a phantom with full trees and sum up its branches.

    Args:
        model: The phantom.
        grid: Where the voxels lie.
        labels: Label map of the lungs on this grid.
        tissue: Tissue map on this grid; fluid, air and nodules take the place of the trees.
    """
    size = model.body.size
    lattice = Lattice(grid.affine[:3, :3] / size, grid.affine[:3, 3] / size, grid.shape)
    airways = np.zeros(grid.shape, np.uint8)
    vessels = np.zeros(grid.shape, np.uint8)
    tree = model.trees[Kind.AIRWAY]
    whole, plugs = Tubes.of(tree), Tubes.of([b for b in tree if b.plugged])
    airways[whole.inside(lattice, grow=1.0)] = Airway.WALL
    airways[plugs.inside(lattice)] = Airway.MUCUS
    airways[Tubes.of([b for b in tree if not b.plugged]).inside(lattice)] = Airway.LUMEN
    for kind, value in ((Kind.VEIN, Vessel.VEIN), (Kind.ARTERY, Vessel.ARTERY)):
        vessels[Tubes.of(model.trees[kind]).inside(lattice)] = value
    vessels[airways > 0] = 0
    for replaced in (Tissue.EFFUSION, Tissue.PNEUMOTHORAX, Tissue.NODULE):
        for tubes in (airways, vessels):
            tubes[tissue == replaced] = 0
    lobes = _lobes(model, lattice, labels, grid.slices)
    return TreeTruth(airways, vessels, lobes, tree_summary(model))


def _lobes(
    model: ChestModel, lattice: Lattice, labels: npt.NDArray[np.uint8], slices: int
) -> npt.NDArray[np.uint8]:
    """Lobes of the labelled lungs, some slices at a time."""
    result = np.zeros(labels.shape, np.uint8)
    values = np.zeros(len(Lobe) + 1, np.uint8)
    for lobe in Lobe:
        values[lobe] = lobe.label
    for first in range(0, labels.shape[slices], SLICES_AT_ONCE):
        window = [slice(0, n) for n in labels.shape]
        window[slices] = slice(first, min(first + SLICES_AT_ONCE, labels.shape[slices]))
        where = (window[0], window[1], window[2])
        p = lattice.crop(where).coordinates
        for value, side in ((Lung.RIGHT, 1), (Lung.LEFT, -1)):
            mine = labels[where] == value
            if mine.any():
                result[where][mine] = values[np.broadcast_to(model.anatomy.lobe(p, side), mine.shape)[mine]]
    return result
