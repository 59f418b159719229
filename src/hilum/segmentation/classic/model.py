"""The model ``classic``: thresholds, components and shape, no learned weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hilum.errors import NotAChestError
from hilum.labels import Lung
from hilum.segmentation.base import Landmarks, ModelInfo, Progress, Segmentation
from hilum.segmentation.classic.airways import CentralAirways, find_central_airways, wall_of
from hilum.segmentation.classic.body import find_inner_air, find_levels, normalise, optimal_threshold
from hilum.segmentation.classic.fill import cut_airways, fill_lungs
from hilum.segmentation.classic.morphology import Mask, erode
from hilum.segmentation.classic.refine import refine
from hilum.segmentation.classic.select import remove_gas_bubbles, select_lungs
from hilum.segmentation.classic.sides import assign_sides
from hilum.segmentation.grid import Reduced, reduce_volume
from hilum.volume import Volume

__all__ = ["Classic"]


#: Width that a chest picture without a scale is taken to have, mm.
_USUAL_WIDTH_MM = 370.0


def working_spacing(volume: Volume) -> tuple[float, float, float]:
    """Return the spacing to work with; where the file has none, that of a picture of usual width.

    The guess serves the shape rules only, never a measure.
    """
    if volume.meta.spacing_known:
        return volume.spacing
    guess = _USUAL_WIDTH_MM / max(volume.shape[:2])
    return guess, guess, volume.spacing[2]


class Classic:
    """Finds lungs by their air.

    The order is that of Hu, Hoffman and Reinhardt (2001): optimal threshold, air inside the body, trachea
    and main bronchi removed, right and left parted, vessels closed; on a grid of about 2 mm, with the
    surface taken from the native voxels at the end. It sees aerated lung: where a lung is consolidated or
    collapsed over more than a vessel's width it is missed.
    """

    info = ModelInfo("classic", "1")

    def __call__(self, volume: Volume, progress: Progress | None = None) -> Segmentation:
        """Find the lungs; see :class:`hilum.segmentation.base.Segmenter`."""
        tell = progress or (lambda fraction, what: None)
        tell(0.0, "reducing")
        canonical = volume.canonical()
        reduced = reduce_volume(canonical.hu, working_spacing(canonical))
        levels = find_levels(reduced.hu)
        hu = normalise(reduced.hu, levels)
        threshold = optimal_threshold(hu)
        tell(0.3, "finding lungs")
        inner, outside = find_inner_air(hu, reduced, threshold)
        airways = find_central_airways(hu, inner, reduced.spacing)
        lungs, dense, keep_out = self._lungs(hu, inner, outside, airways, reduced)
        tell(0.6, "refining the surface")
        native = levels.air + (threshold + 1000.0) * (levels.tissue - levels.air) / 1000.0
        labels = refine(canonical.hu, reduced, lungs, dense, keep_out, native)
        tell(1.0, "done")
        return Segmentation(volume.restore(labels), self.info, self._landmarks(reduced, outside, airways))

    def _lungs(
        self,
        hu: npt.NDArray[np.float32],
        inner: Mask,
        outside: Mask,
        airways: CentralAirways | None,
        reduced: Reduced,
    ) -> tuple[npt.NDArray[np.uint8], Mask, Mask]:
        spacing = reduced.spacing
        air = remove_gas_bubbles(hu, inner, spacing)
        gas = inner & ~air
        lumen = np.zeros_like(inner) if airways is None else airways.lumen
        if airways is not None:
            air &= ~wall_of(airways, spacing)
        labels, pieces = select_lungs(hu, air, spacing)
        if not pieces:
            raise NotAChestError(
                "No lung was found in this scan.",
                "Check that it is a chest CT and not another body part; "
                "lungs without any air cannot be found by the model 'classic'.",
            )
        sides = assign_sides(hu, labels, pieces, spacing)
        keep_out = outside | (gas & (sides == 0))
        lungs = fill_lungs(sides, keep_out, spacing)
        central = cut_airways(lungs, lumen, spacing)
        lungs[central] = Lung.BACKGROUND
        dense = (lungs > 0) & ~air
        return lungs, dense, keep_out | central

    @staticmethod
    def _landmarks(reduced: Reduced, outside: Mask, airways: CentralAirways | None) -> Landmarks:
        def median(mask: Mask) -> float | None:
            values = reduced.hu[mask]
            values = values[values > -1060]
            return float(np.median(values)) if values.size >= 20 else None

        air = median(erode(outside, 4.0, reduced.spacing)) if outside.any() else None
        if airways is None:
            return Landmarks(outside_air_hu=air)
        lumen = erode(airways.trachea, 1.3 * max(reduced.spacing[:2]), reduced.spacing)
        ml = float(airways.lumen.sum() * np.prod(reduced.spacing)) / 1000.0
        return Landmarks(outside_air_hu=air, tracheal_air_hu=median(lumen), trachea_ml=ml)
