"""Single axial slices and thin stacks: a network of slices, with a second opinion of the network of scans."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hilum.anatomy.model import Scan
from hilum.core.errors import NotAChestError
from hilum.core.label_volume import LabelVolume
from hilum.core.planes import Plane
from hilum.core.segmentation import Confidence, ModelInfo, Progress, Segmentation
from hilum.core.volume import Volume
from hilum.imaging.blocks import block_share, native_planes
from hilum.imaging.isogrid import IsoGrid
from hilum.imaging.morphology import Mask
from hilum.imaging.overlap import dice
from hilum.models.slices import SliceModel
from hilum.tasks.lungs.confidence import UNCERTAIN, chance_of_failure, signs_of
from hilum.tasks.lungs.learned import order_in_space, slices_from

if TYPE_CHECKING:
    from hilum.models.registry import Model
    from hilum.tasks.lungs.model import LearnedLungs

__all__ = ["ThinLungs", "crescents", "fuse", "require_lung"]

Probability = npt.NDArray[np.float32]
#: A thin stack is drawn out to this height, its slices to this one where it is not known, mm.
_EXTRUDED_MM, _FLAT_MM = 168.0, 3.5
#: The second opinion counts above this HU, and up to so many times the first; see ``opinions`` of the recipe.
_PLAIN_AIR_HU, _MOST_WEIGHT, _POWER = -550.0, 1.0, 4
#: Less lung than is asked for elsewhere, down to this share of the body's section, is taken where it is sure.
_TIP_SHARE = 0.03
#: In a single slice even less, from this area on, where both networks together and that of scans alone call
#: it lung with these mean probabilities, some of it is aerated, and the body is as wide as a trunk, no neck
#: or limb (diameter of the circle of its section). Chosen on slices of 39 of 82 patients, whose bowel had at
#: most 0.78; in the other half all bowel is refused too.
_BASE_CM2, _BOTH, _BY_VOLUMES, _AERATED_CM2, _TRUNK_MM = 3.0, 0.82, 0.35, 2.0, 180.0
#: Where the model doubts itself, one of the two must be sure: both networks together as above, or that of
#: scans with this mean probability. Gas in whole bellies had at most 0.49, half-collapsed lung 0.60.
_VOLUMES_ALONE = 0.55


class ThinLungs:
    """Finds lungs where there is too little for three dimensions.

    Args:
        model: The network of axial slices.
        volumes: The model of scans. It predicts a slice extruded along z.

    Raises:
        ModelError: ``model`` takes no slices.
    """

    def __init__(self, model: Model, volumes: LearnedLungs) -> None:
        self.slices, self.volumes = SliceModel(model), volumes

    @property
    def info(self) -> ModelInfo:
        """Name, version and hash of the network of slices."""
        return self.slices.model.info

    def __call__(self, volume: Volume, progress: Progress | None = None) -> Segmentation:
        """Find the lungs; see :class:`hilum.core.segmentation.Segmenter`.

        Raises:
            NotAChestError: Nothing in the scan looks like a lung.
        """
        report = progress or (lambda fraction, what: None)
        report(0.0, "finding lungs")
        canonical = volume.canonical()
        scan = Scan.of(canonical)
        plain, mirrored = self.of_slices(canonical)
        report(0.5, "second opinion")
        by_volumes, tissue = self.of_volumes(scan, canonical.meta.spacing_known)
        chance = fuse(0.5 * (plain + mirrored), by_volumes, tissue)
        report(0.9, "right and left")
        mask = chance >= self.slices.threshold
        base = crescents(scan, mask, chance, by_volumes)
        try:
            labels = order_in_space(scan, mask, _TIP_SHARE)
        except NotAChestError:
            if base is None:
                raise
            labels = base
        confidence = self._confidence(volume, scan, labels, (chance, plain, mirrored, by_volumes))
        if confidence is None or confidence.failure >= UNCERTAIN:
            if base is None:
                order_in_space(scan, mask)  # tips of lungs look like bowel: in doubt they are refused
            require_lung(labels, chance, by_volumes)
        report(1.0, "done")
        return Segmentation(
            LabelVolume.on_grid_of(volume, volume.restore(labels)), self.info, scan.landmarks(), confidence
        )

    def of_slices(self, canonical: Volume) -> tuple[Probability, Probability]:
        """Return the probability of lung by the network of slices, of the scan and of its mirror image."""
        spacing = (canonical.spacing[1], canonical.spacing[0]) if canonical.meta.spacing_known else None
        out = [np.empty(canonical.shape, np.float32) for _ in range(2)]
        slices, plain, mirrored = (slices_from(a, Plane.AXIAL) for a in (canonical.hu, *out))
        plain[:] = self.slices.probabilities(slices, spacing)
        mirrored[:] = self.slices.probabilities(slices[:, :, ::-1], spacing)[:, :, ::-1]
        return out[0], out[1]

    def of_volumes(self, scan: Scan, spacing_known: bool) -> tuple[Probability, Probability]:
        """Ask the network of scans about the slices, drawn out.

        Returns:
            The probability of lung of each voxel; and where there is tissue, 0 to 1. Air is plain to see in
            the slice itself, so that the answer should count in tissue only.
        """
        height = scan.reduced.spacing[2] if spacing_known else _FLAT_MM
        count = scan.hu.shape[2]
        more = max(0, int(np.ceil(_EXTRUDED_MM / height)) - count)
        around = (more // 2, more - more // 2)
        extruded = np.pad(scan.hu, ((0, 0), (0, 0), around), mode="edge")
        shape = (extruded.shape[0], extruded.shape[1], extruded.shape[2])
        grid = IsoGrid(shape, (*scan.reduced.spacing[:2], height), self.volumes.step_mm)
        p = self.volumes.predict(np.asarray(grid.to_iso(extruded), np.float32))
        chance = np.asarray(grid.from_iso(p.lungs), np.float32)[:, :, around[0] : around[0] + count]
        tissue = (scan.hu > _PLAIN_AIR_HU).astype(np.float32)
        by_volumes, solid = (np.empty(scan.voxels.shape, np.float32) for _ in range(2))
        for values, out in ((chance, by_volumes), (tissue, solid)):
            for z, plane in enumerate(native_planes(values, scan.reduced)):
                out[:, :, z] = plane
        return by_volumes, solid

    def _confidence(
        self, volume: Volume, scan: Scan, labels: npt.NDArray[np.uint8], chances: tuple[Probability, ...]
    ) -> Confidence | None:
        """Return how sure the answer is; None where these two networks were not calibrated together."""
        calibration = self.slices.model.card.confidence
        if calibration is None or calibration.beside != self.volumes.info.sha256:
            return None
        chance, plain, mirrored, by_volumes = chances
        limit = self.slices.threshold
        coarse = block_share(chance, scan.spacing)
        lungs = block_share(labels > 0, scan.spacing) >= 0.5
        agreement = dice(plain >= limit, mirrored >= limit)
        signs = signs_of(coarse, agreement, lungs, scan.hu, scan.found, scan.airways)
        signs["apart"] = 1 - dice(plain >= limit, by_volumes >= 0.5)
        failure = chance_of_failure(signs, calibration)
        where = None
        if failure >= UNCERTAIN:
            doubt = np.maximum(1 - np.abs(2 * chance - 1), np.abs(plain - mirrored))
            where = volume.restore(np.rint(100 * np.clip(doubt, 0, 1)).astype(np.uint8))
        return Confidence(failure, signs, where)


def crescents(
    scan: Scan, mask: Mask, chance: Probability, by_volumes: Probability
) -> npt.NDArray[np.uint8] | None:
    """Return the thin crescents of a lung's base, or a tip, in a single axial slice.

    Args:
        scan: The slice.
        mask: What may be lung.
        chance: Probability of lung by both networks.
        by_volumes: The same by the network of volumes.

    Returns:
        Lung labels; None where it is not sure that they are lung with air in it, in a trunk.
    """
    if mask.shape[2] > 1:
        return None
    try:
        labels = order_in_space(scan, mask, 0.0, _BASE_CM2)
    except NotAChestError:
        return None
    lungs = labels > 0
    air, tissue = scan.levels.air, scan.levels.tissue
    aerated = lungs & (scan.voxels < air + (_PLAIN_AIR_HU + 1000.0) * (tissue - air) / 1000.0)
    enough = np.count_nonzero(aerated) * scan.spacing[0] * scan.spacing[1] / 100.0 >= _AERATED_CM2
    width = scan.found.diameter(spacing=scan.reduced.spacing)
    sure = chance[lungs].mean() >= _BOTH and by_volumes[lungs].mean() >= _BY_VOLUMES
    return labels if sure and enough and (width is None or width >= _TRUNK_MM) else None


def require_lung(labels: npt.NDArray[np.uint8], chance: Probability, by_volumes: Probability) -> None:
    """Refuse a single slice whose lungs neither network is sure of; for what the model doubts.

    Raises:
        NotAChestError: It is bowel, or lung that cannot be by_volumes from it.
    """
    lungs = labels > 0
    if labels.shape[2] == 1 and chance[lungs].mean() < _BOTH and by_volumes[lungs].mean() < _VOLUMES_ALONE:
        raise NotAChestError(
            "No lung was found in this slice: what holds air in it looks like bowel.",
            "Check that it is a chest CT and not another body part, or give the whole scan.",
        )


def fuse(
    own: Probability,
    by_volumes: Probability,
    tissue: Probability,
    most: float = _MOST_WEIGHT,
    power: int = _POWER,
) -> Probability:
    """Return the mean of two opinions, where that of the network of slices weighs 1.

    Args:
        own: Probability of lung by the network of slices.
        by_volumes: The same by the network of volumes.
        tissue: Where there is tissue, 0 to 1; the other counts there only.
        most: Its greatest weight.
        power: How fast it loses weight where it does not know itself, as at the lungs' borders, which cubes
            show coarsely.
    """
    weight = tissue * np.float32(most) * (2 * by_volumes - 1) ** power
    out: Probability = ((own + weight * by_volumes) / (1 + weight)).astype(np.float32)
    return out
