"""Label sets: what each value of a label map means, and the regions composed of them.

A label set and its version are written into every output, so that a mask found on a disk in five years can
still be understood. Codes are SNOMED CT.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum

__all__ = [
    "AIRWAYS",
    "INJURY",
    "LOBES",
    "LUNGS",
    "PLEURA",
    "VESSELS",
    "Concept",
    "InjuryClass",
    "LabelInfo",
    "LabelRegion",
    "LabelSet",
    "Lobe",
    "Lung",
    "Side",
    "Terms",
]


class Lung(IntEnum):
    """Label values of the label set ``lungs``; sides are the patient's."""

    BACKGROUND = 0
    RIGHT = 1
    LEFT = 2


class Lobe(IntEnum):
    """Label values of the label set ``lobes``; sides are the patient's."""

    LEFT_UPPER = 1
    LEFT_LOWER = 2
    RIGHT_UPPER = 3
    RIGHT_MIDDLE = 4
    RIGHT_LOWER = 5


class InjuryClass(IntEnum):
    """Label values of the label set ``injury``."""

    EMPHYSEMA = 1
    AERATED = 2
    GROUND_GLASS = 3
    CONSOLIDATION = 4
    NODULE = 5
    TUBE = 6


class Side(str, Enum):
    """The regions of the label set ``lungs`` by name; sides are the patient's."""

    LUNGS = "lungs"
    RIGHT = "right_lung"
    LEFT = "left_lung"

    # A member equals its name, so it has to be the same key of a dictionary.
    __hash__ = str.__hash__

    @property
    def words(self) -> str:
        """The name for people."""
        return LUNGS.region(self.value).title


@dataclass(frozen=True)
class Concept:
    """A SNOMED CT concept: its code, and its meaning in words."""

    code: str
    meaning: str


@dataclass(frozen=True)
class Terms:
    """The concepts that programs which code a segment in parts look for (DICOM PS3.3 C.8.20.2).

    Attributes:
        type: What the segment is, without a side.
        modifier: Its side; None where it has none.
        region: The anatomic region that a finding lies in; None for anatomy, which is its own region.
        finding: Whether it is a finding; else it is anatomy.
    """

    type: Concept
    modifier: Concept | None = None
    region: Concept | None = None
    finding: bool = False


@dataclass(frozen=True)
class LabelInfo:
    """The meaning of one label value.

    Attributes:
        value: The value.
        name: Name in every output.
        title: Name for people.
        colour: sRGB, 0 to 255.
        snomed: SNOMED CT code of all that the label means, side included.
        coded: The same in parts; None where the code is all there is.
    """

    value: int
    name: str
    title: str
    colour: tuple[int, int, int]
    snomed: str
    coded: Terms | None = None

    @property
    def terms(self) -> Terms:
        """The concepts of the label in parts."""
        return self.coded or Terms(Concept(self.snomed, self.title))


@dataclass(frozen=True)
class LabelRegion:
    """A region of a label map: one label, or several together.

    Attributes:
        name: Name in every output.
        title: Name for people.
        values: The label values that belong to it.
    """

    name: str
    title: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class LabelSet(Mapping[int, LabelInfo]):
    """The labels of a task: a mapping from label value to :class:`LabelInfo`. 0 is always background.

    Attributes:
        name: Name in every output.
        version: Raised whenever the same anatomy gets other labels.
        definition: What is inside and outside, in words; part of every output.
        labels: The labels in the order of the outputs.
        unions: Regions of several labels, such as both lungs.
        noun: What one label shows, in a sentence: ``lung``.
        note: One sentence on how to read the labels; empty for none.

    Raises:
        ValueError: A value is not in 1 to 255, or a value or the name of a region occurs twice.

    Examples:
        >>> LUNGS[1].title
        'Right lung'
        >>> [region.name for region in LUNGS.regions]
        ['right_lung', 'left_lung', 'lungs']
    """

    name: str
    version: str
    definition: str
    labels: tuple[LabelInfo, ...]
    unions: tuple[LabelRegion, ...] = ()
    noun: str = "structure"
    note: str = ""

    def __post_init__(self) -> None:
        found = [info.value for info in self.labels]
        if len(set(found)) != len(found) or not all(0 < value < 256 for value in found):
            raise ValueError(
                f"The label values of {self.name} are {found}, expected different ones, 1 to 255."
            )
        names = [region.name for region in self.regions]
        if len(set(names)) != len(names):
            raise ValueError(f"The regions of {self.name} are {names}, expected different names.")
        strange = {value for union in self.unions for value in union.values} - set(found)
        if strange:
            raise ValueError(f"The unions of {self.name} hold values that are not labels: {sorted(strange)}.")

    def __getitem__(self, value: int) -> LabelInfo:
        for info in self.labels:
            if info.value == value:
                return info
        raise KeyError(value)

    def __iter__(self) -> Iterator[int]:
        return (info.value for info in self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def regions(self) -> tuple[LabelRegion, ...]:
        """Each label as a region, then the unions: the order of the outputs."""
        single = (LabelRegion(info.name, info.title, (info.value,)) for info in self.labels)
        return (*single, *self.unions)

    def region(self, name: str) -> LabelRegion:
        """Return the region called ``name``.

        Raises:
            KeyError: There is no such region.
        """
        for region in self.regions:
            if region.name == name:
                return region
        raise KeyError(name)

    def contract(self) -> dict[str, object]:
        """Return the meaning of the labels as plain data for JSON outputs."""
        out: dict[str, object] = {
            "name": self.name,
            "version": self.version,
            "labels": {
                str(info.value): {"name": info.name, "title": info.title, "snomed_ct": info.snomed}
                for info in self.labels
            },
            "definition": self.definition,
        }
        if self.note:
            out["note"] = self.note
        return out


_LUNG = Concept("39607008", "Lung")
_RIGHT = Terms(_LUNG, Concept("24028007", "Right"))
_LEFT = Terms(_LUNG, Concept("7771000", "Left"))
_PLEURAL = Concept("3120008", "Pleura")
_EFFUSION = Terms(Concept("60046008", "Pleural effusion"), region=_PLEURAL, finding=True)
_PNEUMOTHORAX = Terms(Concept("36118008", "Pneumothorax"), region=_PLEURAL, finding=True)

#: The right and the left lung.
LUNGS = LabelSet(
    name="lungs",
    version="1.0",
    definition=(
        "Inside: parenchyma however dense (consolidation, ground glass, atelectasis, fibrosis, nodules and "
        "tumours within it), vessels and airways beyond the hilum, bullae. Outside: trachea and main "
        "bronchi, hilar vessels, pleural effusion, pneumothorax, mediastinum."
    ),
    labels=(
        LabelInfo(Lung.RIGHT.value, Side.RIGHT.value, "Right lung", (64, 140, 224), "3341006", _RIGHT),
        LabelInfo(Lung.LEFT.value, Side.LEFT.value, "Left lung", (240, 150, 56), "44029006", _LEFT),
    ),
    unions=(LabelRegion(Side.LUNGS.value, "Both lungs", (Lung.RIGHT.value, Lung.LEFT.value)),),
    noun="lung",
    note="Right and left are the patient's own.",
)

#: What fills the pleural space; the labels of the task ``pleura``.
PLEURA = LabelSet(
    name="pleura",
    version="1.0",
    definition=(
        "Outside the lungs, within the pleural space: fluid (effusion, haemothorax, empyema) and free gas "
        "(pneumothorax). Neither includes lung, however dense or compressed."
    ),
    labels=(
        LabelInfo(1, "pleural_fluid", "Pleural fluid", (86, 180, 233), "60046008", _EFFUSION),
        LabelInfo(2, "pleural_gas", "Free pleural gas", (204, 121, 167), "36118008", _PNEUMOTHORAX),
    ),
    noun="pleural space",
)

_AIRWAY = Concept("89187006", "Airway structure")

#: The tree of the airways; the labels of the task ``airways``.
AIRWAYS = LabelSet(
    name="airways",
    version="1.0",
    definition=(
        "The tree from the trachea to the periphery as far as it is seen and hangs together. Lumen: the air "
        "in it. Wall: the voxels round the lumen that wall takes for the most part. Neither includes the "
        "larynx, the oesophagus or air in lung tissue."
    ),
    labels=(
        LabelInfo(1, "airway_lumen", "Airway lumen", (0, 158, 115), "89187006", Terms(_AIRWAY)),
        LabelInfo(2, "airway_wall", "Airway wall", (230, 159, 0), "89187006", Terms(_AIRWAY)),
    ),
    unions=(LabelRegion("airways", "Airways", (1, 2)),),
    noun="airway",
)

_VESSEL = Terms(Concept("59820001", "Blood vessel"))

#: Blood vessels in the lungs; the labels of the task ``vessels``.
VESSELS = LabelSet(
    name="vessels",
    version="1.0",
    definition=(
        "Inside: arteries and veins within the lungs, as the label set lungs has them, as far as they are "
        "seen. Outside: hilar vessels, walls of airways, fissures, nodules, masses and consolidated lung."
    ),
    labels=(LabelInfo(1, "vessels", "Vessels in the lungs", (214, 69, 65), "59820001", _VESSEL),),
    noun="vessel",
)

_UPPER, _LOWER = Concept("45653009", "Upper lobe of lung"), Concept("90572001", "Lower lobe of lung")
_R, _L = _RIGHT.modifier, _LEFT.modifier

#: The five lobes; the order is that of lungmask.
LOBES = LabelSet(
    name="lobes",
    version="1.0",
    definition=(
        "Every voxel of the lungs belongs to one lobe: the one on its side of the fissures, continued where "
        "a fissure ends before the mediastinum or is not seen. The lingula is part of the left upper lobe."
    ),
    labels=(
        LabelInfo(1, "left_upper_lobe", "Left upper lobe", (230, 159, 0), "44714003", Terms(_UPPER, _L)),
        LabelInfo(2, "left_lower_lobe", "Left lower lobe", (213, 94, 0), "41224006", Terms(_LOWER, _L)),
        LabelInfo(3, "right_upper_lobe", "Right upper lobe", (86, 180, 233), "42400003", Terms(_UPPER, _R)),
        LabelInfo(4, "right_middle_lobe", "Right middle lobe", (0, 158, 115), "72481006"),
        LabelInfo(5, "right_lower_lobe", "Right lower lobe", (0, 114, 178), "266005", Terms(_LOWER, _R)),
    ),
    noun="lobe",
    note="Right and left are the patient's own.",
)


def _finding(code: str, meaning: str) -> Terms:
    return Terms(Concept(code, meaning), region=_LUNG, finding=True)


#: What the lungs hold, by tissue; the labels of the task ``injury``.
INJURY = LabelSet(
    name="injury",
    version="1.0",
    definition=(
        "Inside the lungs, one class a voxel. Emphysema-like: clusters of lung below -950 HU, smoothed, to "
        "half-way to the lung round them. Ground glass: denser than expected of this patient's lung at this "
        "place, vessels still seen. "
        "Consolidation or collapse: thick lung above -300 HU, with the vessels and bronchi in it. Nodule or "
        "mass: solid and round, 6 to 30 mm. Vessel or airway: with the lumen of airways that are seen. "
        "Normally aerated: the rest."
    ),
    labels=(
        LabelInfo(
            1,
            "emphysema_like",
            "Emphysema-like",
            (0, 114, 178),
            "87433001",
            _finding("87433001", "Pulmonary emphysema"),
        ),
        LabelInfo(2, "normally_aerated", "Normally aerated", (150, 160, 165), "39607008"),
        LabelInfo(
            3,
            "ground_glass",
            "Ground glass",
            (240, 228, 66),
            "1217294009",
            _finding("1217294009", "Ground glass opacity"),
        ),
        LabelInfo(
            4,
            "consolidation",
            "Consolidation or collapse",
            (213, 94, 0),
            "95436008",
            _finding("95436008", "Lung consolidation"),
        ),
        LabelInfo(
            5,
            "nodule",
            "Nodule or mass",
            (204, 121, 167),
            "27925004",
            _finding("27925004", "Solitary nodule of lung"),
        ),
        LabelInfo(6, "vessel_or_airway", "Vessel or airway", (230, 230, 230), "59820001"),
    ),
    noun="lung tissue",
    note="Classified by HU, shape and place; the classes are descriptions of the image, not diagnoses.",
)
