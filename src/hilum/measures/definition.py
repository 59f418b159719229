"""What a measure is: its formula, where that comes from, and what makes its value unknown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from hilum.measures.sample import Sample

__all__ = ["Compute", "Group", "MeasureDef"]

#: From the voxels of a region and the volume of a voxel in mL to a value; None where it is not defined.
Compute = Callable[[Sample, float], float | None]


class Group(str, Enum):
    """What a value rests on. A quality flag forbids groups (see :class:`hilum.core.flags.Flag`).

    ``VOLUME``, ``MASS`` and ``DENSITY`` are groups of measures; ``THIRDS`` is all measures of the
    ventral-dorsal and apical-basal parts of a lung; ``ALL`` is everything.
    """

    VOLUME = "volume"
    """Amounts: need the voxel size in millimetres and the whole lung."""
    MASS = "mass"
    """Amounts of tissue and air: need what VOLUME needs, and trustworthy HU."""
    DENSITY = "density"
    """HU, and shares and ratios made of them: need trustworthy HU, not the whole lung."""
    THIRDS = "thirds"
    """Parts of a lung: need both ends of the lung, since they are thirds of its extent."""
    ALL = "all"
    """Everything."""


@dataclass(frozen=True)
class MeasureDef:
    """One entry of the registry.

    Attributes:
        id: Identifier in every output; it carries no unit.
        title: Name for people.
        unit: Unit of the value; empty for a pure number.
        group: What the value rests on.
        formula_id: Identifier of the formula.
        formula_version: Raised whenever a value of the same voxels changes.
        formula: The formula in words, with its inequality.
        source: Author and year, or where the definition comes from.
        valid_range: Lowest and highest value that the formula can give; None is open.
        invalidated_by: What moves or spoils the value although the lung has not changed.
        compute: The formula.
        undefined: Why :attr:`compute` gives None.
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
    compute: Compute
    undefined: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return what an output says about the formula, as plain data."""
        return {
            "title": self.title,
            "unit": self.unit,
            "formula_id": self.formula_id,
            "version": self.formula_version,
            "formula": self.formula,
            "source": self.source,
        }
