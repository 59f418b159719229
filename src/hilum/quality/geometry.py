"""Checks that need no lungs: spacing, slices, orientation, acquisition, and notes of the reader."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.volume import ScanMeta, Volume

__all__ = ["acquisition_flags", FlagCode.FEW_SLICES, "geometry_flags", "note_flags"]

_ALONG = ("from right to left", "from front to back", "from head to foot")  # canonical axes
_AMOUNTS = ("volume", "mass")

_NOTE_SPACING = frozenset({FlagCode.SPACING_UNKNOWN, FlagCode.SLICE_THICKNESS_UNKNOWN})
_NO_AMOUNTS = "Volume, air and weight are withheld; percentages and densities remain valid."

#: Kernels by number: Siemens (B70f, I70f, Bl57, Br64 ...) from 50 on, Canon FC50 to FC59 and FC80 to FC89.
_SIEMENS = re.compile(r"^[BIQHUDTJ][a-z]?(\d{2})", re.ASCII)
_CANON = re.compile(r"^FC(5|8)\d", re.ASCII)
_SHARP_NAMES = frozenset({"LUNG", "BONE", "BONEPLUS", "EDGE", "ULTRA", "L", "E", "YD"})

_CHEST_WORDS = ("CHEST", "THORAX", "LUNG", "TORSO", "BODY", "TRUNK", "PULMON", "POUMON", "TORAX", "CARDIAC",
                "HEART", "PARTIAL", "WHOLE", "TAP", "CAP", "NECK")  # fmt: skip


def geometry_flags(volume: Volume) -> Iterator[Flag]:
    """Yield the findings on spacing, slices and orientation."""
    canonical = volume.canonical()
    if volume.meta.spacing_known:
        yield from _spacing(canonical)
        yield from _slices(canonical)
    elif not _NOTE_SPACING.intersection(code for code, _ in volume.meta.notes):
        yield _no_spacing(FlagCode.SPACING_UNKNOWN, "The file holds no voxel size.")
    if few_slices(volume):
        yield _few_slices(canonical)
    if not volume.meta.orientation_known:
        if not any(code.startswith("orientation_") for code, _ in volume.meta.notes):
            message = (
                "The file does not state the patient's orientation: right and left may be swapped. Compare "
                "with the original."
            )
            yield Flag(FlagCode.ORIENTATION_UNKNOWN, Severity.WARNING, message)
    else:
        yield from _oblique(canonical)


def few_slices(volume: Volume) -> bool:
    """Whether the scan has so few slices that it cannot hold whole lungs."""
    return min(volume.shape) < LIMITS.few_slices


def _spacing(canonical: Volume) -> Iterator[Flag]:
    axis = _slice_axis(canonical)
    in_plane = [s for n, s in enumerate(canonical.spacing) if n != axis]
    width = max(s * n for s, n in zip(canonical.spacing[:2], canonical.shape[:2], strict=True))
    low, high = LIMITS.pixel_mm
    if min(in_plane) < low or max(in_plane) > high or not LIMITS.width_mm[0] <= width <= LIMITS.width_mm[1]:
        size = " x ".join(f"{s:.3g}" for s in canonical.spacing)
        message = (
            f"Voxels of {size} mm and slices {width:.0f} mm wide do not occur in chest CT; volume, air "
            "and weight are withheld. Check the unit of the spacing in the header."
        )
        yield Flag(
            FlagCode.SPACING_IMPLAUSIBLE,
            Severity.ERROR,
            message,
            forbids=_AMOUNTS,
            reason=f"Voxels of {size} mm and slices {width:.0f} mm wide do not occur in chest CT.",
        )
    elif canonical.spacing[axis] > LIMITS.anisotropy * min(in_plane) and canonical.shape[axis] > 1:
        message = (
            f"Slices lie {canonical.spacing[axis]:.3g} mm apart with pixels of {min(in_plane):.3g} mm: small "
            f"structures and the lung borders are coarse {_ALONG[axis]}."
        )
        yield Flag(FlagCode.ANISOTROPIC, Severity.INFO, message)


def _slices(canonical: Volume) -> Iterator[Flag]:
    """Check distance and thickness of slices; of a single slice only if it is axial."""
    axis = _slice_axis(canonical)
    single = canonical.shape[axis] == 1
    if single and axis != 2:
        return
    distance, thickness = canonical.spacing[axis], canonical.meta.slice_thickness
    thickest = max(0.0 if single else distance, thickness or 0.0)
    if thickest > LIMITS.thick_mm + LIMITS.thick_slack_mm:
        message = (
            f"The slices are {thickest:.3g} mm thick: LAA, percentiles and aeration compartments shift "
            "towards the mean. Compare with scans of the same thickness only, or reconstruct at 1 to 3 mm."
        )
        yield Flag(FlagCode.THICK_SLICES, Severity.WARNING, message)
    if not single and thickness and thickness < LIMITS.gap_share * distance:
        share = 100 * (1 - thickness / distance)
        message = (
            f"Slices of {thickness:.3g} mm lie {distance:.3g} mm apart, so {share:.0f} % of the chest was "
            "not imaged; volume and weight assume that the gaps resemble the slices."
        )
        yield Flag(FlagCode.SLICE_GAPS, Severity.WARNING, message)


def _slice_axis(canonical: Volume) -> int:
    """Return the axis of a canonical volume across its acquired slices.

    It is that of a single slice, that given in the file (a coronal series: from back to front), or, if
    it is not given, from foot to head.
    """
    if 1 in canonical.shape:
        return int(np.argmin(canonical.shape))
    across = canonical.meta.slice_axis
    return 2 if across is None else across


def _few_slices(canonical: Volume) -> Flag:
    count = min(canonical.shape)
    what = "a single slice" if count == 1 else f"only {count} slices"
    message = (
        f"This is {what}: volume, air and weight of whole lungs are unknown; percentages and densities are "
        "those of what was imaged."
    )
    reason = f"The scan is {what}."
    return Flag(FlagCode.FEW_SLICES, Severity.ERROR, message, forbids=_AMOUNTS, reason=reason)


def _oblique(canonical: Volume) -> Iterator[Flag]:
    cosines = canonical.affine[:3, :3] / np.linalg.norm(canonical.affine[:3, :3], axis=0)
    angle = float(np.degrees(np.arccos(np.clip(np.abs(np.diag(cosines)), 0, 1)).max()))
    if angle > LIMITS.oblique_deg:
        message = (
            f"The planes are {angle:.0f} degrees oblique; the thirds of the lungs follow the patient's axes, "
            "not the planes."
        )
        yield Flag(FlagCode.OBLIQUE, Severity.INFO, message)


def acquisition_flags(meta: ScanMeta) -> Iterator[Flag]:
    """Yield the findings on kernel, contrast, position, modality and body part."""
    if is_sharp(meta.kernel):
        message = (
            f"The kernel {meta.kernel} is sharp: its noise raises LAA-950 and LAA-910 and lowers the low "
            "percentiles. Volume, weight and air remain valid; for densities use a soft kernel."
        )
        yield Flag(FlagCode.SHARP_KERNEL, Severity.WARNING, message)
    if meta.contrast:
        message = "Contrast agent was given: it slightly raises the CT lung weight and the mean HU."
        yield Flag(FlagCode.CONTRAST, Severity.INFO, message)
    position = meta.patient_position.upper()
    if position.endswith("P") and len(position) == 3:
        message = "The patient is prone: ventral and dorsal refer to the patient's own front and back."
        yield Flag(FlagCode.PRONE, Severity.INFO, message)
    if position.endswith(("DL", "DR")):
        message = "The patient is in a lateral decubitus position: the dependent lung is smaller and denser."
        yield Flag(FlagCode.LATERAL_POSITION, Severity.INFO, message)
    if position.startswith("FF"):
        message = "The patient was scanned feet first; right and left are as in the header."
        yield Flag(FlagCode.FEET_FIRST, Severity.INFO, message)
    if meta.modality and meta.modality.upper() != "CT":
        message = f"The modality is {meta.modality}, not CT: check that the values are HU."
        yield Flag(FlagCode.MODALITY_MISMATCH, Severity.WARNING, message)
    part = meta.body_part.upper()
    if part and not any(word in part for word in _CHEST_WORDS):
        message = f"The header names the body part {meta.body_part}, not the chest: look at the masks."
        yield Flag(FlagCode.BODY_PART_MISMATCH, Severity.WARNING, message)


def is_sharp(kernel: str) -> bool:
    """Whether a kernel is known by its name to be sharp (lung, bone, edge)."""
    name = kernel.strip().replace("\\", " ").split(" ")[0]
    siemens = _SIEMENS.match(name)
    if siemens:
        return int(siemens.group(1)) >= LIMITS.sharp_siemens
    return bool(_CANON.match(name)) or name.upper() in _SHARP_NAMES


def note_flags(meta: ScanMeta) -> Iterator[Flag]:
    """Convert the notes of the reader to flags."""
    for note, sentence in meta.notes:
        code = FlagCode.of(note)
        if code in _NOTE_SPACING and not meta.spacing_known:
            yield _no_spacing(code, sentence)
        else:
            severity = Severity.WARNING if Severity.WARNING in code.severities else Severity.INFO
            yield Flag(code, severity, sentence)


def _no_spacing(code: FlagCode, sentence: str) -> Flag:
    return Flag(
        code,
        Severity.ERROR,
        f"{sentence} {_NO_AMOUNTS}",
        forbids=_AMOUNTS,
        reason="The file holds no voxel size, so amounts are unknown.",
    )
