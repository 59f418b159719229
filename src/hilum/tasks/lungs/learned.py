"""A trained model of slices as a segmenter of volumes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.anatomy.model import RULES, Scan, require_chest
from hilum.anatomy.select import SELECT, Piece, most_gas, pieces_of
from hilum.anatomy.sides import assign_sides
from hilum.core.errors import GeometryError, NotAChestError
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import Lung
from hilum.core.planes import Plane
from hilum.core.segmentation import ModelInfo, Progress, Segmentation
from hilum.core.units import WorkingSpacing
from hilum.core.volume import Volume
from hilum.imaging.blocks import Reduced, block_share
from hilum.imaging.morphology import Mask
from hilum.models.registry import Model
from hilum.models.slices import SliceModel

__all__ = ["LearnedSlices", "order_in_space", "slices_from"]

#: Canonical (RAS) axes of stack, rows and columns, by plane; as in :mod:`hilum.datasets.slices`.
_AXES = {Plane.AXIAL: (2, 1, 0), Plane.CORONAL: (1, 2, 0), Plane.SAGITTAL: (0, 2, 1)}
_BATCH = 32  # slices in memory at a time
#: Smaller than this is no lung: mL in a volume, cm2 in a single slice.
_LEAST_VOLUME, _LEAST_AREA = SELECT.main_ml, SELECT.main_cm2
#: A piece with less than this share of the largest is a stray one.
_LEAST_PART = SELECT.least_part
#: Lungs lie at one height: a piece whose middle is farther than this from the largest one is none, mm.
_MOST_APART_MM = SELECT.reach_mm


class LearnedSlices:
    """Finds the lungs slice by slice in the plane the network was trained on, then orders them in space.

    The mask is the network's. Space decides only which pieces are lungs (large, and not free gas) and which
    of them are right and left.

    Args:
        model: A network of slices.

    Raises:
        ModelError: The network takes no slices.
    """

    def __init__(self, model: Model) -> None:
        self.slices = SliceModel(model)

    @property
    def info(self) -> ModelInfo:
        """Name, version and hash of the model."""
        return self.slices.model.info

    def __call__(self, volume: Volume, progress: Progress | None = None) -> Segmentation:
        """Find the lungs; see :class:`hilum.core.segmentation.Segmenter`.

        Raises:
            NotAChestError: Nothing in the scan looks like a lung.
            GeometryError: A single slice lies in another plane than the model's.
        """
        report = progress or (lambda fraction, what: None)
        canonical = volume.canonical()
        mask = self._mask(canonical, lambda fraction, what: report(0.9 * fraction, what))
        report(0.9, "right and left")
        scan = Scan.of(canonical)
        labels = order_in_space(scan, mask)
        report(1.0, "done")
        return Segmentation(
            LabelVolume.on_grid_of(volume, volume.restore(labels)), self.info, scan.landmarks()
        )

    def _mask(self, canonical: Volume, report: Progress) -> Mask:
        """Lung or not, on the canonical grid."""
        plane = self.slices.input.plane
        stack, row, col = _AXES[plane]
        shape = canonical.shape
        if 1 in shape and shape[stack] != 1:
            own = next(p for p, axes in _AXES.items() if shape[axes[0]] == 1)
            raise GeometryError(
                f"The image is a single {own.value} slice, and the model {self.info.name} was trained on "
                f"{plane.value} ones.",
                f"Choose a model of {own.value} slices, or classic.",
            )
        spacing = (canonical.spacing[row], canonical.spacing[col]) if canonical.meta.spacing_known else None
        out = np.zeros(shape, bool)
        hu, mask = (slices_from(a, plane) for a in (canonical.hu, out))
        for start in range(0, len(hu), _BATCH):
            report(start / len(hu), "finding lungs")
            part = slice(start, start + _BATCH)
            chance = self.slices.probabilities(hu[part], spacing)
            mask[part] = chance >= self.slices.threshold
        self.slices.model.session.release()  # the model may be kept for other scans
        return out


def slices_from(values: npt.NDArray[Any], plane: Plane) -> npt.NDArray[Any]:
    """Return a view of an array in canonical order as slices, (n, rows, columns), as displayed."""
    # Rows and columns of a slice grow to the feet, the back and the patient's left: against RAS.
    return np.transpose(values, _AXES[plane])[:, ::-1, ::-1]


def order_in_space(
    scan: Scan, mask: Mask, least_share: float = RULES.least_share, least_area: float = _LEAST_AREA
) -> npt.NDArray[np.uint8]:
    """Keep what can be lung and separate right from left, on a grid of about 2 mm.

    Args:
        scan: The scan, looked at.
        mask: Lung or not, in the scan's canonical order.
        least_share: Of the body's section; where no slice has so much lung, it is taken for something else.
        least_area: A piece at least this large there must be in a single slice, cm2.

    Returns:
        Lung labels of the mask's shape.

    Raises:
        NotAChestError: Nothing in the mask can be lung.
    """
    reduced, hu = scan.reduced, scan.hu
    mask = mask.transpose(scan.order)
    coarse = block_share(mask, scan.spacing) >= 0.5
    pieces, labels = _lungs(hu, coarse, reduced.spacing, least_area)
    if not pieces:
        raise NotAChestError(
            "No lung was found in this scan.", "Check that it is a chest CT and not another body part."
        )
    chosen = np.isin(labels, [piece.label for piece in pieces])
    require_chest(chosen, scan.found.filled | chosen, least_share)
    sides = assign_sides(hu, labels, pieces, reduced.spacing)
    return _to_native(mask, sides, reduced).transpose(scan.order)


def _lungs(
    hu: npt.NDArray[np.float32], mask: Mask, spacing: WorkingSpacing, least_area: float
) -> tuple[list[Piece], npt.NDArray[np.uint32]]:
    """Pieces that can be lung, largest first, and the map of all pieces."""
    flat = mask.shape[2] == 1
    labels, pieces = pieces_of(hu, mask, spacing)
    pieces = [piece for piece in pieces if piece.gas_share <= most_gas(piece.size, flat)]
    if not pieces or pieces[0].size < (least_area if flat else _LEAST_VOLUME):
        return [], labels
    main = pieces[0]
    planes = np.flatnonzero((labels == main.label).any(axis=(0, 1)))
    reach = _MOST_APART_MM / spacing[2]
    low, high = float(planes[0]) - reach, float(planes[-1]) + reach
    return [p for p in pieces if p.size >= _LEAST_PART * main.size and low < p.centre[2] < high], labels


def _to_native(mask: Mask, sides: npt.NDArray[np.uint8], reduced: Reduced) -> npt.NDArray[np.uint8]:
    """Give each native voxel of the mask the side of its block, or of a block right beside it."""
    nearest: Any = ndimage.distance_transform_edt(
        sides == Lung.BACKGROUND, return_distances=False, return_indices=True
    )
    close = ndimage.binary_dilation(sides > 0, np.ones((3, 3, 3), bool))
    wide = np.where(close, sides[tuple(nearest)], 0).astype(np.uint8)
    out = np.zeros(mask.shape, np.uint8)
    index = [np.arange(n) // f for n, f in zip(reduced.full_shape, reduced.factors, strict=True)]
    for z, block in enumerate(index[2]):  # a slice at a time: no second volume in memory
        out[:, :, z] = wide[:, :, block][np.ix_(index[0], index[1])] * mask[:, :, z]
    return out
