"""Figures of the intensity study, as SVG."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from scipy.ndimage import gaussian_filter1d

from hilum.core.flag_limits import LIMITS
from hilum.drawing.chart import Chart
from hilum.drawing.colours import cividis
from hilum.drawing.svg import png_uri
from hilum.study.explore import Exploration
from hilum.study.intensities import CENTRES, EDGES, Region
from hilum.study.mixture import Mixture

__all__ = ["Drawing", "draw"]

_Floats = npt.NDArray[np.float64]
_LUNG, _BODY, _RIM, _MARK, _GREY = "#1f7a8c", "#b5651d", "#8d6a9f", "#a3123a", "#9fb3c1"
#: Smoothing of the curves in HU; wider if HU are quantised.
_SMOOTH_HU = 4.0
#: Displayed HU range.
_SHOWN = (-1080.0, 400.0)
#: HU range of fat in a calibrated CT.
_FAT_HU = (-120.0, -80.0)
#: More subjects than this are drawn as a map, since curves would overlap.
_MANY = 25
#: With more subjects than this only outliers are numbered.
_NAMED = 8
#: With more subjects than this outliers are not numbered either.
_CROWD = 250
_WIDE = (640.0, 270.0)
_ROOM = 1.08
_GREEN = "#6aa84f"


class Drawing(NamedTuple):
    """One figure: a caption, and one plot or several side by side."""

    name: str
    caption: str
    plots: list[Markup]


def _pooled(found: Exploration) -> list[Markup]:
    """Pooled histograms of lungs, rim and body, with the best threshold."""
    lines = (
        (Region.LUNGS, _LUNG, "lungs"),
        (Region.RIM, _RIM, "body within 10 mm"),
        (Region.BODY, _BODY, "body"),
    )
    curves = [
        (_smooth(found.pooled[region], _widest(found)) * 100, colour, name)
        for region, colour, name in lines
        if region in found.pooled
    ]
    top = _ROOM * max(float(curve.max()) for curve, _, _ in curves)
    chart = Chart(_SHOWN, (0.0, top), _WIDE, x_label="HU", y_label="% of pixels per HU")
    for curve, colour, name in curves:
        chart.area(CENTRES[1:-1], curve, colour, 0.15)
        chart.curve(CENTRES[1:-1], curve, colour, 1.6, name=name)
    left = found.pooled[Region.LUNGS].argmax() > 700
    if found.threshold is not None:
        chart.upright(found.threshold.hu, _MARK)
        words = f"\u00a0best threshold {found.threshold.hu:.0f} HU, Dice {found.threshold.dice:.3f}"
        chart.words(found.threshold.hu, 0.95 * top, words.replace("-", "−"), _MARK, "start")
    return [chart.draw("Pooled histograms of lungs and body", "left" if left else "right")]


def _mixture(found: Exploration) -> list[Markup]:
    """Two Gaussians in lungs and body together, and in the lungs alone."""
    return [
        _mixture_chart(title, mixture, _smooth(density, _widest(found)) * 100)
        for mixture, title, density in (
            (found.mixture, "Lungs and body together", _both(found)),
            (found.inside, "Lungs alone", found.pooled[Region.LUNGS]),
        )
    ]


def _mixture_chart(title: str, mixture: Mixture | None, density: _Floats) -> Markup:
    parts = [] if mixture is None else [mixture.density(CENTRES, part) * 100 for part in (0, 1)]
    top = _ROOM * max(float(values.max()) for values in (density, *parts))
    chart = Chart(_SHOWN, (0.0, top), title=title, x_label="HU", y_label="% of pixels per HU")
    chart.area(CENTRES[1:-1], density, _GREY, 0.5)
    if mixture is not None:
        for part, colour in ((0, _LUNG), (1, _BODY)):
            name = (
                f"{mixture.means[part]:.0f} ± {mixture.sds[part]:.0f} HU, {100 * mixture.weights[part]:.0f} %"
            )
            chart.curve(CENTRES, parts[part], colour, name=name.replace("-", "−"))
        if mixture.crossing is not None:
            chart.upright(mixture.crossing, _MARK, dashed=True)
    return chart.draw(f"Two Gaussians: {title}")


def _both(found: Exploration) -> _Floats:
    """Lungs and body in the proportion of the mean subject."""
    lungs = [float(one.histograms[Region.LUNGS].sum()) for one in found.subjects]
    body = [float(one.histograms[Region.BODY].sum()) for one in found.subjects]
    share = float(np.mean([a / (a + b) for a, b in zip(lungs, body, strict=True)]))
    out = share * found.pooled[Region.LUNGS]
    return out + (1 - share) * found.pooled[Region.BODY] if Region.BODY in found.pooled else out


def _subjects(found: Exploration) -> list[Markup]:
    """Lungs of each subject: curves for few subjects, a map sorted by median for many."""
    curves = []
    for one in found.subjects:
        counts = one.histograms[Region.LUNGS].astype(np.float64)
        median = one.percentile(Region.LUNGS, 50) or 0.0
        curves.append((median, one.number, _smooth(counts / counts.sum()) * 100))
    return [_subject_curves(found, curves) if len(curves) <= _MANY else _subject_map(curves)]


def _subject_curves(found: Exploration, curves: list[tuple[float, int, _Floats]]) -> Markup:
    odd = {outlier.number for outlier in found.outliers}
    top = _ROOM * max(float(curve.max()) for _, _, curve in curves)
    chart = Chart(_SHOWN, (0.0, top), _WIDE, x_label="HU", y_label="% of lung pixels per HU")
    for _, number, curve in curves:
        mark = number in odd
        chart.curve(
            CENTRES[1:-1], curve, _MARK if mark else _LUNG, 1.4 if mark else 0.9, 1.0 if mark else 0.6
        )
    for _, number, curve in curves:
        if number in odd or len(curves) <= _NAMED:
            peak = int(curve.argmax())
            chart.words(CENTRES[1 + peak], float(curve[peak]) + 0.01 * top, str(number), size=9.0)
    return chart.draw("Histograms of the lungs, one line per subject")


def _subject_map(curves: list[tuple[float, int, _Floats]]) -> Markup:
    chosen = (CENTRES[1:-1] >= _SHOWN[0]) & (CENTRES[1:-1] < _SHOWN[1])
    rows = np.stack([curve[chosen] for _, _, curve in sorted(curves, key=lambda curve: curve[0])])
    # The top 1 % saturates, so that one narrow histogram does not darken the others.
    bright = float(np.quantile(rows, 0.99)) or 1.0
    palette = np.vstack([cividis(), cividis()[-1:]])
    shades = np.rint(np.clip(rows / bright, 0.0, 1.0) * 254).astype(np.uint8)
    chart = Chart(
        _SHOWN, (float(len(curves)), 0.0), _WIDE, x_label="HU", y_label="subjects, sorted by median"
    )
    chart.image(png_uri(shades, palette))
    return chart.draw("Histograms of the lungs, one row per subject")


def _threshold(found: Exploration) -> list[Markup]:
    """Dice over the threshold."""
    own = [best for best in found.own if best is not None]
    low = min((best.dice for best in own), default=0.5)
    floor = max(0.0, min(0.6, low - 0.05))
    chart = Chart(
        (-950.0, 100.0),
        (floor, 1.0),
        _WIDE,
        x_label="threshold in HU; lung is below",
        y_label="Dice within the body",
    )
    chart.curve(EDGES, found.dice, _LUNG, 1.8, name="pooled")
    chart.dots(
        [best.hu for best in own], [best.dice for best in own], _BODY, 2.6, name="best of each subject"
    )
    if found.threshold is not None:
        chart.upright(found.threshold.hu, _MARK)
    return [chart.draw("Dice over the threshold", "left")]


def _places(found: Exploration) -> list[Markup]:
    """Mean HU by place: right and left, apex to base, front to back; one line per subject."""
    groups = (
        ("Right and left", (Region.RIGHT, Region.LEFT), ("right", "left")),
        ("Apex to base", (Region.APEX, Region.MIDDLE, Region.BASE), ("apex", "middle", "base")),
        ("Front to back", (Region.VENTRAL, Region.CENTRAL, Region.DORSAL), ("front", "middle", "back")),
    )
    tables = {
        title: (names, np.array([[_known(one.mean(region)) for region in regions] for one in found.subjects]))
        for title, regions, names in groups
        if all(region in found.pooled for region in regions)
    }
    values = np.concatenate([table.ravel() for _, table in tables.values()])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = 0.05 * (high - low) or 1.0
    return [
        _place_chart(title, names, table, (low - room, high + room))
        for title, (names, table) in tables.items()
    ]


def _place_chart(title: str, names: tuple[str, ...], table: _Floats, limits: tuple[float, float]) -> Markup:
    places = list(range(len(names)))
    chart = Chart(
        (-0.4, len(names) - 0.6),
        limits,
        (280.0, 260.0),
        title=title,
        y_label="mean HU",
        x_names=list(zip(map(float, places), names, strict=True)),
    )
    for row in table:
        chart.curve(places, row, _LUNG, 0.8, 0.7 if len(table) <= _MANY else 0.15)
    median = [float(np.median(column[np.isfinite(column)])) for column in table.T]
    chart.curve(places, median, _MARK, 2.0, name="median")
    chart.dots(places, median, _MARK, 3.0, 1.0)
    return chart.draw(f"Mean HU of parts of the lungs: {title}")


def _known(value: float | None) -> float:
    return float("nan") if value is None else value


def _calibration(found: Exploration) -> list[Markup]:
    """Air, fat and soft tissue of each subject."""
    points = (
        (
            "air_hu",
            "Air around the body",
            (LIMITS.air_hu - LIMITS.air_off_hu[0], LIMITS.air_hu + LIMITS.air_off_hu[0]),
        ),
        ("fat_hu", "Fat", _FAT_HU),
        ("soft_tissue_hu", "Soft tissue", LIMITS.tissue_hu),
    )
    return [_calibration_chart(found, feature, title, usual) for feature, title, usual in points]


def _calibration_chart(found: Exploration, feature: str, title: str, usual: tuple[float, float]) -> Markup:
    odd = {outlier.number for outlier in found.outliers if outlier.feature == feature}
    known = [
        (float(place), value, one.number)
        for place, (value, one) in enumerate(zip(found.features[feature], found.subjects, strict=True))
        if value is not None
    ]
    values = [*usual, *(value for _, value, _ in known)]
    room = 0.08 * (max(values) - min(values))
    count = len(found.subjects)
    chart = Chart(
        (-0.5, max(1.0, count - 0.5)),
        (min(values) - room, max(values) + room),
        (280.0, 260.0),
        title=title,
        x_label="subject, in order",
        y_label="HU",
        x_names=[(float(place), str(place)) for place in range(0, count, -(-count // 6))],
    )
    chart.band(*usual, _GREEN)
    for marked in (False, True):
        some = [(place, value) for place, value, number in known if (number in odd) == marked]
        chart.dots(
            [place for place, _ in some], [value for _, value in some], _MARK if marked else _LUNG, 2.6
        )
    for place, value, number in known if count <= _CROWD else ():
        if number in odd:
            chart.words(place, value, f"\u00a0{number}", _MARK, "start", 9.0)
    if not known:
        chart.words((count - 1) / 2, sum(usual) / 2, "not seen")
    return chart.draw(f"{title}: HU of each subject")


def _smooth(density: _Floats, step: float | None = None) -> _Floats:
    """Return the closed bins, smoothed; the two open end bins are not on the axis.

    Args:
        density: A histogram over ``CENTRES``.
        step: Distance of its HU values; None takes it from the histogram itself.
    """
    step = _step(density) if step is None else step
    sigma = _SMOOTH_HU if step < 2 else max(_SMOOTH_HU, step)
    out: _Floats = gaussian_filter1d(density[1:-1], sigma, mode="constant")
    return out


def _step(density: _Floats) -> float:
    """Return the mean distance of the HU values that occur between lung and soft tissue."""
    dense = (EDGES[1:-1] > -900) & (EDGES[1:-1] < 100)
    return float(dense.sum() / max(1, np.count_nonzero(density[1:-1][dense])))


def _widest(found: Exploration) -> float:
    """Return the largest step of any subject: in pooled histograms others would hide it, but not its comb."""
    body = [one.histograms.get(Region.BODY, one.histograms[Region.LUNGS]) for one in found.subjects]
    return max(_step(counts.astype(np.float64)) for counts in body)


#: Name, caption and painter of each figure, in order.
_PAINTERS: tuple[tuple[str, str, Callable[[Exploration], list[Markup]]], ...] = (
    (
        "pooled",
        "Pooled histograms; subjects have equal weight. The body excludes the lungs.",
        _pooled,
    ),
    (
        "subjects",
        "The lungs of each subject, by number; with many subjects only outliers are labelled.",
        _subjects,
    ),
    (
        "threshold",
        "Dice of a single threshold within the body: the baseline for a network.",
        _threshold,
    ),
    (
        "mixture",
        "Two Gaussians by expectation-maximisation; at the dashed line both are equally likely.",
        _mixture,
    ),
    ("places", "Mean HU of parts of the lungs, one line per subject.", _places),
    (
        "calibration",
        "Reference points of the HU scale; green: usual range, red: outliers.",
        _calibration,
    ),
)


def draw(found: Exploration) -> list[Drawing]:
    """Draw all figures; equal explorations give equal bytes.

    Args:
        found: Result of :func:`hilum.study.explore.explore`.
    """
    sided = any(region in found.pooled for region in (Region.RIGHT, Region.APEX, Region.VENTRAL))
    return [
        Drawing(name, caption, paint(found))
        for name, caption, paint in _PAINTERS
        if name != "places" or sided
    ]
