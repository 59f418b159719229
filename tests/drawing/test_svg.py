from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from hilum.drawing.svg import element, path, png_uri


def test_children_and_attributes_are_escaped():
    drawn = str(element("text", "<b>&", title='"><script>', font_size=1.50, skipped=None))
    assert drawn == '<text title="&#34;&gt;&lt;script&gt;" font-size="1.5">&lt;b&gt;&amp;</text>'


def test_path_drops_points_on_straight_lines_only():
    square = np.array([[0, 0], [1, 0], [2, 0], [2, 1], [2, 2], [0, 2], [0, 0]], float)
    assert path([square]) == "M0 0l2 0 0 2 -2 0z"


def test_path_keeps_a_spike():
    spike = np.array([[0, 0], [4, 0], [2, 0], [2, 3], [0, 0]], float)
    assert path([spike]) == "M0 0l4 0 -2 0 0 3z"


def decoded(uri: str) -> Image.Image:
    assert uri.startswith("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


def test_grey_png_is_lossless():
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9), np.uint8)
    assert np.array_equal(np.asarray(decoded(png_uri(pixels))), pixels)


def test_palette_png_has_its_colours_and_a_clear_background():
    palette = np.zeros((256, 3), np.uint8)
    palette[5] = (10, 200, 30)
    image = decoded(png_uri(np.array([[0, 5]], np.uint8), palette, clear=0)).convert("RGBA")
    assert image.getpixel((0, 0))[3] == 0
    assert image.getpixel((1, 0)) == (10, 200, 30, 255)
