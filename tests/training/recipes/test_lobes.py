"""The recipe of the shape prior: reading points, and mean and covariance from what subjects show in part."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hilum.tasks.lobes.frames import Fissure
from hilum.tasks.lobes.prior import load_prior
from hilum.training.recipes.lobes.fit import fit_gaussian, held_out_errors, make_frames, observe
from hilum.training.recipes.lobes.points import Subject, read_subjects

#: Centres of made fissures, RAS mm, and how a subject's surface is placed: a level and a tilt.
CENTRES = {
    Fissure.RIGHT_OBLIQUE: np.array([60.0, 130.0, -200.0]),
    Fissure.RIGHT_HORIZONTAL: np.array([70.0, 170.0, -190.0]),
    Fissure.LEFT_OBLIQUE: np.array([-70.0, 130.0, -180.0]),
}
LEVEL_MM = 8.0


def made_subjects(count: int, seed: int = 0) -> list[Subject]:
    """Subjects whose fissures are planes of one slope at levels of their own; one level for all three."""
    rng = np.random.default_rng(seed)
    subjects = []
    for _ in range(count):
        level = rng.normal(0, LEVEL_MM)
        points = {}
        for fissure, centre in CENTRES.items():
            across = rng.uniform(-60, 60, (40, 2))
            slope = 0.2 if fissure is Fissure.RIGHT_HORIZONTAL else -1.2
            height = slope * across[:, 1] + level + rng.normal(0, 1, 40)
            points[fissure] = centre + np.column_stack([across, height])
        subjects.append(Subject(points))
    return subjects


def test_points_are_brought_to_the_template_by_the_inverse_of_the_transform(tmp_path: Path) -> None:
    matrix, offset, centre = (
        np.array([[1.1, 0.1, 0], [0, 0.9, 0], [0, 0, 1.2]]),
        np.array([5, -3, 2]),
        np.ones(3),
    )
    template = np.array([[10.0, 20, 30], [-40, 50, -60]])
    lps = (template * [-1, -1, 1] - centre) @ matrix.T + centre + offset
    rows = ["Region,Type,X,Y,Z"]
    rows += [f"RIGHTLUNG,OBLIQUEFISSURE,{','.join(map(str, lps[0]))}"]
    rows += [f"LeftSuperiorLobe,ObliqueFissure,{','.join(map(str, lps[1]))}"]
    rows += ["UNDEFINEDREGION,UNDEFINEDTYPE,0,0,0"]
    (tmp_path / "A_regionAndTypePoints.csv").write_text("\n".join(rows))
    parameters = " ".join(map(str, [*matrix.ravel(), *offset]))
    lines = ["#Insight Transform File V1.0", f"Parameters: {parameters}", f"FixedParameters: {'1 ' * 3}"]
    (tmp_path / "A_TO_B_transform.tfm").write_text("\n".join(lines))
    (subject,) = read_subjects(tmp_path)
    assert subject.points[Fissure.RIGHT_OBLIQUE] == pytest.approx(template[:1])
    assert subject.points[Fissure.LEFT_OBLIQUE] == pytest.approx(template[1:])
    assert subject.points[Fissure.RIGHT_HORIZONTAL].shape == (0, 3)


def test_six_points_of_a_subject_place_its_whole_fissures() -> None:
    subjects = made_subjects(24)
    frames = make_frames(subjects)
    observed = [observe(subject, frames) for subject in subjects]
    mean, covariance = fit_gaussian(observed[:20], frames)
    rng = np.random.default_rng(1)
    both = [held_out_errors(one, mean, covariance, rng) for one in observed[20:]]
    alone, shown = (np.median(np.concatenate([np.concatenate(pair[i]) for pair in both])) for i in range(2))
    assert shown < 2 < alone


def test_fissures_that_move_together_are_found_to_do_so() -> None:
    subjects = made_subjects(20)
    frames = make_frames(subjects)
    _, covariance = fit_gaussian([observe(subject, frames) for subject in subjects], frames)
    ends = np.cumsum([0, *(frame.size for frame in frames)])
    rows = np.zeros((2, ends[-1]))
    for row, number in zip(rows, (Fissure.RIGHT_OBLIQUE, Fissure.LEFT_OBLIQUE), strict=True):
        row[ends[number] : ends[number + 1]] = frames[number].basis(np.zeros((1, 2)))[0]
    joint = rows @ covariance @ rows.T
    assert joint[0, 1] / np.sqrt(joint[0, 0] * joint[1, 1]) > 0.4


def test_the_shipped_prior_is_the_one_of_its_card_and_is_plausible() -> None:
    prior = load_prior()
    card = json.loads(
        (Path(__file__).parents[3] / "src/hilum/tasks/lobes/shipped/lobes-prior.json").read_text()
    )
    assert prior.info.sha256 == card["sha256"]
    deviation = np.sqrt(np.diag(prior.covariance()))
    assert 5 < np.median(deviation) < 30  # mm
    assert (prior.lungs.distances < 0).any(axis=(1, 2, 3)).all()
