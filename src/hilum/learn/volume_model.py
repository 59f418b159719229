"""A trained model of slices as a segmenter of volumes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.errors import GeometryError, InputError, NotAChestError
from hilum.io.tiff import Plane
from hilum.labels import Lung
from hilum.learn.runner import SliceModel
from hilum.segmentation.base import Landmarks, ModelInfo, Progress, Segmentation
from hilum.segmentation.classic.airways import find_central_airways
from hilum.segmentation.classic.body import BodyAir, find_inner_air, find_levels, normalise, optimal_threshold
from hilum.segmentation.classic.model import median_hu
from hilum.segmentation.classic.morphology import Mask, Spacing, depth, erode
from hilum.segmentation.classic.select import Piece, pieces_of, share_of_body
from hilum.segmentation.classic.sides import assign_sides
from hilum.segmentation.grid import Reduced, reduce_volume
from hilum.volume import Volume

__all__ = ["LearnedSlices"]

#: Canonical (RAS) axes of stack, rows and columns, by plane; as in :mod:`hilum.learn.slices`.
_AXES = {Plane.AXIAL: (2, 1, 0), Plane.CORONAL: (1, 2, 0), Plane.SAGITTAL: (0, 2, 1)}
_BATCH = 32  # slices in memory at a time
#: Smaller than this is no lung: mL in a volume, cm2 in a single slice.
_LEAST_VOLUME, _LEAST_AREA = 60.0, 8.0
#: A piece with less than this share of the largest is a stray one.
_LEAST_PART = 0.02
#: Lungs lie at one height: a piece whose middle is farther than this from the largest one is none, mm.
_MOST_APART_MM = 30.0
#: Width that a chest picture without a scale is taken to have, mm; for the rules on pieces only.
_USUAL_WIDTH_MM = 370.0
#: A chest has an axial slice with at least this share of lung in the body's cross-section.
_LEAST_SHARE = 0.08


class LearnedSlices:
    """Finds the lungs slice by slice in the plane the network was trained on, then orders them in space.

    The mask is the network's. Space decides only which pieces are lungs (large, and not free gas) and which
    of them are right and left.

    Args:
        model: From :func:`hilum.learn.runner.load_run`.
    """

    def __init__(self, model: SliceModel) -> None:
        self.model = model
        self.info = ModelInfo(model.name, str(model.card["hilum"]), model.sha256)

    def __call__(self, volume: Volume, progress: Progress | None = None) -> Segmentation:
        """Find the lungs; see :class:`hilum.segmentation.base.Segmenter`.

        Raises:
            NotAChestError: Nothing in the scan looks like a lung.
            GeometryError: A single slice lies in another plane than the model's.
        """
        tell = progress or (lambda fraction, what: None)
        canonical = volume.canonical()
        mask = self._mask(canonical, lambda fraction, what: tell(0.9 * fraction, what))
        tell(0.9, "right and left")
        labels, landmarks = order_in_space(canonical, mask)
        tell(1.0, "done")
        return Segmentation(volume.restore(labels), self.info, landmarks)

    def _mask(self, canonical: Volume, tell: Progress) -> Mask:
        """Lung or not, on the canonical grid."""
        plane = Plane(self.model.plane)
        stack, row, col = order = _AXES[plane]
        shape = canonical.shape
        if 1 in shape and shape[stack] != 1:
            own = next(p for p, axes in _AXES.items() if shape[axes[0]] == 1)
            raise GeometryError(
                f"The image is a single {own.value} slice, and the model {self.model.name} was trained on "
                f"{plane.value} ones.",
                f"Choose a model of {own.value} slices, or classic.",
            )
        spacing = (canonical.spacing[row], canonical.spacing[col]) if canonical.meta.spacing_known else None
        out = np.zeros(shape, bool)
        # Rows and columns of a picture grow to the feet, the back and the patient's left: against RAS.
        hu, mask = (np.transpose(a, order)[:, ::-1, ::-1] for a in (canonical.hu, out))
        for start in range(0, len(hu), _BATCH):
            tell(start / len(hu), "finding lungs")
            part = slice(start, start + _BATCH)
            mask[part] = self.model.probabilities(hu[part], spacing) >= self.model.threshold
        return out


def order_in_space(canonical: Volume, mask: Mask) -> tuple[npt.NDArray[np.uint8], Landmarks]:
    """Keep what can be lung and tell right from left, on a grid of about 2 mm.

    Args:
        canonical: The scan in RAS order.
        mask: Lung or not, of its shape.

    Returns:
        Lung labels of its shape, and what was met on the way.

    Raises:
        NotAChestError: Nothing in the mask can be lung.
    """
    # The rules look at axial slices; a single coronal slice takes their place, and back it goes in the end.
    order = (0, 2, 1) if canonical.shape[1] == 1 and canonical.shape[2] > 1 else (0, 1, 2)
    if canonical.shape[0] == 1 and canonical.shape[2] > 1:
        raise InputError(
            "A single sagittal slice does not tell the right lung from the left.",
            "Give the whole scan, or an axial or coronal slice.",
        )
    voxels, mask = canonical.hu.transpose(order), mask.transpose(order)
    x, y, z = (canonical.spacing[axis] for axis in order)
    if not canonical.meta.spacing_known:
        x = y = _USUAL_WIDTH_MM / max(voxels.shape[:2])
    spacing = (x, y, z)
    reduced = reduce_volume(voxels, spacing)
    # Times 500: block means lose nothing to the rounding of whole numbers.
    coarse = reduce_volume(mask.astype(np.int16) * np.int16(500), spacing).hu >= 250
    hu = normalise(reduced.hu, find_levels(reduced.hu))
    pieces, labels = _lungs(hu, coarse, reduced.spacing)
    found = find_inner_air(hu, reduced, optimal_threshold(hu))
    chosen = np.isin(labels, [piece.label for piece in pieces])
    share = share_of_body(chosen, found.filled | chosen)
    if not pieces or share < _LEAST_SHARE or _only_tips(chosen, share):
        raise NotAChestError(
            "No lung was found in this scan."
            if not pieces
            else f"This is not a chest: what looks like lung takes at most {100 * share:.0f} % of the body's "
            "cross-section.",
            "Check that it is a chest CT and not another body part.",
        )
    sides = assign_sides(hu, labels, pieces, reduced.spacing)
    landmarks = _landmarks(voxels, reduced, hu, found)
    return _to_native(mask, sides, reduced).transpose(order), landmarks


def _landmarks(
    voxels: npt.NDArray[Any], reduced: Reduced, hu: npt.NDArray[np.float32], found: BodyAir
) -> Landmarks:
    """Air around the body and in the trachea, which tell of the calibration."""
    airways = find_central_airways(hu, found.inner, reduced.spacing)
    air = median_hu(voxels, reduced, erode(found.outside, 6.0, reduced.spacing))
    if airways is None:
        return Landmarks(outside_air_hu=air)
    deep = depth(airways.trachea, reduced.spacing)
    # Only the middle of the lumen: its wall brightens the voxels beside it.
    core = deep >= max(1.5 * max(reduced.spacing[:2]), 0.6 * float(deep.max()))
    ml = float(airways.lumen.sum() * np.prod(reduced.spacing)) / 1000.0
    return Landmarks(air, median_hu(voxels, reduced, core), ml)


def _lungs(
    hu: npt.NDArray[np.float32], mask: Mask, spacing: Spacing
) -> tuple[list[Piece], npt.NDArray[np.uint32]]:
    """Pieces that can be lung, largest first, and the map of all pieces."""
    flat = mask.shape[2] == 1
    labels, pieces = pieces_of(hu, mask, spacing)
    pieces = [piece for piece in pieces if piece.gas_share <= _most_gas(piece.size, flat)]
    if not pieces or pieces[0].size < (_LEAST_AREA if flat else _LEAST_VOLUME):
        return [], labels
    main = pieces[0]
    planes = np.flatnonzero((labels == main.label).any(axis=(0, 1)))
    reach = _MOST_APART_MM / spacing[2]
    low, high = float(planes[0]) - reach, float(planes[-1]) + reach
    return [p for p in pieces if p.size >= _LEAST_PART * main.size and low < p.centre[2] < high], labels


def _most_gas(size: float, flat: bool) -> float:
    """Share of free gas from which a piece is bowel or stomach: the larger, the more emphysema is allowed."""
    small, medium = (15.0, 60.0) if flat else (100.0, 600.0)
    return 0.25 if size < small else 0.5 if size < medium else 0.85


def _only_tips(lungs: Mask, share: float) -> bool:
    """Whether what is seen are the tips of the lungs above an abdomen."""
    height = lungs.shape[2]
    planes = np.flatnonzero(lungs.any(axis=(0, 1)))
    return height > 1 and planes[-1] >= height - 2 and planes.size < 0.2 * height and share < 0.2


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
