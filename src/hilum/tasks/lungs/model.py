"""The model ``lungs``: a 3-D network for shape and sides, native voxels for the surface."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from hilum.anatomy.airways import wall_of
from hilum.anatomy.model import Scan, aerated_lungs
from hilum.anatomy.select import GAS_HU
from hilum.core.errors import NotAChestError
from hilum.core.segmentation import Confidence, ModelInfo, Progress, Segmentation
from hilum.core.volume import Volume
from hilum.imaging.morphology import Mask, Spacing
from hilum.models.registry import Model
from hilum.models.volumes import VolumeModel
from hilum.tasks.lungs.confidence import UNCERTAIN, chance_of_failure, doubt_map, signs_of
from hilum.tasks.lungs.network import LABELS, Opinion, ask_network
from hilum.tasks.lungs.shape import join_lungs

__all__ = ["LearnedLungs"]

#: Notches of the aerated lungs up to twice this wide are closed, as in the training's labels.
CLOSING_MM = 9.0
#: Two lungs without air are lungs from this size on, mL, and below a trachea only.
AIRLESS_ML = 400.0
#: Where the network calls more than this lung that was taken for the room, the air is looked at again: the
#: field of view may have cut a lung.
CUT_ML = 2.0


class LearnedLungs:
    """Finds lungs by a network that has seen disease.

    Aerated lung is found by its air. The network, on cubes of 3.5 mm, adds what is dense and takes away what
    is no lung. The surface comes from the native voxels where the lung is aerated (half-way between lung and
    tissue), and stays the network's where it is dense.

    Args:
        model: A network of volumes with the labels ``right_lung`` and ``left_lung``.
        mirror: Ask the network for the mirror image too, and say where the answers differ.

    Raises:
        ModelError: The network is another one.
    """

    def __init__(self, model: Model, mirror: bool = True) -> None:
        self.network, self.mirror = VolumeModel(model, LABELS), mirror

    @property
    def info(self) -> ModelInfo:
        """Name, version and hash of the model."""
        return self.network.model.info

    def __call__(self, volume: Volume, progress: Progress | None = None) -> Segmentation:
        """Find the lungs; see :class:`hilum.core.segmentation.Segmenter`."""
        tell = progress or (lambda fraction, what: None)
        tell(0.0, "reducing")
        asked: list[Future[Opinion]] = []
        with ThreadPoolExecutor(1) as pool:  # the network works while the air is being looked at

            def ask(hu: npt.NDArray[np.float32], spacing: Spacing) -> None:
                asked.append(pool.submit(self.judge, hu, spacing))

            scan = Scan.of(volume.canonical(), ask)
            tell(0.2, "finding lungs")
            aerated, keep_out, refusal = by_air(scan)
            tell(0.4, "finding dense lung")
            opinion = asked[-1].result()
        cut = scan.found.outside & (scan.hu < scan.threshold) & (opinion.right + opinion.left >= 0.5)
        spacing = scan.reduced.spacing
        if cut.sum() * np.prod(spacing) / 1000.0 > CUT_ML:
            scan = scan.knowing(cut)
            aerated, keep_out, refusal = by_air(scan)
        if refusal is not None and scan.airways is None:
            raise refusal
        lungs = join_lungs(aerated, opinion.right, opinion.left, keep_out, spacing, hu=scan.hu)
        if refusal is not None and (lungs > 0).sum() * np.prod(spacing) / 1000.0 < AIRLESS_ML:
            raise refusal
        if not lungs.any():
            raise NotAChestError(
                "No lung was found in this scan: what has the density of lung has not its shape.",
                "Check that it is a chest CT and not another body part, and that its voxel size is right.",
            )
        tell(0.7, "refining the surface")
        labels = scan.refined(lungs, (lungs > 0) & (scan.hu >= scan.threshold), keep_out)
        tell(1.0, "done")
        # Lungs without air are never taken on trust.
        confidence = self._confidence(volume, scan, lungs, opinion, UNCERTAIN if refusal is not None else 0.0)
        return Segmentation(volume.restore(labels), self.info, scan.landmarks(), confidence)

    def _confidence(
        self, volume: Volume, scan: Scan, lungs: npt.NDArray[np.uint8], opinion: Opinion, least: float
    ) -> Confidence | None:
        """Return how sure the result is; None where the model is not calibrated, unless in doubt at once."""
        calibration = self.network.model.card.confidence
        if calibration is None and least == 0.0:
            return None
        signs = signs_of(opinion, lungs, scan.hu, scan.found, scan.airways)
        failure = least if calibration is None else max(chance_of_failure(signs, calibration), least)
        where = None
        if failure >= UNCERTAIN:
            where = volume.restore(doubt_map(opinion, scan.reduced).transpose(scan.order))
        return Confidence(failure, signs, where)

    def ask(self, scan: Scan) -> Opinion:
        """Return what the network says of each block of a scan."""
        return self.judge(scan.hu, scan.reduced.spacing)

    def judge(self, hu: npt.NDArray[np.float32], spacing: Spacing) -> Opinion:
        """Return what the network says of block means in RAS order, on the scale of true HU."""
        return ask_network(self.network, hu, spacing, self.mirror)


def by_air(scan: Scan) -> tuple[npt.NDArray[np.uint8], Mask, NotAChestError | None]:
    """Return lungs found by their air, what no lung may enter, and, where there are none, why."""
    try:
        aerated, _, keep_out = aerated_lungs(scan, CLOSING_MM)
    except NotAChestError as error:
        return np.zeros(scan.hu.shape, np.uint8), barred(scan), error
    return aerated, keep_out, None


def barred(scan: Scan) -> Mask:
    """Return what no lung may enter where no aerated lung is seen: the room, airways, free gas."""
    out = scan.found.outside | (scan.found.inner & (scan.hu < GAS_HU))
    return out if scan.airways is None else out | wall_of(scan.airways, scan.reduced.spacing)
