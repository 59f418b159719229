"""Pairs that cannot become slices, and masks that need a word on what their values mean."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hilum.core.errors import GeometryError, InputError, OutputError, UsageError
from hilum.core.label_volume import LabelVolume
from hilum.core.volume import Volume
from hilum.datasets import load_dataset
from hilum.datasets.prepare import prepare
from hilum.io import write_labels


def moved(volume, labels):
    return Volume(
        volume.hu, volume.affine @ np.array([[1, 0, 0, 9], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    ), labels


def other_grid(folder: Path, write_pair) -> None:
    """A mask at half the resolution along two axes, over the same extent."""
    volume, labels = write_pair(folder, "x")
    affine = volume.affine @ np.diag([2.0, 2.0, 1.0, 1.0])
    affine[:3, 3] += volume.affine[:3, :3] @ [0.5, 0.5, 0.0]
    coarse = np.ascontiguousarray(labels[::2, ::2])
    write_labels(
        folder / "x_lungs.nii.gz",
        LabelVolume.on_grid_of(Volume(coarse.astype(np.int16), affine), coarse),
        Volume(coarse.astype(np.int16), affine),
    )


def test_grids_that_differ_are_refused_or_resampled(tmp_path, write_pair):
    other_grid(tmp_path / "in", write_pair)
    with pytest.raises(GeometryError, match="The mask and its image do not lie on one grid") as caught:
        prepare(tmp_path / "in", tmp_path / "ds")
    assert "resample_masks=True" in caught.value.hint
    assert [p.name for p in tmp_path.iterdir()] == ["in"]  # nothing half-written
    prepare(tmp_path / "in", tmp_path / "ds", resample_masks=True, sides=True)
    subject = load_dataset(tmp_path / "ds").subjects[0]
    assert subject.notes[0][0] == "mask_resampled"
    assert "12 x 9 x 12 voxels" in subject.notes[0][1]
    data = load_dataset(tmp_path / "ds")
    drawn = np.stack([data.mask(record) for record in data.slices])
    _, labels = write_pair(tmp_path / "other", "x")
    expected = labels[::2, ::2].repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(drawn, np.transpose(expected[:, ::-1, ::-1], (1, 2, 0)))


def values(*pairs_of_values):
    def change(volume, labels):
        for old, new in pairs_of_values:
            labels = np.where(labels == old, new, labels).astype(np.uint8)
        return volume, labels

    return change


def test_other_values_need_a_map(tmp_path, write_pair):
    _, labels = write_pair(tmp_path / "in", "x", change=values((1, 3), (2, 5)))
    with pytest.raises(InputError, match=r"other than 0, 1 and 2 \(3, 5\)") as caught:
        prepare(tmp_path / "in", tmp_path / "ds")
    assert "labels='3=right,5=left'" in caught.value.hint
    with pytest.raises(InputError, match=r"does not name \(5\)"):
        prepare(tmp_path / "in", tmp_path / "ds", labels="3=1")
    prepare(tmp_path / "in", tmp_path / "ds", labels={3: 1, 5: 1})
    data = load_dataset(tmp_path / "ds")
    assert sum(int(data.mask(r).sum()) for r in data.slices) == np.count_nonzero(labels)
    prepare(tmp_path / "in", tmp_path / "one", labels="3=1,*=0")
    data = load_dataset(tmp_path / "one")
    assert sum(int(data.mask(r).sum()) for r in data.slices) == np.count_nonzero(labels == 3)


def one_label(volume, labels):
    return volume, (labels > 0).astype(np.uint8)


def test_one_label_is_parted_where_sides_are_wanted(tmp_path, write_pair):
    _, labels = write_pair(tmp_path / "two", "x")
    write_pair(tmp_path / "one", "x", change=one_label)
    for source in ("one", "two"):
        done = prepare(tmp_path / source, tmp_path / f"ds-{source}", sides=True)
        data = load_dataset(done.dataset)
        drawn = np.stack([data.mask(record) for record in data.slices])
        assert [np.count_nonzero(drawn == side) for side in (1, 2)] == [
            np.count_nonzero(labels == side) for side in (1, 2)
        ]
        assert ("sides_parted" in {code for _, code, _ in done.notes}) == (source == "one")


def test_one_label_that_cannot_be_parted_is_refused_where_sides_are_wanted(tmp_path, write_pair):
    def block(volume, labels):
        labels = np.zeros_like(labels)
        labels[4:20, 5:13, 2:-2] = 1
        return volume, labels

    write_pair(tmp_path / "in", "x", change=block)
    with pytest.raises(InputError, match="one label for both lungs") as caught:
        prepare(tmp_path / "in", tmp_path / "ds", sides=True)
    assert "omit sides" in caught.value.hint
    assert prepare(tmp_path / "in", tmp_path / "ds").subjects == 1


def test_labels_of_nnunet_are_read_from_its_dataset_json(tmp_path, write_pair):
    _, labels = write_pair(tmp_path / "in", "x", change=values((1, 4), (2, 9)))
    for folder, old, new in (("imagesTr", "x_ct", "x_0000"), ("labelsTr", "x_lungs", "x")):
        (tmp_path / "raw" / folder).mkdir(parents=True)
        (tmp_path / "in" / f"{old}.nii.gz").rename(tmp_path / "raw" / folder / f"{new}.nii.gz")
    table = tmp_path / "raw" / "dataset.json"
    fields = {"channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}
    table.write_text(json.dumps({**fields, "labels": {"background": 0, "right lung": 4, "liver": 9}}))
    data = load_dataset(prepare(table, tmp_path / "ds").dataset)
    assert sum(int(data.mask(r).sum()) for r in data.slices) == np.count_nonzero(labels == 4)
    table.write_text(json.dumps({**fields, "labels": {"background": 0, "lung": 4}}))
    with pytest.raises(InputError, match=r"values that dataset.json does not name \(9\)"):
        prepare(table, tmp_path / "other")


def test_a_mask_that_would_lose_its_lung_is_not_resampled(tmp_path, write_pair):
    import nibabel as nib

    write_pair(tmp_path / "in", "x")
    path = tmp_path / "in" / "x_lungs.nii.gz"
    image = nib.load(path)
    array = np.asarray(image.dataobj)
    shifted = image.affine.copy()
    shifted[:3, 3] += (20.5, 0.0, 0.0)
    nib.save(nib.Nifti1Image(array, shifted), path)
    with pytest.raises(GeometryError, match=r"Of the [\d.,]+ mL of The mask only [\d.,]+ mL lie inside"):
        prepare(tmp_path / "in", tmp_path / "ds", resample_masks=True)
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    with pytest.raises(GeometryError, match="lost the affine") as caught:
        prepare(tmp_path / "in", tmp_path / "ds", resample_masks=True)
    assert "resample" not in caught.value.hint


def test_changes_of_a_mask_are_printed(tmp_path, write_pair, capsys):
    from hilum.cli.app import run

    other_grid(tmp_path / "in", write_pair)
    arguments = ["prepare", str(tmp_path / "in"), "-o", str(tmp_path / "ds"), "--resample-masks"]
    assert run([*arguments, "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "mask_resampled: subject 0: The mask was resampled from 12 x 9 x 12 voxels" in said
    assert "mL became" in said


@pytest.mark.parametrize("text", ["3", "3=4", "x=lung", "70000=1", "3=1,,", "cip,both"])
def test_maps_that_cannot_be_read(tmp_path, pairs, text):
    with pytest.raises(UsageError, match=r"^labels (holds|names two)"):
        prepare(pairs, tmp_path / "ds", labels=text)


def test_refused_pairs_are_listed_without_names_and_the_rest_continues(tmp_path, pairs, write_pair):
    write_pair(pairs, "clara", 5, change=values((1, 0), (2, 0)))
    (pairs / "dora_ct.nii.gz").write_bytes((pairs / "berta_ct.nii.gz").read_bytes())
    (pairs / "emil_ct.nii.gz").write_bytes(b"\x1f\x8bnot gzip")
    (pairs / "emil_lungs.nii.gz").write_bytes(b"")
    done = prepare(pairs, tmp_path / "ds")
    assert done.subjects == 3
    said = {refused.name: str(refused.error) for refused in done.refused}
    assert "empty" in said["clara"]
    assert "no mask" in said["dora"]
    assert set(said) == {"clara", "dora", "emil"}
    data = load_dataset(tmp_path / "ds")
    assert len(data.refused) == 3
    text = (tmp_path / "ds" / "dataset.json").read_text()
    assert not any(name in text for name in said)


def test_the_same_image_under_two_names_counts_once(tmp_path, pairs, tree):
    for role in ("ct", "lungs"):
        (pairs / f"zoe_{role}.nii.gz").write_bytes((pairs / f"berta_{role}.nii.gz").read_bytes())
    done = prepare(pairs, tmp_path / "ds")
    assert [(r.name, str(r.error)[:40]) for r in done.refused] == [
        ("zoe", "Its image is the same as that of subject")
    ]
    assert not list((tmp_path / "ds" / "images").glob("3_*"))
    first = tree(tmp_path / "ds")
    prepare(pairs, tmp_path / "ds")
    assert tree(tmp_path / "ds") == first


def test_a_data_set_has_one_plane(tmp_path, pairs):
    prepare(pairs, tmp_path / "ds")
    with pytest.raises(UsageError, match="was made with plane = coronal, not axial"):
        prepare(pairs, tmp_path / "ds", plane="axial")


def test_lost_dictionary(tmp_path, pairs):
    done = prepare(pairs, tmp_path / "ds")
    done.dictionary.rename(tmp_path / "kept.json")
    with pytest.raises(InputError, match=r"dictionary .* is missing"):
        prepare(pairs, tmp_path / "ds")
    assert prepare(pairs, tmp_path / "ds", subjects=tmp_path / "kept.json").kept == (0, 1, 2)


def test_folders_of_others_are_not_touched(tmp_path, pairs):
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match="left unchanged"):
        prepare(pairs, other)
    assert [p.name for p in other.iterdir()] == ["thesis.txt"]
    with pytest.raises(UsageError, match="must not hold names"):
        prepare(pairs, tmp_path / "ds", subjects=tmp_path / "ds" / "s.json")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"plane": "oblique"}, "plane is"),
        ({"spacing": "1"}, "spacing is"),
        ({"spacing": (0, 1)}, "between"),
        ({"jobs": 0}, "jobs is"),
    ],
)
def test_arguments(tmp_path, pairs, arguments, words):
    with pytest.raises(UsageError, match=words):
        prepare(pairs, tmp_path / "ds", **arguments)
    assert not (tmp_path / "ds").exists()


def test_errors_reach_the_parent_from_another_process(tmp_path, pairs, write_pair):
    write_pair(pairs, "clara", 5, change=values((1, 9)))
    done = prepare(pairs, tmp_path / "ds", jobs=2)
    assert "labels='9=right'" in done.refused[0].error.hint
