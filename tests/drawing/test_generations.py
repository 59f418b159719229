from __future__ import annotations

import re

import numpy as np
import pytest

from hilum.drawing.generations import (
    LAST_COLOUR,
    TreeLine,
    View,
    generation_colour,
    generation_key,
    tree_view,
    view_shape,
)

LINES = [
    TreeLine(np.array([[0.0, 0.0, 100.0], [0.0, 0.0, 60.0]]), 16.0, 0),
    TreeLine(np.array([[0.0, 0.0, 60.0], [30.0, 10.0, 30.0]]), 8.0, 1),
    TreeLine(np.array([[0.0, 0.0, 60.0], [-40.0, -10.0, 30.0]]), 8.0, 1),
]


def xs(svg: str, generation: int) -> list[float]:
    """Abscissae of the ends of the coloured lines of a generation."""
    colour = "#{:02x}{:02x}{:02x}".format(*generation_colour(generation))
    paths = re.findall(rf'd="M[^L]*L([-\d.]+) [-\d.]+" stroke="{colour}"', svg)
    return sorted(map(float, paths))


def test_the_right_of_the_patient_is_on_the_left_of_the_view_from_the_front() -> None:
    drawn = str(tree_view(LINES, View.FRONT, "tree"))
    trachea = xs(drawn, 0)[0]
    right, left = xs(drawn, 1)  # 30 mm to the right of the patient, 40 mm to the left
    assert trachea - right == pytest.approx(30)
    assert left - trachea == pytest.approx(40)
    assert drawn.index(">R<") < drawn.index(">L<")


def test_the_front_is_on_the_left_of_the_view_from_the_right() -> None:
    front, back = xs(str(tree_view(LINES, View.RIGHT, "tree")), 1)
    assert back - front == pytest.approx(20)


def test_the_picture_has_room_for_the_widest_line() -> None:
    width, height = map(
        float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', str(tree_view(LINES, View.FRONT, ""))).groups()
    )
    assert width >= 70 + 8
    assert height >= 70 + 8 + 4
    assert view_shape(LINES, View.FRONT) == pytest.approx(width / height, rel=1e-3)


def test_nearer_lines_lie_over_farther_ones() -> None:
    far = TreeLine(np.array([[0.0, -20.0, 50.0], [10.0, -20.0, 50.0]]), 2.0, 9)
    near = TreeLine(np.array([[0.0, 20.0, 50.0], [10.0, 20.0, 50.0]]), 2.0, 2)
    drawn = str(tree_view([near, far], View.FRONT, "tree"))
    colours = re.findall(r'stroke="(#[0-9a-f]{6})"', drawn)
    assert colours == ["#{:02x}{:02x}{:02x}".format(*generation_colour(n)) for n in (9, 2)]


def test_letters_are_left_out_where_the_orientation_is_not_known() -> None:
    assert "<text" not in str(tree_view(LINES, View.FRONT, "tree", letters=False))


def test_generations_beyond_the_last_colour_share_it_and_the_key_says_so() -> None:
    assert generation_colour(LAST_COLOUR + 5) == generation_colour(LAST_COLOUR)
    assert f">{LAST_COLOUR}+<" in str(generation_key(LAST_COLOUR + 2))
    assert str(generation_key(3)).count("<rect") == 4
