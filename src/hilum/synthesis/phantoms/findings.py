"""Findings in the airways of a full tree: bronchiectasis, mucus, thick walls and variants of branching."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from hilum.synthesis.phantoms.severities import parse_severities

__all__ = ["AirwayFinding", "parse_findings"]


class AirwayFinding(str, Enum):
    """What a full airway tree can show; each has a severity from 0 to 1."""

    BRONCHIECTASIS = "bronchiectasis"
    """Wide lumens with thick walls in some segments: up to half of them, up to three times as wide."""
    MUCUS = "mucus"
    """Plugs that fill the lumen of up to 15 % of the branches from the fourth generation on."""
    THICK_WALLS = "thick_walls"
    """Walls up to twice as thick at the same lumen."""
    TRACHEAL_BRONCHUS = "tracheal_bronchus"
    """The right upper lobe hangs on the trachea; the severity says how high."""
    CARDIAC_BRONCHUS = "cardiac_bronchus"
    """A short blind bronchus at the medial wall of the intermediate bronchus; the severity says how long."""


def parse_findings(findings: str | Mapping[str, float] | None) -> dict[AirwayFinding, float]:
    """Read the ``airway_findings`` argument.

    Args:
        findings: None, a mapping from name to severity (0 to 1), or names separated by commas, each with an
            optional severity as in ``"bronchiectasis:0.8,mucus"``.

    Raises:
        UsageError: A name is unknown or a severity lies outside 0 to 1.

    Examples:
        >>> parse_findings("mucus:0.2")
        {<AirwayFinding.MUCUS: 'mucus'>: 0.2}
    """
    found = parse_severities(findings, (finding.value for finding in AirwayFinding), "airway finding")
    return {AirwayFinding(name): severity for name, severity in found.items()}
