"""The model ``lungs``: a 3-D network for shape and sides, native voxels for the surface."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.labels import Lung
from hilum.segmentation.base import Landmarks, ModelInfo, Progress, Segmentation
from hilum.segmentation.classic.airways import CentralAirways, find_central_airways
from hilum.segmentation.classic.body import BodyAir, find_inner_air, find_levels, normalise, optimal_threshold
from hilum.segmentation.classic.model import median_hu, picture_plane
from hilum.segmentation.classic.morphology import Mask, Spacing, depth, erode
from hilum.segmentation.classic.refine import refine
from hilum.segmentation.grid import Reduced, reduce_volume
from hilum.segmentation.lungs.network import ask_network
from hilum.segmentation.lungs.shape import require_chest, two_lungs
from hilum.segmentation.weights import Weights
from hilum.volume import Volume

__all__ = ["LearnedLungs"]

#: A stack thinner than this shows too little for three dimensions, mm.
THIN_MM = 40.0


class LearnedLungs:
    """Finds lungs by a network that has seen disease.

    The network says on cubes of 2.5 mm where the right and the left lung are, however dense. The surface
    comes from the native voxels where the lung is aerated (half-way between lung and tissue), and stays the
    network's where it is dense.

    Args:
        weights: The network with its card.
        mirror: Ask the network for the mirror image too, and say where the two answers differ.
    """

    def __init__(self, weights: Weights, mirror: bool = True) -> None:
        self.weights, self.mirror = weights, mirror
        self.info = ModelInfo(weights.name, weights.version, weights.sha256)

    def __call__(self, volume: Volume, progress: Progress | None = None) -> Segmentation:
        """Find the lungs; see :class:`hilum.segmentation.base.Segmenter`."""
        tell = progress or (lambda fraction, what: None)
        tell(0.0, "reducing")
        voxels, spacing, order = picture_plane(volume.canonical())
        reduced = reduce_volume(voxels, spacing)
        levels = find_levels(reduced.hu)
        hu = normalise(reduced.hu, levels)
        threshold = optimal_threshold(hu)
        tell(0.3, "finding lungs")
        card = self.weights.card["input"]
        opinion = ask_network(
            self.weights.session,
            hu,
            reduced.spacing,
            float(card["step_mm"]),
            (float(card["hu_window"][0]), float(card["hu_window"][1])),
            self.mirror,
        )
        tell(0.6, "right and left")
        found = find_inner_air(hu, reduced, threshold)
        lungs = two_lungs(opinion.right, opinion.left, reduced.spacing)
        require_chest(lungs, found.filled, reduced.spacing)
        airways = find_central_airways(hu, found.inner, reduced.spacing)
        keep_out = self._keep_out(found, airways, lungs)
        lungs[keep_out] = Lung.BACKGROUND
        dense = (lungs > 0) & (hu >= threshold)
        tell(0.7, "refining the surface")
        native = levels.air + (threshold + 1000.0) * (levels.tissue - levels.air) / 1000.0
        labels = refine(voxels, reduced, lungs, dense, keep_out, native).transpose(order)
        tell(1.0, "done")
        landmarks = landmarks_of(voxels, reduced, found.outside, airways)
        return Segmentation(volume.restore(labels), self.info, landmarks)

    @staticmethod
    def _keep_out(found: BodyAir, airways: CentralAirways | None, lungs: npt.NDArray[np.uint8]) -> Mask:
        """What the surface must not run into: the room's air, trachea and main bronchi."""
        out = found.outside & (lungs == 0)
        if airways is not None:
            out = out | airways.trachea | (airways.lumen & (lungs == 0))
        return np.asarray(out)


def landmarks_of(
    native: npt.NDArray[Any], reduced: Reduced, outside: Mask, airways: CentralAirways | None
) -> Landmarks:
    """Air around the body and in the trachea, which tell of the calibration."""
    spacing: Spacing = reduced.spacing
    air = median_hu(native, reduced, erode(outside, 6.0, spacing))
    if airways is None:
        return Landmarks(outside_air_hu=air)
    deep = depth(airways.trachea, spacing)
    # Only the middle of the lumen: its wall brightens the voxels beside it.
    core = deep >= max(1.5 * max(spacing[:2]), 0.6 * float(deep.max()))
    ml = float(airways.lumen.sum() * np.prod(spacing)) / 1000.0
    return Landmarks(outside_air_hu=air, tracheal_air_hu=median_hu(native, reduced, core), trachea_ml=ml)
