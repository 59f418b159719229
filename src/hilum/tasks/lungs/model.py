"""The model ``lungs``: a 3-D network leads, native voxels draw the surface."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hilum.anatomy.model import require_chest
from hilum.core.errors import NotAChestError
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS, PLEURA
from hilum.core.segmentation import Confidence, ModelInfo, Progress, Segmentation
from hilum.core.volume import Volume
from hilum.imaging.morphology import Mask
from hilum.models.registry import Model
from hilum.tasks.lungs.confidence import UNCERTAIN, chance_of_failure, doubt_map, signs_of_scan
from hilum.tasks.lungs.iso_scan import IsoScan
from hilum.tasks.lungs.predict import PLEURA_LABELS, Probabilities, network_of, predict
from hilum.tasks.lungs.surface import draw

__all__ = ["LearnedLungs"]

#: Where scan and mirror image agree with at least this Dice, the network knows what it sees. Else other poses
#: are tried, and one is taken if the Dice that the network expects to miss is below so much of the first one.
#: Both were chosen while looking at rows of benchmarks/robustness.py, whose scans include imlab and elastix:
#: the rows of turned, mirrored, small and cut bodies are not fully blind.
SURE_AGREEMENT, BETTER_DOUBT = 0.97, 0.7
#: A body that the field of view cuts may be a child's: it is tried so many times as large.
CUT_CHILD_MAGNIFICATION = 2.0


class LearnedLungs:
    """Finds lungs, pleural fluid and free pleural gas by a 3-D network.

    Args:
        model: A network of volumes with the labels ``right_lung`` and ``left_lung``; it may have
            ``pleural_fluid`` and ``pleural_gas``, too.
        mirror: Test-time augmentation: average with the prediction of the mirror image.

    Raises:
        ModelError: The network is another one.
    """

    def __init__(self, model: Model, mirror: bool = True) -> None:
        self.network, self.mirror = network_of(model), mirror

    @property
    def info(self) -> ModelInfo:
        """Name, version and hash of the model."""
        return self.network.model.info

    def __call__(self, volume: Volume, progress: Progress | None = None) -> Segmentation:
        """Find the lungs; see :class:`hilum.core.segmentation.Segmenter`."""
        report = progress or (lambda fraction, what: None)
        report(0.0, "reducing")
        canonical = volume.canonical()
        scan = IsoScan.of(canonical, self.step_mm)
        report(0.2, "finding lungs")
        first = self.predict(scan.hu)
        require_lung(scan, first.mask)
        scan, p = self.in_doubt(canonical, scan, first)
        self.network.model.session.release()  # as much as a scan of 300 slices, while what follows needs it
        lungs = p.mask
        require_lung(scan, lungs)
        report(0.7, "refining the surface")
        labels, pleura = draw(scan, p, scan.unseen)
        report(0.9, "estimating confidence")
        confidence = self._confidence(volume, scan, lungs, p)
        restored = (volume.restore(a.transpose(scan.order)) for a in (labels, pleura))
        found, beside = (
            LabelVolume.on_grid_of(volume, a, s) for a, s in zip(restored, (LUNGS, PLEURA), strict=True)
        )
        report(1.0, "done")
        others = {PLEURA.name: beside} if self.network.finds(*PLEURA_LABELS) else {}
        return Segmentation(found, self.info, scan.landmarks(), confidence, beside=others)

    @property
    def step_mm(self) -> float:
        """Side of the network's isotropic voxels, mm."""
        return self.network.input.step_mm

    def predict(self, hu: npt.NDArray[np.float32]) -> Probabilities:
        """Run the network on isotropic voxels in RAS order, on the scale of true HU."""
        return predict(self.network, hu, self.mirror)

    def in_doubt(self, canonical: Volume, scan: IsoScan, p: Probabilities) -> tuple[IsoScan, Probabilities]:
        """Try another pose and another size where the network contradicts itself; return the best.

        Args:
            canonical: The scan in canonical order.
            scan: The same on isotropic voxels.
            p: The network's prediction of it.
        """
        if p.agreement is None or p.agreement >= SURE_AGREEMENT:
            return scan, p
        tries = [(scan, self.predict(scan.hu[:, :, ::-1]).upside_down())]
        if scan.diameter is None and scan.has_size(canonical):
            larger = IsoScan.of(canonical, self.step_mm, CUT_CHILD_MAGNIFICATION)
            tries.append((larger, self.predict(larger.hu)))
        best = min(tries, key=lambda one: one[1].doubt)
        return best if best[1].doubt < BETTER_DOUBT * p.doubt else (scan, p)

    def _confidence(self, volume: Volume, scan: IsoScan, lungs: Mask, p: Probabilities) -> Confidence | None:
        """Return how sure the result is; None where the card holds no calibration."""
        calibration = self.network.model.card.confidence
        if calibration is None:
            return None
        signs = signs_of_scan(p, lungs, scan)
        failure = chance_of_failure(signs, calibration)
        where = None
        if failure >= UNCERTAIN:
            where = volume.restore(doubt_map(p, scan).transpose(scan.order))
        return Confidence(failure, signs, where)


def require_lung(scan: IsoScan, lungs: Mask) -> None:
    """Raise :class:`NotAChestError` where there is no lung, or the tips of lungs only."""
    if not lungs.any():
        raise NotAChestError(
            "No lung was found in this scan.",
            "Check that it is a chest CT and not another body part, and that its voxel size is right.",
        )
    require_chest(lungs, scan.found.filled | lungs)
