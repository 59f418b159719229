"""Lungs that the field of view cuts, by a circle or a turned grid, and the lungs of children."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from hilum.anatomy.airways import find_central_airways
from hilum.core.volume import Volume
from hilum.imaging.overlap import dice
from hilum.synthesis.phantoms import Phantom, make_phantom
from hilum.tasks.lungs.iso_scan import IsoScan
from hilum.tasks.lungs.model import LearnedLungs

pytest.importorskip("openvino")
SPACING = (2.2, 2.2, 3.0)
Mask = npt.NDArray[np.bool_]


@pytest.fixture(scope="module")
def chest() -> Phantom:
    return make_phantom(seed=23, spacing=SPACING, orientation="RAS")


def circle_through(lungs: Mask) -> Mask:
    """The circle of a scanner that cuts the outer parts of both lungs off, in the shape of a scan."""
    x, y = (np.flatnonzero(lungs.any(axis=axes)) for axes in ((1, 2), (0, 2)))
    grid = np.ogrid[: lungs.shape[0], : lungs.shape[1]]
    middles = [(a[0] + a[-1]) / 2 for a in (x, y)]
    radius = 0.4 * (x[-1] - x[0])
    seen = sum((g - m) ** 2 for g, m in zip(grid, middles, strict=True)) < radius**2
    return np.broadcast_to(seen[:, :, None], lungs.shape)


@pytest.mark.parametrize("padding", [-2000, -1024, 0])
def test_lungs_cut_by_the_scanners_circle_are_lungs(
    model: LearnedLungs, chest: Phantom, padding: int
) -> None:
    true = chest.labels > 0
    seen = circle_through(true)
    assert (true & ~seen).sum() > 0.1 * true.sum()
    hu = np.where(seen, chest.volume.hu, padding).astype(np.int16)
    found = model(Volume(hu, chest.volume.affine)).labels.data
    assert dice(found > 0, true & seen) > 0.95
    assert ((found > 0) & ~seen).sum() < (0.001 if padding < -1500 else 0.02) * true.sum()
    assert (found == np.where(true & seen, chest.labels, 0))[found > 0].mean() > 0.95


@pytest.mark.parametrize("darker", [pytest.param(0, marks=pytest.mark.slow), -60])
def test_half_a_chest_is_lung_up_to_its_edge(model: LearnedLungs, chest: Phantom, darker: int) -> None:
    """However much of the edge a lung takes, and however dark emphysema makes it."""
    true = chest.labels > 0
    columns = np.flatnonzero((chest.labels == 2).any(axis=(1, 2)))
    part = slice(0, int(0.5 * (columns[0] + columns[-1])))
    hu = np.where(true & (chest.volume.hu < -700), chest.volume.hu + darker, chest.volume.hu)[part]
    found = model(Volume(np.ascontiguousarray(hu), chest.volume.affine)).labels.data
    assert dice(found > 0, true[part]) > 0.96


def test_a_room_of_one_value_is_no_lung(model: LearnedLungs, chest: Phantom) -> None:
    """Denoised or clipped, all of the room's air has one value, as padding has."""
    hu = np.maximum(chest.volume.hu, -960)
    found = model(Volume(hu, chest.volume.affine)).labels.data
    assert dice(found > 0, chest.labels > 0) > 0.97


@pytest.mark.parametrize(("radius", "leaks"), [(3.0, True), (9.0, False)])
def test_what_leaks_from_a_childs_airways_is_no_leak_from_an_adults(radius: float, leaks: bool) -> None:
    """A dark space of 60 mL below a trachea: bronchi of a wide one; of a child's narrow one, lung."""
    hu = np.full((80, 80, 60), 40, np.float32)
    x, y, z = np.ogrid[:80, :80, :60]
    hu[(x - 40) ** 2 + (y - 40) ** 2 + 0 * z < radius**2] = -1000
    hu[20:60, 20:60, :38] = -930
    airways = find_central_airways(hu, hu < -500, (1.0, 1.0, 1.0))
    assert airways is not None
    assert (airways.lumen[20:60, 20:60, :30].sum() < 10_000) == leaks


def test_a_child_is_looked_at_as_an_adult_is(model: LearnedLungs, chest: Phantom) -> None:
    factor = 0.45
    spacing = [factor * s for s in SPACING]
    volume = Volume(chest.volume.hu, np.diag([*spacing, 1.0]))
    child, adult = (IsoScan.of(v.canonical(), 3.5) for v in (volume, chest.volume))
    assert adult.magnification == 1
    assert child.magnification > 1.4
    found, grown = model(volume), model(chest.volume)
    assert dice(found.labels.data > 0, chest.labels > 0) > 0.97
    assert found.landmarks.trachea_ml == pytest.approx(grown.landmarks.trachea_ml * factor**3, rel=0.25)


def test_a_narrow_field_of_view_makes_no_child(chest: Phantom) -> None:
    """Nothing tells how large the body is that it cuts."""
    seen = circle_through(chest.labels > 0)
    for hu in (np.where(seen, chest.volume.hu, -2000), chest.volume.hu[60:-60, 40:-40]):
        narrow = Volume(np.ascontiguousarray(hu.astype(np.int16)), chest.volume.affine)
        assert IsoScan.of(narrow.canonical(), 3.5).magnification == 1


def test_a_child_whose_body_is_cut_is_magnified_where_that_makes_the_network_surer(
    model: LearnedLungs, chest: Phantom
) -> None:
    middle = slice(40, -40)
    cut = np.ascontiguousarray(chest.volume.hu[:, middle])
    child = Volume(cut, np.diag([*(0.3 * s for s in SPACING), 1.0]))
    assert IsoScan.of(child.canonical(), 3.5).diameter is None
    assert dice(model(child).labels.data > 0, chest.labels[:, middle] > 0) > 0.95


def test_a_scan_with_head_and_feet_exchanged_is_predicted_upright(
    model: LearnedLungs, chest: Phantom
) -> None:
    turned = Volume(np.ascontiguousarray(chest.volume.hu[:, :, ::-1]), chest.volume.affine)
    found = model(turned).labels.data[:, :, ::-1]
    assert dice(found > 0, chest.labels > 0) > 0.97
    assert dice(found == 1, chest.labels == 1) > 0.97
