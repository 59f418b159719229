"""The model ``classic``: thresholds, components and shape, no learned weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.anatomy.airways import CentralAirways, find_central_airways, wall_of
from hilum.anatomy.body import (
    BodyAir,
    Levels,
    find_inner_air,
    find_levels,
    normalise,
    optimal_threshold,
)
from hilum.anatomy.fill import CLOSING_MM, cut_airways, fill_lungs
from hilum.anatomy.refine import refine
from hilum.anatomy.select import remove_gas_bubbles, select_lungs, share_of_body
from hilum.anatomy.sides import assign_sides
from hilum.core.errors import InputError, NotAChestError
from hilum.core.labels import Lung
from hilum.core.segmentation import Landmarks, ModelInfo, Progress, Segmentation
from hilum.core.volume import Volume
from hilum.imaging.blocks import PADDING_HU, Reduced, reduce_volume
from hilum.imaging.morphology import Mask, Spacing, bounding_box, depth, erode

__all__ = ["LEAST_SHARE", "Classic", "Scan", "aerated_lungs", "require_chest"]


#: A chest has an axial slice with at least this share of lung.
LEAST_SHARE = 0.08
#: As many voxels tell a median to a fraction of a HU.
_MOST_SAMPLES = 100_000
#: A body whose cross-section is that of a smaller circle, mm, is a child's, and looked at as large as
#: ``_USUAL_MM``, since lungs of all ages have much the same shape; but at most ``_MOST_TIMES`` as large.
_CHILD_MM, _USUAL_MM, _MOST_TIMES = 210.0, 270.0, 3.5
#: Width that a chest picture without a scale is taken to have, mm.
_USUAL_WIDTH_MM = 370.0


def picture_plane(volume: Volume) -> tuple[npt.NDArray[Any], Spacing, tuple[int, int, int]]:
    """Return the voxels with the plane to work in as the first two axes.

    That is the axial plane, but for a single coronal slice its own. Where the file has no scale, the spacing
    is that of a picture of usual width; the guess serves the shape rules only, never a measure.

    Args:
        volume: The scan in canonical order.

    Returns:
        View of the HU, its spacing, and the order of axes that was used, which is its own inverse.

    Raises:
        InputError: The scan is a single sagittal slice, which holds one side only and does not say which.
    """
    order = (0, 1, 2)
    if volume.shape[1] == 1 and volume.shape[2] > 1:
        order = (0, 2, 1)
    elif volume.shape[0] == 1 and volume.shape[2] > 1:
        raise InputError(
            "A single sagittal slice does not tell the right lung from the left.",
            "Give the whole scan, or an axial or coronal slice.",
        )
    hu = volume.hu.transpose(order)
    if volume.meta.spacing_known:
        x, y, z = (volume.spacing[axis] for axis in order)
        return hu, (x, y, z), order
    guess = _USUAL_WIDTH_MM / max(hu.shape[:2])
    return hu, (guess, guess, volume.spacing[order[2]]), order


def require_chest(lungs: Mask, filled: Mask, least_share: float = LEAST_SHARE) -> None:
    """Raise :class:`NotAChestError` where what looks like lung is bowel gas or the lungs' tips only."""
    share = share_of_body(lungs, filled)
    planes = np.flatnonzero(lungs.any(axis=(0, 1)))
    height = lungs.shape[2]
    tips = planes[-1] >= height - 2 and planes.size < 0.2 * height and share < 0.2
    if share < least_share or (height > 1 and tips):
        raise NotAChestError(
            f"This is not a chest: what looks like lung takes at most {100 * share:.0f} % of the body's "
            f"cross-section, in {planes.size} of {height} slices.",
            "Give a chest CT; an abdomen may show the tips of the lungs, but not enough to measure.",
        )


class Classic:
    """Finds lungs by their air.

    The order is that of Hu, Hoffman and Reinhardt (2001): optimal threshold, air inside the body, trachea
    and main bronchi removed, right and left parted, vessels closed; on a grid of about 2 mm, with the
    surface taken from the native voxels at the end. It sees aerated lung: where a lung is consolidated or
    collapsed over more than a vessel's width it is missed.
    """

    info = ModelInfo("classic", "1")

    def __call__(self, volume: Volume, progress: Progress | None = None) -> Segmentation:
        """Find the lungs; see :class:`hilum.core.segmentation.Segmenter`."""
        tell = progress or (lambda fraction, what: None)
        tell(0.0, "reducing")
        scan = Scan.of(volume.canonical())
        tell(0.3, "finding lungs")
        lungs, dense, keep_out = aerated_lungs(scan, CLOSING_MM)
        tell(0.6, "refining the surface")
        labels = scan.refined(lungs, dense, keep_out)
        tell(1.0, "done")
        return Segmentation(volume.restore(labels), self.info, scan.landmarks())


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan as the models look at it: block means on the scale of true HU, and the air in the body.

    Attributes:
        voxels: Native HU, with the plane to work in as the first two axes.
        spacing: Of ``voxels``, mm, for the shape rules: a guess where the file has no scale, and ``times``
            what it is in a child.
        order: Order of the canonical axes in ``voxels``, its own inverse.
        reduced: Block means in the scan's own values.
        levels: Air and soft tissue in the scan's own values.
        hu: Block means on the scale of true HU.
        threshold: Between lung and tissue, on that scale.
        found: Air in the body.
        airways: Trachea and main bronchi, where they were found.
        times: How many times larger than it is the scan is looked at; more than 1 in a child.
    """

    voxels: npt.NDArray[Any]
    spacing: Spacing
    order: tuple[int, int, int]
    reduced: Reduced
    levels: Levels
    hu: npt.NDArray[np.float32]
    threshold: float
    found: BodyAir
    airways: CentralAirways | None
    times: float = 1.0

    @classmethod
    def of(cls, canonical: Volume) -> Scan:
        """Look at a scan.

        Args:
            canonical: The scan in canonical order; see :func:`picture_plane` for what is raised.
        """
        voxels, spacing, order = picture_plane(canonical)
        scan = cls._look(voxels, spacing, order)
        small = scan.found.diameter(spacing=scan.reduced.spacing)
        if not canonical.meta.spacing_known or voxels.shape[2] == 1 or small is None or small > _CHILD_MM:
            return scan
        times = min(_USUAL_MM / small, _MOST_TIMES)
        x, y, z = (times * s for s in spacing)
        return replace(cls._look(voxels, (x, y, z), order), times=times)

    @classmethod
    def _look(
        cls,
        voxels: npt.NDArray[Any],
        spacing: Spacing,
        order: tuple[int, int, int],
    ) -> Scan:
        reduced = reduce_volume(voxels, spacing)
        levels = find_levels(reduced.hu)
        hu = normalise(reduced.hu, levels)
        threshold = optimal_threshold(hu)
        found = find_inner_air(hu, reduced, threshold)
        airways = find_central_airways(hu, found.inner, reduced.spacing)
        return cls(voxels, spacing, order, reduced, levels, hu, threshold, found, airways)

    def refined(self, lungs: npt.NDArray[np.uint8], dense: Mask, keep_out: Mask) -> npt.NDArray[np.uint8]:
        """Bring lungs on blocks to the native voxels, in canonical order; see :func:`refine`."""
        air, tissue = self.levels.air, self.levels.tissue
        native = air + (self.threshold + 1000.0) * (tissue - air) / 1000.0
        return refine(self.voxels, self.reduced, lungs, dense, keep_out, native).transpose(self.order)

    def landmarks(self) -> Landmarks:
        """Air around the body and in the trachea, which tell of the calibration."""
        spacing = self.reduced.spacing
        air = median_hu(self.voxels, self.reduced, erode(self.found.outside, 6.0, spacing))
        if self.airways is None:
            return Landmarks(outside_air_hu=air)
        box = bounding_box(self.airways.trachea, 2 * max(spacing), spacing)
        if box is None:
            return Landmarks(outside_air_hu=air)
        deep = np.zeros(self.airways.trachea.shape, np.float32)
        deep[box] = depth(self.airways.trachea[box], spacing)
        # Only the middle of the lumen: its wall brightens the voxels beside it.
        core = deep >= max(1.5 * max(spacing[:2]), 0.6 * float(deep.max()))
        ml = float(self.airways.lumen.sum() * np.prod(spacing)) / 1000.0 / self.times**3
        return Landmarks(air, median_hu(self.voxels, self.reduced, core), ml)


def median_hu(native: npt.NDArray[Any], reduced: Reduced, where: Mask) -> float | None:
    """Median of native voxels at the middle of the blocks of ``where``, evenly spread; None below 20."""
    some = np.flatnonzero(where)
    some = some[:: max(1, some.size // _MOST_SAMPLES)]
    blocks = np.unravel_index(some, where.shape)
    index = tuple(
        np.minimum(b * f + f // 2, n - 1)
        for b, f, n in zip(blocks, reduced.factors, reduced.full_shape, strict=True)
    )
    values = native[index]
    values = values[values > PADDING_HU]
    return float(np.median(values)) if values.size >= 20 else None


def aerated_lungs(scan: Scan, closing_mm: float) -> tuple[npt.NDArray[np.uint8], Mask, Mask]:
    """Find both lungs by their air, and close them over what is narrow.

    Args:
        scan: The scan.
        closing_mm: Notches up to twice this wide are lung.

    Returns:
        Lung labels; the part of them that is not aerated; what no lung may enter; all on the blocks.

    Raises:
        NotAChestError: There is no aerated lung, or no chest.
    """
    hu, found, airways, spacing = scan.hu, scan.found, scan.airways, scan.reduced.spacing
    air = remove_gas_bubbles(hu, found.inner, spacing)
    gas = found.inner & ~air
    lumen = np.zeros_like(air) if airways is None else airways.lumen
    if airways is not None:
        air &= ~wall_of(airways, spacing)
    labels, pieces = select_lungs(hu, air, spacing)
    if not pieces:
        raise NotAChestError(
            "No lung was found in this scan.",
            "Check that it is a chest CT and not another body part; lungs without any air cannot be found.",
        )
    require_chest(np.isin(labels, [p.label for p in pieces]), found.filled)
    sides = assign_sides(hu, labels, pieces, spacing)
    keep_out = found.outside | (gas & (sides == 0))
    lungs = fill_lungs(sides, keep_out, spacing, closing_mm)
    central = cut_airways(lungs, lumen, spacing)
    lungs[central] = Lung.BACKGROUND
    dense = (lungs > 0) & ~air
    return lungs, dense, keep_out | central
