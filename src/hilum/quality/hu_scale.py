"""Calibration: are air and soft tissue of this scan at their nominal HU?

Air is -1000 HU by definition (Hounsfield 1973), muscle and blood are near 40 HU. Lung density lies
between the two, so a shift of either changes every mass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.segmentation import Segmentation
from hilum.core.sentences import Sentence
from hilum.core.volume import Volume
from hilum.quality.sampling import FewPlanes, Plane, block_any

__all__ = ["Calibration", "ReferencePoint", "calibration", "calibration_flags", "rate_air"]


@dataclass(frozen=True)
class CalibrationRules:
    """Parameters for finding air, soft tissue and fat in blocks of about 3 mm. Not tuned.

    Attributes:
        tissue_hu, fat_hu: HU range in which the mode is searched, wide enough for a scale that is
            off.
        bin_hu, smooth_bins: Histogram bin width, and sigma of the smoothing in bins.
        homogeneous: Share of the blocks that is used, the most homogeneous first.
        least_blocks: Minimum number of blocks for a peak.
        high_peak: Share of the highest peak at and above which another peak counts as high.
        dark_hu: Blocks below this are air or lung.
        margin: Width in blocks of the partial-volume rim around padding and at the edge of a component.
        least_air: Minimum number of inner blocks of a component for an HU value.
        mottled_hu: Spread of the block means at and above which a component is not room air: cropped lung has
            vessels.
        sure_blocks, unsure: With fewer blocks, this share of ``mottled_hu`` is allowed.
        air_quantile: Quantile of the block means taken as HU of air: blankets and foam only brighten it.
        least_total: Minimum number of air blocks in total for a reference point.
        darkest: Share of the air, darkest components first, that determines its HU (foam is brighter).
        mad_to_sigma: Factor from median absolute deviation to standard deviation of a normal distribution.
        lung_air: Share of air in a lung, for the sentence on the effect of a shift on its weight.
        trachea_hu: Usual HU of tracheal air, for that sentence.
    """

    tissue_hu: tuple[float, float] = (-30.0, 220.0)
    fat_hu: tuple[float, float] = (-160.0, -45.0)
    bin_hu: float = 4.0
    smooth_bins: float = 2.0
    homogeneous: float = 0.4
    least_blocks: int = 100
    high_peak: float = 0.6
    dark_hu: float = -400.0
    margin: int = 2
    least_air: int = 10
    mottled_hu: float = 70.0
    sure_blocks: int = 100
    unsure: float = 0.6
    air_quantile: float = 0.25
    least_total: int = 20
    darkest: float = 0.1
    mad_to_sigma: float = 1.48
    lung_air: float = 0.85
    trachea_hu: float = -980.0


_RULES = CalibrationRules()

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ReferencePoint:
    """Measured HU of a reference tissue, and the number of places it was measured at."""

    hu: float
    places: int


@dataclass(frozen=True)
class Calibration:
    """Reference points of the HU scale in a scan; None if not found.

    Attributes:
        outside_air: Air around the body (padding outside the scan circle is not air).
        tracheal_air: Air deep in the trachea, from the landmarks of the segmentation.
        soft_tissue: Mode of homogeneous soft tissue: muscle, blood, liver.
        fat: Mode of homogeneous fat; for information.
    """

    outside_air: ReferencePoint | None = None
    tracheal_air: ReferencePoint | None = None
    soft_tissue: ReferencePoint | None = None
    fat: ReferencePoint | None = None

    @property
    def air_deviation(self) -> float | None:
        """Deviation of outside air from -1000 HU; None if it was not found."""
        return None if self.outside_air is None else self.outside_air.hu - LIMITS.air_hu

    def as_dict(self) -> dict[str, object]:
        """Return plain data for JSON."""
        return asdict(self)


def calibration(volume: Volume, segmentation: Segmentation | None = None) -> Calibration:
    """Measure the HU of air and soft tissue.

    Args:
        volume: The scan.
        segmentation: Lungs of the scan: voxels in them are not taken as outside air, and their landmarks
            give the tracheal air.

    Returns:
        The reference points that were found.
    """
    labels = None if segmentation is None else segmentation.labels.data
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
        soft_tissue=_peak(blocks, *_RULES.tissue_hu),
        fat=_peak(blocks, *_RULES.fat_hu),
    )


def _outside_air(plane: Plane) -> list[tuple[int, float]]:
    """Return size in blocks and HU of each homogeneous air component that touches the edge.

    The HU is the lower quartile of the block means, since blankets and mattress foam only brighten air.
    """
    from scipy import ndimage

    near_padding = ndimage.binary_dilation(plane.padding, iterations=_RULES.margin)
    air = (plane.mean < _RULES.dark_hu) & ~near_padding
    if plane.labels is not None:
        air &= ~ndimage.binary_dilation(block_any(plane, plane.labels > 0))
    pieces, _ = ndimage.label(air)
    edge = ndimage.binary_dilation(near_padding)
    edge[[0, -1], :] = edge[:, [0, -1]] = True
    core = ndimage.binary_erosion(air, iterations=_RULES.margin, border_value=1)
    out = []
    for piece in np.unique(pieces[edge & air]):
        inside = core & (pieces == piece)
        mean = plane.mean[inside]
        if mean.size < _RULES.least_air:
            continue
        spread = _RULES.mad_to_sigma * float(np.median(np.abs(mean - np.median(mean))))
        sure = mean.size >= _RULES.sure_blocks
        if spread < (_RULES.mottled_hu if sure else _RULES.unsure * _RULES.mottled_hu):
            out.append((int(mean.size), float(np.quantile(mean, _RULES.air_quantile))))
    return out


def _darkest(pieces: Sequence[tuple[int, float]]) -> ReferencePoint | None:
    """Return the HU of the darkest tenth of the components: mattress foam and blankets are brighter."""
    total = sum(size for size, _ in pieces)
    if total < _RULES.least_total:
        return None
    seen = 0
    for size, hu in sorted(pieces, key=lambda piece: piece[1]):
        seen += size
        if seen >= _RULES.darkest * total:
            return ReferencePoint(hu, total)
    return None


def _homogeneous(plane: Plane) -> npt.NDArray[np.float32]:
    """Return mean and local range of the blocks that can be fat or soft tissue, shape (2, n)."""
    from scipy import ndimage

    mean = plane.mean
    spread = ndimage.maximum_filter(mean, 3) - ndimage.minimum_filter(mean, 3)
    chosen = (mean > _RULES.fat_hu[0]) & (mean < _RULES.tissue_hu[1])
    chosen &= ~ndimage.binary_dilation(plane.padding, iterations=_RULES.margin)
    return np.stack([mean[chosen], spread[chosen]])


def _peak(blocks: npt.NDArray[np.float32], low: float, high: float) -> ReferencePoint | None:
    """Return the first high peak of the more homogeneous blocks with a mean in (low, high)."""
    from scipy import ndimage

    mean, spread = blocks[:, (blocks[0] > low) & (blocks[0] < high)]
    if mean.size < _RULES.least_blocks:
        return None
    mean = mean[spread <= np.quantile(spread, _RULES.homogeneous)]
    counts, edges = np.histogram(mean, bins=np.arange(low, high + _RULES.bin_hu, _RULES.bin_hu))
    smooth = ndimage.gaussian_filter1d(counts.astype(float), _RULES.smooth_bins)
    peaks = _tops(smooth)  # a slope that leaves the range is not a peak
    if peaks.size == 0:
        return None
    # The lowest of several high peaks: muscle rather than contrast-enhanced blood or liver.
    best = int(peaks[smooth[peaks] >= _RULES.high_peak * smooth[peaks].max()][0])
    return ReferencePoint(float(edges[best] + _RULES.bin_hu / 2), int(mean.size))


def _tops(values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return the local maxima; the middle of a plateau.

    As scipy.signal.find_peaks, whose import takes longer than the whole check.
    """
    steps = np.sign(np.diff(values))
    moves = np.flatnonzero(steps)
    turn = (steps[moves][:-1] > 0) & (steps[moves][1:] < 0)
    out: npt.NDArray[np.intp] = (moves[:-1][turn] + 1 + moves[1:][turn]) // 2
    return out


def calibration_flags(found: Calibration) -> tuple[Flag, ...]:
    """Check a calibration: ``calibration_off``, ``calibration_unknown``, or no flag."""
    air, tissue = rate_air(found), _rate(found.soft_tissue, LIMITS.tissue_hu, (0.0, np.inf))
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
        message = Sentence(
            "{text}: density, air and weight are withheld. Export the scan again in HU, or use "
            "{set:calibrate} to correct the scale linearly.",
            text=text,
        )
        reason = "The HU scale of this scan off."
        forbids = ("density", "mass")
        return (Flag(FlagCode.CALIBRATION_OFF, Severity.ERROR, message, forbids=forbids, reason=reason),)
    todo = (
        Sentence("{set:calibrate} corrects the scale linearly")
        if air
        else "compare with a scan of the same scanner"
    )
    message = Sentence("{text}: density and weight may be off a little; {todo}.", text=text, todo=todo)
    return (Flag(FlagCode.CALIBRATION_OFF, Severity.WARNING, message),)


def rate_air(found: Calibration) -> int | None:
    """Return 0 (normal), 1 (warning) or 2 (error) for the air of a scan; None if no air was found."""
    if found.outside_air is not None:
        return _rate(found.outside_air, (LIMITS.air_hu, LIMITS.air_hu), LIMITS.air_off_hu)
    return _rate(found.tracheal_air, LIMITS.trachea_hu, LIMITS.trachea_off_hu)


def _rate(point: ReferencePoint | None, allowed: tuple[float, float], off: tuple[float, float]) -> int | None:
    """Return 0, 1 or 2 for a point within ``off`` = (warning, error) HU of the range ``allowed``."""
    if point is None:
        return None
    beyond = max(allowed[0] - point.hu, point.hu - allowed[1], 0.0)
    return 2 if beyond > off[1] else int(beyond > off[0])


def _air_in_words(found: Calibration) -> str:
    point = found.outside_air or found.tracheal_air
    assert point is not None
    where, usual = (
        ("around the body", f"{LIMITS.air_hu:.0f}")
        if found.outside_air
        else ("in the trachea", f"about {_RULES.trachea_hu:.0f}")
    )
    # A lung is mostly air, so most of a shift of air shows in its weight.
    grams = _RULES.lung_air * (point.hu - (LIMITS.air_hu if found.outside_air else _RULES.trachea_hu))
    return (
        f"air {where} measures {point.hu:.0f} HU instead of {usual}, so that a litre of lung would weigh "
        f"some {abs(grams):.0f} g too {'much' if grams > 0 else 'little'}"
    )


def _unknown() -> Flag:
    message = (
        "Neither air around the body nor air in the trachea was found, so the HU scale could not be checked; "
        "compare the mean HU with another scan of the same scanner."
    )
    return Flag(FlagCode.CALIBRATION_UNKNOWN, Severity.INFO, message)
