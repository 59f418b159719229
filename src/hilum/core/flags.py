"""A quality flag: what is doubtful about a scan or a result, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hilum.core.flag_codes import FlagCode, Severity

__all__ = ["Flag", "FlagCode", "Note", "Severity", "worst", "worst_first"]

#: What a reader met or did: the code, and one sentence that says so; the quality gate makes flags of them.
Note = tuple[FlagCode, str]


@dataclass(frozen=True)
class Flag:
    """One finding of the quality gate.

    Attributes:
        code: What was found, such as ``FlagCode.CALIBRATION_OFF``; its documentation is with it.
        severity: How much it matters.
        message: One sentence that says what was found and what to do.
        regions: Regions it concerns (``right_lung``, ``left_lung``, ``lungs``); empty means all.
        forbids: Groups of measures that this flag makes unknown (values of ``hilum.measures.Group``).
        reason: Short form of the message, given with each value that is withheld; empty for the message.
    """

    code: FlagCode
    severity: Severity
    message: str
    regions: tuple[str, ...] = ()
    forbids: tuple[str, ...] = ()
    reason: str = ""

    def concerns(self, region: str) -> bool:
        """Whether this flag applies to ``region`` (a sub-region such as ``right_lung_apical`` counts)."""
        return not self.regions or any(region == r or region.startswith(r + "_") for r in self.regions)

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        out: dict[str, object] = {
            "code": str(self.code),
            "severity": self.severity.value,
            "message": self.message,
        }
        if self.regions:
            out["regions"] = list(self.regions)
        return out


def worst(flags: Iterable[Flag]) -> Severity | None:
    """Return the highest severity among ``flags``, None where there are none."""
    order = [Severity.INFO, Severity.WARNING, Severity.ERROR]
    return max((f.severity for f in flags), key=order.index, default=None)


def worst_first(flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """Return the flags without repetitions, errors first and infos last."""
    order = [Severity.ERROR, Severity.WARNING, Severity.INFO]
    return tuple(sorted(dict.fromkeys(flags), key=lambda flag: order.index(flag.severity)))
