"""Values by region and measure, and their plain-data forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hilum.core.flags import Flag
from hilum.core.labels import contract
from hilum.core.version import __version__
from hilum.measures.registry import REGISTRY

__all__ = ["COLUMNS", "SCHEMA", "Measures", "Value"]

SCHEMA = "hilum.measures/1"

#: Columns of the long table, see :meth:`Measures.rows`.
COLUMNS = ("region", "measure", "value", "unit", "formula_id", "reason")


@dataclass(frozen=True)
class Value:
    """A value, or the reason why it is unknown.

    Attributes:
        value: The value; None where it is unknown.
        unit: Its unit; empty for a pure number.
        reason: Why it is unknown; None where it is known.
    """

    value: float | None
    unit: str
    reason: str | None = None

    def as_dict(self) -> dict[str, object]:
        """Return plain data for JSON, rounded to seven digits."""
        if self.value is None:
            return {"value": None, "reason": self.reason}
        return {"value": _round(self.value), "unit": self.unit}


@dataclass(frozen=True, eq=False)
class Measures(Mapping[str, Mapping[str, Value]]):
    """All values of a scan: region name to measure id to :class:`Value`.

    Attributes:
        regions: The values.
        flags: The quality flags that were respected, and those that measuring itself raised.
    """

    regions: Mapping[str, Mapping[str, Value]]
    flags: tuple[Flag, ...] = ()

    def __getitem__(self, region: str) -> Mapping[str, Value]:
        return self.regions[region]

    def __iter__(self) -> Iterator[str]:
        return iter(self.regions)

    def __len__(self) -> int:
        return len(self.regions)

    def as_dict(self) -> dict[str, object]:
        """Return the content of ``measures.json`` as plain data."""
        return {
            "schema": SCHEMA,
            "hilum": __version__,
            "label_contract": contract(),
            "quality": [flag.as_dict() for flag in self.flags],
            "formulae": {id_: entry.as_dict() for id_, entry in REGISTRY.items()},
            "regions": {
                region: {measure: value.as_dict() for measure, value in values.items()}
                for region, values in self.regions.items()
            },
        }

    def rows(self) -> Iterator[tuple[str, str, float | None, str, str, str | None]]:
        """Give the rows of the long table, one a region and measure; the header is :data:`COLUMNS`."""
        for region, values in self.regions.items():
            for measure, entry in values.items():
                known = None if entry.value is None else _round(entry.value)
                formula = REGISTRY[measure].formula_id
                yield region, measure, known, entry.unit, formula, entry.reason


def _round(value: float) -> float:
    """Round to seven significant digits: more than any scan can tell, and the same on every machine."""
    return float(f"{value:.7g}")
