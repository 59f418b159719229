"""What the recipe of the lung model makes of scans and slices."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import tifffile
from PIL import Image

pytest.importorskip("torch")

import torch

from hilum.core.errors import UsageError
from hilum.core.volume import Volume
from hilum.datasets.split import split_subjects
from hilum.datasets.volume_grid import STEP_MM, to_isotropic
from hilum.datasets.volumes import load_volumes
from hilum.imaging.overlap import dice
from hilum.io import write_map, write_volume
from hilum.models.registry import find_model
from hilum.synthesis.lesions import Injured, add_diaphragm
from hilum.synthesis.phantoms import make_phantom
from hilum.training.config import load_config
from hilum.training.recipes.lungs import extrude as extruding
from hilum.training.recipes.lungs.__main__ import main, recipe_config
from hilum.training.recipes.lungs.bowel import add_bowel
from hilum.training.recipes.lungs.calibration import corrupt, fit_logistic
from hilum.training.recipes.lungs.compare import main as compare
from hilum.training.recipes.lungs.extrude import block_means, extrude, read_slice, slices_of
from hilum.training.recipes.lungs.heldout import heldout_cases
from hilum.training.recipes.lungs.prepare import prepare_data
from hilum.training.recipes.lungs.ship import ship_volumes
from hilum.training.recipes.lungs.slice_labels import write_slice_labels
from hilum.training.recipes.lungs.source import SHARES, RecipeSource
from hilum.training.volumes.initial import load_initial
from hilum.training.volumes.module import new_network, scaled_range
from hilum.training.volumes.net2net import init_from_narrower


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
    write_slice_label_files(root / "slice-labels")
    out = root / "data"
    for _ in range(2):  # the second time finds all there
        prepare_data(
            root / "volumes",
            [root / "labels"],
            study,
            out,
            own=["airy"],
            negative=["empty"],
            slice_labels=root / "slice-labels",
        )
    return out


def write_slice_label_files(folder, patients=10):
    """Two slices a patient, one with lungs and fluid, one without any; HU tell the patient."""
    folder.mkdir()
    for patient in range(patients):
        for part in range(2):
            hu, labels = np.full((120, 100), 30, np.int16), np.zeros((120, 100), np.uint8)
            if part == 0:
                labels[70:100, 30:70], labels[20:50, 30:70], labels[70:100, 20:30] = 1, 2, 3
                hu[(labels == 1) | (labels == 2)] = -850
            hu[0, 0] = patient
            file = folder / f"{patient}-{part}.npz"
            np.savez(file, hu=hu, labels=labels, pixel_mm=2.0, patient=f"P{patient}")


def test_prepared_data_hold_scans_slices_and_negatives(data):
    found = load_volumes(data / "scans")
    assert len(found.subjects) == 4
    assert found.step_mm == STEP_MM
    assert all(record.voxels[0] > 10_000 < record.voxels[1] for record in found.volumes)
    with (data / "pairs" / "pairs.csv").open() as file:
        assert [row["subject"] for row in csv.DictReader(file)] == ["airy", "first", "second", "third"]
    with np.load(data / "negatives.npz") as kept:
        assert kept.files == ["empty"]


def test_slices_in_true_hu_are_split_by_patient(data):
    with np.load(data / "slices_hu.npz") as kept:
        patients = [int(kept[f"hu{k}"][0, 0]) for k in range(len(kept.files) // 3)]
    assert len(patients) == 2 * len(set(patients))
    assert set(patients) == set(split_subjects(list(range(10)), seed=0).train)


def test_an_extruded_slice_keeps_the_fluid_that_was_labelled(data):
    source = RecipeSource(data, (0, 1, 2), 0)
    fluid = [source.of_group("extruded_hu", np.random.default_rng(seed))[1] == 3 for seed in range(8)]
    assert sum(f.any() for f in fluid) >= 2
    assert sum(not f.any() for f in fluid) >= 1


def test_emphysema_throughout_leaves_no_aerated_lung(data):
    source = RecipeSource(data, (0, 1, 2), 0)
    hu, labels = source.of_group("emphysema", np.random.default_rng(0))
    assert np.median(hu[labels > 0]) < -900


def test_pleural_cases_validate_and_are_the_same_each_time(data):
    first, again = (RecipeSource(data, (3,), seed).validation_cases(4) for seed in (0, 1))
    assert len(first) == 4
    assert all(np.array_equal(a.hu, b.hu) for a, b in zip(first, again, strict=True))
    assert any((case.labels > 2).any() for case in first)


def test_weights_are_compared_on_the_subjects_that_validate(data, capsys):
    compare(["--scans", str(data), "--cases", "2", "lungs"])
    lines = capsys.readouterr().out.splitlines()
    assert "lungs" in lines[0]
    row = next(line for line in lines if line.startswith("scans as they are"))
    assert float(row.split()[5]) > 0.9
    assert any(line.startswith("made cases") for line in lines)


def test_a_network_labels_slices_and_those_named_empty_hold_no_lung(tmp_path):
    phantom = make_phantom(seed=1, spacing=(2.0, 2.0, 5.0), orientation="LPS")
    middle = phantom.labels.shape[2] // 2
    affine = phantom.volume.affine
    one = Volume(np.ascontiguousarray(phantom.volume.hu[:, :, middle : middle + 1]), affine)
    with (tmp_path / "index.csv").open("w") as stream:
        stream.write("name,patient\nlung,P\nbelly,P\nwrong,P\n")
    for name in ("lung", "belly", "wrong"):
        write_volume(tmp_path / f"{name}.nii.gz", one)
    config = load_config(None, {"model": "volume"})
    network = new_network(config, 5)
    init_from_narrower(load_initial("lungs", scaled_range(config)), network)
    torch.save(network.state_dict(), tmp_path / "start.pt")
    out = tmp_path / "labels"
    assert write_slice_labels(tmp_path, tmp_path / "start.pt", out, ["wrong"], ["belly"]) == 2
    assert sorted(file.name for file in out.iterdir()) == ["belly.npz", "lung.npz"]
    truth = phantom.labels[:, :, middle : middle + 1].astype(np.int16)
    drawn = Volume(truth, affine).canonical().hu[:, :, 0]
    with np.load(out / "lung.npz") as kept, np.load(out / "belly.npz") as empty:
        assert dice(kept["labels"] == 1, drawn == 1, empty=0.0) > 0.9
        assert kept["pixel_mm"] == 2.0
        assert not empty["labels"].any()
    torch.save(new_network(config, 3).state_dict(), tmp_path / "three.pt")
    with pytest.raises(UsageError, match="3 classes"):
        write_slice_labels(tmp_path, tmp_path / "three.pt", out)


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
