"""Label map and grams of the injuries of digital chests; prone and expiratory chests."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hilum.cli.app import run
from hilum.core.errors import UsageError
from hilum.core.labels import INJURY, InjuryClass
from hilum.synthesis.phantoms import Phantom, Tissue, make_phantom

INJURIES = "ground_glass:0.4,consolidation:0.5,nodule:0.3,effusion:0.3"


@pytest.fixture(scope="module")
def chest() -> Phantom:
    return make_phantom(seed=3, spacing=(4.0, 4.0, 4.0), injury=INJURIES, noise_hu=0.0)


def test_the_map_covers_the_lungs_and_nothing_else(chest: Phantom) -> None:
    assert chest.injury is not None
    assert np.array_equal(chest.injury.labels > 0, chest.labels > 0)
    kinds = {InjuryClass.GROUND_GLASS, InjuryClass.CONSOLIDATION, InjuryClass.NODULE, InjuryClass.TUBE}
    assert kinds <= set(np.unique(chest.injury.labels))


def test_amounts_are_those_of_the_labelled_voxels(chest: Phantom) -> None:
    assert chest.injury is not None
    amounts = chest.injury.amounts["lungs"]
    voxel_ml = chest.volume.voxel_volume_ml
    for value, info in INJURY.items():
        count = int((chest.injury.labels == value).sum())
        assert amounts[info.name]["volume_ml"] == pytest.approx(count * voxel_ml)
    assert chest.truth.labelled is not None
    total = sum(entry["mass_g"] for entry in amounts.values())
    assert total == pytest.approx(chest.truth.labelled["lungs"].mass_g, rel=1e-4)


def test_vessels_are_seen_in_ground_glass_and_not_in_consolidation(chest: Phantom) -> None:
    assert chest.injury is not None
    vessels = (chest.tissue == Tissue.VESSEL) & (chest.labels > 0)
    assert {InjuryClass.TUBE, InjuryClass.CONSOLIDATION} <= set(np.unique(chest.injury.labels[vessels]))
    assert InjuryClass.GROUND_GLASS not in np.unique(chest.injury.labels[vessels])


def test_a_healthy_chest_has_no_map() -> None:
    assert make_phantom(seed=3, spacing=(6.0, 6.0, 6.0)).injury is None


def test_breathing_out_makes_the_lung_smaller_and_denser() -> None:
    full, empty = (make_phantom(seed=3, spacing=(6.0, 6.0, 6.0), expiration=e) for e in (0.0, 1.0))
    assert empty.truth.lungs.volume_ml < 0.9 * full.truth.lungs.volume_ml
    density = [one.truth.lungs.mass_g / one.truth.lungs.volume_ml for one in (full, empty)]
    assert density[1] > 1.3 * density[0]


def test_an_expiration_beyond_one_is_refused() -> None:
    with pytest.raises(UsageError, match=r"expiration is 2\.0"):
        make_phantom(expiration=2.0)


def test_the_command_writes_the_map_and_the_grams(tmp_path: Path) -> None:
    words = ["phantom", "-o", str(tmp_path / "out"), "--spacing", "6,6,6", "--injury", "consolidation", "-q"]
    assert run([*words, "--prone", "--expiration", "0.5"]) == 0
    labels = np.asarray(nib.load(tmp_path / "out" / "phantom-0_injury.nii.gz").dataobj)
    truth = json.loads((tmp_path / "out" / "truth.json").read_text())["subjects"]["phantom-0"]
    assert truth["parameters"]["body"]["prone"] is True
    grams = truth["injury"]["lungs"]["consolidation"]["mass_g"]
    assert grams > 0
    assert (labels == InjuryClass.CONSOLIDATION).sum() * 0.216 == pytest.approx(
        truth["injury"]["lungs"]["consolidation"]["volume_ml"]
    )
