from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hilum.core.errors import InputError
from hilum.datasets.pairs import find_pairs, labels_of
from hilum.io.names import natural_key


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def names(found) -> list[tuple[str, str | None, str | None]]:
    return [
        (s.name, p.image.name if p.image else None, p.mask.name if p.mask else None)
        for s in found
        for p in s.pairs
    ]


@pytest.mark.parametrize(
    ("image", "mask", "subject"),
    [
        ("x_ct.nii.gz", "x_lungs.nii.gz", "x"),
        ("x.nii.gz", "x_mask.nii.gz", "x"),
        ("x.nii", "x-seg.nii", "x"),
        ("x_image.mha", "x_label.mha", "x"),
        ("x_ct.nii.gz", "x_ct_lung_mask.nii.gz", "x"),
        ("volume-3.nii", "segmentation-3.nii", "3"),
        ("lung_001.nii.gz", "lung_001_seg.nii.gz", "lung_001"),
        ("x.nrrd", "x.seg.nrrd", None),
        ("a/ct.nii.gz", "a/lungs.nii.gz", "a"),
        ("a/b/x_ct.nii.gz", "a/b/x_mask.nii.gz", "a/b/x"),
    ],
)
def test_names_tell_image_from_mask(tmp_path, image, mask, subject):
    touch(tmp_path, image, mask)
    if subject is None:  # two files of one name that cannot be distinguished
        with pytest.raises(InputError, match="twice"):
            find_pairs(tmp_path)
        return
    assert names(find_pairs(tmp_path)) == [(subject, Path(image).name, Path(mask).name)]


def test_subjects_come_in_natural_order(tmp_path):
    touch(tmp_path, *(f"p{n}_{role}.nii" for n in (10, 2, 1) for role in ("ct", "mask")))
    assert [s.name for s in find_pairs(tmp_path)] == ["p1", "p2", "p10"]
    assert natural_key("a2") < natural_key("a10") < natural_key("b1")


def test_incomplete_pairs_are_reported(tmp_path):
    touch(tmp_path, "a_ct.nii", "a_mask.nii", "b_ct.nii", "c_mask.nii")
    problems = {s.name: s.pairs[0].problem for s in find_pairs(tmp_path)}
    assert problems["a"] == ""
    assert "no mask" in problems["b"]
    assert "no image" in problems["c"]


def test_subject_twice_is_refused(tmp_path):
    touch(tmp_path, "a_ct.nii", "a_ct.nii.gz", "a_mask.nii")
    with pytest.raises(InputError, match="a occurs twice"):
        find_pairs(tmp_path)


def test_two_folders_and_named_folders(tmp_path):
    touch(tmp_path, "images/1.tif", "images/2.tif", "masks/1.png", "masks/2_mask.png")
    expected = [("1", "1.tif", "1.png"), ("2", "2.tif", "2_mask.png")]
    assert names(find_pairs(tmp_path)) == expected
    assert names(find_pairs(tmp_path / "images", tmp_path / "masks")) == expected


def test_nnunet_channels(tmp_path):
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz")
    touch(tmp_path, "imagesTr/ID_0000.nii.gz", "labelsTr/ID_0000.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps({"numTraining": 2, "file_ending": ".nii.gz"}))
    assert names(find_pairs(tmp_path)) == [
        ("a", "a_0000.nii.gz", "a.nii.gz"),
        ("ID_0000", "ID_0000.nii.gz", "ID_0000.nii.gz"),
    ]


def nnunet(root: Path, **content) -> Path:
    """Write the dataset.json of nnU-Net version 2."""
    table = root / "dataset.json"
    table.write_text(json.dumps({"channel_names": {"0": "CT"}, "file_ending": ".nii.gz", **content}))
    return table


def test_a_dataset_json_of_nnunet_gives_the_pairs_of_the_folders_beside_it(tmp_path):
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "imagesTr/b_0000.nii.gz")
    touch(tmp_path, "labelsTr/a.nii.gz", "labelsTr/b.nii.gz")
    table = nnunet(tmp_path, labels={"background": 0, "lung": 1}, numTraining=2)
    expected = [("a", "a_0000.nii.gz", "a.nii.gz"), ("b", "b_0000.nii.gz", "b.nii.gz")]
    assert names(find_pairs(table)) == names(find_pairs(tmp_path)) == expected
    (tmp_path / "labelsTr" / "a.nii.gz").unlink()
    assert find_pairs(table)[0].pairs[0].problem


def test_the_ct_is_taken_of_several_channels_of_nnunet(tmp_path):
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz")
    table = nnunet(tmp_path, channel_names={"0": "PET", "1": "CT"}, labels={"lung": 1})
    assert names(find_pairs(table)) == [("a", "a_0001.nii.gz", "a.nii.gz")]


def test_a_dataset_json_of_nnunet_may_list_its_cases(tmp_path):
    cases = {"case1": {"images": ["../x/ct1.nii.gz"], "label": "../x/m1.nii.gz"}}
    table = nnunet(tmp_path, labels={"lung": 1}, dataset=cases)
    assert names(find_pairs(table)) == [("case1", "ct1.nii.gz", "m1.nii.gz")]
    with pytest.raises(InputError, match=r"case1 of the dataset.json does not name"):
        find_pairs(nnunet(tmp_path, labels={"lung": 1}, dataset={"case1": {"images": "x"}}))


def test_a_dataset_json_of_nnunet_alone_says_what_is_missing(tmp_path):
    with pytest.raises(InputError, match="no folder imagesTr beside it"):
        find_pairs(nnunet(tmp_path, labels={"lung": 1}))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"background": 0, "lung": 1}, "1=both"),
        ({"background": 0, "right_lung": 1, "Lung L": 2, "trachea": 3, "ignore": 4}, "1=right,2=left,3=0"),
        ({"background": 0, "lungs": [1, 2], "left lung": [2]}, "1=both,2=left"),
        ({"0": "background", "1": "lung", "2": "tumour"}, "1=both,2=0"),
        ({"background": 0}, None),
        (None, None),
    ],
)
def test_a_dataset_json_states_its_labels(tmp_path, labels, expected):
    table = nnunet(tmp_path, labels=labels)
    found = labels_of(table)
    assert (found and found.describe()) == expected
    assert labels_of(tmp_path) == found


def test_a_dataset_json_without_a_lung_is_refused(tmp_path):
    table = nnunet(tmp_path, labels={"0": "background", "1": "cancer"})
    with pytest.raises(InputError, match=r"names its labels \(cancer\), but no lung among them") as caught:
        labels_of(table)
    assert "labels=" in caught.value.hint


def test_a_folder_of_structures_is_the_mask_of_the_scan_beside_it(tmp_path):
    for case in ("s1", "s2"):
        touch(tmp_path, f"{case}/ct.nii.gz")
        lobes = ("upper_lobe_left", "lower_lobe_left", "upper_lobe_right", "lower_lobe_right")
        touch(tmp_path, *(f"{case}/segmentations/lung_{lobe}.nii.gz" for lobe in lobes))
        touch(tmp_path, f"{case}/segmentations/liver.nii.gz")
    expected = [("s1", "ct.nii.gz", "segmentations"), ("s2", "ct.nii.gz", "segmentations")]
    assert names(find_pairs(tmp_path)) == expected


def test_decathlon(tmp_path):
    content = {
        "training": [{"image": "./imagesTr/l_1.nii.gz", "label": "./labelsTr/l_1.nii.gz"}],
        "test": ["x"],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    expected = [("l_1", "l_1.nii.gz", "l_1.nii.gz")]
    assert names(find_pairs(tmp_path)) == expected
    assert names(find_pairs(tmp_path / "dataset.json")) == expected


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv(tmp_path, delimiter):
    rows = [["Image", "Mask", "subject"], ["i/b.nii", "m/b.nii", "Berta"], ["i/a.nii", "", "Anna"]]
    table = tmp_path / "pairs.csv"
    table.write_text("\n".join(delimiter.join(row) for row in rows) + "\n", "utf-8-sig")
    found = find_pairs(table)
    assert names(found) == [("Anna", "a.nii", None), ("Berta", "b.nii", "b.nii")]
    assert found[1].pairs[0].image == tmp_path / "i/b.nii"


@pytest.mark.skipif(os.sep != "/", reason="Windows reads backslashes as folders")
def test_backslashes_in_a_csv_are_named(tmp_path):
    touch(tmp_path, "one/ct.nii.gz", "one/lungs.nii.gz")
    table = tmp_path / "win.csv"
    table.write_text("image,mask\none\\ct.nii.gz,one\\lungs.nii.gz\n")
    with pytest.raises(InputError, match=r"Line 2 .* a path with backslashes \(one\\ct") as caught:
        find_pairs(table)
    assert "/" in caught.value.hint


def test_csv_slices_of_a_subject_stay_together_and_volumes_may_not(tmp_path):
    table = tmp_path / "pairs.csv"
    table.write_text("image,mask,subject\n1.tif,1.png,A\n2.tif,2.png,A\n")
    assert len(find_pairs(table)[0].pairs) == 2
    table.write_text("image,mask,subject\n1.nii,1m.nii,A\n2.nii,2m.nii,A\n")
    with pytest.raises(InputError, match="A occurs twice"):
        find_pairs(table)
    table.write_text("image,mask,subject\n1.tif,1.png,A\n1.tif,2.png,A\n")
    with pytest.raises(InputError, match="twice"):
        find_pairs(table)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.csv", "a,b\n1,2\n", "columns image and mask"),
        ("p.csv", "", "columns image and mask"),
        ("p.json", "{", "not valid JSON"),
        ("p.json", "{}", "training"),
        ("p.json", '{"training": [{"image": 3}]}', "one image and one label"),
        ("p.txt", "x", "does not define pairs"),
    ],
)
def test_broken_tables(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        find_pairs(tmp_path / name)


def test_an_empty_source(tmp_path):
    with pytest.raises(InputError, match="No pair"):
        find_pairs(tmp_path)
    with pytest.raises(InputError, match="no file or folder"):
        find_pairs(tmp_path / "missing")
