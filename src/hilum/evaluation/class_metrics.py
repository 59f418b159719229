"""Metrics of label maps of several classes that those of the lungs do not have: sizes and lesions."""

from __future__ import annotations

from hilum.evaluation.lesions import LARGE_MM, LEAST_IOU
from hilum.evaluation.metrics import Better, Metric

__all__ = ["CLASS_METRICS"]

_MASS = "mass = sum of V (HU + 1000) / 1000 with HU clamped to -1000 and above"
_TISSUE = "formula of tissue_mass in hilum.measures"
_LESION = (
    f"component of the class, connected by corners; one of R is found where one of P has IoU > {LEAST_IOU:g}"
)


def _lesions(tail: str, title: str, which: str) -> tuple[Metric, ...]:
    """Metrics of the lesions of a class, all of them or the large ones."""
    return (
        Metric(
            f"lesions{tail}",
            f"Lesions{title}",
            Better.NONE,
            f"number of lesions of R{which}",
            "",
            0,
            counts=True,
        ),
        Metric(
            f"lesions_found{tail}",
            f"Lesions found{title}",
            Better.HIGHER,
            f"number of lesions of R{which} that are found; a lesion is a {_LESION}",
            "hilum",
            0,
            counts=True,
        ),
        Metric(
            f"lesions_missed{tail}",
            f"Lesions missed{title}",
            Better.LOWER,
            f"number of lesions of R{which} that are not found",
            "hilum",
            0,
            counts=True,
        ),
        Metric(
            f"lesions_false{tail}",
            f"False lesions{title}",
            Better.LOWER,
            f"number of lesions of P{which} with IoU > {LEAST_IOU:g} with none of R",
            "hilum",
            0,
            counts=True,
        ),
        Metric(
            f"lesion_sensitivity{tail}",
            f"Lesion sensitivity{title}",
            Better.HIGHER,
            f"lesions of R{which} that are found / lesions of R{which}",
            "hilum",
            4,
        ),
    )


_ALL = (
    Metric("volume_prediction", "Volume", Better.NONE, "volume of P", "", 1),
    Metric("volume_reference", "Volume of the reference", Better.NONE, "volume of R", "", 1),
    Metric("mass_prediction", "Mass", Better.NONE, f"mass of P; {_MASS}", _TISSUE, 1),
    Metric("mass_reference", "Mass of the reference", Better.NONE, f"mass of R; {_MASS}", _TISSUE, 1),
    *_lesions("", "", ""),
    *_lesions(
        f"_{LARGE_MM:g}_mm",
        f", {LARGE_MM:g} mm and more",
        f" with the volume of a ball of {LARGE_MM:g} mm and more",
    ),
)

#: All metrics of classes by id, in the order of tables.
CLASS_METRICS: dict[str, Metric] = {metric.id: metric for metric in _ALL}
