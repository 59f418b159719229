"""Validation of plain data from files, with one sentence for the first error."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hilum.core.errors import HilumError, InputError
from hilum.core.sentences import Sentence
from hilum.io.text import quoted, shown

__all__ = ["Count", "Length", "Name", "Positive", "Real", "Record", "Sha256", "Share", "Text", "check"]

T = TypeVar("T")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("should hold printable characters only")
    return text


def _digest(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError("should be a SHA-256 of 64 hexadecimal digits")
    return text


#: A finite number.
Real = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e15, le=1e15)]
#: A length in mm, or a volume in mL; no CT has voxels above these bounds.
Length = Annotated[float, Field(strict=True, gt=0, le=1e6)]
#: A probability, or a part of a whole.
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
#: A number of things, or the number that stands for one.
Count = Annotated[int, Field(strict=True, ge=0, le=2**53)]
#: The same, at least 1.
Positive = Annotated[int, Field(strict=True, ge=1, le=2**53)]
#: A short text that is shown to people.
Name = Annotated[str, Field(strict=True, min_length=1, max_length=200), AfterValidator(_printable)]
#: A sentence or a few that are shown to people.
Text = Annotated[str, Field(strict=True, min_length=1, max_length=2000), AfterValidator(_printable)]
#: A SHA-256 in hexadecimal digits.
Sha256 = Annotated[str, Field(strict=True), AfterValidator(_digest)]


class Record(BaseModel):
    """Base of what a file holds; unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


def check(
    kind: type[T], data: Any, *, name: str, hint: str = "Get it again.", error: type[HilumError] = InputError
) -> T:
    """Make an object of a kind from plain data.

    Args:
        kind: A :class:`Record`, or a dataclass.
        data: From :func:`hilum.io.text.read_json`.
        name: What to call the file in a message.
        hint: What to do where it does not fit.
        error: What is raised then.

    Raises:
        HilumError: Of the kind ``error``, naming the field that does not fit.
    """
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as wrong:
        raise error(Sentence("{file:name} {first}.", name=name, first=_first(wrong, data)), hint) from wrong


def _first(error: ValidationError, data: Any) -> str:
    """Say the first thing that does not fit, as the second half of a sentence."""
    first = error.errors(include_url=False)[0]
    parts = _keys(first["loc"], data)
    if first["type"].startswith("union_tag"):  # which of several kinds of tables it is
        parts.append(first["ctx"]["discriminator"].strip("'"))
    field = shown(".".join(parts), 80)
    if first["type"] in ("missing", "union_tag_not_found"):
        return f"has no {field}"
    if first["type"] == "extra_forbidden":
        return f"is damaged: it holds {field}, which is not known"
    if first["type"] == "union_tag_invalid":
        tag, known = first["ctx"]["tag"], first["ctx"]["expected_tags"]
        return f"is damaged: {field} is {quoted(tag)}, but should be one of {known}"
    if not field:
        return "is damaged: it holds no table of names and values"
    should = re.sub("^Value error, ", "", str(first["msg"]))
    should = re.sub("^[A-Z][a-z]+ should ", "should ", should)
    return f"is damaged: {field} is {quoted(first['input'])}, but {should[:1].lower()}{should[1:]}"


def _keys(loc: tuple[int | str, ...], data: Any) -> list[str]:
    """Return the path of a field as the file has it: pydantic puts the kind of a table into it too."""
    out: list[str] = []
    for place, part in enumerate(loc):
        is_kind = isinstance(data, dict) and part not in data and place < len(loc) - 1
        if is_kind:
            continue
        out.append(str(part))
        try:
            data = data[part]
        except (LookupError, TypeError):
            data = None
    return out
