"""The shape of ``measures.json``, for those who read it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["FlagEntry", "FormulaEntry", "KnownValue", "MeasuresFile", "UnknownValue"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class KnownValue(_Strict):
    """A value with its unit; the unit is empty for a pure number."""

    value: float
    unit: str


class UnknownValue(_Strict):
    """A value that is unknown, with the reason."""

    value: None
    reason: str


class FormulaEntry(_Strict):
    """How a measure is computed."""

    title: str
    unit: str
    formula_id: str
    version: str
    formula: str
    source: str


class FlagEntry(_Strict):
    """A finding of the quality gate; no ``regions`` means all."""

    code: str
    severity: Literal["info", "warning", "error"]
    message: str
    regions: list[str] | None = None


class MeasuresFile(_Strict):
    """The whole file.

    Examples:
        >>> MeasuresFile.model_validate_json(text)  # doctest: +SKIP
    """

    schema_: Literal["hilum.measures/1"]
    hilum: str
    label_contract: dict[str, object]
    quality: list[FlagEntry]
    formulae: dict[str, FormulaEntry]
    regions: dict[str, dict[str, KnownValue | UnknownValue]]

    # "schema" is a method of pydantic's models, so the field goes by another name in Python.
    model_config = ConfigDict(
        extra="forbid", alias_generator=lambda name: name.rstrip("_"), allow_inf_nan=False
    )
