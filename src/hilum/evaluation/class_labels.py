"""What the values of a label map of several classes mean: by names in the file, the contract, or the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError, UsageError
from hilum.core.sentences import Sentence
from hilum.evaluation.class_sets import MOST_CLASSES, ClassSet, slug, too_many_classes
from hilum.io.mask import Mask, count_values
from hilum.io.text import quoted, shown
from hilum.io.vocabulary import MAX_VALUE, is_no_name, listed

__all__ = ["ClassNames", "class_names", "parse_class_names", "to_classes"]

#: Digits of a value: more are no number that a label map can hold.
_DIGITS = 6
_BACKGROUND = ("0", "none", "background")


@dataclass(frozen=True)
class ClassNames:
    """What values and names of a label map mean, as the parameter ``labels`` says it.

    Attributes:
        values: Value to the name of a class; None for background.
        names: Name in the file, as :func:`slug` makes it, to the same.
        rest: Whether all that is not named is background.
    """

    values: Mapping[int, str | None]
    names: Mapping[str, str | None]
    rest: bool

    @property
    def names_classes(self) -> bool:
        """Whether a value is said to be a class: then the others are not those of the contract."""
        return any(name is not None for name in (*self.values.values(), *self.names.values()))


def parse_class_names(
    text: str | None, classes: ClassSet | None, option: str = "labels"
) -> ClassNames | None:
    """Read what ``labels`` says of a label map of several classes.

    Args:
        text: A vocabulary of the task, pairs, or both, such as ``totalsegmentator`` or
            ``1=right_upper_lobe,liver=0,*=0``. A pair is VALUE=CLASS: a value, a name in the file or ``*``
            for all that is not named; the name of a class, its value in the label contract, or 0 for
            background. None and empty text mean no mapping.
        classes: The classes; None for any.
        option: The parameter, for errors.

    Raises:
        UsageError: It cannot be read so.
    """
    if not text:
        return None
    values: dict[int, str | None] = {}
    names: dict[str, str | None] = {}
    rest = False
    for entry in map(str.strip, text.split(",")):
        key, is_pair, word = (part.strip() for part in entry.rpartition("="))
        if not is_pair:
            values |= _vocabulary(entry, classes, option)
            continue
        meaning = _meaning(word, classes, entry, option)
        is_value = key.isascii() and key.isdecimal()
        if key == "*" and meaning is None:
            rest = True
        elif is_value and len(key) <= _DIGITS and int(key) <= MAX_VALUE:
            values[int(key)] = meaning
        elif not is_value and slug(key):
            names[slug(key)] = meaning
        else:
            raise UsageError(
                f"{option} holds {shown(entry)}, expected VALUE=CLASS with a value of 0 to {MAX_VALUE}, "
                "or *=0."
            )
    return ClassNames(values, names, rest)


def _vocabulary(name: str, classes: ClassSet | None, option: str) -> dict[int, str | None]:
    known = {} if classes is None else classes.vocabularies
    if classes is None or name.lower() not in known:
        expected = f"one of {', '.join(known)}, or pairs" if known else "pairs"
        raise UsageError(f"{option} holds {quoted(name)}, expected {expected} such as 1=CLASS,2=CLASS.")
    by_value = {entry.values[0]: entry.name for entry in classes.classes}
    return {value: by_value[meaning] for value, meaning in known[name.lower()].items()}


def _meaning(word: str, classes: ClassSet | None, entry: str, option: str) -> str | None:
    """The name of a class that a word names; None for background."""
    if word.lower() in _BACKGROUND:
        return None
    if classes is None:
        if slug(word) and word.isprintable():
            return word
        raise UsageError(f"{option} holds {shown(entry)}, expected a name after the =, such as 1=nodule.")
    by_value = {item.values[0]: item.name for item in classes.classes}
    value = (
        int(word)
        if word.isascii() and word.isdecimal() and len(word) <= _DIGITS
        else classes.names.get(slug(word))
    )
    if value not in by_value:
        listed_names = ", ".join(item.name for item in classes.classes)
        raise UsageError(
            f"{option} holds {shown(entry)}, expected a class of {classes.task} after the = "
            f"({listed_names}), or 0."
        )
    return by_value[value]


def class_names(
    mask: Mask, said: ClassNames | None, classes: ClassSet | None, what: str, option: str
) -> dict[int, str]:
    """Say which class each value of a label map is; background is left out.

    What the user says counts first, then names in the file, then the label contract.

    Args:
        mask: The label map.
        said: What the user says; None for nothing.
        classes: The classes of the task; None for any.
        what: What the mask is called in an error.
        option: The parameter that an error names.

    Raises:
        InputError: The meaning of a value is unknown.
    """
    if mask.mapped:  # segments that were read by ClassParts
        return dict(mask.names)
    present = [int(value) for value in np.flatnonzero(count_values(mask.array)) if value]
    named = {value: name for value, name in mask.names.items() if not is_no_name(name)}
    meanings = {value: _meaning_of(value, named, said, classes) for value in present}
    unknown = [value for value, meaning in meanings.items() if meaning is _UNKNOWN]
    if classes is not None and unknown:
        raise _unknown(unknown, classes, what, option)
    out = {value: meaning for value, meaning in meanings.items() if isinstance(meaning, str)}
    if classes is not None and said is None and present and not out:
        raise InputError(
            Sentence(
                "{mask:what} names its labels, and none of them is a class of {task} ({shown}).",
                what=what,
                task=classes.task,
                shown=listed(named[value] for value in present),
            ),
            Sentence(
                "Say which are, such as {set:$o=$pair}.", o=option, pair=f"'NAME={classes.classes[0].name}'"
            ),
        )
    return out


class _Unknown(Enum):
    UNKNOWN = 0


_UNKNOWN = _Unknown.UNKNOWN


def _meaning_of(
    value: int, named: Mapping[int, str], said: ClassNames | None, classes: ClassSet | None
) -> str | _Unknown | None:
    """The class of a value; None for background."""
    name = named.get(value, "")
    if said is not None:
        if value in said.values:
            return said.values[value]
        if slug(name) in said.names:
            return said.names[slug(name)]
        if said.rest and (said.names_classes or classes is None):
            return None
    meaning = _own_meaning(value, name, bool(named), classes, contract=said is None or not said.names_classes)
    return None if meaning is _UNKNOWN and said is not None and said.rest else meaning


def _own_meaning(
    value: int, name: str, named: bool, classes: ClassSet | None, *, contract: bool
) -> str | _Unknown | None:
    """The class of a value by its name in the file, or else by the contract."""
    if classes is None:
        return name or f"label {value}"
    by_value = {entry.values[0]: entry.name for entry in classes.classes}
    if named:
        return by_value.get(classes.names.get(slug(name), 0)) if name else _UNKNOWN
    return by_value.get(value, _UNKNOWN) if contract else _UNKNOWN


def _unknown(unknown: list[int], classes: ClassSet, what: str, option: str) -> InputError:
    first = classes.classes[0].name
    return InputError(
        Sentence(
            "{mask:what} holds values that are no classes of {task} ({unknown}).",
            what=what,
            task=classes.task,
            unknown=listed(unknown),
        ),
        Sentence(
            "Drop them with {set:$o=$zero}, or say what all values are, such as {set:$o=$pair}.",
            o=option,
            zero=f"{unknown[0]}=0",
            pair=f"{unknown[0]}={first}",
        ),
    )


def to_classes(mask: Mask, names: Mapping[int, str], classes: ClassSet) -> npt.NDArray[np.uint8]:
    """Return the label map with the values of the classes.

    Args:
        mask: The label map.
        names: Value to the name of a class, from :func:`class_names`.
        classes: The classes.

    Raises:
        InputError: There are more than 255 classes.
    """
    if len(classes.classes) > MOST_CLASSES:
        raise too_many_classes()
    table = np.zeros(int(mask.array.max(initial=0)) + 1, np.uint8)
    for value, name in names.items():
        table[value] = classes.names[slug(name)]
    return np.asarray(table[mask.array])
