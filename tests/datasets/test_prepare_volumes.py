"""Data sets of volumes: what prepare --volumes makes of pairs, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hilum.core.errors import GeometryError, InputError, UsageError
from hilum.core.volume import Volume
from hilum.datasets.index import load_dataset
from hilum.datasets.prepare import prepare
from hilum.datasets.volume_grid import isotropic_affine, to_isotropic
from hilum.datasets.volumes import LABELS, load_volumes
from hilum.io import read, read_labels, write_map, write_volume
from hilum.synthesis.phantoms import make_phantom


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for seed in range(3):
        chest = make_phantom(seed=seed, spacing=(6.0, 6.0, 8.0), oblique_deg=(5.0, 0.0, 0.0))
        labels = chest.labels.copy()
        if seed == 1:  # the lowest planes of the right lung stand for fluid
            low = np.flatnonzero((labels == 1).any(axis=(0, 1)))[:4]
            part = labels[:, :, low]
            part[part == 1] = 3
            labels[:, :, low] = part
        write_volume(folder / f"p{seed}_ct.nii.gz", chest.volume)
        write_map(folder / f"p{seed}_lungs.nii.gz", labels, chest.volume, "lungs")
    return folder


@pytest.fixture(scope="module")
def dataset(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "volumes"
    done = prepare(pairs, out, volumes=True, step_mm=6.0, labels="1=right,2=left,3=fluid,4=gas")
    assert (done.subjects, done.slices, done.refused) == (3, 3, ())
    return out


def test_volumes_are_isotropic_in_ras_order_and_keep_their_place(dataset: Path, pairs: Path) -> None:
    data = load_volumes(dataset)
    record = data.volumes[0]
    scan, labels = read(dataset / record.image), read_labels(dataset / record.mask)
    assert scan.spacing == pytest.approx((6.0, 6.0, 6.0), abs=1e-4)
    assert data.image(record).dtype == np.int16
    assert data.mask(record).shape == record.shape == scan.shape
    right, left = (np.argwhere(labels == side).mean(axis=0)[0] for side in (1, 2))
    assert right > left
    # The middle of the lungs lies where it lay in the source, to a fraction of a voxel.
    source = read(pairs / "p0_ct.nii.gz")
    drawn = read_labels(pairs / "p0_lungs.nii.gz", source) > 0
    middles = [
        affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + affine[:3, 3]
        for affine, mask in ((scan.affine, labels > 0), (source.affine, drawn))
    ]
    assert np.abs(middles[0] - middles[1]).max() < 1.5


def test_pleural_fluid_is_a_label_beside_the_lungs(dataset: Path) -> None:
    data = load_volumes(dataset)
    assert data.labels == {"right_lung": 1, "left_lung": 2, "pleural_fluid": 3}
    fluid = [record.voxels[2] for record in data.volumes]
    assert fluid[0] == fluid[2] == 0
    assert fluid[1] == int((data.mask(data.volumes[1]) == LABELS["pleural_fluid"]).sum()) > 20


def test_the_same_command_resumes_and_gives_the_same_bytes(
    pairs: Path, dataset: Path, tmp_path: Path
) -> None:
    again = tmp_path / "volumes"
    arguments = {"volumes": True, "step_mm": 6.0, "labels": "1=right,2=left,3=fluid,4=gas"}
    prepare(pairs, again, **arguments)  # type: ignore[arg-type]
    (again / "images" / "1_0_ct.nii").write_bytes(b"")
    (again / "images" / "7_0_ct.nii").write_bytes(b"of a subject that is gone")
    done = prepare(pairs, again, **arguments)  # type: ignore[arg-type]
    assert (done.made, done.kept) == ((1,), (0, 2))
    for one in sorted(p for p in dataset.rglob("*") if p.is_file()):
        assert (again / one.relative_to(dataset)).read_bytes() == one.read_bytes(), one.name
    assert not (again / "images" / "7_0_ct.nii").exists()


def test_the_dataset_holds_no_name_of_a_subject(dataset: Path) -> None:
    for file in (p for p in dataset.rglob("*") if p.is_file()):
        assert b"p0_" not in file.read_bytes()


def test_a_mask_of_one_label_is_parted_into_its_sides(tmp_path: Path) -> None:
    chest = make_phantom(seed=4, spacing=(6.0, 6.0, 8.0))
    write_volume(tmp_path / "pairs" / "a_ct.nii.gz", chest.volume)
    both = (chest.labels > 0).astype(np.uint8)
    write_map(tmp_path / "pairs" / "a_lungs.nii.gz", both, chest.volume, "lungs")
    done = prepare(tmp_path / "pairs", tmp_path / "out", volumes=True)
    assert done.notes[0][1] == "sides_parted"
    data = load_volumes(tmp_path / "out")
    assert set(np.unique(data.mask(data.volumes[0]))) == {0, 1, 2}


def test_a_single_slice_makes_no_volume(tmp_path: Path) -> None:
    chest = make_phantom(seed=4, spacing=(6.0, 6.0, 8.0)).volume
    one = Volume(np.ascontiguousarray(chest.hu[:, :, 20:21]), chest.affine)
    write_volume(tmp_path / "pairs" / "a_ct.nii.gz", one)
    write_map(tmp_path / "pairs" / "a_lungs.nii.gz", (one.hu < -700).astype(np.uint8), one, "lungs")
    with pytest.raises(GeometryError, match="single slice"):
        prepare(tmp_path / "pairs", tmp_path / "out", volumes=True)
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_one_kind_of_data_set_is_not_taken_for_the_other(dataset: Path, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds volumes, but slices are needed"):
        load_dataset(dataset)
    with pytest.raises(UsageError, match="holds volumes"):
        prepare(pairs, dataset, labels="1=right,2=left,3=0")
    prepare(pairs, tmp_path / "slices", labels="1=right,2=left,3=0")
    with pytest.raises(InputError, match="holds slices, but volumes are needed"):
        load_volumes(tmp_path / "slices")
    with pytest.raises(UsageError, match="voxel size from"):
        prepare(pairs, tmp_path / "other", volumes=True, step_mm=0.1)


def _first_scan(folder: Path) -> None:
    data = load_volumes(folder)
    data.image(data.volumes[0])


@pytest.mark.parametrize("damage", ["index.csv", "dataset.json", "images/0_0_ct.nii"])
def test_a_damaged_data_set_is_one_sentence(damage: str, pairs: Path, tmp_path: Path) -> None:
    prepare(pairs, tmp_path / "v", volumes=True, labels="1=right,2=left,3=fluid")
    file = tmp_path / "v" / damage
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError) as caught:
        _first_scan(tmp_path / "v")
    assert "\n" not in str(caught.value)


def test_the_grid_of_the_affine_is_that_of_the_voxels() -> None:
    """A dense cube lies where the affine says, for any order and direction of the axes."""
    hu = np.full((40, 50, 30), -1000, np.int16)
    hu[10:20, 20:30, 5:15] = 50
    affine = np.array([[-2.0, 0, 0, 60], [0, 3.0, 0, -70], [0, 0, 4.0, 10], [0, 0, 0, 1]])
    volume = Volume(hu, affine)
    on_grid, _ = to_isotropic(volume)
    place = isotropic_affine(volume, on_grid.shape)
    middles = [
        nib.affines.apply_affine(a, np.argwhere(v > -400).mean(axis=0))
        for a, v in ((place, on_grid), (affine, hu))
    ]
    assert np.abs(middles[0] - middles[1]).max() < 1.8
