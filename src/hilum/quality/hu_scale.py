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
from hilum.core.sentences import Sentence
from hilum.core.volume import Volume
from hilum.quality.sampling import FewPlanes, Plane, block_any

__all__ = ["Calibration", "ReferencePoint", "calibration", "calibration_flags", "rate_air"]


@dataclass(frozen=True)
class CalibrationRules:
    """How air, soft tissue and fat are found among blocks of about 3 mm. Not tuned; orders of magnitude.

    Attributes:
        tissue_hu, fat_hu: HU between which their commonest value is looked for, wide enough for a scale that
            is off.
        bin_hu, smooth_bins: Width of the bins that are counted, and sigma of their smoothing in bins.
        homogeneous: Share of the blocks, the most homogeneous ones, that are counted.
        least_blocks: Fewer blocks give no peak.
        high_peak: Share of the highest peak from which another one counts as high.
        dark_hu: Darker than this is air or lung.
        margin: Blocks round padding and at the rim of a piece that mix air with something else.
        least_air: A piece with fewer inner blocks gives no HU.
        mottled_hu: Spread of the block means from which a piece is no room air: lung that a crop cuts has
            vessels.
        sure_blocks, unsure: With fewer blocks the spread is unsure: this share of ``mottled_hu`` is allowed.
        air_quantile: Quantile of the block means that is the air's HU: blankets and foam only brighten it.
        least_total: With fewer blocks of air in all there is none.
        darkest: Share of the air, the darkest pieces, that gives its HU: foam and blankets are lighter.
        mad_to_sigma: Standard deviation of a normal distribution by its median absolute deviation.
        lung_air: Share of air in a lung, for the sentence that says what a shift does to its weight.
        trachea_hu: Usual HU of air in the trachea, for that sentence.
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
    """Return size in blocks and HU of each homogeneous piece of air that touches the edge.

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
    """Return the value of the darkest pieces that make up a tenth: mattress foam and blankets are lighter."""
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
    peaks = _tops(smooth)  # a slope that runs out of the range is no peak
    if peaks.size == 0:
        return None
    # Of several high peaks the lowest: muscle rather than blood or liver with contrast agent.
    best = int(peaks[smooth[peaks] >= _RULES.high_peak * smooth[peaks].max()][0])
    return ReferencePoint(float(edges[best] + _RULES.bin_hu / 2), int(mean.size))


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
    """Check a calibration: ``calibration_off``, ``calibration_unknown``, or nothing where all is well."""
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
            "{text}: density, air and weight are withheld. Get the scan again in true HU, or use "
            "{set:calibrate} to correct the scale linearly.",
            text=text,
        )
        reason = "The HU scale of this scan is off."
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
    """Return 0 (in order), 1 (to be checked) or 2 (off) for the air of a scan; None where none was seen."""
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
        ("round the body", f"{LIMITS.air_hu:.0f}")
        if found.outside_air
        else ("in the trachea", f"about {_RULES.trachea_hu:.0f}")
    )
    # A lung is mostly air, so most of the shift at the air end shows in its weight.
    grams = _RULES.lung_air * (point.hu - (LIMITS.air_hu if found.outside_air else _RULES.trachea_hu))
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
