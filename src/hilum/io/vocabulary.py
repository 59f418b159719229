"""Meaning of the values of a label map: vocabularies of other programs, and pairs given by the user.

Inside of hilum a voxel of a mask is 0 (outside), 1 (right lung), 2 (left lung) or :data:`BOTH` (lung, side
unknown). The last one never leaves the reading of masks: it is split into sides, or the sides are withheld.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from hilum.core.errors import InputError, UsageError
from hilum.core.labels import Lung
from hilum.core.sentences import Sentence
from hilum.io.mask_names import lung_of
from hilum.io.text import quoted, shown

__all__ = [
    "BOTH",
    "MAX_VALUE",
    "VOCABULARIES",
    "LabelMap",
    "Vocabulary",
    "guess",
    "is_no_name",
    "listed",
    "meaning_of",
    "parse_labels",
]

#: Lung whose side is unknown.
BOTH: Final = 3
#: Values that a label map may hold: 16 bits, as the Chest Imaging Platform needs.
MAX_VALUE: Final = 2**16 - 1
_DIGITS: Final = 6
_RIGHT, _LEFT = int(Lung.RIGHT), int(Lung.LEFT)
_WORDS = {"0": 0, "1": _RIGHT, "2": _LEFT, "right": _RIGHT, "left": _LEFT, "both": BOTH, "lungs": BOTH}
_TITLES = {0: "0", _RIGHT: "right", _LEFT: "left", BOTH: "both"}
_MEANINGS = {0: "no lung", _RIGHT: "right lung", _LEFT: "left lung", BOTH: "lung"}
_SHOWN = 6
#: Up to this many values that a vocabulary lacks, such as a trachea beside five lobes, may be named by
#: hand.
_MOST_STRANGE = 2
#: Names that a segmentation program gives when nobody typed one: they say nothing.
_NO_NAME = re.compile(r"(segment|label|l|class|structure|region)?[\s_-]*\d*", re.IGNORECASE)


@dataclass(frozen=True)
class Vocabulary:
    """The values of one program.

    Attributes:
        name: What the parameter ``labels`` calls it.
        title: The program, and which of its outputs.
        lungs: Value to right, left or :data:`BOTH`.
        others: Greatest value that is known to be something else; values above are not of this program.
        source: Where the values stand.
        typed: Whether the low byte is the region and the high byte the tissue (Chest Imaging Platform).
    """

    name: str
    title: str
    lungs: Mapping[int, int]
    others: int
    source: str
    typed: bool = False

    def meaning(self, value: int) -> int | None:
        """What a value is: 0, 1, 2, :data:`BOTH`, or None where this program has no such value."""
        region = value & 255 if self.typed else value
        if region > self.others and region not in self.lungs:
            return None
        if self.typed and value >> 8 in _CIP_NO_LUNG:
            return 0
        return self.lungs.get(region, 0)

    def fits(self, values: Iterable[int]) -> bool:
        """Whether the values can be of this program, and some are lung."""
        meanings = [self.meaning(value) for value in values]
        return None not in meanings and any(meanings)


#: Tissue types of the Chest Imaging Platform that the label contract leaves out: trachea, main bronchus.
_CIP_NO_LUNG = (38, 39)
#: Regions of it that make up a chest: two lungs, or five lobes.
_CIP_WHOLE: Final = ({2, 3}, {4, 5, 6, 7, 8})


def _sides(right: Iterable[int], left: Iterable[int], both: Iterable[int] = ()) -> Mapping[int, int]:
    parts = ((right, _RIGHT), (left, _LEFT), (both, BOTH))
    return MappingProxyType({value: part for values, part in parts for value in values})


_ALL = (
    Vocabulary(
        "totalsegmentator",
        "TotalSegmentator 2, task total, one file for all structures (--ml)",
        _sides((12, 13, 14), (10, 11)),
        117,
        "totalsegmentator/map_to_binary.py, class_map['total']",
    ),
    Vocabulary(
        "totalsegmentator-v1",
        "TotalSegmentator 1, task total, one file for all structures (--ml)",
        _sides((15, 16, 17), (13, 14)),
        104,
        "totalsegmentator/map_to_binary.py of version 1, class_map['total']",
    ),
    Vocabulary(
        "lungmask",
        "lungmask, models R231 and R231CovidWeb",
        _sides((1,), (2,)),
        2,
        "lungmask README.md: 1 = right lung, 2 = left lung",
    ),
    Vocabulary(
        "lungmask-lobes",
        "lungmask, models LTRCLobes and LTRCLobes_R231",
        _sides((3, 4, 5), (1, 2)),
        5,
        "lungmask README.md: 1 LUL, 2 LLL, 3 RUL, 4 RML, 5 RLL",
    ),
    Vocabulary(
        "cip",
        "Chest Imaging Platform: region in the low byte, type in the high byte",
        _sides((2, 4, 5, 6, 12, 13, 14), (3, 7, 8, 9, 10, 11), (1, 20, 21, 22)),
        28,
        "Common/cipChestConventions.h, enum ChestRegion",
        typed=True,
    ),
)

#: All vocabularies by the name that ``--labels`` takes. ``both`` is not a table: any one value means lung.
VOCABULARIES: Mapping[str, Vocabulary] = MappingProxyType({entry.name: entry for entry in _ALL})


@dataclass(frozen=True)
class LabelMap:
    """What the values, or the names of segments, of a mask mean, as the parameter ``labels`` says it.

    Attributes:
        vocabulary: Name of a program's vocabulary, ``both``, or empty.
        values: Value of a voxel, or number of a DICOM segment, to 0, 1, 2 or :data:`BOTH`.
        names: Name of a segment in lower case to the same.
        rest: What all that is not named means; None where nothing was said.
        origin: The file that said it, for errors; empty where the user did.
        option: The parameter by which the user says it.
    """

    vocabulary: str = ""
    values: tuple[tuple[int, int], ...] = ()
    names: tuple[tuple[str, int], ...] = ()
    rest: int | None = None
    origin: str = ""
    option: str = "labels"

    def describe(self) -> str:
        """Return the map in the form that :func:`parse_labels` reads, in a fixed order."""
        parts = [self.vocabulary] if self.vocabulary else []
        parts += [f"{value}={_TITLES[part]}" for value, part in sorted(self.values)]
        parts += [f"{name}={_TITLES[part]}" for name, part in sorted(self.names)]
        return ",".join(parts + ([] if self.rest is None else [f"*={_TITLES[self.rest]}"]))

    def of_segment(self, name: str, number: int | None = None, part: int | None = None) -> int:
        """What a segment of its own is (a file in a folder, a segment of a DICOM SEG, a layer of Slicer).

        Args:
            name: Its name.
            number: Its number, where the format has one.
            part: What its codes say, None where they say nothing.
        """
        for said in (dict(self.names).get(name.strip().lower()), dict(self.values).get(number or -1)):
            if said is not None:
                return said
        known = lung_of(name) if part is None else part
        return known or self.rest or 0

    def of_values(self, present: Iterable[int], names: Mapping[int, str], what: str) -> dict[int, int]:
        """What the values of a label map mean.

        Args:
            present: The values that it holds, without 0.
            names: Names of the values, if the file has any.
            what: What the mask is called in an error.

        Raises:
            InputError: A value whose meaning is unknown, or no value that is lung.
        """
        present = tuple(present)
        pairs, spoken = dict(self.values), dict(self.names)
        table = VOCABULARIES.get(self.vocabulary)
        if self.vocabulary == "both" and len([v for v in present if v not in pairs]) > 1:
            raise InputError(
                Sentence(
                    "{mask:what} holds {count} values besides 0 ({values}); both is for a mask with one.",
                    what=what,
                    count=len(present),
                    values=listed(present),
                ),
                Sentence("Give {set:$o=VALUE=right}, VALUE=left or VALUE=both instead.", o=self.option),
            )
        out: dict[int, int] = {}
        unknown = []
        for value in present:
            name = names.get(value, "")
            said = pairs.get(value, spoken.get(name.strip().lower()))
            if said is None and table is not None:
                said = table.meaning(value)
                _refuse_other_names(what, self, value, said, name)
            if said is None and self.vocabulary == "both":
                said = BOTH
            if said is None and not self.vocabulary and name and self.names:
                said = lung_of(name) or 0
            said = self.rest if said is None else said
            if said is None:
                unknown.append(value)
            else:
                out[value] = said
        if unknown:
            raise InputError(
                Sentence(
                    "{mask:what} holds values that {origin} does not name ({unknown}).",
                    what=what,
                    origin=self._said_by(),
                    unknown=listed(unknown),
                ),
                _guess_words(present, self.option)
                or Sentence("Name them too, or add *=0 to {option:$o} to drop all others.", o=self.option),
            )
        if present and not any(out.values()):
            raise InputError(
                Sentence(
                    "{mask:what} holds the values {present}, and by {origin} {labels} none is lung.",
                    what=what,
                    present=listed(present),
                    origin=self._said_by(),
                    labels=self.describe(),
                ),
                _guess_words(present, self.option)
                or Sentence("Say which values are lung, such as {set:$o=3=right,5=left}.", o=self.option),
            )
        return out

    def _said_by(self) -> str:
        """Return what said the meaning: a file, or the parameter of the user."""
        return self.origin or Sentence("{option:$o}", o=self.option)


def _refuse_other_names(what: str, labels: LabelMap, value: int, said: int | None, name: str) -> None:
    """A file that names its values is believed more than the name of a vocabulary."""
    named = lung_of(name) or 0
    agree = said == named or (BOTH in (said, named) and bool(said) == bool(named))
    if said is None or is_no_name(name) or agree:
        return
    raise InputError(
        Sentence(
            "By {vocabulary} the value {value} is {said}, but {mask:what} calls it {name}.",
            vocabulary=labels.vocabulary,
            value=value,
            said=_MEANINGS[said],
            what=what,
            name=quoted(name),
        ),
        Sentence("Leave {option:$o} out: the names in the file say what is lung.", o=labels.option),
    )


def meaning_of(
    present: Iterable[int], names: Mapping[int, str], what: str, option: str = "labels"
) -> tuple[dict[int, int], bool]:
    """What the values of a label map mean where the user says nothing.

    Names count first, then the label contract (1 right, 2 left).

    Returns:
        Value to 0, 1, 2 or :data:`BOTH`, and whether names gave it.

    Raises:
        InputError: Neither gives the meaning of all values.
    """
    present = tuple(present)
    named = {value: name for value, name in names.items() if not is_no_name(name)}
    if named:
        out = {value: lung_of(named.get(value, "")) or 0 for value in present}
        nameless = [value for value in present if value not in named]
        if present and not any(out.values()):
            shown = listed([named[value] for value in present if value in named])
            raise InputError(
                Sentence(
                    "{mask:what} names its labels, and none of them is a lung ({shown}).",
                    what=what,
                    shown=shown,
                ),
                Sentence("Say which are lung, such as {set:$o='NAME=right,NAME=left'}.", o=option),
            )
        if nameless:
            raise InputError(
                Sentence(
                    "{mask:what} names its labels, but not the values {nameless}.",
                    what=what,
                    nameless=listed(nameless),
                ),
                Sentence(
                    "Say what they are, such as {set:$o=$pairs}.",
                    o=option,
                    pairs=",".join(f"{v}=0" for v in nameless[:2]),
                ),
            )
        return out, True
    unknown = [value for value in present if value not in (_RIGHT, _LEFT)]
    if unknown:
        pairs = ",".join(f"{value}={side}" for value, side in zip(unknown, ("right", "left"), strict=False))
        raise InputError(
            Sentence(
                "{mask:what} holds values other than 0, 1 and 2 ({unknown}).",
                what=what,
                unknown=listed(unknown),
            ),
            _guess_words(present, option)
            or Sentence("Say which of them are lung, such as {set:$o=$pairs}.", o=option, pairs=pairs),
        )
    return {value: value for value in present}, False


def guess(present: Iterable[int]) -> list[str]:
    """Return what ``labels`` may be for the values of a mask, the likeliest first.

    Examples:
        >>> guess([10, 11, 12, 13, 14]), guess([1, 2, 3, 4, 5, 6]), guess([2, 3]), guess([255])
        (['totalsegmentator'], ['lungmask-lobes,6=0'], ['cip'], ['both'])
    """
    present = sorted(present)
    if len(present) == 1:
        return ["both"]
    out = []
    for entry in _ALL:
        strange = [value for value in present if entry.meaning(value) is None]
        if _likely(entry, present) and len(strange) <= _MOST_STRANGE:
            out.append(",".join([entry.name, *(f"{value}=0" for value in strange)]))
    return out


def _likely(entry: Vocabulary, present: list[int]) -> bool:
    """Whether a whole chest of this program is there: one lobe alone may be anything."""
    if entry.typed:
        return {value & 255 for value in present} - {0, 1} in _CIP_WHOLE
    return set(entry.lungs) <= set(present) and max(present) > max(Lung)


def _guess_words(present: Iterable[int], option: str) -> str:
    found = guess(present)
    if not found:
        return ""
    if found == ["both"]:
        return Sentence("If it marks both lungs with one label, add {set:$o=both}.", o=option)
    first, *others = (Sentence("{set:$o=$name}", o=option, name=name) for name in found)
    options: Sentence = first
    for other in others:
        options = Sentence("{options} or {other}", options=options, other=other)
    title = VOCABULARIES[found[0].partition(",")[0]].title.split(",")[0].split(":")[0]
    return Sentence(
        "The values fit {title}: if it is from there, add {options}.", title=title, options=options
    )


def is_no_name(name: str) -> bool:
    """Whether a name is one that a program gives when nobody typed one, such as ``Segment_1``, or empty."""
    return _NO_NAME.fullmatch(name.strip()) is not None


def listed(values: Iterable[object]) -> str:
    """Return the first few of some values as text."""
    every = [shown(str(value)) for value in values]
    return ", ".join(every[:_SHOWN]) + (", ..." if len(every) > _SHOWN else "")


def parse_labels(text: str | Mapping[int, int] | None, option: str = "labels") -> LabelMap | None:
    """Read what ``labels`` says: a vocabulary, pairs, or a vocabulary and pairs that mend it.

    Args:
        text: Such as ``totalsegmentator``, ``10=2,11=2,12=1``, ``lungmask-lobes,6=0`` or
            ``my right lung=right,*=0``. A pair is VALUE=LABEL: a value of 0 to 65535, the name of a segment
            or ``*`` for all that is not named; 0 (or none of the lungs), 1 or right, 2 or left, both. None
            and empty text mean no mapping.
        option: The parameter that says it, for errors.

    Raises:
        UsageError: It cannot be read so.
    """
    if not text:
        return None
    if isinstance(text, Mapping):
        text = ",".join(f"{key}={value}" for key, value in text.items())
    if not isinstance(text, str):
        raise UsageError(f"{option} is {type(text).__name__}, expected text such as totalsegmentator or 3=1.")
    vocabulary, rest = "", None
    values: dict[int, int] = {}
    names: dict[str, int] = {}
    for entry in text.split(","):
        key, is_pair, word = (part.strip() for part in entry.rpartition("="))
        if not is_pair:
            vocabulary = _vocabulary(entry.strip(), vocabulary, option)
            continue
        part = _WORDS.get(word.lower())
        number = key.isascii() and key.isdecimal()
        is_no_name = key != "*" and not number and not (key.isprintable() and any(map(str.isalpha, key)))
        if part is None or is_no_name or (number and (len(key) > _DIGITS or int(key) > MAX_VALUE)):
            raise UsageError(
                f"{option} holds {shown(entry.strip())}, expected VALUE=LABEL with a value of 0 to "
                f"{MAX_VALUE} (or * for all others, or the name of a segment) and 0, right (1), left (2) or "
                "both, such as 3=right."
            )
        if key == "*":
            rest = part
        elif number:
            values[int(key)] = part
        else:
            names[key.lower()] = part
    return LabelMap(
        vocabulary, tuple(sorted(values.items())), tuple(sorted(names.items())), rest, option=option
    )


def _vocabulary(name: str, before: str, option: str) -> str:
    known = [*VOCABULARIES, "both"]
    if name.lower() not in known or before:
        what = "names two vocabularies" if before and name.lower() in known else f"holds {quoted(name)}"
        raise UsageError(
            f"{option} {what}, expected one of {', '.join(known)}, or pairs such as 10=left,12=right."
        )
    return name.lower()
