"""Separate segments (files of a folder, layers, segments of a DICOM SEG) read as the classes of a task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError
from hilum.core.flags import FlagCode, Note
from hilum.core.sentences import Sentence
from hilum.evaluation.class_labels import ClassNames
from hilum.evaluation.class_sets import MOST_CLASSES, ClassSet, slug, too_many_classes
from hilum.io.mask_segments import MOST_SHARED, SegmentName, Segments
from hilum.io.vocabulary import listed

__all__ = ["ClassParts"]


@dataclass
class ClassParts:
    """Segments read as classes: what the user says, then the names, then the codes.

    Attributes:
        classes: The classes of the task; None for any, which get the values 1, 2, ... in their order.
        said: What the user says; None for nothing.
        option: The parameter by which the user says it.
        given: Value to name of the classes that segments were read as.
    """

    classes: ClassSet | None
    said: ClassNames | None
    option: str
    given: dict[int, str] = field(default_factory=dict)

    def value_of(self, segment: SegmentName) -> int:
        """Return the value of the class that a segment is; 0 for none."""
        name = self._class_of(segment)
        if not name:
            return 0
        if self.classes is not None:
            value = self.classes.names[slug(name)]
        else:
            own = {slug(known): number for number, known in self.given.items()}
            value = own.get(slug(name), len(own) + 1)
        if value > MOST_CLASSES:
            raise too_many_classes()
        self.given.setdefault(value, name)
        return value

    def _class_of(self, segment: SegmentName) -> str | None:
        said, key = self.said, slug(segment.name)
        if said is not None:
            if key in said.names:
                return said.names[key]
            if segment.number is not None and segment.number in said.values:
                return said.values[segment.number]
            if said.rest and (said.names_classes or self.classes is None):
                return None
        if self.classes is None:
            return segment.name.strip() or f"segment {segment.number}"
        value = self.classes.names.get(key) or self._coded(segment)
        return next((entry.name for entry in self.classes.classes if entry.values[0] == value), None)

    def _coded(self, segment: SegmentName) -> int | None:
        return None if self.classes is None else self.classes.codes.get((segment.code, segment.modifier))

    def known_name(self, segment: SegmentName) -> str:
        """Return the name of the class that the code means where the name is not that of one."""
        if self.classes is None or slug(segment.name) in self.classes.names:
            return segment.name
        by_value = {entry.values[0]: entry.name for entry in self.classes.classes}
        return by_value.get(self._coded(segment) or 0, segment.name)

    def merge(self, segments: Segments, shape: tuple[int, ...], what: str) -> npt.NDArray[np.uint8]:
        """Merge segments into one label map.

        Raises:
            InputError: Two classes share more than 1 % of the voxels of the smaller one.
        """
        out = np.zeros(shape, np.uint8, order="F")
        shared: dict[tuple[int, int], int] = {}
        for value, voxels in segments:
            there = np.bincount(out[voxels], minlength=MOST_CLASSES + 1)
            for other in np.flatnonzero(there):
                if other not in (0, value):
                    shared[int(other), value] = shared.get((int(other), value), 0) + int(there[other])
            out[voxels & (out == 0)] = value
        sizes = np.bincount(out.ravel(order="K"), minlength=MOST_CLASSES + 1)
        for (one, other), count in shared.items():
            if count > MOST_SHARED * min(sizes[one], sizes[other] + count):
                raise InputError(
                    Sentence(
                        "In {mask:what} {count} voxels are marked as {one} and as {other}.",
                        what=what,
                        count=count,
                        one=_words(self.given[one]),
                        other=_words(self.given[other]),
                    ),
                    Sentence(
                        "Correct the segments, or leave one out, such as {set:$o=$pair}.",
                        o=self.option,
                        pair=f"'{self.given[other]}=0'",
                    ),
                )
        return out

    def nothing(self, what: str, names: Iterable[str]) -> InputError:
        """Return the error for a mask none of whose segments is a class."""
        task = "any class" if self.classes is None else f"a class of {self.classes.task}"
        first = "nodule" if self.classes is None else self.classes.classes[0].name
        return InputError(
            Sentence(
                "No segment of {mask:what} is {task} by its name ({names:names}).",
                what=what,
                task=task,
                names=listed(names),
            ),
            Sentence("Say which are, such as {set:$o=$pair}.", o=self.option, pair=f"'NAME={first}'"),
        )

    def notes(self, parts: Mapping[str, int]) -> tuple[Note, ...]:
        """Say which segments were read as what; a name that is no class may be anything, also a patient's."""
        known = set() if self.classes is None else set(self.classes.names)
        shown = [
            f"{name if slug(name) in known else f'segment {number}'}={self.given[value]}"
            for number, (name, value) in enumerate(parts.items(), start=1)
            if value
        ]
        return ((FlagCode.LABELS_MAPPED, f"Segments of the mask were read as {', '.join(shown)}."),)

    @property
    def names(self) -> Mapping[int, str]:
        """Names of the values that were given."""
        return dict(self.given)


def _words(name: str) -> str:
    return name.replace("_", " ")
