from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from hilum.core.volume import Volume
from hilum.training.recipes.airways.branches import Drawn, beside_vessels, read_drawn, transplanted
from hilum.training.recipes.airways.cases import UNSURE, Case, painted_case
from hilum.training.recipes.airways.coarse import area_means, coarser_case, coarser_volume
from hilum.training.recipes.airways.paint import Look, Tube, paint
from hilum.training.recipes.airways.voxels import case_rows

SHAPE = (48, 48, 60)
LOOK = Look((0.6, 0.6, 0.6), noise_hu=10.0)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(5)


def line(x: float, y: float, low: float = 5.0, high: float = 55.0) -> np.ndarray:
    """Points each mm along z."""
    z = np.arange(low, high)
    return np.stack([np.full(len(z), x), np.full(len(z), y), z], axis=1)


@pytest.fixture
def lung(random) -> np.ndarray:
    """Lung with a vessel of 5 mm along z at (24, 24)."""
    x, y, _ = np.indices(SHAPE)
    hu = np.full(SHAPE, -860.0, np.float32)
    hu[np.hypot(x - 24, y - 24) <= 2.5] = 40.0
    return hu + 10 * random.standard_normal(SHAPE, np.float32)


@pytest.fixture
def tree() -> Drawn:
    """A branch of 4 mm that divides into two of 2.5 mm."""
    start = np.array([[0.0, 0, 0], [0, 0, 12], [0, 0, 12]])
    end = np.array([[0.0, 0, 12], [5, 0, 20], [-5, 0, 20]])
    return Drawn(start, end, np.array([4.0, 2.5, 2.5]), np.array([-1, 0, 0]))


def test_a_painted_airway_is_dark_within_a_bright_wall_and_the_rest_is_as_it_was(lung, random) -> None:
    hu, labels = paint(lung, [Tube(line(10, 10), 2.0, 1.2)], LOOK, random)
    assert hu[10, 10, 20:40].mean() < -950
    assert hu[12:15, 10, 20:40].max(axis=0).mean() > -500
    assert np.array_equal(hu[25:], lung[25:])
    assert set(np.unique(labels)) == {0, 1, 2}
    assert labels[10, 10, 30] == 1
    assert labels[13, 10, 30] == 2
    assert np.count_nonzero(labels == 1) == pytest.approx(np.pi * 4 * 50, rel=0.15)


def test_painted_lumen_has_the_noise_of_the_scan(lung, random) -> None:
    hu, _ = paint(lung, [Tube(line(12, 12), 5.0, 1.0)], LOOK, random)
    assert hu[10:14, 10:14, 12:48].std() == pytest.approx(10.0, rel=0.3)


def test_a_lumen_thinner_than_a_voxel_is_labelled_as_one_line(lung, random) -> None:
    _, labels = paint(lung, [Tube(line(10.4, 10.4), 0.3, 0.4)], LOOK, random)
    assert (labels == 1).any(axis=(0, 1))[6:54].all()


def test_what_has_no_wall_is_a_vessel(lung, random) -> None:
    hu, labels = paint(lung, [Tube(line(10, 10), 2.0, 0.0)], LOOK, random)
    assert set(np.unique(labels)) == {0, 3}
    assert hu[10, 10, 20:40].mean() > -50


def test_airways_lie_beside_the_vessels_and_leave_them_free(lung, random) -> None:
    lungs = np.ones(SHAPE, bool)
    (tube,) = beside_vessels(lung, lungs, np.zeros(SHAPE, bool), 1.0, random)
    away = np.hypot(*(tube.points[5:-5, :2] - 24).T)
    assert (away > 2.5).all()
    assert (away < 2.5 + tube.radius + tube.wall + 2).all()
    assert not beside_vessels(lung, lungs, np.zeros(SHAPE, bool), 0.0, random)


def test_a_transplanted_tree_begins_at_its_place_and_goes_its_way(lung, tree, random) -> None:
    place, direction = np.array([8.0, 8.0, 10.0]), np.array([0.0, 0.0, 1.0])
    tubes = transplanted(lung, np.ones(SHAPE, bool), [(place, direction)], tree, random)
    airways = [tube for tube in tubes if tube.wall > 0]
    arteries = [tube for tube in tubes if tube.wall == 0]
    assert airways
    assert len(airways) == len(arteries)
    assert np.allclose(airways[0].points[0], place)
    assert airways[0].points[-1, 2] > 15


def test_no_tree_is_drawn_through_a_vessel_or_beyond_the_scan(lung, tree, random) -> None:
    ends = [(np.array([24.0, 24.0, 10.0]), np.array([0.0, 0.0, 1.0])),
            (np.array([8.0, 8.0, 58.0]), np.array([0.0, 0.0, 1.0]))]  # fmt: skip
    assert not transplanted(lung, np.ones(SHAPE, bool), ends, tree, random)


def test_the_airways_of_a_table_of_branches_are_read(tmp_path) -> None:
    columns = "kind,parent,start_x,start_y,start_z,end_x,end_y,end_z,diameter_mm"
    rows = [
        "airway,,0,0,9,0,0,5,8",
        "airway,0,0,0,5,3,0,1,4",
        "airway,1,3,0,1,4,0,0,2",
        "artery,,0,0,0,1,1,1,3",
    ]
    (tmp_path / "b.csv").write_text("\n".join([columns, *rows]))
    drawn = read_drawn(tmp_path / "b.csv")
    assert drawn.diameter.tolist() == [8, 4, 2]
    assert drawn.below(1) == [1, 2]


def test_rows_of_a_painted_scan_know_lumen_and_leave_out_what_is_unsure(lung, tree, random) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[36:44, 36:44] = UNSURE
    hard = np.flatnonzero(np.indices(SHAPE)[0] == 4)
    case = Case(lung, labels, np.ones(SHAPE, bool), hard, 10.0, 0.3, np.zeros((0, 2, 3)))
    painted = painted_case(case, tree, random)
    assert np.count_nonzero(painted.labels == 1) > 50
    assert np.array_equal(painted.labels == UNSURE, (labels == UNSURE) & (painted.labels == UNSURE))
    rows = case_rows(painted)
    assert rows.truth.sum() > 30
    marks = painted.labels.ravel()[rows.index]
    assert (rows.weight[marks == UNSURE] == 0).all()
    assert (rows.weight[rows.truth] > 1).all()


def test_means_over_blocks_keep_the_total_of_what_they_cover(random) -> None:
    values = random.standard_normal((12, 10, 9))
    means = area_means(values, (2.0, 2.5, 3.0))
    assert means.shape == (6, 4, 3)
    assert np.allclose(
        means[1, 0, 2], (values[2:4, :2, 6:].sum() + 0.5 * values[2:4, 2, 6:].sum()) / 15, atol=1e-5
    )
    assert np.isclose(means.mean(), values.mean(), atol=1e-6)


def test_a_coarser_voxel_lies_in_the_middle_of_the_voxels_it_is_made_of() -> None:
    affine = np.diag([-1.0, -1.0, 0.5, 1.0])
    affine[:3, 3] = 40, 30, -20
    coarse, factors = coarser_volume(Volume(np.zeros((20, 20, 20), np.float32), affine), 2.0)
    assert factors == (2.0, 2.0, 4.0)
    assert coarse.shape == (10, 10, 5)
    assert np.allclose(coarse.spacing, 2.0)
    assert np.allclose(coarse.affine[:3, 3], affine[:3, :3] @ [0.5, 0.5, 1.5] + affine[:3, 3])


def test_on_coarser_voxels_lumen_fills_half_and_a_part_of_it_does_not_count(lung) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[10:12, 10:12] = 1  # fills voxels of 2 mm
    labels[20:22, 20:21] = 1  # fills half
    labels[31:32, 31:32] = 1  # fills a quarter
    labels[4:6, 4:6] = UNSURE
    hard = np.flatnonzero((np.indices(SHAPE)[0] // 2 == 4) & (labels == 0))
    case = Case(lung, labels, np.ones(SHAPE, bool), hard, 10.0, 0.3, np.zeros((0, 2, 3)))
    coarse = coarser_case(case, 2.0)
    assert (coarse.labels[5, 5] == 1).all()
    assert (coarse.labels[10, 10] == 1).all()
    assert (coarse.labels[15, 15] == UNSURE).all()
    assert (coarse.labels[2, 2] == UNSURE).all()
    assert np.count_nonzero(coarse.labels) == 4 * coarse.labels.shape[2]
    assert set(np.unravel_index(coarse.hard, coarse.labels.shape)[0]) == {4}
    assert case_rows(coarse).scan.spacing == (2.0, 2.0, 2.0)
