"""The limits at which quality flags are raised: one place for the checks and for the sentences about them.

All were chosen by hand so that valid scans raise no flag; the evidence, if any, is given with the limit.
None was tuned on a measure of accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass

from hilum.core.constants import AIR_HU

__all__ = ["LIMITS", "FlagLimits"]


@dataclass(frozen=True)
class FlagLimits:
    """Limits of the quality gate. Pairs are (low, high) unless the text says (warning, error)."""

    air_hu: float = AIR_HU
    """HU of air by definition."""
    air_off_hu: tuple[float, float] = (30.0, 60.0)
    """(Warning, error) deviation of the air round the body from ``air_hu``, HU. In scans in true HU it was
    found within 41 HU, in rescaled ones it was off by over 150."""
    trachea_hu: tuple[float, float] = (-1015.0, -930.0)
    """HU of air in the trachea, which reads a little high: it is narrow, and the body scatters."""
    trachea_off_hu: tuple[float, float] = (30.0, 90.0)
    """(Warning, error) distance beyond ``trachea_hu``, HU."""
    tissue_hu: tuple[float, float] = (5.0, 110.0)
    """HU of the commonest homogeneous soft tissue: fat between muscle lowers it, contrast agent raises it."""
    tissue_target_hu: tuple[float, float] = (20.0, 60.0)
    """Range that a correction brings soft tissue into, HU: muscle and blood lie near 40."""
    pixel_mm: tuple[float, float] = (0.2, 10.0)
    """Pixel sizes of a chest CT, mm; order of magnitude of any scanner's."""
    width_mm: tuple[float, float] = (80.0, 1000.0)
    """Widths of a chest CT, mm: a newborn's to beyond the bore of a scanner."""
    few_slices: int = 10
    """A scan with fewer slices cannot hold whole lungs."""
    thick_mm: float = 5.0
    """Thickest slices for densities, mm."""
    thick_slack_mm: float = 0.05
    """Rounding of a thickness in a header, mm."""
    gap_share: float = 0.9
    """Least thickness of slices as a share of their distance."""
    anisotropy: float = 5.0
    """Largest ratio of slice distance to pixel size."""
    oblique_deg: float = 2.0
    """Angle between the planes and the patient's axes, degrees."""
    sharp_siemens: int = 50
    """Least number in the name of a sharp kernel of Siemens, such as B70f."""
    cut_cm2: tuple[float, float] = (1.0, 4.0)
    """(Warning, error) lung area in an end face, cm2. The tip of a lung in the last slice hides a few mL at
    most; a cut of the second size can hide tens."""
    padding_hu: float = -1250.0
    """HU that not even the noise of air reaches."""
    padding_percent: tuple[float, float] = (0.1, 2.0)
    """(Warning, error) share of a lung's voxels below ``padding_hu``, %."""
    failure: float = 0.5
    """Probability of a poor segmentation from which a result is flagged: more likely than not."""
    poor_dice: float = 0.95
    """Dice against a careful reader below which a segmentation is called poor (as the calibration was)."""
    lung_ml: tuple[float, float] = (150.0, 6000.0)
    """Volumes of one lung, mL: below, it is collapsed, cut or a child's; above, no person has it."""
    both_ml: float = 10_000.0
    """Largest volume of both lungs, mL; no person has more."""
    side_ratio: float = 0.5
    """Least volume of the smaller lung as a share of the larger."""
    main_piece: float = 0.95
    """Least share of a lung's mask that is one piece."""
    mean_hu: tuple[float, float] = (-960.0, -250.0)
    """Mean HU of a lung: from severe emphysema to lung without air."""
    pleural_fluid_ml: float = 10.0
    """Least pleural fluid, mL: a healthy pleural space holds less on both sides together. In 15 scans without
    a known effusion, some of them of the training, the network found 0 mL; the smallest of four that have one
    gave 21 mL."""
    pleural_gas_ml: float = 10.0
    """Least free gas in the pleural space, mL: more than the noise of a few voxels. In 20 scans
    without a known pneumothorax, some of them of the training, the network found 0 mL."""
    airways_thin_mm: float = 2.0
    """Thickest slices for the whole tree of the airways, mm: about the smallest lumen that 1 mm shows."""
    airways_segmental_mm: float = 3.5
    """Thickest slices for airways beyond the central ones, mm: about the lumen of a segmental bronchus."""
    airway_leak_ml: tuple[float, float] = (0.3, 1.0)
    """(Info, warning) volume of the airways removed as a leak, mL: more than the stray voxels of
    phantoms without a leak; a lobar bronchus."""
    vessels_thin_mm: float = 1.5
    """Thickest slices for the volume of vessels by calibre, mm: a vessel of 5 mm2 is 2.5 mm wide."""
    vessels_total_mm: float = 3.0
    """Thickest slices for the volume of all vessels, mm."""
    airways_ml: tuple[float, float] = (30.0, 150.0)
    """Plausible (least, largest) volume of the lumen of an adult, trachea included, mL: the best trees of
    four scans of ATM'22 hold 40 to 63 mL."""
    airways_in_lungs_ml: float = 0.5
    """Least volume of the airways within the lungs, mL: less than the segmental bronchi hold."""
    fissure_seen: float = 20.0
    """Least part of a fissure that is seen, %: below, its place is that of the shape prior."""
    lobe_share: float = 0.04
    """Least volume of a lobe as a share of its lung; the smallest, the middle lobe, holds 10 to 20 %."""
    injury_thick_mm: float = 2.5
    """Thickest voxels for the classes of injured lung, mm."""
    injury_noise_hu: float = 60.0
    """Noise between neighbouring voxels up to which the classes of injured lung are used, HU."""
    injury_expected_hu: tuple[float, float] = (-950.0, -740.0)
    """HU expected of the patient's own lung: below, emphysema of the whole lung and a wrong HU scale are not
    distinguished; above, expiration and disease of the whole lung."""
    metal_hu: int = 3000
    """HU above which is metal. In the lung masks of 28 scans without a lead, with contrast medium, calcified
    nodes and rims of ribs among them, the highest voxel had 2972 HU; 12 bits end at 3071, where metal is
    clipped."""
    orientation_side: float = 0.5
    """Least aerated tissue of one lung as a share of the other's for telling right from left: where one lung
    is smaller the heart may have moved."""
    orientation_mm: float = 80.0
    """Least height of the planes that separate head from foot, mm."""


#: The limits of this version.
LIMITS = FlagLimits()
