"""The model ``lungs``: a 3-D network for shape and sides, native voxels for the surface."""

from __future__ import annotations

from hilum.segmentation.base import Confidence, ModelInfo, Progress, Segmentation
from hilum.segmentation.classic.airways import find_central_airways
from hilum.segmentation.classic.body import find_inner_air, find_levels, normalise, optimal_threshold
from hilum.segmentation.classic.model import aerated_lungs, landmarks_of, picture_plane
from hilum.segmentation.classic.refine import refine
from hilum.segmentation.grid import reduce_volume
from hilum.segmentation.lungs.confidence import UNCERTAIN, chance_of_failure, doubt_map, signs_of
from hilum.segmentation.lungs.network import ask_network
from hilum.segmentation.lungs.shape import join_lungs
from hilum.segmentation.weights import Weights
from hilum.volume import Volume

__all__ = ["LearnedLungs"]

#: Notches of the aerated lungs up to twice this wide are closed, as in the training's labels.
CLOSING_MM = 9.0
#: A stack thinner than this shows too little for three dimensions, mm.
THIN_MM = 40.0


class LearnedLungs:
    """Finds lungs by a network that has seen disease.

    Aerated lung is found by its air. The network, on cubes of 2.5 mm, adds what is dense and takes away what
    is no lung. The surface comes from the native voxels where the lung is aerated (half-way between lung and
    tissue), and stays the network's where it is dense.

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
        airways = find_central_airways(hu, found.inner, reduced.spacing)
        aerated, _, keep_out = aerated_lungs(hu, found, airways, reduced.spacing, CLOSING_MM)
        lungs = join_lungs(aerated, opinion.right, opinion.left, keep_out, reduced.spacing)
        dense = (lungs > 0) & (hu >= threshold)
        tell(0.7, "refining the surface")
        native = levels.air + (threshold + 1000.0) * (levels.tissue - levels.air) / 1000.0
        labels = refine(voxels, reduced, lungs, dense, keep_out, native).transpose(order)
        tell(1.0, "done")
        landmarks = landmarks_of(voxels, reduced, found.outside, airways)
        signs = signs_of(opinion, lungs, hu, found, airways)
        calibration = self.weights.card.get("confidence")
        confidence = None
        if calibration is not None:
            failure = chance_of_failure(signs, calibration)
            where = None
            if failure >= UNCERTAIN:
                where = volume.restore(doubt_map(opinion, reduced).transpose(order))
            confidence = Confidence(failure, signs, where)
        return Segmentation(volume.restore(labels), self.info, landmarks, confidence)
