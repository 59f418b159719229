"""What the recipe of the lung model makes of scans and slices."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import tifffile
from PIL import Image

pytest.importorskip("torch")

from hilum.datasets.volume_grid import STEP_MM, to_isotropic
from hilum.datasets.volumes import load_volumes
from hilum.io import write_map, write_volume
from hilum.models.registry import find_model
from hilum.synthesis.lesions import Injured, add_diaphragm
from hilum.synthesis.phantoms import make_phantom
from hilum.training.recipes.lungs import extrude as extruding
from hilum.training.recipes.lungs.__main__ import main, recipe_config
from hilum.training.recipes.lungs.bowel import add_bowel
from hilum.training.recipes.lungs.calibration import corrupt, fit_logistic
from hilum.training.recipes.lungs.extrude import block_means, extrude, read_slice, slices_of
from hilum.training.recipes.lungs.heldout import heldout_cases
from hilum.training.recipes.lungs.prepare import prepare_data
from hilum.training.recipes.lungs.ship import ship_volumes
from hilum.training.recipes.lungs.source import SHARES, RecipeSource


def test_bowel_lies_below_and_off_the_lungs():
    phantom = make_phantom(seed=1, spacing=(5.0, 5.0, 5.0), orientation="RAS")
    hu, labels = phantom.volume.hu.astype(np.float32), phantom.labels
    out = add_bowel(hu, labels, 5.0, np.random.default_rng(0))
    changed = np.abs(out - hu) > 1
    assert changed.sum() > 50
    assert not changed[labels > 0].any()
    assert not changed[hu < -500].any()  # no gas in the room
    again = add_bowel(hu, labels, 5.0, np.random.default_rng(0))
    assert np.array_equal(out, again)


def test_without_room_for_bowel_the_scan_is_unchanged():
    hu = np.full((12, 12, 12), -1000, np.float32)
    assert add_bowel(hu, np.zeros(hu.shape, np.uint8), 5.0, np.random.default_rng(0)) is hu


def write_study(folder, count=10):
    """Write axial slices of an elliptic body with two lungs, as the study of slices has them."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    y, x = np.mgrid[:512, :512]
    body = ((x - 256) / 220) ** 2 + ((y - 256) / 160) ** 2 < 1
    lungs = [((x - cx) / 70) ** 2 + ((y - 256) / 110) ** 2 < 1 for cx in (150, 362)]
    hu = np.where(body, 30, -1000)
    hu[lungs[0] | lungs[1]] = -850
    for k in range(count):
        hu[0, 0] = -1000 + k  # no two slices are the same file
        tifffile.imwrite(folder / "images" / f"{k}_0.tiff", hu.astype(np.int16))
        Image.fromarray((lungs[0] | lungs[1]).astype(np.uint8)).save(folder / "masks" / f"{k}_0.png")
    return folder


def test_an_extruded_slice_has_right_on_the_right(tmp_path, monkeypatch):
    files = slices_of(write_study(tmp_path / "s"), "train")
    assert 0 < len(files) < 10  # the others validate and test
    hu, sides = read_slice(files[0])

    def made(sides, hu=hu, seed=3):
        maps = [block_means(a, 4) for a in (hu, sides == 1, sides == 2)]
        return extrude(maps, 0.7 * 4, np.random.default_rng(seed))

    out, labels = made(sides)
    assert out.shape == labels.shape
    assert 16 <= out.shape[2] < 56
    # Rows and columns of a slice show the patient's right on the left, RAS has it at large x.
    right, left = (np.nonzero(labels == side)[0].mean() for side in (1, 2))
    assert right > out.shape[0] / 2 > left
    assert 250 < out.shape[0] * STEP_MM < 520
    # The same slice with a diaphragm dome has less lung.
    monkeypatch.setattr(extruding, "random_injury", lambda hu, mask, *_: Injured(hu, mask, 0.0, {}))
    domed = add_diaphragm(hu[:, :, None], sides[:, :, None], (0.7,) * 3, np.random.default_rng(5))
    less, whole = ((made(s, h)[1] > 0).mean() for h, s in ((domed[0][..., 0], domed[1][..., 0]), (hu, sides)))
    assert 0 < less < 0.98 * whole


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four scans: three with labels as .npz or NIfTI, one labelled by its air, and a study of slices."""
    root = tmp_path_factory.mktemp("recipe")
    for seed, name in enumerate(("first", "second", "third", "airy", "empty")):
        chest = make_phantom(seed=seed, spacing=(6.0, 6.0, 8.0))
        write_volume(root / "volumes" / f"{name}.nii.gz", chest.volume)
        if name in ("first", "second"):
            (root / "labels").mkdir(exist_ok=True)
            np.savez(root / "labels" / f"{name}.npz", labels=to_isotropic(chest.volume, chest.labels)[1])
        elif name == "third":
            write_map(root / "labels" / "third.nii.gz", chest.labels, chest.volume, "lungs")
    study = write_study(root / "study")
    out = root / "data"
    for _ in range(2):  # the second time finds all there
        prepare_data(root / "volumes", [root / "labels"], study, out, own=["airy"], negative=["empty"])
    return out


def test_prepared_data_hold_scans_slices_and_negatives(data):
    found = load_volumes(data / "scans")
    assert len(found.subjects) == 4
    assert found.step_mm == STEP_MM
    assert all(record.voxels[0] > 10_000 < record.voxels[1] for record in found.volumes)
    with (data / "pairs" / "pairs.csv").open() as file:
        assert [row["subject"] for row in csv.DictReader(file)] == ["airy", "first", "second", "third"]
    with np.load(data / "negatives.npz") as kept:
        assert kept.files == ["empty"]


def test_each_group_of_cases_is_a_function_of_its_draws(data):
    source = RecipeSource(data, (0, 1, 2), 0)
    for group in SHARES:
        hu, labels = source.of_group(group, np.random.default_rng(4))
        again, same = RecipeSource(data, (0, 1, 2), 0).of_group(group, np.random.default_rng(4))
        assert np.array_equal(hu, again), group
        assert np.array_equal(labels, same), group
        assert labels.max() <= 4
        assert hu.shape == labels.shape
    assert np.array_equal(source.make(7).hu, RecipeSource(data, (0, 1, 2), 0).make(7).hu)


def test_fluid_and_gas_come_from_injury(data):
    source = RecipeSource(data, (0, 1, 2, 3), 0)
    seen = set()
    for seed in range(12):
        seen |= set(np.unique(source.of_group("injured", np.random.default_rng(seed))[1]))
    assert {0, 1, 2, 3, 4} <= seen


def test_fresh_cases_are_of_validation_patients_and_other_phantoms(data):
    cases = list(heldout_cases(data, extruded=1, phantoms=1))
    assert [case.group for case in cases] == ["phantom", *["extruded", "dome"] * (len(cases) // 2)]
    assert all(set(np.unique(case.lungs)) <= {0, 1, 2} for case in cases)


def test_the_recipe_trains_from_the_shipped_weights(data, tmp_path):
    words = ["--scans", str(data), "--out", str(tmp_path / "run"), "--init", "lungs", "--steps", "2"]
    words += ["--workers", "0", "--threads", "1", "--set", "size=[32, 32, 32]"]
    run = main(words)
    card = find_model(run).card
    assert list(card.labels) == ["right_lung", "left_lung", "pleural_fluid", "pleural_gas"]
    assert card.figures.validation_dice is not None
    assert card.figures.validation_dice.mean > 0.9
    (tmp_path / "shipped").mkdir()
    ship_volumes(run, tmp_path / "shipped", "6.0")
    shipped = find_model(tmp_path / "shipped" / "lungs.json").check().card
    assert (shipped.name, shipped.version, shipped.onnx_sha256) == ("lungs", "6.0", card.onnx_sha256)
    assert any("LIDC" in source for source in shipped.data.sources)
    assert recipe_config(5.0, None, 1, 0, []).cases.workers == 1


def test_a_scan_is_corrupted_in_ways_that_keep_its_truth():
    hu, mask = np.zeros((20, 24, 28), np.float32), np.zeros((20, 24, 28), np.uint8)
    hu[4:9] = mask[4:9] = 1
    ways = set()
    for seed in range(60):
        plain, corrupted = corrupt(hu, mask, np.random.default_rng(seed))
        assert plain[0] == "as it is"
        assert plain[1] is hu
        assert corrupted[1].shape == corrupted[2].shape
        ways.add(corrupted[0])
    assert len(ways) == 10


def test_confidence_never_counts_a_sign_in_favour():
    rng = np.random.default_rng(0)
    failed = list(rng.random(400) < 0.3)
    signs = [
        {"good": float(0.01 + 0.2 * f * rng.random()), "wrong": float(0.2 - 0.19 * f), "none": 0.0}
        for f in failed
    ]
    fit = fit_logistic(signs, failed)
    assert fit["weights"]["good"] > 0
    assert fit["weights"]["wrong"] == 0
    assert fit["failures"] == sum(failed)
