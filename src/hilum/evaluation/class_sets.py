"""What label maps can show: the classes of each task by the label contracts, or any by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from hilum.core.errors import InputError, UsageError
from hilum.core.labels import LUNGS, LabelRegion, LabelSet
from hilum.tasks.registry import TASKS

__all__ = [
    "ANY",
    "CLASS_SETS",
    "EVALUATED",
    "MOST_CLASSES",
    "ClassSet",
    "Fissure",
    "any_classes",
    "check_task",
    "class_set",
    "slug",
    "too_many_classes",
]

#: A label map holds at most this many classes.
MOST_CLASSES = 255

#: The task that stands for label maps of any classes.
ANY = "labels"


@dataclass(frozen=True)
class Fissure:
    """Where lobes of one lung meet.

    Attributes:
        name: Name in tables.
        title: Name for people.
        above: Values of the lobes on one side.
        below: Values of the lobes on the other.
    """

    name: str
    title: str
    above: tuple[int, ...]
    below: tuple[int, ...]


@dataclass(frozen=True)
class ClassSet:
    """The classes of the label maps of a task.

    Attributes:
        task: The task.
        classes: Each class: a region of one value.
        unions: Regions of several classes.
        lesions: Names of the regions whose components are counted as lesions.
        fissures: The fissures, for lobes.
        aliases: Other names of classes, as :func:`slug` makes them, to values.
        vocabularies: Name of a program to its values and the classes that they mean.
        tree: Values that are a tree together; empty where the classes show none.
        codes: SNOMED CT code and that of the side, empty without one, to values.
    """

    task: str
    classes: tuple[LabelRegion, ...]
    unions: tuple[LabelRegion, ...] = ()
    lesions: frozenset[str] = frozenset()
    fissures: tuple[Fissure, ...] = ()
    aliases: Mapping[str, int] = field(default_factory=dict)
    vocabularies: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    tree: tuple[int, ...] = ()
    codes: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, int]:
        """Every name of a class to its value."""
        own = {slug(text): entry.values[0] for entry in self.classes for text in (entry.name, entry.title)}
        return {**self.aliases, **own}

    @property
    def values(self) -> frozenset[int]:
        """All values that are classes."""
        return frozenset(entry.values[0] for entry in self.classes)


def slug(name: str) -> str:
    """Return a name as a key: lower case, words joined by underscores.

    Examples:
        >>> slug("Right upper lobe"), slug("Ground-glass")
        ('right_upper_lobe', 'ground_glass')
    """
    return "_".join(re.findall(r"[^\W_]+", name.lower()))


def _classes(*titles: str) -> tuple[LabelRegion, ...]:
    """Return classes with the values 1, 2, ... by their titles."""
    return tuple(LabelRegion(slug(title), title, (value,)) for value, title in enumerate(titles, start=1))


_RUL, _RML, _RLL, _LUL, _LLL = 3, 4, 5, 1, 2
_LOBE_WORDS = {_RUL: ("upper", "right"), _RML: ("middle", "right"), _RLL: ("lower", "right"),
               _LUL: ("upper", "left"), _LLL: ("lower", "left")}  # fmt: skip
#: As TotalSegmentator calls them, and as people do.
_LOBE_NAMES = ("lung_{level}_lobe_{side}", "{level}_lobe_{side}", "{side}_{level}_lobe_of_lung",
               "{level}_lobe_of_{side}_lung", "{side}_lung_{level}_lobe")  # fmt: skip
_LOBE_SHORT = {"rul": _RUL, "rml": _RML, "rll": _RLL, "lul": _LUL, "lll": _LLL}
_LOBES = ClassSet(
    task="lobes",
    classes=_classes(
        "Left upper lobe", "Left lower lobe", "Right upper lobe", "Right middle lobe", "Right lower lobe"
    ),
    unions=(
        LabelRegion("right_lung", "Right lung", (_RUL, _RML, _RLL)),
        LabelRegion("left_lung", "Left lung", (_LUL, _LLL)),
    ),
    fissures=(
        Fissure("left_oblique_fissure", "Left oblique fissure", (_LUL,), (_LLL,)),
        Fissure("right_oblique_fissure", "Right oblique fissure", (_RUL, _RML), (_RLL,)),
        Fissure("right_horizontal_fissure", "Right horizontal fissure", (_RUL,), (_RML,)),
    ),
    aliases={
        **_LOBE_SHORT,
        **{
            name.format(level=level, side=side): value
            for value, (level, side) in _LOBE_WORDS.items()
            for name in _LOBE_NAMES
        },
    },
    vocabularies={
        "lungmask-lobes": {value: value for value in (_LUL, _LLL, _RUL, _RML, _RLL)},
        "totalsegmentator": {10: _LUL, 11: _LLL, 12: _RUL, 13: _RML, 14: _RLL},
        "totalsegmentator-v1": {13: _LUL, 14: _LLL, 15: _RUL, 16: _RML, 17: _RLL},
        "cip": {4: _RUL, 5: _RML, 6: _RLL, 7: _LUL, 8: _LLL},
        "rul-to-lll": {1: _RUL, 2: _RML, 3: _RLL, 4: _LUL, 5: _LLL},
    },
)
_AIRWAYS = ClassSet(
    task="airways",
    classes=_classes("Airway lumen", "Airway wall", "Mucus"),
    # TotalSegmentator, task lung_vessels, writes lung_trachea_bronchia
    aliases={"lumen": 1, "wall": 2, "airway": 1, "airways": 1, "airway_tree": 1, "lung_trachea_bronchia": 1},
    tree=(1, 3),  # the lumen, also where mucus fills it
)
_VESSELS = ClassSet(
    task="vessels",
    classes=_classes("Artery", "Vein"),
    aliases={
        "vessel": 1,
        "vessels": 1,
        "lung_vessels": 1,
        "pulmonary_vessels": 1,
        "arteries": 1,
        "veins": 2,
        "lung_arteries": 1,
        "lung_veins": 2,
    },
    tree=(1, 2),
)
_INJURY = ClassSet(
    task="injury",
    classes=(
        LabelRegion("emphysema_like", "Emphysema-like", (1,)),
        LabelRegion("normally_aerated", "Normally aerated", (2,)),
        LabelRegion("ground_glass", "Ground glass", (3,)),
        LabelRegion("consolidation", "Consolidation or collapse", (4,)),
        LabelRegion("nodule", "Nodule or mass", (5,)),
        LabelRegion("vessel_or_airway", "Vessel or airway", (6,)),
    ),
    unions=(LabelRegion("injured", "Injured tissue", (3, 4, 5)),),
    lesions=frozenset(("emphysema_like", "ground_glass", "consolidation", "nodule")),
    aliases={
        "emphysema": 1,
        "ground_glass_opacity": 3,
        "ggo": 3,
        "nodules": 5,
        "lung_nodule": 5,
        "lung_nodules": 5,
        "mass": 5,
        "tumour": 5,
        "tumor": 5,
    },
)
#: ``pleural_effusion`` is that of TotalSegmentator, task pleural_pericard_effusion.
_PLEURAL = {"pleural_effusion": 1, "effusion": 1, "pneumothorax": 2}


def _pleura() -> ClassSet:
    labels = TASKS["pleura"].label_set
    classes = tuple(LabelRegion(info.name, info.title, (info.value,)) for info in labels.values())
    return ClassSet("pleura", classes, lesions=frozenset(entry.name for entry in classes), aliases=_PLEURAL)


#: The tasks with several classes, and what their values mean.
CLASS_SETS: Mapping[str, ClassSet] = MappingProxyType(
    {entry.task: entry for entry in (_pleura(), _LOBES, _AIRWAYS, _VESSELS, _INJURY)}
)
#: Every task that masks can be evaluated for.
EVALUATED = (LUNGS.name, *CLASS_SETS, ANY)


def class_set(task: str) -> ClassSet | None:
    """Return the classes of a task, called as in its label set; None for label maps of any classes.

    Those of trees keep their names: a tree is one region, whatever the label set calls its parts.
    """
    own = CLASS_SETS.get(task)
    if own is None or task not in TASKS:
        return own
    labels = TASKS[task].label_set
    called = {slug(text): info.value for info in labels.values() for text in (info.name, info.title)}
    aliases = {**own.names, **called}
    own = replace(own, codes=_codes(labels))
    if own.tree:
        return replace(own, aliases=aliases)
    renamed = {entry.name: _renamed(entry, labels) for entry in own.classes}
    return replace(
        own,
        classes=tuple(renamed.values()),
        lesions=frozenset(renamed[name].name if name in renamed else name for name in own.lesions),
        aliases=aliases,
    )


def _codes(labels: LabelSet) -> dict[tuple[str, str], int]:
    """Return the codes of the labels, in one and in parts, as far as each means one label only."""
    found: dict[tuple[str, str], set[int]] = {}
    for info in labels.values():
        side = info.terms.modifier
        for key in ((info.snomed, ""), (info.terms.type.code, "" if side is None else side.code)):
            found.setdefault(key, set()).add(info.value)
    return {key: values.pop() for key, values in found.items() if len(values) == 1}


def too_many_classes() -> InputError:
    """Return the error for more classes than a label map holds."""
    return InputError(
        f"There are more than {MOST_CLASSES} classes; so many cannot be evaluated together.",
        "Leave some out, such as those that are not of interest.",
    )


def _renamed(entry: LabelRegion, labels: LabelSet) -> LabelRegion:
    info = labels.get(entry.values[0])
    return entry if info is None else LabelRegion(info.name, info.title, entry.values)


def check_task(task: str) -> str:
    """Return the name of a task that masks can be evaluated for.

    Raises:
        UsageError: There is none of this name.
    """
    if task not in EVALUATED:
        raise UsageError(f"task is {task!r}, expected one of {', '.join(EVALUATED)}.")
    return task


def any_classes(names: Iterable[str]) -> ClassSet:
    """Return classes of these names with the values 1, 2, ...; each may hold lesions.

    Names that :func:`slug` makes equal are one class.
    """
    found = _classes(*{slug(name): name[:1].upper() + name[1:] for name in names}.values())
    return ClassSet(ANY, found, lesions=frozenset(entry.name for entry in found))
