"""Every flag code: what it means, and what a person can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hilum.core.flags import Severity
from hilum.core.sentences import Sentence

__all__ = ["CODES", "FlagInfo"]

_INFO, _WARNING, _ERROR = Severity.INFO, Severity.WARNING, Severity.ERROR


@dataclass(frozen=True)
class FlagInfo:
    """One flag code.

    Attributes:
        code: The code.
        topic: What it is about, for the order of the documentation.
        severities: The severities it can have.
        meaning: When it is raised, with the limits.
        todo: What a person can do.
    """

    code: str
    topic: str
    severities: tuple[Severity, ...]
    meaning: str
    todo: str


_HU = "HU scale"
_GEOMETRY = "Geometry"
_ACQUISITION = "Acquisition"
_COVERAGE = "Coverage"
_LUNGS = "Lungs"
_READER = "From the reader"
_PROGRAM = "The program itself"

_ALL = (
    FlagInfo("calibration_off", _HU, (_WARNING, _ERROR),
        "Air round the body lies more than 30 HU (error: more than 60) from -1000. Where no such air is "
        "in the picture: air in the trachea lies more than 30 (error: 90) beyond -1015 to -930. Warning "
        "also where soft tissue lies outside 5 to 110 HU. An error withholds density, air and weight; "
        "volume stands.",
        Sentence(
            "Get the scan again in true HU; or use {set:calibrate}, which maps air to -1000 and soft tissue "
            "into 20 to 60 HU linearly."
        )),
    FlagInfo("calibration_unknown", _HU, (_INFO,),
        "Neither air round the body nor air in the trachea is in the picture; padding is no air.",
        "Compare with another scan of the same scanner."),
    FlagInfo("calibrated", _HU, (_WARNING,),
        "The HU scale was corrected on request; the message gives slope and offset.",
        "Compare with uncorrected scans with care."),
    FlagInfo("calibration_not_needed", _HU, (_INFO,),
        "A correction was asked for, but air lies within 30 HU of -1000; nothing was changed.", "Nothing."),
    FlagInfo("calibration_not_possible", _HU, (_WARNING,),
        "A correction was asked for, but no air round the body is in the picture; nothing was changed.",
        "Give a scan with a wider field of view."),
    FlagInfo("spacing_unknown", _GEOMETRY, (_ERROR,),
        "The file holds no voxel size. Volume, air and weight are withheld; percentages and densities "
        "stand.",
        "Give the original DICOM, or a format that holds the voxel size."),
    FlagInfo("slice_thickness_unknown", _GEOMETRY, (_INFO, _ERROR),
        "The file of a single slice holds no thickness, so volume, air and weight are withheld.",
        "Give the original DICOM."),
    FlagInfo("spacing_implausible", _GEOMETRY, (_ERROR,),
        "Pixels below 0.2 or above 10 mm, or a picture narrower than 80 mm or wider than 1 m. Volume, air "
        "and weight are withheld.",
        "Check the unit of the spacing in the header."),
    FlagInfo("few_slices", _GEOMETRY, (_ERROR,),
        "Fewer than 10 slices: whole lungs are not in the scan, so volume, air and weight are withheld; "
        "percentages and densities are those of the slices.",
        "Give the whole series."),
    FlagInfo("thick_slices", _GEOMETRY, (_WARNING,),
        "Slices thicker, or further apart, than 5 mm: LAA, percentiles and aeration move towards the "
        "mean.",
        "Reconstruct at 1 to 3 mm, or compare with scans of the same thickness only."),
    FlagInfo("slice_gaps", _GEOMETRY, (_WARNING,),
        "Slices thinner than 90 % of their distance: part of the chest was not imaged.",
        "Volume and weight assume that the gaps are like the slices."),
    FlagInfo("anisotropic", _GEOMETRY, (_INFO,),
        "Slices lie more than five pixels apart.", "Nothing; thirds from head to foot are coarse."),
    FlagInfo("oblique", _GEOMETRY, (_INFO,),
        "The planes stand more than 2 degrees from the patient's axes.",
        "Nothing; thirds follow the patient's axes."),
    FlagInfo("orientation_unknown", _GEOMETRY, (_WARNING,),
        "The file does not say how the patient lies: right and left may be swapped, front and back too.",
        "Compare with the original."),
    FlagInfo("orientation_assumed", _GEOMETRY, (_WARNING,),
        "A bare picture was taken as an axial slice in the usual display.", "Compare with the original."),
    FlagInfo("sharp_kernel", _ACQUISITION, (_WARNING,),
        "A lung, bone or edge kernel by its name (Siemens number from 50, Canon FC5x and FC8x, GE LUNG, "
        "BONE, BONEPLUS, EDGE, ULTRA, Philips L, E, YD). Its noise raises LAA and lowers the low "
        "percentiles.",
        "Take a soft reconstruction for densities; volume, weight and air hold."),
    FlagInfo("contrast", _ACQUISITION, (_INFO,),
        "The header names a contrast agent, which adds to the CT lung weight.", "Compare like with like."),
    FlagInfo("prone", _ACQUISITION, (_INFO,),
        "The header says prone. Ventral and dorsal stay the patient's own front and back.", "Nothing."),
    FlagInfo("lateral_position", _ACQUISITION, (_INFO,),
        "The header says that the patient lies on the side.", "Compare right and left with care."),
    FlagInfo("feet_first", _ACQUISITION, (_INFO,), "The header says feet first.", "Nothing."),
    FlagInfo("modality_mismatch", _ACQUISITION, (_WARNING,),
        "The header names a modality other than CT.", "Make sure that the values are HU."),
    FlagInfo("body_part_mismatch", _ACQUISITION, (_WARNING,),
        "The header names a body part that holds no chest.", "Look at the masks; headers are often wrong."),
    FlagInfo("cut_top", _COVERAGE, (_WARNING, _ERROR),
        "A lung fills more than 1 cm2 (error: 4 cm2) of the uppermost slice. An error withholds volume, "
        "air, weight and thirds of that lung, and those of both lungs together; densities are those of "
        "the part that was imaged.",
        "Scan or export from above the lungs' tips."),
    FlagInfo("cut_bottom", _COVERAGE, (_WARNING, _ERROR),
        "The same in the lowest slice.", "Scan or export down to below the diaphragm."),
    FlagInfo("cut_side", _COVERAGE, (_WARNING, _ERROR),
        "The same at the sides of the picture, or where a lung meets what was not scanned: padding round the "
        "scanner's circle, or any one value that reaches the edge.",
        "Reconstruct or export with a wider field of view."),
    FlagInfo("padding_inside_lung", _COVERAGE, (_WARNING, _ERROR),
        "More than 0.1 % (error: 2 %) of the lung's voxels lie below -1250 HU. An error withholds "
        "everything.",
        "Look at the mask."),
    FlagInfo("segmentation_uncertain", _LUNGS, (_WARNING,),
        "The model's own doubt (soft outlines, disagreement with the mirror image, air in the chest that it "
        "left out) says that a Dice below 0.95 against a careful reader is more likely than not.",
        "Look at the outlines, and at uncertainty.nii.gz, before using a number."),
    FlagInfo("not_a_chest", _LUNGS, (_ERROR,),
        Sentence(
            "Nothing in the scan looks like lungs ({verb:check} only; {verb:segment} ends with code 5)."
        ),
        "Give a chest CT."),
    FlagInfo("mask_empty", _LUNGS, (_ERROR,), "The mask marks no voxel.", "Look at the scan."),
    FlagInfo("lung_missing", _LUNGS, (_WARNING,),
        "One lung has no voxel. Amounts and thirds of both lungs together are withheld.",
        "Look at the scan: cut, without air, removed, or missed."),
    FlagInfo("sides_parted", _LUNGS, (_INFO,),
        "A mask that was given has one label for both lungs. It falls into two pieces of like size, one on "
        "each side of the body's middle, so right and left were told apart.",
        "Nothing; a mask with two labels leaves no doubt."),
    FlagInfo("sides_unknown", _LUNGS, (_ERROR,),
        "A mask that was given has one label for both lungs, and which part is right or left is not sure: "
        "the lungs touch, or the scan does not tell how the patient lies. Both lungs together are measured; "
        "right and left are withheld.",
        Sentence(
            "Give a mask with two labels; or, if it marks one lung, say which ({set:labels=1=right})."
        )),
    FlagInfo("left_right_suspect", _LUNGS, (_WARNING, _ERROR),
        "Error: the mask of the right lung lies on the patient's left; values by side are withheld. "
        "Warning: heart, vessels and organs under the lungs lie as in a body whose right is where the header "
        "says left. Needs more than a few slices, no side cut off, and both lungs, the smaller with at least "
        "half the aerated tissue of the larger.",
        "Check right and left with the original: mirrored scan, displaced heart, or situs inversus."),
    FlagInfo("front_back_suspect", _LUNGS, (_WARNING,),
        "The spine lies where the header says front. Seen in single slices too. Ventral and dorsal are "
        "exchanged. Alone: a mirror image. With left_right_suspect: the body is turned round, as where a "
        "prone patient was entered as supine, and nothing is mirrored.",
        "Check the orientation in the header with the original."),
    FlagInfo("head_foot_suspect", _LUNGS, (_WARNING,),
        "The lungs' tips lie where the header says feet, so the scan is upside down. Apical and basal are "
        "exchanged. Alone or with both others: a mirror image. Needs planes from 80 mm of the lungs.",
        "Check the order of the slices and the orientation in the header."),
    FlagInfo("volume_implausible", _LUNGS, (_WARNING, _ERROR),
        "Warning: a lung below 150 mL. Error: a lung above 6 L or both above 10 L, which no person has; "
        "volume, air and weight are withheld.",
        "Check the voxel size and the mask."),
    FlagInfo("side_ratio", _LUNGS, (_WARNING,),
        "One lung has less than half the volume of the other.", "Look at the mask."),
    FlagInfo("mask_fragmented", _LUNGS, (_WARNING,),
        "Less than 95 % of a lung's mask hangs together.", "Look at the mask."),
    FlagInfo("lung_hu_implausible", _LUNGS, (_WARNING,),
        "The mean of a lung lies below -960 or above -250 HU.", "Look at the mask and the HU scale."),
    FlagInfo("metal", _LUNGS, (_WARNING,),
        "Voxels of a lung's mask lie above 3000 HU, as only metal does: left out of weight, densities and "
        "percentages, counted in the volume; the message gives their mL.",
        "Look whether the metal's streaks reach the lung."),
    FlagInfo("identity_failed", _PROGRAM, (_ERROR,),
        "Voxels were lost in counting, or air and tissue do not add up to the volume where they must.",
        "Report the bug; the values are withheld."),
    FlagInfo("resampled", _READER, (_WARNING,),
        "Missing slices or a tilted gantry were interpolated on request.", "Compare with care."),
    FlagInfo("spacing_disagrees", _READER, (_WARNING,),
        "The header gives two voxel sizes.", "Compare with the scanner's protocol."),
    FlagInfo("sform_qform_disagree", _READER, (_WARNING,),
        "A NIfTI header gives two positions.", "Compare right and left with the original."),
    FlagInfo("lossy", _READER, (_WARNING,), "The images were compressed with loss.", "Get the original."),
    FlagInfo("files_unreadable", _READER, (_WARNING,),
        "Files of the folder could not be read: their header is broken, or this user may not read them. What "
        "they hold is not known; where such a file lies beside the slices and is named as they are, the scan "
        "is refused.",
        "Get the files again, or change their permissions."),
    FlagInfo("series_divided", _READER, (_WARNING,),
        "A DICOM series holds several scans (breath holds, phases, kernels); one was read.",
        Sentence("See {verb:inspect}; {set:series=3:2} reads the second part of series 3.")),
    FlagInfo("series_joined", _READER, (_WARNING,),
        "Slices that each have a series or study UID of their own fit together, so they were read as one "
        "scan.",
        "Make sure that they are of one patient."),
    FlagInfo("overlap_dropped", _READER, (_INFO,),
        "Acquisitions that follow each other share a place or two, where the image of the longer one was "
        "kept.",
        "Nothing; the breath may differ at the seam."),
    FlagInfo("no_rescale", _READER, (_WARNING,),
        "The DICOM header has no rescale, and the values were taken as HU.", "Look at the HU scale."),
    FlagInfo("slope_assumed", _READER, (_WARNING,),
        "The DICOM header has a rescale intercept but no slope; 1 was taken.", "Look at the HU scale."),
    FlagInfo("labels_mapped", _READER, (_INFO,),
        Sentence(
            "The values or segments of a mask that was given were read as the message says: by "
            "{option:labels}, or by the names in the file."
        ),
        "Compare with what the program that made the mask says."),
    FlagInfo("mask_pasted", _READER, (_INFO,),
        "A mask that was given covers a part of the scan's grid and was put at its place by whole voxels.",
        "Nothing."),
    FlagInfo("clipped", _READER, (_WARNING,), "Voxels beyond 16 bits were clipped.", "Look at metal."),
)  # fmt: skip

#: All codes of the gate, and those of the readers that change what a value means. Readers have further
#: codes that only tell what was done (``series_chosen``, ``padding`` ...); those come as ``info``.
CODES: Mapping[str, FlagInfo] = MappingProxyType({entry.code: entry for entry in _ALL})
