from __future__ import annotations

import re

import numpy as np
import pytest

from hilum.drawing.chart import Chart
from hilum.drawing.colours import cividis


def points(markup: str) -> list[tuple[float, float]]:
    found = re.search(r'<polyline points="([^"]*)"', markup)
    assert found is not None
    return [tuple(map(float, pair.split(","))) for pair in found[1].split()]


def test_a_curve_runs_from_corner_to_corner_of_the_plot():
    chart = Chart((0.0, 10.0), (0.0, 1.0), (156.0, 162.0))
    chart.curve([0, 10], [0, 1], "#000")
    assert points(str(chart.draw("a line"))) == [(0.0, 100.0), (100.0, 0.0)]


def test_values_that_are_not_finite_are_left_out():
    chart = Chart((0.0, 2.0), (0.0, 1.0), (156.0, 162.0))
    chart.curve([0, 1, 2], [0, np.nan, 1], "#000")
    assert len(points(str(chart.draw("a line")))) == 2


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    chart = Chart((0.0, 9999.0), (0.0, 1.0), (156.0, 162.0))
    chart.curve(np.arange(10_000), np.linspace(0, 1, 10_000), "#000")
    drawn = points(str(chart.draw("a line")))
    assert len(drawn) < 500
    assert (drawn[0], drawn[-1]) == ((0.0, 100.0), (100.0, 0.0))


def test_axes_hold_round_numbers_within_the_range_only():
    drawn = str(Chart((-1080.0, 400.0), (0.0, 0.73)).draw("HU"))
    numbers = re.findall(r">(−?[\d.]+)</text>", drawn)
    assert {"−1000", "0", "0.2"} <= set(numbers)
    assert "−1500" not in numbers
    assert "0.8" not in numbers


def test_an_axis_may_run_downwards():
    chart = Chart((0.0, 1.0), (18.0, 0.0))
    assert chart.y(0.0) == 0.0
    assert ">10</text>" in str(chart.draw("subjects"))


def test_words_are_escaped():
    chart = Chart((0.0, 1.0), (0.0, 1.0), title="<b>")
    chart.words(0.5, 0.5, "a & b")
    drawn = str(chart.draw('say "no"'))
    assert "<b>" not in drawn
    assert "a &amp; b" in drawn


def test_cividis_is_the_published_map():
    matplotlib = pytest.importorskip("matplotlib")
    published = np.rint(matplotlib.colormaps["cividis"](np.linspace(0, 1, 255))[:, :3] * 255)
    np.testing.assert_array_equal(cividis(), published)
