"""Definition of a measure: its formula, the source, and what makes its value unknown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from hilum.measures.sample import Sample

__all__ = ["Compute", "Group", "MeasureDef", "MeasureInfo", "measure_info"]

#: Function of the voxels of a region and the voxel volume in mL; returns None if undefined.
Compute = Callable[[Sample, float], float | None]


class Group(str, Enum):
    """What a value depends on. A quality flag invalidates groups (see :class:`hilum.core.flags.Flag`).

    ``VOLUME``, ``MASS`` and ``DENSITY`` are groups of measures; ``THIRDS`` is all measures of the
    ventral-dorsal and apical-basal parts of a lung; ``ALL`` is all of them.
    """

    VOLUME = "volume"
    """Amounts: need the voxel size in millimetres and the whole lung."""
    MASS = "mass"
    """Amounts of tissue and air: need the same as VOLUME, and calibrated HU."""
    DENSITY = "density"
    """HU, and shares and ratios of them: need calibrated HU, not the whole lung."""
    THIRDS = "thirds"
    """Parts of a lung: need both ends of the lung, since they are thirds of its extent."""
    ALL = "all"
    """Everything."""


@dataclass(frozen=True)
class MeasureInfo:
    """What a measure is, however it is computed.

    Attributes:
        id: Identifier in every output, without a unit.
        title: Displayed name.
        unit: Unit of the value; empty for a dimensionless number.
        group: What the value depends on.
        formula_id: Identifier of the formula.
        formula_version: Incremented whenever the value for the same voxels changes.
        formula: The formula in words, with its inequality.
        source: Author and year, or other origin of the definition.
        valid_range: Lowest and highest value that the formula can give; None for unbounded.
        invalidated_by: What changes or corrupts the value although the lung has not changed.
        undefined: Why there may be no value.
    """

    id: str
    title: str
    unit: str
    group: Group
    formula_id: str
    formula_version: str
    formula: str
    source: str
    valid_range: tuple[float | None, float | None]
    invalidated_by: tuple[str, ...]
    undefined: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the description of the formula for outputs, as plain data."""
        return {
            "title": self.title,
            "unit": self.unit,
            "formula_id": self.formula_id,
            "version": self.formula_version,
            "formula": self.formula,
            "source": self.source,
        }


def measure_info(
    prefix: str,
    id_: str,
    title: str,
    unit: str,
    group: Group,
    formula: str,
    source: str,
    affected: tuple[str, ...],
    *,
    formula_id: str = "",
    low: float | None = 0.0,
    high: float | None = None,
    undefined: str = "",
) -> MeasureInfo:
    """Define a measure of a task whose formula is in its first version.

    Args:
        prefix: Begins the identifier of the formula, before ``id_``.
        id_: As :class:`MeasureInfo`, and so are the others.
        title: Displayed name.
        unit: Unit of the value.
        group: What the value depends on.
        formula: The formula in words.
        source: Origin of the definition.
        affected: What invalidates the value.
        formula_id: Identifier of the formula, where it is not made of prefix and ``id_``.
        low: Lowest value that the formula can give.
        high: Highest value.
        undefined: Why there may be no value.
    """
    return MeasureInfo(
        id=id_,
        title=title,
        unit=unit,
        group=group,
        formula_id=formula_id or f"{prefix}.{id_}",
        formula_version="1",
        formula=formula,
        source=source,
        valid_range=(low, high),
        invalidated_by=affected,
        undefined=undefined,
    )


@dataclass(frozen=True)
class MeasureDef(MeasureInfo):
    """One entry of the registry: a measure of the voxels of a region.

    Attributes:
        compute: The formula; where it returns None, ``undefined`` says why.
    """

    compute: Compute = field(kw_only=True)
