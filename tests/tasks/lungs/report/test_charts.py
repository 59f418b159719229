"""Histogram, projections, and the profile by height."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from hilum.core.labels import Lung
from hilum.core.volume import Volume
from hilum.drawing.survey import BIN_HU
from hilum.tasks.lungs.report.histogram import histogram, outside_note, peaks
from hilum.tasks.lungs.report.projection import height_profile, mean_hu, projection_plate, tissue_thickness
from support.results import survey_of


def test_peaks_are_where_the_voxels_are(boxes):
    found = peaks(survey_of(boxes))
    assert [peak.lung for peak in found] == [Lung.RIGHT, Lung.LEFT]
    assert found[0].hu == pytest.approx(-800, abs=BIN_HU / 2)
    assert found[1].hu == pytest.approx(-600, abs=BIN_HU / 2)


def test_second_peak_of_a_lung(boxes):
    hu = boxes.volume.hu.copy()
    hu[26:36, 6:12, 5:19] = 30
    found = [p for p in peaks(survey_of(replace(boxes, volume=replace(boxes.volume, hu=hu)))) if p.lung == 1]
    assert [p.hu for p in found] == pytest.approx([-800, 30], abs=BIN_HU / 2)


def test_histogram_names_peaks_bands_and_unit(boxes):
    drawn = str(histogram(survey_of(boxes)))
    for words in ("R −795", "L −595", "Hyper", "Normally", "Poorly", "Non", "mL per 10 HU", "Right lung"):
        assert f">{words}<" in drawn
    meta = replace(boxes.volume.meta, spacing_known=False)
    unknown = survey_of(replace(boxes, volume=replace(boxes.volume, meta=meta)))
    assert ">thousand voxels per 10 HU<" in str(histogram(unknown))


def test_voxels_outside_the_bands_are_told(boxes):
    hu = boxes.volume.hu.copy()
    hu[26:36, 6:26, 5] = -1001  # 1 of 14 layers of one of two lungs
    hu[4:14, 6:26, 5:7] = 100
    note = outside_note(survey_of(replace(boxes, volume=replace(boxes.volume, hu=hu))))
    assert "3.6\N{NO-BREAK SPACE}% of the voxels below −1000 HU" in note
    assert "7.1\N{NO-BREAK SPACE}% at or above 100 HU" in note


def test_projection_adds_up_to_the_weight(chest):
    found = survey_of(chest)
    shown = tissue_thickness(found)
    assert shown is not None
    pixel_cm2 = shown.pixel_mm[0] * shown.pixel_mm[1] / 100
    total = np.nansum(shown.values) * pixel_cm2
    assert total == pytest.approx(chest.measures["lungs"]["tissue_mass"].value, rel=1e-6)


def test_projections_of_known_boxes(boxes):
    found = survey_of(boxes)
    tissue, mean = tissue_thickness(found), mean_hu(found)
    assert tissue is not None
    assert mean is not None
    middle = tissue.values.shape[0] // 2
    known = ~np.isnan(tissue.values[middle])
    first, last = np.flatnonzero(known)[[0, -1]]
    # 20 voxels of 3 mm: 6 cm deep at 0.2 and 0.4 g/mL; the right lung is on the left.
    assert tissue.values[middle, first] == pytest.approx(1.2)
    assert tissue.values[middle, last] == pytest.approx(2.4)
    assert mean.values[middle, first] == pytest.approx(-800)
    assert mean.values[middle, last] == pytest.approx(-600)
    assert not tissue.indices()[middle, ~known].any()


def test_colours_follow_the_scale(boxes):
    shown = tissue_thickness(survey_of(boxes))
    assert shown is not None
    values = np.array([[np.nan, shown.limits[0], shown.limits[1], 99.0]])
    assert replace(shown, values=values).indices().tolist() == [[0, 1, 255, 255]]


def test_colour_bar_has_limits_and_unit(boxes):
    drawn = str(projection_plate(tissue_thickness(survey_of(boxes))))
    assert ">g/cm²<" in drawn
    assert re.search(r">≥ [\d.]+<", drawn)


def test_single_slices_have_no_projection(boxes, make_result):
    volume = Volume(boxes.volume.hu[:, :, 10:11], boxes.volume.affine)
    found = survey_of(make_result(volume, boxes.segmentations["lungs"].labels.data[:, :, 10:11]))
    assert tissue_thickness(found) is None
    assert mean_hu(found) is None
    assert height_profile(found) is None


def test_no_lungs_no_charts(boxes, make_result):
    found = survey_of(make_result(boxes.volume, np.zeros(boxes.volume.shape, np.uint8)))
    assert histogram(found) is None
    assert outside_note(found) == ""
    assert tissue_thickness(found) is None


def test_height_profile_is_in_grams_per_centimetre(boxes):
    # Right lung: 20 mm x 60 mm x 10 mm of height at 0.2 g/mL = 2.4 g; left: 4.8 g, so the axis ends at 5.
    profile = height_profile(survey_of(boxes))
    assert profile is not None
    drawn = str(profile[0])
    assert ">5<" in drawn
    assert "g per cm of height" in drawn


def test_steps_in_hu_are_not_peaks(boxes):
    rng = np.random.default_rng(2)
    noise = (np.rint(rng.normal(0, 60, boxes.volume.shape) / 16) * 16).astype(np.int16)
    hu = np.where(boxes.segmentations["lungs"].labels.data > 0, boxes.volume.hu + noise, 0).astype(np.int16)
    found = peaks(survey_of(replace(boxes, volume=replace(boxes.volume, hu=hu))))
    assert [peak.lung for peak in found] == [Lung.RIGHT, Lung.LEFT]
