"""Values by region and measure, with conversion to plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hilum.core.flags import Flag
from hilum.measures.definition import MeasureInfo
from hilum.measures.registry import REGISTRY

__all__ = ["Measures", "Value", "formulae"]

Formulae = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Value:
    """A value, or the reason why it is unknown.

    Attributes:
        value: The value; None if unknown.
        unit: Its unit; empty for a dimensionless number.
        reason: Why it is unknown; None if known.
    """

    value: float | None
    unit: str
    reason: str | None = None

    @property
    def rounded(self) -> float | None:
        """The value to seven digits: finer than any scan resolves, and equal on every machine."""
        return None if self.value is None else float(f"{self.value:.7g}")

    def as_dict(self) -> dict[str, object]:
        """Return plain data for JSON, rounded to seven digits."""
        if self.value is None:
            return {"value": None, "reason": self.reason}
        return {"value": self.rounded, "unit": self.unit}


def formulae(definitions: Iterable[MeasureInfo] = tuple(REGISTRY.values())) -> dict[str, dict[str, object]]:
    """Return the formulae of the measures by id, as plain data."""
    return {entry.id: entry.as_dict() for entry in definitions}


@dataclass(frozen=True, eq=False)
class Measures(Mapping[str, Mapping[str, Value]]):
    """All values of a task, or of several tasks: region name to measure id to :class:`Value`.

    Attributes:
        regions: The values.
        flags: The quality flags that were applied, and those raised while measuring.
        formulae: The formula of each measure by id, as plain data; see :func:`formulae`.
    """

    regions: Mapping[str, Mapping[str, Value]]
    flags: tuple[Flag, ...] = ()
    formulae: Formulae = field(default_factory=formulae)

    def __getitem__(self, region: str) -> Mapping[str, Value]:
        return self.regions[region]

    def __iter__(self) -> Iterator[str]:
        return iter(self.regions)

    def __len__(self) -> int:
        return len(self.regions)

    def __repr__(self) -> str:
        unknown = sum(entry.value is None for values in self.regions.values() for entry in values.values())
        total = sum(len(values) for values in self.regions.values())
        shown = ", ".join(list(self.regions)[:3]) + (", ..." if len(self.regions) > 3 else "")
        return f"<Measures of {len(self.regions)} regions ({shown}): {total} values, {unknown} unknown>"

    @classmethod
    def joined(cls, parts: Iterable[Measures]) -> Measures:
        """Merge the measures of several tasks.

        Raises:
            ValueError: Two tasks have a region of the same name.
        """
        regions: dict[str, Mapping[str, Value]] = {}
        flags: dict[Flag, None] = {}
        every: dict[str, Mapping[str, object]] = {}
        for part in parts:
            twice = regions.keys() & part.regions.keys()
            if twice:
                raise ValueError(f"Two tasks have regions of the same name: {', '.join(sorted(twice))}.")
            regions.update(part.regions)
            flags.update(dict.fromkeys(part.flags))
            every.update(part.formulae)
        return cls(regions, tuple(flags), every)

    def as_dict(self) -> dict[str, dict[str, dict[str, object]]]:
        """Return the values as plain data: region to measure to value with unit, or null with a reason."""
        return {
            region: {measure: value.as_dict() for measure, value in values.items()}
            for region, values in self.regions.items()
        }
