from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape

import hilum
from hilum.core.errors import InputError, NotAChestError
from hilum.core.label_volume import LabelVolume
from hilum.datasets.prepare import prepare
from hilum.io import write_labels, write_volume
from hilum.report.page import POLICY
from hilum.study.explore import explore
from hilum.study.figures import draw
from hilum.study.intensities import CENTRES, EDGES, Region, Stack, count_intensities, percentile
from hilum.study.mixture import best_threshold, dice_at, fit_mixture, overlap
from hilum.study.output import render, write_exploration
from support.real_data import real_folder


def gaussian(mean: float, sd: float) -> np.ndarray:
    return np.exp(-0.5 * ((CENTRES - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))


def test_mixture_finds_what_was_put_in():
    found = fit_mixture(CENTRES, 0.3 * gaussian(-850, 40) + 0.7 * gaussian(30, 60))
    assert found.means == pytest.approx((-850, 30), abs=0.5)
    assert found.sds == pytest.approx((40, 60), abs=0.5)
    assert found.weights == pytest.approx((0.3, 0.7), abs=0.002)
    at = np.array([found.crossing])
    assert found.density(at, 0) == pytest.approx(found.density(at, 1))
    assert fit_mixture(CENTRES, np.zeros(CENTRES.size)) is None


def test_threshold_against_counting():
    rng = np.random.default_rng(0)
    lung, other = rng.normal(-700, 150, 4000).astype(int), rng.normal(0, 200, 6000).astype(int)
    counts = [np.bincount(np.clip(v + 1100, 0, EDGES.size - 1), minlength=EDGES.size) for v in (lung, other)]
    dice = dice_at(*(c.astype(float) for c in counts))
    for threshold in (-600, -350, -100):
        true, false = np.sum(lung < threshold), np.sum(other < threshold)
        expected = 2 * true / (true + false + lung.size)
        assert dice[threshold + 1100] == pytest.approx(expected)
    best = best_threshold(EDGES, *(c.astype(float) for c in counts))
    assert best.dice == dice.max()
    assert best_threshold(EDGES, np.zeros(EDGES.size), np.ones(EDGES.size)) is None


def test_overlap_of_equal_and_of_apart():
    assert overlap(gaussian(0, 50), 3 * gaussian(0, 50)) == pytest.approx(1)
    assert overlap(gaussian(-900, 20), gaussian(100, 20)) == pytest.approx(0, abs=1e-6)
    assert overlap(np.zeros(3), np.ones(3)) is None


def test_percentile_against_numpy():
    values = np.random.default_rng(1).normal(-800, 70, 50_000).astype(int)
    counts = np.bincount(values + 1100, minlength=EDGES.size)
    for p in (1, 15, 50, 99):
        assert percentile(counts, p) == pytest.approx(np.percentile(values, p), abs=1.0)
    assert percentile(np.zeros(EDGES.size), 50) is None


def gradient_stack(plane: str, sided: bool = False) -> Stack:
    """Lungs whose HU say where they are: right -900, left -800, and more to the back (+30) and base (+3)."""
    x, y, z = np.meshgrid(np.arange(60), np.arange(40), np.arange(36), indexing="ij")  # to R, A, S
    hu = np.full(x.shape, -1000, np.int16)
    hu[4:56, 4:36] = 40
    lung = (x > 8) & (x < 52) & (abs(x - 30) > 4) & (y > 9) & (y < 30) & (z > 2) & (z < 33)
    right = lung & (x > 30)
    labels = np.where(right, 1, np.where(lung, 2, 0)).astype(np.uint8)
    hu[lung] = (np.where(x > 30, -900, -800) + 30 * (y < 16) + 3 * (z < 12))[lung]
    order = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}[plane]
    images, masks = (np.transpose(a, order)[:, ::-1, ::-1] for a in (hu, labels))
    from hilum.core.planes import Plane

    drawn = masks if sided else (masks > 0).astype(np.uint8)
    return Stack(Plane(plane), list(images), list(drawn), list(range(len(images))), (1.0, 1.0), sided)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("sided", [True, False])
def test_parts_of_the_lungs_lie_where_they_should(plane, sided):
    found = count_intensities(0, gradient_stack(plane, sided))
    if plane == "sagittal" and not sided:
        assert Region.RIGHT not in found.histograms
    else:
        assert found.mean(Region.LEFT) - found.mean(Region.RIGHT) == pytest.approx(100, abs=2)
    assert found.mean(Region.DORSAL) - found.mean(Region.VENTRAL) == pytest.approx(30 * 6 / 6, abs=12)
    assert found.mean(Region.BASE) - found.mean(Region.APEX) == pytest.approx(3, abs=1)
    assert found.percentile(Region.BODY, 50) == pytest.approx(40.5, abs=1)
    total = found.histograms[Region.LUNGS].sum()
    assert sum(found.histograms[r].sum() for r in (Region.APEX, Region.MIDDLE, Region.BASE)) == total


def test_few_slices_give_no_evidence_along_the_stack():
    stack = gradient_stack("axial")
    short = Stack(stack.plane, stack.hu[10:12], stack.labels[10:12], [10, 11], stack.spacing, False)
    found = count_intensities(0, short)
    assert Region.APEX not in found.histograms
    assert found.mean(Region.APEX) is None
    assert Region.DORSAL in found.histograms


@pytest.fixture(scope="module")
def chests(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("chests")
    for seed in range(2):
        made = hilum.phantom(seed=seed, spacing=(4.0, 4.0, 4.0))
        write_volume(folder / f"secret-{seed}_ct.nii.gz", made.volume)
        write_labels(
            folder / f"secret-{seed}_lungs.nii.gz",
            LabelVolume.on_grid_of(made.volume, made.labels),
            made.volume,
        )
    return folder


def test_data_set_and_scans_tell_the_same(tmp_path, chests):
    prepare(chests, tmp_path / "ds", plane="axial", sides=True)
    one = explore(tmp_path / "ds")
    two = explore(sorted(chests.glob("*_ct.nii.gz")))
    assert one.threshold.dice > 0.93
    for mine, other in zip(one.subjects, two.subjects, strict=True):
        assert mine.percentile(Region.LUNGS, 50) == pytest.approx(other.percentile(Region.LUNGS, 50), abs=10)
        assert mine.calibration.outside_air.hu == pytest.approx(-1000, abs=20)
    assert -900 < one.mixture.means[0] < -700
    assert -50 < one.mixture.means[1] < 100


def test_written_files(tmp_path, chests, tree):
    prepare(chests, tmp_path / "ds")
    found = explore(tmp_path / "ds")
    write_exploration(found, tmp_path / "out")
    written = tree(tmp_path / "out")
    assert set(written) == {
        "explore.html", "explore.json", "run.json", "subjects.csv", "percentiles.csv", "histograms.csv",
        "thresholds.csv", "outliers.csv",
    }  # fmt: skip
    assert b"secret" not in b"".join(written.values())
    html = written["explore.html"].decode()
    assert html.count("<figure>") == 6
    assert html.count('class="chart"') == 11
    assert "://" not in html
    assert escape(POLICY) in html
    with (tmp_path / "out" / "histograms.csv").open() as file:
        rows = list(csv.DictReader(file))
    lungs = sum(int(r["pixels"]) for r in rows if (r["subject"], r["region"]) == ("0", "lungs"))
    assert lungs == found.subjects[0].histograms[Region.LUNGS].sum()
    write_exploration(found, tmp_path / "out")  # a former result is replaced, with the same bytes
    assert tree(tmp_path / "out") == written


def test_many_subjects_are_drawn_as_a_map(tmp_path, chests):
    prepare(chests, tmp_path / "ds")
    found = explore(tmp_path / "ds")
    few = {drawing.name: str(drawing.plots[0]) for drawing in draw(found)}
    times = 30 // len(found.subjects) + 1
    many = replace(
        found,
        subjects=found.subjects * times,
        own=found.own * times,
        features={name: values * times for name, values in found.features.items()},
    )
    drawn = {drawing.name: str(drawing.plots[0]) for drawing in draw(many)}
    assert drawn.keys() == few.keys()
    assert few["subjects"].count("<polyline") == len(found.subjects)
    assert "data:image/png;base64," in drawn["subjects"]
    assert "<polyline" not in drawn["subjects"]


def test_one_subject_of_rounded_values_leaves_no_comb_in_the_pooled_curve(tmp_path, chests):
    prepare(chests, tmp_path / "ds")
    found = explore(tmp_path / "ds")
    even = np.rint(1e6 * (gaussian(-800, 90) + gaussian(20, 60)))
    rounded = np.zeros_like(even)
    rounded[::8] = np.add.reduceat(even, np.arange(0, even.size, 8))
    subjects = tuple(
        replace(one, histograms={**one.histograms, Region.LUNGS: counts, Region.BODY: counts})
        for one, counts in zip(found.subjects, (even, rounded), strict=True)
    )
    pooled = {**found.pooled, Region.LUNGS: 0.5 * even + 0.5 * rounded}
    drawn = {one.name: str(one.plots[0]) for one in draw(replace(found, subjects=subjects, pooled=pooled))}
    points = drawn["pooled"].split("<polyline")[1].split('points="')[1].split('"')[0].split()
    moves = np.sign(np.diff([float(point.split(",")[1]) for point in points]))
    moves = moves[moves != 0]
    assert np.count_nonzero(moves[1:] != moves[:-1]) == 3  # two peaks and the valley between


def test_a_subject_that_stands_out_is_found(tmp_path, write_pair):
    def shifted(volume, labels):
        from hilum.core.volume import Volume

        return Volume((volume.hu + 100).astype(np.int16), volume.affine), labels

    for seed in range(9):
        write_pair(tmp_path / "in", f"s{seed}", seed, change=shifted if seed == 4 else None)
    prepare(tmp_path / "in", tmp_path / "ds")
    found = explore(tmp_path / "ds")
    assert found.hu_scale["off"] == (4,)
    assert "off in 1 (4)" in render(found)
    odd = found.outliers
    assert {outlier.number for outlier in odd} == {4}
    assert {"mean_hu", "p50_hu"} <= {outlier.feature for outlier in odd}


def test_errors(tmp_path, chests, pairs):
    with pytest.raises(InputError, match="No input"):
        explore([])
    prepare(pairs, tmp_path / "ds")
    with pytest.raises(InputError, match="together with other inputs"):
        explore([tmp_path / "ds", chests / "secret-0_ct.nii.gz"])
    (tmp_path / "ds" / "dataset.json").unlink()
    with pytest.raises(InputError, match="incomplete"):
        explore(tmp_path / "ds")


def test_scans_that_cannot_be_used_are_listed(tmp_path, chests):
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(b"nothing")
    found = explore([bad, chests / "secret-1_ct.nii.gz"])
    assert [name for name, _ in found.failed] == ["bad.nii.gz"]
    assert [one.number for one in found.subjects] == [1]


@pytest.mark.real
def test_real_slices_show_their_squeezed_scale(tmp_path):
    source = real_folder("slices").parent
    table = tmp_path / "some.csv"
    images = sorted((source / "slices/images").glob("*.tif"))[:12]
    lines = [f"{image},{source / 'slices/masks' / (image.stem + '.png')}" for image in images]
    table.write_text("\n".join(["image,mask", *lines]))
    prepare(table, tmp_path / "ds", plane="axial")
    found = explore(tmp_path / "ds")
    air = [value for value in found.features["air_hu"] if value is not None]
    assert np.median(air) == pytest.approx(-815, abs=20)
    assert found.threshold.dice > 0.9
    with pytest.raises(NotAChestError):
        explore(source / "volumes/abdomen-ts.nii.gz")
