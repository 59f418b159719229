"""Every flag code with its documentation: what it means, when it is raised, what a person can do."""

from __future__ import annotations

from enum import Enum

from hilum.core.flag_limits import LIMITS as L
from hilum.core.sentences import Sentence

__all__ = ["FlagCode", "Severity", "Topic"]


class Severity(str, Enum):
    """How much a flag matters."""

    INFO = "info"
    """Worth knowing; all values stand."""
    WARNING = "warning"
    """Values stand, but a person should look."""
    ERROR = "error"
    """Values that depend on it are withheld."""


class Topic(str, Enum):
    """What a flag is about; the order of the documentation."""

    HU_SCALE = "HU scale"
    GEOMETRY = "Geometry"
    ACQUISITION = "Acquisition"
    COVERAGE = "Coverage"
    LUNGS = "Lungs"
    AIRWAYS = "Airways"
    VESSELS = "Vessels"
    READER = "From the reader"
    PROGRAM = "The program itself"


_INFO, _WARNING, _ERROR = Severity.INFO, Severity.WARNING, Severity.ERROR


class FlagCode(str, Enum):
    """The codes of all flags; in files each is its own string. Limits in the texts are those of the checks.

    Attributes:
        heading: Two to five words.
        topic: What it is about.
        severities: The severities that it can have.
        meaning: When it is raised, with the limits.
        todo: What a person can do.
    """

    heading: str
    topic: Topic
    severities: tuple[Severity, ...]
    meaning: str
    todo: str

    def __new__(
        cls, code: str, heading: str, topic: Topic, severities: tuple[Severity, ...], meaning: str, todo: str
    ) -> FlagCode:
        """Make a member whose value is ``code``."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.heading, member.topic, member.severities = heading, topic, severities
        member.meaning, member.todo = meaning, todo
        return member

    @classmethod
    def of(cls, code: str) -> FlagCode:
        """Return the member whose value is ``code``."""
        return cls[code.upper()]

    def __str__(self) -> str:
        return str(self.value)

    # fmt: off
    CALIBRATION_OFF = ("calibration_off", "HU scale off", Topic.HU_SCALE, (_WARNING, _ERROR),
        f"Air round the body lies more than {L.air_off_hu[0]:g} HU (error: more than "
        f"{L.air_off_hu[1]:g}) from {L.air_hu:g}. Where no such air is in the scan: air in the "
        f"trachea lies more than {L.trachea_off_hu[0]:g} (error: {L.trachea_off_hu[1]:g}) beyond "
        f"{L.trachea_hu[0]:g} to {L.trachea_hu[1]:g}. Warning also where soft tissue lies outside "
        f"{L.tissue_hu[0]:g} to {L.tissue_hu[1]:g} HU. An error withholds density, air and weight; "
        "volume stands.",
        Sentence(
            "Get the scan again in true HU; or use {set:calibrate}, which maps air to {air} and soft tissue "
            "into {low} to {high} HU linearly.",
            air=f"{L.air_hu:g}", low=f"{L.tissue_target_hu[0]:g}", high=f"{L.tissue_target_hu[1]:g}",
        ))
    CALIBRATION_UNKNOWN = ("calibration_unknown", "HU scale not checked", Topic.HU_SCALE, (_INFO,),
        "Neither air round the body nor air in the trachea is in the scan; padding is not air.",
        "Compare with another scan of the same scanner.")
    CALIBRATED = ("calibrated", "HU scale corrected", Topic.HU_SCALE, (_WARNING,),
        "The HU scale was corrected on request; the message gives slope and offset.",
        "Compare with uncorrected scans with care.")
    CALIBRATION_NOT_NEEDED = ("calibration_not_needed", "HU scale left as it is", Topic.HU_SCALE, (_INFO,),
        f"A correction was asked for, but air lies within {L.air_off_hu[0]:g} HU of {L.air_hu:g}; "
        "nothing was changed.",
        "Nothing.")
    CALIBRATION_NOT_POSSIBLE = ("calibration_not_possible", "HU scale could not be corrected",
        Topic.HU_SCALE, (_WARNING,),
        "A correction was asked for, but no air round the body is in the scan; nothing was "
        "changed.",
        "Give a scan with a wider field of view.")
    SPACING_UNKNOWN = ("spacing_unknown", "Voxel size unknown", Topic.GEOMETRY, (_ERROR,),
        "The file holds no voxel size. Volume, air and weight are withheld; percentages and densities "
        "stand.",
        "Give the original DICOM, or a format that holds the voxel size.")
    SLICE_THICKNESS_UNKNOWN = ("slice_thickness_unknown", "Slice thickness unknown",
        Topic.GEOMETRY, (_INFO, _ERROR),
        "The file of a single slice holds no thickness, so volume, air and weight are withheld.",
        "Give the original DICOM.")
    SPACING_IMPLAUSIBLE = ("spacing_implausible", "Voxel size implausible", Topic.GEOMETRY, (_ERROR,),
        f"Pixels below {L.pixel_mm[0]:g} or above {L.pixel_mm[1]:g} mm, or slices narrower than "
        f"{L.width_mm[0]:g} mm or wider than {L.width_mm[1] / 1000:g} m. Volume, air and weight are "
        "withheld.",
        "Check the unit of the spacing in the header.")
    FEW_SLICES = ("few_slices", "Few slices", Topic.GEOMETRY, (_ERROR,),
        f"Fewer than {L.few_slices} slices: whole lungs are not in the scan, so volume, air and weight "
        "are withheld; percentages and densities are those of the slices.",
        "Give the whole series.")
    THICK_SLICES = ("thick_slices", "Thick slices", Topic.GEOMETRY, (_WARNING,),
        f"Slices thicker, or further apart, than {L.thick_mm:g} mm: LAA, percentiles and aeration move "
        "towards the mean.",
        "Reconstruct at 1 to 3 mm, or compare with scans of the same thickness only.")
    SLICE_GAPS = ("slice_gaps", "Gaps between slices", Topic.GEOMETRY, (_WARNING,),
        f"Slices thinner than {100 * L.gap_share:g} % of their distance: part of the chest was not "
        "imaged.",
        "Volume and weight assume that the gaps are like the slices.")
    ANISOTROPIC = ("anisotropic", "Anisotropic voxels", Topic.GEOMETRY, (_INFO,),
        f"Slices lie more than {L.anisotropy:g} pixels apart.",
        "Nothing; thirds from head to foot are coarse.")
    OBLIQUE = ("oblique", "Oblique planes", Topic.GEOMETRY, (_INFO,),
        f"The planes stand more than {L.oblique_deg:g} degrees from the patient's axes.",
        "Nothing; thirds follow the patient's axes.")
    ORIENTATION_UNKNOWN = ("orientation_unknown", "Orientation unknown", Topic.GEOMETRY, (_WARNING,),
        "The file does not say how the patient lies: right and left may be swapped, front and back "
        "too.",
        "Compare with the original.")
    ORIENTATION_ASSUMED = ("orientation_assumed", "Orientation assumed", Topic.GEOMETRY, (_WARNING,),
        "A bare image was taken as an axial slice in the usual display.",
        "Compare with the original.")
    SHARP_KERNEL = ("sharp_kernel", "Sharp kernel", Topic.ACQUISITION, (_WARNING,),
        f"A lung, bone or edge kernel by its name (Siemens number from {L.sharp_siemens}, Canon FC5x "
        "and FC8x, GE LUNG, BONE, BONEPLUS, EDGE, ULTRA, Philips L, E, YD). Its noise raises LAA and "
        "lowers the low percentiles.",
        "Take a soft reconstruction for densities; volume, weight and air hold.")
    CONTRAST = ("contrast", "Contrast agent", Topic.ACQUISITION, (_INFO,),
        "The header names a contrast agent, which adds to the CT lung weight.",
        "Compare like with like.")
    PRONE = ("prone", "Prone", Topic.ACQUISITION, (_INFO,),
        "The header says prone. Ventral and dorsal stay the patient's own front and back.",
        "Nothing.")
    LATERAL_POSITION = ("lateral_position", "Lateral position", Topic.ACQUISITION, (_INFO,),
        "The header says that the patient lies on the side.",
        "Compare right and left with care.")
    FEET_FIRST = ("feet_first", "Feet first", Topic.ACQUISITION, (_INFO,),
        "The header says feet first.",
        "Nothing.")
    MODALITY_MISMATCH = ("modality_mismatch", "Modality is not CT", Topic.ACQUISITION, (_WARNING,),
        "The header names a modality other than CT.",
        "Make sure that the values are HU.")
    BODY_PART_MISMATCH = ("body_part_mismatch", "Body part is not the chest", Topic.ACQUISITION, (_WARNING,),
        "The header names a body part that holds no chest.",
        "Look at the masks; headers are often wrong.")
    CUT_TOP = ("cut_top", "Cut at the top", Topic.COVERAGE, (_WARNING, _ERROR),
        f"A lung fills more than {L.cut_cm2[0]:g} cm2 (error: {L.cut_cm2[1]:g} cm2) of the uppermost "
        "slice. An error withholds volume, air, weight and thirds of that lung, and those of both "
        "lungs together; densities are those of the part that was imaged.",
        "Scan or export from above the lungs' tips.")
    CUT_BOTTOM = ("cut_bottom", "Cut at the bottom", Topic.COVERAGE, (_WARNING, _ERROR),
        "The same in the lowest slice.",
        "Scan or export down to below the diaphragm.")
    CUT_SIDE = ("cut_side", "Cut at the side", Topic.COVERAGE, (_WARNING, _ERROR),
        "The same at the sides of the slices, or where a lung meets what was not scanned: padding "
        "round the scanner's circle, or any one value that reaches the edge.",
        "Reconstruct or export with a wider field of view.")
    PADDING_INSIDE_LUNG = ("padding_inside_lung", "Padding inside the lung",
        Topic.COVERAGE, (_WARNING, _ERROR),
        f"More than {L.padding_percent[0]:g} % (error: {L.padding_percent[1]:g} %) of the lung's "
        f"voxels lie below {L.padding_hu:g} HU. An error withholds everything.",
        "Look at the mask.")
    SEGMENTATION_UNCERTAIN = ("segmentation_uncertain", "Segmentation uncertain", Topic.LUNGS, (_WARNING,),
        "The model's own doubt (soft outlines, disagreement with the mirror image, air in the chest "
        f"that it left out) says that a Dice below {L.poor_dice:g} against a careful reader has a "
        f"probability of {L.failure:g} or more.",
        "Look at the outlines, and at uncertainty.nii.gz, before using a number.")
    NOT_A_CHEST = ("not_a_chest", "Not a chest", Topic.LUNGS, (_ERROR,),
        Sentence(
            "Nothing in the scan looks like lungs ({verb:check} only; {verb:segment} ends with exit code 5)."
        ),
        "Give a chest CT.")
    MASK_EMPTY = ("mask_empty", "Mask empty", Topic.LUNGS, (_ERROR,),
        "The mask marks no voxel.",
        "Look at the scan.")
    LUNG_MISSING = ("lung_missing", "Lung missing", Topic.LUNGS, (_WARNING,),
        "One lung has no voxel. Amounts and thirds of both lungs together are withheld.",
        "Look at the scan: cut, without air, removed, or missed.")
    SIDES_PARTED = ("sides_parted", "Sides separated", Topic.LUNGS, (_INFO,),
        "A mask that was given has one label for both lungs. It falls into two pieces of like size, "
        "one on each side of the body's middle, so right and left were assigned.",
        "Nothing; a mask with two labels leaves no doubt.")
    SIDES_UNKNOWN = ("sides_unknown", "Sides unknown", Topic.LUNGS, (_ERROR,),
        "A mask that was given has one label for both lungs, and which part is right or left is not "
        "sure: the lungs touch, or the scan does not say how the patient lies. Both lungs together "
        "are measured; right and left are withheld.",
        Sentence(
            "Give a mask with two labels; or, if it marks one lung, say which ({set:labels=1=right})."
        ))
    LEFT_RIGHT_SUSPECT = ("left_right_suspect", "Right and left suspect", Topic.LUNGS, (_WARNING, _ERROR),
        "Error: the mask of the right lung lies on the patient's left; values by side are withheld. "
        "Warning: heart, vessels and organs under the lungs lie as in a body whose right is where the "
        "header says left. Needs more than a few slices, no side cut off, and both lungs, the smaller "
        f"with at least {L.orientation_side:g} of the aerated tissue of the larger.",
        "Check right and left with the original: mirrored scan, displaced heart, or situs inversus.")
    FRONT_BACK_SUSPECT = ("front_back_suspect", "Front and back suspect", Topic.LUNGS, (_WARNING,),
        "The spine lies where the header says front. Seen in single slices too. Ventral and dorsal "
        "are exchanged. Alone: a mirror image. With left_right_suspect: the body is turned round, as "
        "where a prone patient was entered as supine, and nothing is mirrored.",
        "Check the orientation in the header with the original.")
    HEAD_FOOT_SUSPECT = ("head_foot_suspect", "Head and foot suspect", Topic.LUNGS, (_WARNING,),
        "The lungs' tips lie where the header says feet, so the scan is upside down. Apical and basal "
        "are exchanged. Alone or with both others: a mirror image. Needs planes from "
        f"{L.orientation_mm:g} mm of the lungs.",
        "Check the order of the slices and the orientation in the header.")
    VOLUME_IMPLAUSIBLE = ("volume_implausible", "Volume implausible", Topic.LUNGS, (_WARNING, _ERROR),
        f"Warning: a lung below {L.lung_ml[0]:g} mL. Error: a lung above {L.lung_ml[1] / 1000:g} L or "
        f"both above {L.both_ml / 1000:g} L, which no person has; volume, air and weight are withheld.",
        "Check the voxel size and the mask.")
    SIDE_RATIO = ("side_ratio", "Lungs of unlike size", Topic.LUNGS, (_WARNING,),
        f"One lung has less than {L.side_ratio:g} of the volume of the other.",
        "Look at the mask.")
    MASK_FRAGMENTED = ("mask_fragmented", "Mask fragmented", Topic.LUNGS, (_WARNING,),
        f"Less than {100 * L.main_piece:g} % of a lung's mask hangs together.",
        "Look at the mask.")
    LUNG_HU_IMPLAUSIBLE = ("lung_hu_implausible", "Mean HU implausible", Topic.LUNGS, (_WARNING,),
        f"The mean of a lung lies below {L.mean_hu[0]:g} or above {L.mean_hu[1]:g} HU.",
        "Look at the mask and the HU scale.")
    METAL = ("metal", "Metal in the lung", Topic.LUNGS, (_WARNING,),
        f"Voxels of a lung's mask lie above {L.metal_hu} HU, as only metal does: left out of weight, "
        "densities and percentages, counted in the volume; the message gives their mL.",
        "Look whether the metal's streaks reach the lung.")
    PLEURAL_FLUID = ("pleural_fluid", "Pleural fluid", Topic.LUNGS, (_WARNING,),
        f"The model found {L.pleural_fluid_ml:g} mL or more of pleural fluid, which is outside the lungs; "
        "the message gives the mL by side. Only a network that has learned fluid can find it.",
        "Look at the scan: thin or loculated fluid is found in part only.")
    PNEUMOTHORAX = ("pneumothorax", "Free pleural gas", Topic.LUNGS, (_WARNING,),
        f"The model found {L.pleural_gas_ml:g} mL or more of free gas in the pleural space, which is outside "
        "the lungs; the message gives the mL by side. Only a network that has learned gas can find it.",
        "Look at the scan: a bulla or bowel may look alike.")
    LOBES_FROM_PRIOR = ("lobes_from_prior", "Fissure not seen", Topic.LUNGS, (_WARNING,),
        f"Less than {L.fissure_seen:g} % of a fissure is seen, so the border of its lobes is that of the "
        "shape prior laid on the patient's lungs. Raised by the task lobes.",
        "Look at the scan; take volumes of these lobes as estimates.")
    LOBE_SMALL = ("lobe_small", "Lobe small", Topic.LUNGS, (_WARNING,),
        f"A lobe takes less than {100 * L.lobe_share:g} % of its lung. Raised by the task lobes.",
        "Look whether the lobe is collapsed or was removed, or whether a fissure was taken for another.")
    LOBES_NOT_FOUND = ("lobes_not_found", "Lobes not found", Topic.LUNGS, (_ERROR,),
        "The scan cannot show lobes: its voxel size is unknown, it has few slices, or little of the lungs is "
        "in it. Raised by the task lobes.",
        "Give the whole series.")
    INJURY_DOUBTFUL = ("injury_doubtful", "Injured lung doubtful", Topic.LUNGS, (_WARNING,),
        "What spoils the classes of injured lung; the message names it: voxels thicker than "
        f"{L.injury_thick_mm:g} mm, a sharp kernel, noise above {L.injury_noise_hu:g} HU, or lung that is "
        f"expected to lie outside {L.injury_expected_hu[0]:g} to {L.injury_expected_hu[1]:g} HU, as after "
        "expiration. Only with the task injury.",
        "Look at the overlay; take thin slices, a soft kernel and a deep breath where there is a choice.")
    IDENTITY_FAILED = ("identity_failed", "Control sum failed", Topic.PROGRAM, (_ERROR,),
        "Voxels were lost in counting, or air and tissue do not add up to the volume where they must.",
        "Report the bug; the values are withheld.")
    AIRWAY_LEAK_PRUNED = ("airway_leak_pruned", "Airways pruned", Topic.AIRWAYS, (_INFO, _WARNING),
        "A part of the tree of the airways looked like a leak into lung tissue and was removed: it grew "
        f"wide, or had no wall. Reported from {L.airway_leak_ml[0]:g} mL on; a warning from "
        f"{L.airway_leak_ml[1]:g} mL on.",
        "Look at the place that the message names.")
    AIRWAYS_VOLUME = ("airways_volume", "Volume of the airways", Topic.AIRWAYS, (_INFO, _WARNING),
        f"The lumen, trachea included, holds more than {L.airways_ml[1]:g} mL (a warning: a part may be a "
        f"leak into lung tissue or the oesophagus), or, on slices of up to {L.airways_thin_mm:g} mm, less "
        f"than {L.airways_ml[0]:g} mL (the tree is not whole, or the patient is a child).",
        "Look at the label map before you compare counts, lengths or volumes.")
    AIRWAYS_THICK_SLICES = ("airways_thick_slices", "Airways on thick slices", Topic.AIRWAYS, (_WARNING,),
        f"Slices thicker than {L.airways_thin_mm:g} mm: small airways are not seen. Above "
        f"{L.airways_segmental_mm:g} mm only the central airways are kept.",
        "Reconstruct at 1 mm for the airways.")
    AIRWAYS_TRUNK_ONLY = ("airways_trunk_only", "Central airways only", Topic.AIRWAYS, (_WARNING,),
        f"Less than {L.airways_in_lungs_ml:g} mL of the airways found lie in the lungs.",
        "Look at the label map; compare with scans of the same kind only.")
    VESSELS_THICK_SLICES = ("vessels_thick_slices", "Vessels on thick slices", Topic.VESSELS, (_WARNING,),
        f"Slices thicker than {L.vessels_thin_mm:g} mm: thin vessels are not seen, and volumes by calibre "
        f"are withheld; above {L.vessels_total_mm:g} mm the volume of all vessels, too.",
        "Reconstruct at 1 mm for the vessels.")
    RESAMPLED = ("resampled", "Resampled", Topic.READER, (_WARNING,),
        "Missing slices or a tilted gantry were interpolated on request.",
        "Compare with care.")
    SPACING_DISAGREES = ("spacing_disagrees", "Voxel sizes disagree", Topic.READER, (_WARNING,),
        "The header gives two voxel sizes.",
        "Compare with the scanner's protocol.")
    SFORM_QFORM_DISAGREE = ("sform_qform_disagree", "NIfTI positions disagree", Topic.READER, (_WARNING,),
        "A NIfTI header gives two positions.",
        "Compare right and left with the original.")
    LOSSY = ("lossy", "Lossy compression", Topic.READER, (_WARNING,),
        "The images were compressed with loss.",
        "Get the original.")
    FILES_UNREADABLE = ("files_unreadable", "Files unreadable", Topic.READER, (_WARNING,),
        "Files of the folder could not be read: their header is broken, or this user may not read "
        "them. What they hold is not known; where such a file lies beside the slices and is named as "
        "they are, the scan is refused.",
        "Get the files again, or change their permissions.")
    SERIES_DIVIDED = ("series_divided", "Series divided", Topic.READER, (_WARNING,),
        "A DICOM series holds several scans (breath holds, phases, kernels); one was read.",
        Sentence("See {verb:inspect}; {set:series=3:2} reads the second part of series 3."))
    SERIES_JOINED = ("series_joined", "Series joined", Topic.READER, (_WARNING,),
        "Slices that each have a series or study UID of their own fit together, so they were read as "
        "one scan.",
        "Make sure that they are of one patient.")
    OVERLAP_DROPPED = ("overlap_dropped", "Overlap dropped", Topic.READER, (_INFO,),
        "Acquisitions that follow each other share a place or two, where the image of the longer one "
        "was kept.",
        "Nothing; the breath may differ at the seam.")
    NO_RESCALE = ("no_rescale", "No rescale", Topic.READER, (_WARNING,),
        "The DICOM header has no rescale, and the values were taken as HU.",
        "Look at the HU scale.")
    SLOPE_ASSUMED = ("slope_assumed", "Slope assumed", Topic.READER, (_WARNING,),
        "The DICOM header has a rescale intercept but no slope; 1 was taken.",
        "Look at the HU scale.")
    LABELS_MAPPED = ("labels_mapped", "Labels mapped", Topic.READER, (_INFO,),
        Sentence(
            "The values or segments of a mask that was given were read as the message says: by "
            "{option:labels}, or by the names in the file."
        ),
        "Compare with what the program that made the mask says.")
    MASK_PASTED = ("mask_pasted", "Mask pasted", Topic.READER, (_INFO,),
        "A mask that was given covers a part of the scan's grid and was put at its place by whole "
        "voxels.",
        "Nothing.")
    CLIPPED = ("clipped", "Values clipped", Topic.READER, (_WARNING,),
        "Voxels beyond 16 bits were clipped.",
        "Look at metal.")
    SERIES_CHOSEN = ("series_chosen", "Series chosen", Topic.READER, (_INFO,),
        "The source holds several series, and one was read; the message says which and why.",
        Sentence(
            "Make sure that it is the one you mean; {verb:inspect} lists them, {option:series} reads another."
        ))
    INDEX_GIVEN = ("index_given", "Index given", Topic.READER, (_INFO,),
        "A DICOMDIR was given, and the folder in which it lies was read.",
        "Nothing.")
    IMAGES_LEFT_OUT = ("images_left_out", "Images left out", Topic.READER, (_INFO,),
        "Images that are not CT slices (localizers, dose reports, captures) were left out.",
        "Nothing.")
    DUPLICATES_DROPPED = ("duplicates_dropped", "Duplicates dropped", Topic.READER, (_INFO,),
        "Images at the place of another with the same pixels were left out.",
        "Nothing.")
    DUPLICATE_SLICES = ("duplicate_slices", "Duplicate slices", Topic.READER, (_WARNING,),
        "Several images lie at one place.",
        "Export the series again.")
    THICKNESS_UNKNOWN = ("thickness_unknown", "Thickness unknown", Topic.READER, (_WARNING,),
        "The header of a single DICOM slice holds no thickness; 1 mm was taken.",
        "Give the whole series.")
    SMALL_TILT = ("small_tilt", "Small tilt", Topic.READER, (_WARNING,),
        "The slices lean too little to matter for the lungs; the voxel grid is sheared to match.",
        "Nothing.")
    GANTRY_TILT = ("gantry_tilt", "Tilted gantry", Topic.READER, (_INFO,),
        "The slices lean, and they were interpolated on request.",
        "Compare with care.")
    MISSING_SLICES = ("missing_slices", "Missing slices", Topic.READER, (_INFO,),
        "Slices are missing, and they were interpolated on request.",
        "Compare with care.")
    UNEVEN_SLICES = ("uneven_slices", "Uneven slices", Topic.READER, (_INFO,),
        "Slices are not evenly spaced, and they were interpolated on request.",
        "Compare with care.")
    SHIFTED_SLICES = ("shifted_slices", "Shifted slices", Topic.READER, (_INFO,),
        "Slices are shifted sideways, and they were interpolated on request.",
        "Compare with care.")
    PADDING = ("padding", "Padding", Topic.READER, (_INFO,),
        "Voxels outside the scanned circle hold no patient.",
        "Nothing.")
    PADDING_IGNORED = ("padding_ignored", "Padding value ignored", Topic.READER, (_INFO,),
        "The padding value in the header lies among the values of tissue, so it was not used.",
        "Look at the HU of the air round the body.")
    UNITS_CONVERTED = ("units_converted", "Units converted", Topic.READER, (_INFO,),
        "The header gives lengths in another unit; they were made millimetres.",
        "Nothing.")
    MASK_RESAMPLED = ("mask_resampled", "Mask resampled", Topic.READER, (_INFO,),
        "A mask that was given lies on another grid and was brought to the scan's by nearest "
        "neighbour; the message gives the mL before and after.",
        "Give a mask on the scan's own grid where the difference matters.")
    # fmt: on
