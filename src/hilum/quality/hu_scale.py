"""Calibration: do air and soft tissue of this scan lie where Hounsfield put them?

Air is -1000 HU by definition (Hounsfield 1973), muscle and blood lie near 40 HU. A lung's density stands
between the two, so a shift of them is a shift of every gram.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.segmentation import Segmentation
from hilum.core.volume import Volume
from hilum.quality.survey import FewPlanes, Plane, block_any

__all__ = ["Calibration", "ReferencePoint", "calibration", "calibration_flags", "judge_air"]

_TISSUE_SEARCH = (-30.0, 220.0)
_FAT_SEARCH = (-160.0, -45.0)
_BIN_HU = 4.0
#: Spread of the block means above which a piece is no room air: lung that a crop cuts has vessels.
_MOTTLED_HU = 70.0

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ReferencePoint:
    """HU of a tissue that is known, and the number of places it was read at."""

    hu: float
    places: int


@dataclass(frozen=True)
class Calibration:
    """Where the fixed points of the HU scale lie in a scan; None is "not seen".

    Attributes:
        outside_air: Air round the body (padding round the scanner's circle is not air).
        tracheal_air: Air deep in the trachea, as the segmentation met it.
        soft_tissue: Commonest value of homogeneous soft tissue: muscle, blood, liver.
        fat: Commonest value of homogeneous fat; for information.
    """

    outside_air: ReferencePoint | None = None
    tracheal_air: ReferencePoint | None = None
    soft_tissue: ReferencePoint | None = None
    fat: ReferencePoint | None = None

    @property
    def air_deviation(self) -> float | None:
        """How far outside air lies above -1000 HU; None where it was not seen."""
        return None if self.outside_air is None else self.outside_air.hu - LIMITS.air_hu

    def as_dict(self) -> dict[str, object]:
        """Return plain data for JSON."""
        return asdict(self)


def calibration(volume: Volume, segmentation: Segmentation | None = None) -> Calibration:
    """Read off where air and soft tissue lie.

    Args:
        volume: The scan.
        segmentation: Lungs of the scan: what they hold is not taken for outside air, and their landmarks
            give the air in the trachea.

    Returns:
        The fixed points that were seen.
    """
    labels = None if segmentation is None else segmentation.labels
    air: list[tuple[int, float]] = []
    tissue: list[npt.NDArray[np.float32]] = []
    for plane in FewPlanes(volume, labels):
        air += _outside_air(plane)
        tissue.append(_homogeneous(plane))
    blocks = np.concatenate(tissue, axis=1)
    trachea = None if segmentation is None else segmentation.landmarks.tracheal_air_hu
    return Calibration(
        outside_air=_darkest(air),
        tracheal_air=None if trachea is None else ReferencePoint(trachea, 1),
        soft_tissue=_peak(blocks, *_TISSUE_SEARCH),
        fat=_peak(blocks, *_FAT_SEARCH),
    )


def _outside_air(plane: Plane) -> list[tuple[int, float]]:
    """Return size in blocks and HU of each homogeneous piece of air that touches the edge.

    The HU is the lower quartile of the block means, since blankets and mattress foam only brighten air.
    """
    from scipy import ndimage

    near_padding = ndimage.binary_dilation(plane.padding, iterations=2)
    air = (plane.mean < -400) & ~near_padding
    if plane.labels is not None:
        air &= ~ndimage.binary_dilation(block_any(plane, plane.labels > 0))
    pieces, _ = ndimage.label(air)
    edge = ndimage.binary_dilation(near_padding)
    edge[[0, -1], :] = edge[:, [0, -1]] = True
    core = ndimage.binary_erosion(air, iterations=2, border_value=1)
    out = []
    for piece in np.unique(pieces[edge & air]):
        inside = core & (pieces == piece)
        mean = plane.mean[inside]
        if mean.size < 10:
            continue
        spread = 1.48 * float(np.median(np.abs(mean - np.median(mean))))
        if spread < (_MOTTLED_HU if mean.size >= 100 else 0.6 * _MOTTLED_HU):  # few blocks, unsure spread
            out.append((int(mean.size), float(np.quantile(mean, 0.25))))
    return out


def _darkest(pieces: Sequence[tuple[int, float]]) -> ReferencePoint | None:
    """Return the value of the darkest pieces that make up a tenth: mattress foam and blankets are lighter."""
    total = sum(size for size, _ in pieces)
    if total < 20:
        return None
    seen = 0
    for size, hu in sorted(pieces, key=lambda piece: piece[1]):
        seen += size
        if seen >= 0.1 * total:
            return ReferencePoint(hu, total)
    return None


def _homogeneous(plane: Plane) -> npt.NDArray[np.float32]:
    """Return mean and local range of the blocks that can be fat or soft tissue, shape (2, n)."""
    from scipy import ndimage

    mean = plane.mean
    spread = ndimage.maximum_filter(mean, 3) - ndimage.minimum_filter(mean, 3)
    chosen = (mean > _FAT_SEARCH[0]) & (mean < _TISSUE_SEARCH[1])
    chosen &= ~ndimage.binary_dilation(plane.padding, iterations=2)
    return np.stack([mean[chosen], spread[chosen]])


def _peak(blocks: npt.NDArray[np.float32], low: float, high: float) -> ReferencePoint | None:
    """Return the first high peak of the more homogeneous blocks with a mean in (low, high)."""
    from scipy import ndimage

    mean, spread = blocks[:, (blocks[0] > low) & (blocks[0] < high)]
    if mean.size < 100:
        return None
    mean = mean[spread <= np.quantile(spread, 0.4)]
    counts, edges = np.histogram(mean, bins=np.arange(low, high + _BIN_HU, _BIN_HU))
    smooth = ndimage.gaussian_filter1d(counts.astype(float), 2.0)
    peaks = _tops(smooth)  # a slope that runs out of the range is no peak
    if peaks.size == 0:
        return None
    # Of several high peaks the lowest: muscle rather than blood or liver with contrast agent.
    best = int(peaks[smooth[peaks] >= 0.6 * smooth[peaks].max()][0])
    return ReferencePoint(float(edges[best] + _BIN_HU / 2), int(mean.size))


def _tops(values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return where values rise before and fall after; of a level top the middle.

    As scipy.signal.find_peaks, whose import takes longer than all of the check.
    """
    steps = np.sign(np.diff(values))
    moves = np.flatnonzero(steps)
    turn = (steps[moves][:-1] > 0) & (steps[moves][1:] < 0)
    out: npt.NDArray[np.intp] = (moves[:-1][turn] + 1 + moves[1:][turn]) // 2
    return out


def calibration_flags(found: Calibration) -> tuple[Flag, ...]:
    """Judge a calibration: ``calibration_off``, ``calibration_unknown``, or nothing where all is well."""
    air, tissue = judge_air(found), _judge(found.soft_tissue, LIMITS.tissue_hu, (0.0, np.inf))
    if not air and not tissue:
        return () if air == 0 else (_unknown(),)
    seen = []
    if air:
        seen.append(_air_in_words(found))
    if tissue and found.soft_tissue is not None:
        low, high = LIMITS.tissue_hu
        seen.append(
            f"soft tissue measures {found.soft_tissue.hu:.0f} HU where {low:.0f} to {high:.0f} is usual "
            "(more with contrast agent)"
        )
    text = " and ".join(seen)
    text = text[0].upper() + text[1:]
    if air == 2:
        message = (
            f"{text}: density, air and weight are withheld. Get the scan again in true HU, or run with "
            "--calibrate to correct the scale linearly."
        )
        reason = "The HU scale of this scan is off."
        forbids = ("density", "mass")
        return (Flag(FlagCode.CALIBRATION_OFF, Severity.ERROR, message, forbids=forbids, reason=reason),)
    todo = "--calibrate corrects the scale linearly" if air else "compare with a scan of the same scanner"
    message = f"{text}: density and weight may be off a little; {todo}."
    return (Flag(FlagCode.CALIBRATION_OFF, Severity.WARNING, message),)


def judge_air(found: Calibration) -> int | None:
    """Return 0 (well), 1 (look at it) or 2 (spoilt) for the air of a scan; None where none was seen."""
    if found.outside_air is not None:
        return _judge(found.outside_air, (LIMITS.air_hu, LIMITS.air_hu), LIMITS.air_off_hu)
    return _judge(found.tracheal_air, LIMITS.trachea_hu, LIMITS.trachea_off_hu)


def _judge(
    point: ReferencePoint | None, allowed: tuple[float, float], off: tuple[float, float]
) -> int | None:
    """Return 0, 1 or 2 for a point within ``off`` = (warning, error) HU of the range ``allowed``."""
    if point is None:
        return None
    beyond = max(allowed[0] - point.hu, point.hu - allowed[1], 0.0)
    return 2 if beyond > off[1] else int(beyond > off[0])


def _air_in_words(found: Calibration) -> str:
    point = found.outside_air or found.tracheal_air
    assert point is not None
    where, usual = ("round the body", "-1000") if found.outside_air else ("in the trachea", "about -980")
    # A lung is about 85 % air, so most of the shift at the air end shows in its weight.
    grams = 0.85 * (point.hu - (LIMITS.air_hu if found.outside_air else -980.0))
    return (
        f"air {where} measures {point.hu:.0f} HU instead of {usual}, so that a litre of lung would weigh "
        f"some {abs(grams):.0f} g too {'much' if grams > 0 else 'little'}"
    )


def _unknown() -> Flag:
    message = (
        "Neither air round the body nor air in the trachea was seen, so the HU scale could not be checked; "
        "compare the mean HU with another scan of the same scanner."
    )
    return Flag(FlagCode.CALIBRATION_UNKNOWN, Severity.INFO, message)
