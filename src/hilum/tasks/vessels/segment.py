"""Vessels in the lungs: a line filter decides on shape, contrast with the parenchyma on extent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS, VESSELS, LabelInfo, LabelSet
from hilum.core.segmentation import ModelInfo, Progress, Segmentation
from hilum.core.volume import Volume
from hilum.imaging.morphology import Mask, components, depth, dilate, distance_to, touching
from hilum.imaging.shape_filters import Contrast, tubeness
from hilum.tasks.vessels.coarse import Coarse
from hilum.tasks.vessels.hollow import hollow
from hilum.tasks.vessels.nodules import nodules
from hilum.tasks.vessels.prepare import Floats, VesselScan, prepare

__all__ = [
    "KNOWN_AIRWAYS",
    "LEFT_OUT",
    "MODEL",
    "RULES",
    "FoundVessels",
    "VesselRules",
    "find_vessels",
    "segment_vessels",
]

MODEL = ModelInfo("vessels", "1.1")
#: Fact of a segmentation: 1 where the airways were known, else 0.
KNOWN_AIRWAYS = "known_airways"
#: What lies beside vessels and is none.
LEFT_OUT = LabelSet(
    name="left_out",
    version="1.0",
    definition="What lies beside vessels in the lungs and is none: airways with their walls, dense tissue.",
    labels=(
        LabelInfo(1, "airway", "Airway with its wall", (230, 159, 0), "89187006"),
        LabelInfo(2, "dense_tissue", "Dense tissue", (120, 120, 120), "85756007"),
    ),
)


@dataclass(frozen=True)
class VesselRules:
    """Constants of the method. Chosen on digital chests of seeds 100 to 102 and by eye on real scans.

    Attributes:
        scales_mm: Standard deviations of the line filter; a tube of radius r answers most at 0.7 r.
        wide_scale_mm: That of the vessels as wide as they get within the lungs, radius 4 to 8 mm.
        coarse_mm: Scale from which the filter runs on blocks of voxels.
        lumen_scales_mm: Scales of the filter for dark tubes.
        lumen_coarse_mm: As ``coarse_mm``, for lumens.
        least_hu: Contrast of a vessel; a tube of 0.3 mm radius has more on 1 mm voxels.
        seed_hu: Contrast that some voxels of each vessel have.
        seed_noise: The same, in standard deviations of the parenchyma.
        least_noise: As ``least_hu``, in standard deviations of the parenchyma.
        ratio: Least response of the line filter as a share of the contrast: 0.2 to 0.25 on the axis of a
            tube, 0.06 on the median voxel of the wall of an airway, 0 in a plate.
        seed_ratio: Share that some voxels of each vessel have.
        wall_ratio: Share that voxels beside a lumen have, where walls lie.
        lumen_hu: Response of the line filter for dark tubes in the lumen of an airway.
        lumen_most_hu: Contrast of the middle of a lumen at most; blur lets the wall shine in.
        lumen_noise: The same, in standard deviations of the parenchyma.
        lumen_mm3: Least volume of a lumen: dark noise is smaller.
        wall_mm: Walls lie within this distance of a lumen.
        wall_depth_mm: Walls are no deeper than this in solid tissue.
        halo_mm: The wall of a known airway shines this far beyond its voxels: no axis of a vessel lies there,
            and no border but that of solid tissue.
        solid_hu: Contrast of tissue without air.
        blood_hu: Contrast of blood in a vessel wider than the blur: half of the usual.
        solid_mm: Depth in tissue of that contrast from which it is a wide vessel.
        wide_rim_mm: Voxels as near to that as this are its rim, not the wall of an airway.
        hazy_mm: Depth in a vessel at which nothing but blood shines in.
        body_mm: Depth in solid tissue of what is no vessel, unless ``wide_scale_mm`` sees a tube.
        body_ratio: Response at ``wide_scale_mm`` as a share of the contrast, from which it is a tube.
        body_mm3: Least volume of that: where wide vessels meet they are no tubes either.
        body_rim_mm: Solid tissue within this distance of that is its rim.
        hazy_mm3: Least volume of what lies so deep and is no blood.
        half: A vessel ends at this share of the largest contrast near by.
        half_mm: What near by means.
        least_mm3: Least volume of a separate vessel.
    """

    scales_mm: tuple[float, ...] = (0.7, 1.0, 1.5, 2.2, 3.2)
    wide_scale_mm: float = 5.0
    coarse_mm: float = 2.0
    lumen_scales_mm: tuple[float, ...] = (0.8, 1.2, 1.7, 2.4)
    lumen_coarse_mm: float = 1.6
    least_hu: float = 110.0
    seed_hu: float = 180.0
    least_noise: float = 3.0
    seed_noise: float = 5.0
    ratio: float = 0.12
    seed_ratio: float = 0.17
    wall_ratio: float = 0.18
    lumen_hu: float = 38.0
    lumen_most_hu: float = 200.0
    lumen_noise: float = 1.0
    lumen_mm3: float = 15.0
    wall_mm: float = 2.0
    wall_depth_mm: float = 1.5
    halo_mm: float = 1.0
    solid_hu: float = 350.0
    blood_hu: float = 480.0
    solid_mm: float = 1.6
    wide_rim_mm: float = 2.0
    hazy_mm: float = 2.4
    hazy_mm3: float = 30.0
    body_mm: float = 4.5
    body_ratio: float = 0.06
    body_rim_mm: float = 9.0
    body_mm3: float = 300.0
    half: float = 0.5
    half_mm: float = 1.0
    least_mm3: float = 8.0


RULES = VesselRules()


@dataclass(frozen=True, eq=False)
class FoundVessels:
    """What was found in a cropped scan.

    Attributes:
        vessels: The vessels.
        walls: Voxels beside a lumen that look like its wall; all of the airways where these are known.
        bodies: Dense tissue too thick for a vessel.
    """

    vessels: Mask
    walls: Mask
    bodies: Mask


def segment_vessels(
    volume: Volume,
    lungs: LabelVolume,
    progress: Progress | None = None,
    *,
    airways: LabelVolume | None = None,
) -> Segmentation:
    """Find the vessels in the lungs of a scan.

    Args:
        volume: The scan.
        lungs: The lungs on its grid.
        progress: Called with the part done and what is being done.
        airways: Lumen and wall of the airways on its grid; without them walls are recognised by the dark
            tubes beside them, which finds less of them.

    Returns:
        Label map of the label set ``vessels``; beside it ``lungs`` and :data:`LEFT_OUT`.

    Raises:
        HilumError: As :func:`hilum.tasks.vessels.prepare.prepare`.
        GeometryError: The airways lie elsewhere.
    """
    if airways is not None:
        airways.require_grid_of(volume)
    tell = progress or (lambda fraction, what: None)
    tell(0.0, "parenchyma")
    scan = prepare(volume, lungs)
    tell(0.2, "vessels")
    found = find_vessels(scan, None if airways is None else scan.crop(airways) > 0)
    left_out = scan.restore(found.walls).astype(np.uint8)
    left_out[scan.restore(found.bodies)] = 2
    return Segmentation(
        LabelVolume.on_grid_of(volume, scan.restore(found.vessels).astype(np.uint8), VESSELS),
        MODEL,
        beside={LUNGS.name: lungs, LEFT_OUT.name: LabelVolume.on_grid_of(volume, left_out, LEFT_OUT)},
        facts={KNOWN_AIRWAYS: float(airways is not None)},
        prepared=scan.known,
    )


def find_vessels(scan: VesselScan, airways: Mask | None = None, rules: VesselRules = RULES) -> FoundVessels:
    """Find the vessels in a cropped scan.

    Args:
        scan: The scan.
        airways: Airways with their walls, where they are known.
        rules: Constants of the method.

    Returns:
        Masks of the shape of the crop.
    """
    # Beyond the lungs lies as much as parenchyma: no edge there, so no response to it.
    contrast = np.where(scan.inside, scan.hu - scan.parenchyma, np.float32(0))
    least = max(rules.least_hu, rules.least_noise * scan.noise_hu)
    tubes, widest = _tubes(contrast, scan, least, rules)
    solid = contrast > rules.solid_hu
    solid_depth = depth(np.pad(solid, 1), scan.spacing)[1:-1, 1:-1, 1:-1]
    bodies = _bodies(contrast, solid_depth, widest, scan, rules)
    bodies |= nodules(solid, solid_depth, scan.inside, scan.spacing)
    tubes = np.maximum(tubes, widest, out=tubes)
    core, seed = _cores(contrast, tubes, scan, least, rules)
    wide = _wide(contrast, bodies, scan, rules) & (tubes > rules.body_ratio * contrast)
    beside_wide = distance_to(wide, scan.spacing) <= rules.wide_rim_mm
    small = hollow(core, scan) & ~beside_wide
    if airways is None:
        walls = _walls(contrast, tubes, scan, rules)
        seed &= ~walls
        walls &= solid_depth <= rules.wall_depth_mm
        walls = (walls & ~beside_wide) | small
        core = (core & ~walls) | wide
    else:
        near = dilate(airways, rules.halo_mm, scan.spacing)
        core = (core & ~near & ~small) | (wide & ~airways)
        walls = airways | small | (near & (contrast < rules.solid_hu))
    core &= ~bodies
    core = _with_seeds(core, seed, scan, rules)
    vessels = _to_half_contrast(core, contrast, bodies | walls, scan, least, rules)
    hazy = _hazy(vessels, contrast, scan, rules)
    if hazy.any():
        bodies |= hazy
        vessels = _with_seeds(vessels & ~hazy, seed, scan, rules)
    return FoundVessels(vessels, walls & ~vessels, bodies & ~vessels)


def _tubes(contrast: Floats, scan: VesselScan, least: float, rules: VesselRules) -> tuple[Floats, Floats]:
    """Response of the line filter, and that of the widest tubes alone."""
    fine = [scale for scale in rules.scales_mm if scale < rules.coarse_mm]
    broad = [scale for scale in rules.scales_mm if scale >= rules.coarse_mm]
    tubes = tubeness(contrast, scan.spacing, fine, mask=contrast > least)
    coarse = Coarse.of(contrast, scan.spacing)
    np.maximum(tubes, coarse.tubeness(broad, coarse.image > least), out=tubes)
    return tubes, coarse.tubeness([rules.wide_scale_mm], coarse.image > rules.solid_hu)


def _cores(
    contrast: Floats, tubes: Floats, scan: VesselScan, least: float, rules: VesselRules
) -> tuple[Mask, Mask]:
    """Voxels near the axes of tubes, and those that a vessel must have some of."""
    core = (contrast > least) & (tubes > rules.ratio * contrast)
    seed = core & (contrast > max(rules.seed_hu, rules.seed_noise * scan.noise_hu))
    seed &= tubes > rules.seed_ratio * contrast
    return core, seed


def _walls(contrast: Floats, tubes: Floats, scan: VesselScan, rules: VesselRules) -> Mask:
    """Voxels beside a lumen that are no axis of a tube."""
    beside: Mask = distance_to(_lumens(contrast, scan, rules), scan.spacing) <= rules.wall_mm
    beside &= tubes < rules.wall_ratio * contrast
    return beside


def _lumens(contrast: Floats, scan: VesselScan, rules: VesselRules) -> Mask:
    """Lumens of airways: dark tubes of some length.

    A lumen narrower than the blur is no darker than parenchyma, but it is darker than its wall.
    """
    clipped = np.minimum(contrast, np.float32(rules.solid_hu))
    valley = scan.inside & (contrast < rules.lumen_most_hu)
    fine = [scale for scale in rules.lumen_scales_mm if scale < rules.lumen_coarse_mm]
    broad = [scale for scale in rules.lumen_scales_mm if scale >= rules.lumen_coarse_mm]
    dark = tubeness(clipped, scan.spacing, fine, contrast=Contrast.DARK, mask=valley)
    coarse = Coarse.of(clipped, scan.spacing)
    np.maximum(dark, coarse.tubeness(broad, coarse.image < rules.lumen_most_hu, Contrast.DARK), out=dark)
    lumen = valley & (dark > max(rules.lumen_hu, rules.lumen_noise * scan.noise_hu))
    # The filter answers near the axis; a voxel on, it is still lumen.
    return touching(_larger(lumen, rules.lumen_mm3, scan)) & valley


def _bodies(
    contrast: Floats, solid_depth: Floats, wide: Floats, scan: VesselScan, rules: VesselRules
) -> Mask:
    """Solid tissue too thick for a vessel, with its rim: consolidation, masses."""
    deep = (solid_depth > rules.body_mm) & (wide < rules.body_ratio * contrast)
    deep = _larger(deep, rules.body_mm3, scan)
    if not deep.any():
        return deep
    away = distance_to(deep, scan.spacing)
    # The outermost layer of the lungs counts here: dense tissue is often where a mask is too wide.
    dense = (scan.lungs > 0) & (scan.hu - scan.parenchyma > rules.solid_hu)
    near: Mask = away <= rules.body_mm + max(scan.spacing)
    return near | (dense & (away <= rules.body_rim_mm))


def _wide(contrast: Floats, bodies: Mask, scan: VesselScan, rules: VesselRules) -> Mask:
    """Inner voxels of wide vessels, which filters for thin tubes do not see; none beside dense tissue."""
    blood = contrast > rules.blood_hu
    wide: Mask = depth(np.pad(blood, 1), scan.spacing)[1:-1, 1:-1, 1:-1] > rules.solid_mm
    if bodies.any():
        wide &= distance_to(bodies, scan.spacing) > rules.body_mm
    return wide


def _hazy(vessels: Mask, contrast: Floats, scan: VesselScan, rules: VesselRules) -> Mask:
    """Places too wide for a vessel of their density, such as ground glass: deep in a vessel lies blood."""
    inner = depth(np.pad(vessels, 1), scan.spacing)[1:-1, 1:-1, 1:-1] > rules.hazy_mm
    inner = _larger(inner & (contrast < rules.blood_hu), rules.hazy_mm3, scan)
    return dilate(inner, rules.hazy_mm + max(scan.spacing), scan.spacing)


def _with_seeds(core: Mask, seed: Mask, scan: VesselScan, rules: VesselRules) -> Mask:
    """Keep the components that hold a seed and are large enough."""
    labels, sizes = components(core, 26)
    seeds = np.bincount(labels[seed], minlength=len(sizes))
    keep = (seeds > 0) & (sizes * np.prod(scan.spacing) >= rules.least_mm3)
    keep[0] = False
    out: Mask = keep[labels]
    return out


def _larger(mask: Mask, least_mm3: float, scan: VesselScan) -> Mask:
    """Keep the components of at least some volume."""
    labels, sizes = components(mask, 26)
    keep = sizes * np.prod(scan.spacing) >= least_mm3
    keep[0] = False
    out: Mask = keep[labels]
    return out


def _to_half_contrast(
    core: Mask, contrast: Floats, other: Mask, scan: VesselScan, least: float, rules: VesselRules
) -> Mask:
    """Widen the cores to where the contrast falls to about half of that of the vessel."""
    from scipy import ndimage

    peak = np.where(core, contrast, np.float32(0))
    size = [2 * int(np.ceil(rules.half_mm / step)) + 1 for step in scan.spacing]
    peak = ndimage.maximum_filter(peak, size)
    whole = np.where(scan.lungs > 0, scan.hu - scan.parenchyma, np.float32(0))
    out: npt.NDArray[np.bool_] = (peak > 0) & (whole > np.maximum(rules.half * peak, least)) & ~other
    return out
