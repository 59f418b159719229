"""The HU histogram of both lungs over the aeration bands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from hilum.core.labels import LUNGS, Lung
from hilum.drawing.numbers import format_number
from hilum.drawing.survey import BIN_HU, EDGES, Survey
from hilum.drawing.svg import element, hex_colour, polyline, text
from hilum.tasks.lungs.report.compartments import COMPARTMENTS

__all__ = ["Peak", "histogram", "outside_note", "peaks"]

_LOW, _HIGH = -1050, 150
#: Bins. Wide enough that a scan whose HU come in steps shows one peak and not a comb of them.
_PEAK_SIGMA = 2.5
_WIDTH, _HEIGHT = 560.0, 290.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 8.0, 34.0, 34.0


@dataclass(frozen=True)
class Peak:
    """A peak of a lung's histogram: the centre of its bin in HU, and its height in voxels."""

    lung: int
    hu: float
    height: float


def peaks(found: Survey, at_most: int = 3) -> list[Peak]:
    """Find the peaks of each lung's smoothed histogram that stand out by a tenth of the highest.

    Args:
        found: The survey of the scan.
        at_most: How many a lung.
    """
    out = []
    for lung in found.present:
        drawn = _smooth(found.histograms[lung])
        smooth = gaussian_filter1d(drawn, _PEAK_SIGMA, mode="constant")
        places, traits = find_peaks(smooth, prominence=0.1 * smooth.max())
        order = np.argsort(-traits["prominences"], kind="stable")[:at_most]
        out += [Peak(lung, float(EDGES[places[n]] + BIN_HU / 2), float(drawn[places[n]])) for n in order]
    return out


def _smooth(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Counts without the two open end bins, smoothed by one bin."""
    inner = counts.astype(np.float64)
    inner[[0, -1]] = 0
    smooth: npt.NDArray[np.float64] = gaussian_filter1d(inner, 1.0, mode="constant")
    return smooth


def outside_note(found: Survey) -> str:
    """Say how much of the lungs lies outside the aeration bands; empty where there is no lung."""
    counts = np.sum([found.histograms[lung] for lung in LUNGS], axis=0)
    total = int(np.sum(counts))
    if not total:
        return ""
    low, high = COMPARTMENTS[0].low, COMPARTMENTS[-1].high
    below = 100.0 * int(counts[EDGES[:-1] < low].sum()) / total
    above = 100.0 * int(counts[EDGES[:-1] >= high].sum()) / total
    percent = "\N{NO-BREAK SPACE}%"
    first, last = format_number(low), format_number(high)
    return (
        f"Outside the bands, counted apart: {format_number(below, 1)}{percent} of the voxels below "
        f"{first} HU and {format_number(above, 1)}{percent} at or above {last} HU."
    )


def _x(hu: float) -> float:
    return _LEFT + (hu - _LOW) / (_HIGH - _LOW) * (_WIDTH - _LEFT - _RIGHT)


def histogram(found: Survey) -> Markup | None:
    """Draw the histogram in mL (thousands of voxels without voxel size) per 10 HU; None without lungs."""
    if not found.present:
        return None
    known = found.volume.meta.spacing_known
    scale = found.volume.voxel_volume_ml if known else 1e-3
    curves = {lung: _smooth(found.histograms[lung]) * scale for lung in found.present}
    top = _nice(1.05 * max(float(curve.max()) for curve in curves.values()))
    floor = _HEIGHT - _BOTTOM

    def y(value: float) -> float:
        return floor - value / top * (floor - _TOP)

    children = _bands() + _axes(top, y, "mL per 10 HU" if known else "thousand voxels per 10 HU")
    for lung, curve in curves.items():
        colour = hex_colour(LUNGS[lung].colour)
        shown = (EDGES[:-1] >= _LOW) & (EDGES[:-1] < _HIGH)
        points = [
            (_x(e + BIN_HU / 2), y(float(v))) for e, v in zip(EDGES[:-1][shown], curve[shown], strict=True)
        ]
        area = [(points[0][0], floor), *points, (points[-1][0], floor)]
        children.append(element("polygon", points=polyline(area), fill=colour, fill_opacity="0.16"))
        children.append(
            element("polyline", points=polyline(points), fill="none", stroke=colour, stroke_width="1.8")
        )
    children += _peak_labels(found, dict.fromkeys(curves, scale), y)
    children += _legend(found)
    return element(
        "svg",
        *children,
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        role="img",
        aria_label=_in_words(found),
        class_="chart",
    )


def _in_words(found: Survey) -> str:
    said = "; ".join(
        f"{LUNGS[peak.lung].title.lower()} peak at {format_number(peak.hu)} HU" for peak in peaks(found)
    )
    return f"Histogram of Hounsfield units of the lungs: {said}."


def _nice(top: float) -> float:
    """Round up to 1, 2, 3, 4, 5, 6 or 8 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(top))
    return float(next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * power >= top))


def _bands() -> list[Markup]:
    out = []
    for band in COMPARTMENTS:
        left, right = _x(band.low), _x(band.high)
        out.append(
            element(
                "rect",
                x=left,
                y=_TOP,
                width=right - left,
                height=_HEIGHT - _TOP - _BOTTOM,
                fill=band.colour,
                fill_opacity="0.22",
            )
        )
        short = band.title.removesuffix(" aerated").removesuffix("aerated").rstrip("-")
        out.append(
            text((left + right) / 2, _TOP - 5, short, text_anchor="middle", font_size="11", fill="#2b4a52")
        )
    return out


def _axes(top: float, y: Callable[[float], float], unit: str) -> list[Markup]:
    floor = _HEIGHT - _BOTTOM
    out = [element("path", d=f"M{_LEFT} {floor}H{_WIDTH - _RIGHT}", stroke="#555", fill="none")]
    for hu in range(-1000, 101, 100):
        x = _x(hu)
        out.append(element("path", d=f"M{x:.2f} {floor}v4", stroke="#555"))
        if hu % 200 == 0 or hu == 100:
            out.append(text(x, floor + 15, format_number(hu), text_anchor="middle", font_size="11"))
    out.append(text(_WIDTH - _RIGHT, _HEIGHT - 4, "HU", text_anchor="end", font_size="11"))
    for part in (0.0, 0.5, 1.0):
        value = part * top
        digits = 0 if value >= 10 or not part else (1 if value >= 1 else 2)
        out.append(
            text(_LEFT - 5, y(value) + 4, format_number(value, digits), text_anchor="end", font_size="11")
        )
    out.append(text(2, 12, unit, font_size="11"))
    return out


def _peak_labels(found: Survey, scale: dict[int, float], y: Callable[[float], float]) -> list[Markup]:
    out: list[Markup] = []
    taken: list[tuple[float, float]] = []
    for peak in peaks(found):
        x, height = _x(peak.hu), y(peak.height * scale[peak.lung])
        side = 1 if peak.lung == Lung.LEFT else -1
        words_y = max(height - 4, _TOP + 11)
        while any(abs(x - ox) < 60 and abs(words_y - oy) < 13 for ox, oy in taken):
            words_y += 13
        taken.append((x, words_y))
        out.append(
            element("circle", cx=x, cy=float(height), r="2.6", fill=hex_colour(LUNGS[peak.lung].colour))
        )
        out.append(
            text(
                x + side * 7,
                words_y,
                f"{LUNGS[peak.lung].title[0]} {format_number(peak.hu)}",
                text_anchor="start" if side > 0 else "end",
                font_size="12",
                font_weight="600",
                fill="#222",
            )
        )
    return out


def _legend(found: Survey) -> list[Markup]:
    out: list[Markup] = []
    for n, lung in enumerate(found.present):
        x = _WIDTH - _RIGHT - 150 + 80 * n
        out.append(
            element(
                "path",
                d=f"M{x:g} 9h16",
                stroke=hex_colour(LUNGS[lung].colour),
                stroke_width="3",
            )
        )
        out.append(text(x + 20, 13, LUNGS[lung].title, font_size="11"))
    return out
