"""The metrics of an evaluation: name, definition and direction of improvement."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["DENSE_DEPTH_MM", "DENSE_HU", "METRICS", "TOLERANCES", "Better", "Metric"]

#: A voxel counts as dense lung above this value ...
DENSE_HU = -450
#: ... and deeper than this below the surface of the reference, beyond the partial-volume effect.
DENSE_DEPTH_MM = 3.0
#: Tolerances of the surface Dice, in mm (in pixels if the spacing is unknown).
TOLERANCES = (1, 2)


class Better(str, Enum):
    """Direction of improvement of a metric."""

    HIGHER = "higher"
    LOWER = "lower"
    ZERO = "zero"
    """A signed error: nearer to zero is better. A positive error means that the prediction is larger."""
    NONE = "none"
    """A size, which is neither good nor bad."""

    def badness(self, value: float) -> float:
        """Return a number that increases as the value gets worse, for sorting."""
        return {"higher": -value, "lower": value, "zero": abs(value), "none": 0.0}[self.value]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        id: Its name in tables, without a unit.
        title: Displayed name.
        better: Direction of improvement.
        definition: How it is computed. P is the prediction, R the reference.
        source: Reference for the definition.
        digits: Decimals worth showing.
        counts: Whether it counts things, so that a short table shows the sum over cases and not the median.
    """

    id: str
    title: str
    better: Better
    definition: str
    source: str
    digits: int
    counts: bool = False

    def as_dict(self) -> dict[str, str]:
        """Return plain data for JSON."""
        return {
            "title": self.title,
            "better": self.better.value,
            "definition": self.definition,
            "source": self.source,
        }


_NIKOLOV = "Nikolov 2018 (arXiv:1809.04430), 2021"
_ALL = (
    Metric("dice", "Dice", Better.HIGHER, "2 |P and R| / (|P| + |R|)", "Dice 1945", 4),
    Metric("iou", "IoU", Better.HIGHER, "|P and R| / |P or R|", "Jaccard 1912", 4),
    Metric("sensitivity", "Sensitivity", Better.HIGHER, "|P and R| / |R|", "Yerushalmy 1947", 4),
    Metric("precision", "Precision", Better.HIGHER, "|P and R| / |P|", "van Rijsbergen 1979", 4),
    Metric(
        "hd95",
        "HD95",
        Better.LOWER,
        "the 95th percentile of the distances of a surface to the other, weighted by area; the worse of "
        "both directions",
        _NIKOLOV,
        2,
    ),
    Metric(
        "assd",
        "ASSD",
        Better.LOWER,
        "mean distance to the other surface over the area of both surfaces",
        f"Heimann 2009, weighted by area as in {_NIKOLOV}",
        3,
    ),
    *(
        Metric(
            f"surface_dice_{tolerance}",
            f"Surface Dice {tolerance}",
            Better.HIGHER,
            f"share of the area of both surfaces that lies within {tolerance} mm of the other surface",
            _NIKOLOV,
            4,
        )
        for tolerance in TOLERANCES
    ),
    Metric(
        "dense_recall",
        "Dense recall",
        Better.HIGHER,
        f"share of the voxels of R above {DENSE_HU} HU and deeper than {DENSE_DEPTH_MM:g} mm that P holds",
        "hilum",
        4,
    ),
    Metric("volume_error", "Volume error", Better.ZERO, "volume of P - volume of R", "", 1),
    Metric(
        "volume_error_percent",
        "Volume error %",
        Better.ZERO,
        "100 (volume of P - volume of R) / volume of R",
        "",
        2,
    ),
    Metric(
        "mass_error",
        "Mass error",
        Better.ZERO,
        "mass of P - mass of R; mass = sum of V (HU + 1000) / 1000 with HU clamped to -1000 and above",
        "formula of tissue_mass in hilum.measures",
        1,
    ),
    Metric(
        "mass_error_percent",
        "Mass error %",
        Better.ZERO,
        "100 (mass of P - mass of R) / mass of R",
        "formula of tissue_mass in hilum.measures",
        2,
    ),
)

#: All metrics by id, in the order of tables.
METRICS: dict[str, Metric] = {metric.id: metric for metric in _ALL}
