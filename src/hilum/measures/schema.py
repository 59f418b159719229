"""The schema of ``measures.json``, for reading it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = [
    "FlagEntry",
    "FormulaEntry",
    "KnownConfidence",
    "KnownValue",
    "LabelContract",
    "LabelEntry",
    "MeasuresFile",
    "ModelEntry",
    "TaskEntry",
    "UnknownConfidence",
    "UnknownValue",
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class KnownValue(_Strict):
    """A value with its unit; the unit is empty for a dimensionless number."""

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


class LabelEntry(_Strict):
    """Meaning of one label value; ``snomed_ct`` is a SNOMED CT code."""

    name: str
    title: str
    snomed_ct: str


class LabelContract(_Strict):
    """Meaning of the values of a label map, and what the labels include and exclude."""

    name: str
    version: str
    labels: dict[str, LabelEntry]
    definition: str
    note: str = ""


class ModelEntry(_Strict):
    """The model that predicted a label map; ``sha256`` is of its weights, empty if it has no weights."""

    name: str
    version: str
    sha256: str


class KnownConfidence(_Strict):
    """The model's own estimate of the probability that Dice is below 0.95, and its features."""

    failure: float
    signs: dict[str, float]


class UnknownConfidence(_Strict):
    """No estimate, with the reason."""

    failure: None
    reason: str


class TaskEntry(_Strict):
    """One label map: its meaning, its model and what was measured, by region and measure id."""

    label_contract: LabelContract
    model: ModelEntry
    confidence: KnownConfidence | UnknownConfidence
    regions: dict[str, dict[str, KnownValue | UnknownValue]]


class MeasuresFile(_Strict):
    """The whole file.

    Examples:
        >>> MeasuresFile.model_validate_json(text)  # doctest: +SKIP
    """

    schema_: Literal["hilum.measures/2"]
    hilum: str
    quality: list[FlagEntry]
    formulae: dict[str, FormulaEntry]
    tasks: dict[str, TaskEntry]

    # "schema" is a method of pydantic models, so the field has another name in Python.
    model_config = ConfigDict(
        extra="forbid", alias_generator=lambda name: name.rstrip("_"), allow_inf_nan=False
    )
