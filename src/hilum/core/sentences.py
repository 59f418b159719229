"""Sentences for people that keep their parts: which parameter helps, which verb, and names of files.

The library does not know who reads a message: a program, a person at a command line, or a web page. A
:class:`Sentence` is text with named placeholders, which the program that shows it fills in its own words:

=====================  ============================  ==========================  =========================
place                  neutral (``str``)             command line                without names
=====================  ============================  ==========================  =========================
``{with:out}``         nothing                       `` with -o``                as neutral
``{set:part=all}``     ``part='all'``                ``--part all``              as neutral
``{set:calibrate}``    ``calibrate=True``            ``--calibrate``             as neutral
``{option:labels}``    ``labels``                    ``--labels``                as neutral
``{verb:train}``       ``hilum.train``               ``hilum train``             as neutral
``{file:path}``        name of the field ``path``    as neutral                  ``the file``
``{count}``            the field ``count``           as neutral                  as neutral
=====================  ============================  ==========================  =========================

``$`` before the name or the value of a parameter takes it from a field, as in ``{set:plane=$planes}``. The
kinds of names are those of :data:`NAMES`. A field that is a sentence itself is filled in the same words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath

__all__ = ["NAMES", "NEUTRAL", "UNNAMED", "Sentence", "Unnamed", "Words", "worded"]

#: Kinds of names that may identify the patient.
NAMES = frozenset({"file", "folder", "image", "mask", "scan", "subject", "series", "names"})
_PLACE = re.compile(r"\{(\w+)(?::(\$?\w+)(?:=([^{}]*))?)?\}")
_NUMBER = re.compile(r"\d+")


class Words:
    """How places are worded; this one is neutral and names the parameters of the Python functions."""

    def with_option(self, name: str) -> str:
        """Return what adds the parameter that helps to a sentence that is whole without it."""
        del name
        return ""

    def setting(self, name: str, value: str | None) -> str:
        """Return how a parameter is given a value; None is a switch."""
        if value is None:
            return f"{name}=True"
        bare = _NUMBER.fullmatch(value) or value.startswith(("'", '"'))
        return f"{name}={value}" if bare else f"{name}={value!r}"

    def option(self, name: str) -> str:
        """Return what a parameter is called."""
        return name

    def verb(self, name: str) -> str:
        """Return what a function of the public API is called."""
        return f"hilum.{name}"

    def named(self, kind: str, name: str) -> str:
        """Return what a thing is called, such as the file ``0_17.png``."""
        del kind
        return name


class Unnamed(Words):
    """Without names of files, folders or subjects: for outputs that number patients."""

    def named(self, kind: str, name: str) -> str:
        """Return what a thing is, such as ``the file``."""
        del name
        return "names withheld" if kind == "names" else f"the {kind}"


NEUTRAL = Words()
UNNAMED = Unnamed()


class Sentence(str):
    """A sentence that keeps its template and its fields; as text it is worded neutrally.

    Args:
        template: Text with places, see the module. It is a constant: what comes from files goes into fields.
        **fields: What the places hold; a path is shown by its last part.

    Examples:
        >>> hint = Sentence("Give another folder{with:out}, or use {set:part=all}.")
        >>> str(hint)
        "Give another folder, or use part='all'."
        >>> Sentence("{file:path} is empty.", path="Miller.nii").worded(UNNAMED)
        'The file is empty.'
    """

    template: str
    fields: Mapping[str, object]

    def __new__(cls, template: str, **fields: object) -> Sentence:
        """Fill the places neutrally."""
        self = super().__new__(cls, _fill(template, fields, NEUTRAL))
        self.template, self.fields = template, fields
        return self

    def __reduce__(self) -> tuple[object, ...]:
        """Keep template and fields when pickled."""
        return _rebuilt, (self.template, dict(self.fields))

    def __str__(self) -> str:
        """Return the neutral text as a plain string."""
        return str.__str__(self)

    def having(self, **fields: object) -> Sentence:
        """Return the sentence with other values of some fields."""
        return Sentence(self.template, **{**self.fields, **fields})

    def without_names(self) -> Sentence:
        """Return the sentence without names of files, with its other places as they are."""
        fields = {
            key: value.without_names() if isinstance(value, Sentence) else value
            for key, value in self.fields.items()
        }
        for place in _PLACE.finditer(self.template):
            kind, name, _ = place.groups()
            if kind in NAMES and name is not None:
                fields[name] = UNNAMED.named(kind, "")
        return Sentence(self.template, **fields)

    def worded(self, words: Words) -> str:
        """Return the sentence with its places filled by ``words``."""
        text = _fill(self.template, self.fields, words)
        place = _PLACE.match(self.template)
        if isinstance(words, Unnamed) and place is not None and place[1] in NAMES:
            return text[:1].upper() + text[1:]
        return text


def worded(text: str, words: Words) -> str:
    """Return a text in ``words`` where it is a :class:`Sentence`, and as it is otherwise."""
    return text.worded(words) if isinstance(text, Sentence) else text


def _rebuilt(template: str, fields: dict[str, object]) -> Sentence:
    return Sentence(template, **fields)


def _fill(template: str, fields: Mapping[str, object], words: Words) -> str:
    def value_of(text: str) -> str:
        return _shown(fields[text[1:]], words) if text.startswith("$") else text

    def fill(place: re.Match[str]) -> str:
        kind, name, value = place.groups()
        if name is None:
            return _shown(fields[kind], words)
        if kind in NAMES:
            return words.named(kind, _shown(fields[name], words))
        if kind == "set":
            return words.setting(value_of(name), None if value is None else value_of(value))
        ways = {"with": words.with_option, "option": words.option, "verb": words.verb}
        return ways[kind](value_of(name))

    return _PLACE.sub(fill, template)


def _shown(value: object, words: Words) -> str:
    if isinstance(value, PurePath):
        return value.name or str(value)
    return value.worded(words) if isinstance(value, Sentence) else str(value)
