"""Pictures of the intensity study, as PNG."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter1d

from hilum.core.flag_limits import LIMITS
from hilum.study.explore import Exploration
from hilum.study.intensities import CENTRES, EDGES, Region

__all__ = ["draw"]

_INK, _LUNG, _BODY, _RIM, _RIGHT, _LEFT, _MARK = (
    "#22313f",
    "#1f7a8c",
    "#b5651d",
    "#8d6a9f",
    "#4090e0",
    "#f09638",
    "#a3123a",
)
#: Smoothing of the curves in HU; wider where the HU come in steps.
_SMOOTH_HU = 4.0
_SHOWN = (-1080, 400)
_MANY = 25
_NAMED = 8
_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.edgecolor": "#7a8a99",
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "legend.frameon": False,
}


def _pooled(found: Exploration, figure: Figure) -> None:
    """Pooled histograms of lungs, rim and body, with threshold and mixture."""
    axes = figure.subplots()
    lines = (
        (Region.LUNGS, _LUNG, "lungs"),
        (Region.RIM, _RIM, "body within 10 mm"),
        (Region.BODY, _BODY, "body"),
    )
    for region, colour, name in lines:
        if region in found.pooled:
            curve = _smooth(found.pooled[region]) * 100
            axes.fill_between(CENTRES[1:-1], curve, color=colour, alpha=0.15, linewidth=0)
            axes.plot(CENTRES[1:-1], curve, color=colour, linewidth=1.6, label=name)
    if found.threshold is not None:
        axes.axvline(found.threshold.hu, color=_MARK, linewidth=1.2)
        text = f" best threshold {found.threshold.hu:.0f} HU\n Dice {found.threshold.dice:.3f}"
        axes.text(found.threshold.hu, axes.get_ylim()[1] * 0.97, text, color=_MARK, va="top")
    _hu_axis(axes)
    axes.set_ylabel("% of pixels per HU")
    axes.legend(loc="upper left" if found.pooled[Region.LUNGS].argmax() > 700 else "upper right")


def _mixture(found: Exploration, figure: Figure) -> None:
    """Two Gaussians in lungs and body together, and in the lungs alone."""
    left, right = figure.subplots(1, 2)
    both = (
        (left, found.mixture, "Lungs and body together", _both(found)),
        (right, found.inside, "Lungs alone", found.pooled[Region.LUNGS]),
    )
    for axes, mixture, title, density in both:
        axes.set_title(title, loc="left")
        axes.fill_between(CENTRES[1:-1], _smooth(density) * 100, color="#9fb3c1", alpha=0.5, linewidth=0)
        if mixture is not None:
            for part, colour in ((0, _LUNG), (1, _BODY)):
                curve = mixture.density(CENTRES, part) * 100
                label = f"{mixture.means[part]:.0f} ± {mixture.sds[part]:.0f} HU, {mixture.weights[part]:.0%}"
                axes.plot(CENTRES, curve, color=colour, linewidth=1.4, label=label)
            if mixture.crossing is not None:
                axes.axvline(mixture.crossing, color=_MARK, linewidth=1, linestyle="--")
        _hu_axis(axes)
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper right", fontsize=8)
    left.set_ylabel("% of pixels per HU")


def _both(found: Exploration) -> npt.NDArray[np.float64]:
    """Lungs and body in the proportion in which the mean subject has them."""
    lungs = [float(one.histograms[Region.LUNGS].sum()) for one in found.surveys]
    body = [float(one.histograms[Region.BODY].sum()) for one in found.surveys]
    share = float(np.mean([a / (a + b) for a, b in zip(lungs, body, strict=True)]))
    out = share * found.pooled[Region.LUNGS]
    return out + (1 - share) * found.pooled[Region.BODY] if Region.BODY in found.pooled else out


def _subjects(found: Exploration, figure: Figure) -> None:
    """Lungs of each subject: curves for a few, a map sorted by median for many."""
    axes = figure.subplots()
    odd = {outlier.number for outlier in found.outliers}
    curves = []
    for one in found.surveys:
        counts = one.histograms[Region.LUNGS].astype(np.float64)
        curves.append(
            (one.percentile(Region.LUNGS, 50) or 0.0, one.number, _smooth(counts / counts.sum()) * 100)
        )
    if len(curves) <= _MANY:
        for _, number, curve in curves:
            mark = number in odd
            axes.plot(
                CENTRES[1:-1],
                curve,
                color=_MARK if mark else _LUNG,
                linewidth=1.4 if mark else 0.9,
                alpha=1.0 if mark else 0.6,
            )
            if not mark and len(curves) > _NAMED:
                continue  # numbers would lie on each other
            peak = int(curve.argmax())
            axes.annotate(str(number), (CENTRES[1 + peak], curve[peak]), fontsize=7, ha="center", va="bottom")
        axes.set_ylabel("% of lung pixels per HU")
        _hu_axis(axes)
        return
    curves.sort(key=lambda curve: curve[0])
    chosen = (CENTRES[1:-1] >= _SHOWN[0]) & (CENTRES[1:-1] < _SHOWN[1])
    picture = np.stack([curve[chosen] for _, _, curve in curves])
    # The brightest hundredth saturates, so that one narrow histogram does not darken the others.
    axes.imshow(
        picture,
        aspect="auto",
        cmap="viridis",
        extent=(*_SHOWN, len(curves), 0),
        vmax=float(np.quantile(picture, 0.99)),
        interpolation="nearest",
    )
    axes.set_xlabel("HU")
    axes.set_ylabel("subjects, sorted by median")


def _threshold(found: Exploration, figure: Figure) -> None:
    """Dice over the threshold."""
    axes = figure.subplots()
    axes.plot(EDGES, found.dice, color=_LUNG, linewidth=1.8, label="pooled")
    own = [best for best in found.own if best is not None]
    axes.scatter(
        [b.hu for b in own], [b.dice for b in own], s=9, color=_BODY, alpha=0.7, label="best of a subject"
    )
    if found.threshold is not None:
        axes.axvline(found.threshold.hu, color=_MARK, linewidth=1)
    low = min((b.dice for b in own), default=0.5)
    axes.set_ylim(max(0.0, min(0.6, low - 0.05)), 1.0)
    axes.set_xlim(-950, 100)
    axes.set_xlabel("threshold: lung is what is darker, HU")
    axes.set_ylabel("Dice within the body")
    axes.legend(loc="lower left")


def _places(found: Exploration, figure: Figure) -> None:
    """Mean HU by place: right and left, apex to base, front to back; one line a subject."""
    groups = (
        ("Right and left", (Region.RIGHT, Region.LEFT), ("right", "left")),
        ("Apex to base", (Region.APEX, Region.MIDDLE, Region.BASE), ("apex", "middle", "base")),
        ("Front to back", (Region.VENTRAL, Region.CENTRAL, Region.DORSAL), ("front", "middle", "back")),
    )
    shown = [group for group in groups if all(region in found.pooled for region in group[1])]
    panels = figure.subplots(1, max(1, len(shown)), sharey=True, squeeze=False)[0]
    for axes, (title, regions, names) in zip(panels, shown, strict=False):
        axes.set_title(title, loc="left")
        values = [[one.mean(region) for region in regions] for one in found.surveys]
        table = np.array([[np.nan if v is None else v for v in row] for row in values])
        alpha = 0.7 if len(values) <= _MANY else 0.15
        axes.plot(range(len(regions)), table.T, color=_LUNG, linewidth=0.8, alpha=alpha)
        middle = [float(np.median(column[np.isfinite(column)])) for column in table.T]
        axes.plot(
            range(len(regions)), middle, color=_MARK, linewidth=2, marker="o", markersize=4, label="median"
        )
        axes.set_xticks(range(len(regions)), names)
        axes.margins(x=0.15)
    panels[0].set_ylabel("mean HU of the part of the lungs")
    if shown:
        panels[0].legend(loc="best", fontsize=8)


def _calibration(found: Exploration, figure: Figure) -> None:
    """Air, fat and soft tissue of each subject."""
    panels = figure.subplots(1, 3)
    points = (
        ("air_hu", "Air round the body", (LIMITS.air_hu, LIMITS.air_hu)),
        ("fat_hu", "Fat", (-120.0, -80.0)),
        ("soft_tissue_hu", "Soft tissue", LIMITS.tissue_hu),
    )
    odd = {(outlier.number, outlier.feature) for outlier in found.outliers}
    for axes, (feature, title, usual) in zip(panels, points, strict=True):
        axes.set_title(title, loc="left")
        low, high = (usual[0] - 30, usual[1] + 30) if usual[0] == usual[1] else usual
        axes.axhspan(low, high, color="#6aa84f", alpha=0.2, linewidth=0)
        known = [
            (n, value, one.number)
            for n, (value, one) in enumerate(zip(found.features[feature], found.surveys, strict=True))
            if value is not None
        ]
        for n, value, number in known:
            mark = (number, feature) in odd
            axes.scatter(
                [n], [value], s=14, color=_MARK if mark else _LUNG, alpha=1 if mark else 0.6, linewidths=0
            )
            if mark and len(known) <= 10 * _MANY:
                axes.annotate(f" {number}", (n, value), fontsize=7, va="center", color=_MARK)
        if not known:
            axes.text(0.5, 0.5, "not seen", transform=axes.transAxes, ha="center")
        axes.set_xlabel("subject, in order")
    panels[0].set_ylabel("HU")


def _smooth(density: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The closed bins, smoothed; the two open ends have no place on the axis."""
    inner = density[1:-1]
    dense = (EDGES[1:-1] > -900) & (EDGES[1:-1] < 100)
    step = dense.sum() / max(1, np.count_nonzero(inner[dense]))
    sigma = _SMOOTH_HU if step < 2 else max(_SMOOTH_HU, step)
    out: npt.NDArray[np.float64] = gaussian_filter1d(inner, sigma, mode="constant")
    return out


def _hu_axis(axes: Any) -> None:
    axes.set_xlim(*_SHOWN)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("HU")


#: Name, caption, size in inches and painter of each picture, in order.
_PAINTERS: tuple[tuple[str, str, tuple[float, float], Callable[[Exploration, Figure], None]], ...] = (
    (
        "pooled",
        "Pooled histograms. Each subject counts the same. The body is the patient without the lungs.",
        (8.0, 3.4),
        _pooled,
    ),
    (
        "subjects",
        "The lungs of each subject. Numbers are those of subjects; of many, only of those that stand out.",
        (8.0, 3.6),
        _subjects,
    ),
    (
        "threshold",
        "Dice that a single threshold reaches within the body. What a network has to beat.",
        (8.0, 3.0),
        _threshold,
    ),
    (
        "mixture",
        "Two Gaussians by expectation-maximisation; on the dashed line both are equally likely.",
        (8.0, 3.0),
        _mixture,
    ),
    ("places", "Mean HU of parts of the lungs, one line a subject.", (8.0, 3.0), _places),
    (
        "calibration",
        "Fixed points of the HU scale; green is where they usually lie, red is what stands out.",
        (8.0, 2.8),
        _calibration,
    ),
)


def draw(found: Exploration) -> list[tuple[str, str, bytes]]:
    """Draw all pictures.

    Args:
        found: What :func:`hilum.study.explore.explore` gave.

    Returns:
        Name, caption and PNG of each. The same exploration gives the same bytes.
    """
    import matplotlib as mpl

    out = []
    for name, caption, size, paint in _PAINTERS:
        if name == "places" and not any(
            r in found.pooled for r in (Region.RIGHT, Region.APEX, Region.VENTRAL)
        ):
            continue
        with mpl.rc_context(_STYLE):
            figure = Figure(figsize=size, layout="constrained", dpi=130)
            FigureCanvasAgg(figure)
            paint(found, figure)
            target = BytesIO()
            figure.savefig(target, format="png", metadata={"Software": None})
        out.append((name, caption, target.getvalue()))
    return out
