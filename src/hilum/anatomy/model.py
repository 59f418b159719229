"""The model ``classic``: thresholds, components and shape, no learned weights."""

from __future__ import annotations

from dataclasses import dataclass
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
from hilum.anatomy.fill import FILL, cut_airways, fill_lungs
from hilum.anatomy.refine import refine
from hilum.anatomy.select import remove_gas_bubbles, select_lungs, share_of_body
from hilum.anatomy.sides import assign_sides
from hilum.core.constants import PADDING_HU, USUAL_WIDTH_MM
from hilum.core.errors import InputError, NotAChestError
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import Lung
from hilum.core.segmentation import Landmarks, ModelInfo, Progress, Segmentation
from hilum.core.units import TrueMm, TrueSpacing, WorkingSpacing
from hilum.core.volume import Volume
from hilum.imaging.blocks import Reduced, reduce_volume
from hilum.imaging.morphology import Mask, bounding_box, depth, erode
from hilum.imaging.working import WorkingGrid

__all__ = ["RULES", "Classic", "Scan", "ScanRules", "require_chest", "slice_plane", "threshold_lungs"]


@dataclass(frozen=True)
class ScanRules:
    """Rules that accept a chest, set the magnification, and measure air.

    Chosen by hand, the shares on the 214 slices of docs/results/classic.md (not held out), the diameters on
    phantoms of children in the tests; no value was searched for or ablated.

    Attributes:
        least_share: A chest has an axial slice with at least this share of lung.
        tips_share, tips_height: Lungs that end at the top of the scan, take less than the first share of the
            body's section in every slice and less than the second share of the slices are the tips above
            an abdomen.
        child_mm: A body whose section is that of a smaller circle, mm in the patient, is a child's.
        adult_mm: It is magnified to this diameter, since lungs of all ages have much the same shape.
        most_magnification: Largest magnification.
        room_margin_mm: Air nearer to the body than this, working mm, is left out of the median of the room's.
        lumen_blocks, lumen_depth: Air of the trachea is read this many blocks, and this share of the greatest
            depth, from its wall, which brightens what is beside it.
        most_samples: Number of voxels that gives a median to a fraction of a HU.
        least_samples: Least number of voxels for a median.
    """

    least_share: float = 0.08
    tips_share: float = 0.2
    tips_height: float = 0.2
    child_mm: float = 210.0
    adult_mm: float = 270.0
    most_magnification: float = 3.5
    room_margin_mm: float = 6.0
    lumen_blocks: float = 1.5
    lumen_depth: float = 0.6
    most_samples: int = 100_000
    least_samples: int = 20


#: The rules in use.
RULES = ScanRules()


def slice_plane(volume: Volume) -> tuple[npt.NDArray[Any], TrueSpacing, tuple[int, int, int]]:
    """Return the voxels with the in-plane axes first.

    The plane is axial, or coronal for a single coronal slice. Where the file has no scale, the spacing
    is that of a slice of usual width; the assumed spacing serves the rules of shape only, never a measure.

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
            "A single sagittal slice does not show which lung is the right one.",
            "Give the whole scan, or an axial or coronal slice.",
        )
    hu = volume.hu.transpose(order)
    if volume.meta.spacing_known:
        x, y, z = (volume.spacing[axis] for axis in order)
        return hu, (x, y, z), order
    guess = TrueMm(USUAL_WIDTH_MM / max(hu.shape[:2]))
    return hu, (guess, guess, volume.spacing[order[2]]), order


def require_chest(lungs: Mask, filled: Mask, least_share: float = RULES.least_share) -> None:
    """Raise :class:`NotAChestError` if the candidate lungs are bowel gas or only the tips of the lungs."""
    share = share_of_body(lungs, filled)
    planes = np.flatnonzero(lungs.any(axis=(0, 1)))
    height = lungs.shape[2]
    at_top = planes[-1] >= height - 2
    tips = at_top and planes.size < RULES.tips_height * height and share < RULES.tips_share
    if share < least_share or (height > 1 and tips):
        raise NotAChestError(
            f"This is not a chest: what looks like lung takes at most {100 * share:.0f} % of the body's "
            f"cross-section, in {planes.size} of {height} slices.",
            "Give a chest CT; an abdomen may show the tips of the lungs, but not enough to measure.",
        )


class Classic:
    """Segments lungs by their air.

    The order is that of Hu, Hoffman and Reinhardt (2001): optimal threshold, air inside the body, trachea
    and main bronchi removed, right and left parted, vessels closed; on a grid of about 2 mm, with the
    surface taken from the native voxels at the end. It finds aerated lung only: lung that is consolidated
    or collapsed over more than the width of a vessel is missed.
    """

    info = ModelInfo("classic", "1")

    def __call__(self, volume: Volume, progress: Progress | None = None) -> Segmentation:
        """Find the lungs; see :class:`hilum.core.segmentation.Segmenter`."""
        report_progress = progress or (lambda fraction, what: None)
        report_progress(0.0, "reducing")
        scan = Scan.of(volume.canonical())
        report_progress(0.3, "finding lungs")
        lungs, dense, exclusion_mask = threshold_lungs(scan, FILL.closing_mm)
        report_progress(0.6, "refining the surface")
        labels = scan.refined(lungs, dense, exclusion_mask)
        report_progress(1.0, "done")
        return Segmentation(
            LabelVolume.on_grid_of(volume, volume.restore(labels)), self.info, scan.landmarks()
        )


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan prepared for all models: block means on the scale of true HU, and the air in the body.

    Attributes:
        voxels: Native HU, with the in-plane axes first.
        grid: Voxel size of ``voxels``, for the rules and in the patient; assumed if the file lacks it.
        order: Order of the canonical axes in ``voxels``, its own inverse.
        reduced: Block means in the scan's own values.
        levels: Air and soft tissue in the scan's own values.
        hu: Block means on the scale of true HU.
        threshold: Between lung and tissue, on that scale.
        found: Air in the body.
        airways: Trachea and main bronchi, where they were found.
    """

    voxels: npt.NDArray[Any]
    grid: WorkingGrid
    order: tuple[int, int, int]
    reduced: Reduced
    levels: Levels
    hu: npt.NDArray[np.float32]
    threshold: float
    found: BodyAir
    airways: CentralAirways | None

    @property
    def spacing(self) -> WorkingSpacing:
        """Voxel size of ``voxels`` for the rules of shape."""
        return self.grid.working

    @property
    def blocks(self) -> WorkingGrid:
        """Block size of ``reduced``, for the rules and in the patient."""
        return self.grid.blocks(self.reduced.factors)

    @property
    def magnification(self) -> float:
        """Factor applied to the spacing so that a small body fills an adult's frame; 1 for adults."""
        return self.grid.magnification

    @classmethod
    def of(cls, canonical: Volume) -> Scan:
        """Reduce a scan and segment the air in it.

        Args:
            canonical: The scan in canonical order; see :func:`slice_plane` for what is raised.
        """
        voxels, spacing, order = slice_plane(canonical)
        scan = cls._analyse(voxels, WorkingGrid.of(spacing), order)
        small = scan.found.diameter(spacing=scan.reduced.spacing)
        if (
            not canonical.meta.spacing_known
            or voxels.shape[2] == 1
            or small is None
            or small > RULES.child_mm
        ):
            return scan
        magnification = min(RULES.adult_mm / small, RULES.most_magnification)
        return cls._analyse(voxels, WorkingGrid.of(spacing, magnification), order)

    @classmethod
    def _analyse(
        cls,
        voxels: npt.NDArray[Any],
        grid: WorkingGrid,
        order: tuple[int, int, int],
    ) -> Scan:
        reduced = reduce_volume(voxels, grid.working)
        levels = find_levels(reduced.hu)
        hu = normalise(reduced.hu, levels)
        threshold = optimal_threshold(hu)
        found = find_inner_air(hu, reduced, threshold)
        airways = find_central_airways(hu, found.inner, reduced.spacing)
        return cls(voxels, grid, order, reduced, levels, hu, threshold, found, airways)

    def refined(
        self, lungs: npt.NDArray[np.uint8], dense: Mask, exclusion_mask: Mask
    ) -> npt.NDArray[np.uint8]:
        """Resample lungs on blocks to the native voxels, in canonical order; see :func:`refine`."""
        air, tissue = self.levels.air, self.levels.tissue
        native = air + (self.threshold + 1000.0) * (tissue - air) / 1000.0
        return refine(self.voxels, self.reduced, lungs, dense, exclusion_mask, native).transpose(self.order)

    def landmarks(self) -> Landmarks:
        """Air around the body and in the trachea, for the calibration of the HU scale."""
        spacing = self.reduced.spacing
        air = median_hu(self.voxels, self.reduced, erode(self.found.outside, RULES.room_margin_mm, spacing))
        if self.airways is None:
            return Landmarks(outside_air_hu=air)
        box = bounding_box(self.airways.trachea, 2 * max(spacing), spacing)
        if box is None:
            return Landmarks(outside_air_hu=air)
        deep = np.zeros(self.airways.trachea.shape, np.float32)
        deep[box] = depth(self.airways.trachea[box], spacing)
        # Only the middle of the lumen: its wall brightens the voxels beside it.
        core = deep >= max(RULES.lumen_blocks * max(spacing[:2]), RULES.lumen_depth * float(deep.max()))
        ml = self.blocks.true_ml(int(self.airways.lumen.sum()))
        return Landmarks(air, median_hu(self.voxels, self.reduced, core), ml)


def median_hu(native: npt.NDArray[Any], reduced: Reduced, where: Mask) -> float | None:
    """Median of native voxels at the middle of the blocks of ``where``, evenly spread; None below 20."""
    blocks = np.unravel_index(spread_samples(where), where.shape)
    index = tuple(
        np.minimum(b * f + f // 2, n - 1)
        for b, f, n in zip(blocks, reduced.factors, reduced.full_shape, strict=True)
    )
    return median_of_scanned(native[index])


def spread_samples(where: Mask) -> npt.NDArray[np.intp]:
    """Flat indices of marked voxels, evenly spread, as many as a median needs."""
    some = np.flatnonzero(where)
    return some[:: max(1, some.size // RULES.most_samples)]


def median_of_scanned(values: npt.NDArray[Any]) -> float | None:
    """Median of native HU without padding; None for fewer values than a median needs."""
    values = values[values > PADDING_HU]
    return float(np.median(values)) if values.size >= RULES.least_samples else None


def threshold_lungs(scan: Scan, closing_mm: float) -> tuple[npt.NDArray[np.uint8], Mask, Mask]:
    """Segment both lungs by threshold, and close narrow notches.

    Args:
        scan: The scan.
        closing_mm: Notches up to twice this wide are lung.

    Returns:
        Lung labels; the part of them that is not aerated; the exclusion mask; all on the blocks.

    Raises:
        NotAChestError: No aerated lung was found, or the scan is not a chest.
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
    exclusion_mask = found.outside | (gas & (sides == 0))
    lungs = fill_lungs(sides, exclusion_mask, spacing, closing_mm)
    central = cut_airways(lungs, lumen, spacing)
    lungs[central] = Lung.BACKGROUND
    dense = (lungs > 0) & ~air
    return lungs, dense, exclusion_mask | central
