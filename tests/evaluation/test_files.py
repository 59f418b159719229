from __future__ import annotations

import numpy as np
import pytest

from hilum.core.errors import GeometryError, InputError, UsageError
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import Side
from hilum.core.volume import Volume
from hilum.evaluation import evaluate_masks
from hilum.evaluation.files import match
from hilum.evaluation.loading import load_case
from hilum.evaluation.worst_cases import worst_slice
from hilum.io import write_hu_tiff, write_labels, write_map, write_volume

AFFINE = np.diag([-0.8, -0.8, 2.5, 1.0])


def volume(shape=(20, 18, 12), affine=AFFINE):
    hu = np.full(shape, 40, np.int16)
    hu[4:16, 4:14, 2:10] = -850
    return Volume(hu, affine)


def lungs(scan):
    mask = (scan.hu < -500).astype(np.uint8)
    mask[10:] *= 2
    return mask


@pytest.fixture
def folders(tmp_path):
    """Two folders with three masks each, and their scans."""
    for name in ("pred", "ref", "ct"):
        (tmp_path / name).mkdir()
    for number in range(3):
        scan = volume()
        mask = lungs(scan)
        write_labels(
            tmp_path / "ref" / f"case{number}_lungs.nii.gz", LabelVolume.on_grid_of(scan, mask), scan
        )
        found = mask.copy()
        found[:, 4 : 4 + number] = 0
        write_labels(
            tmp_path / "pred" / f"case{number}.nrrd", LabelVolume.on_grid_of(scan, found), scan, "nrrd"
        )
        write_volume(tmp_path / "ct" / f"case{number}_ct.nii.gz", scan)
    return tmp_path


def test_folders_are_matched_by_name(folders):
    found = match(folders / "pred", folders / "ref", folders / "ct")
    assert [files.name for files in found] == ["case0", "case1", "case2"]
    assert [files.reference.name for files in found] == [f"case{n}_lungs.nii.gz" for n in range(3)]
    assert [files.ct.name for files in found] == [f"case{n}_ct.nii.gz" for n in range(3)]


def test_scans_and_masks_may_lie_in_one_folder(folders):
    for path in (folders / "ct").iterdir():
        path.rename(folders / "ref" / path.name.replace("_ct", ""))
    found = match(folders / "pred", folders / "ref", folders / "ref")
    assert [files.reference.name for files in found] == [f"case{n}_lungs.nii.gz" for n in range(3)]
    assert [files.ct.name for files in found] == [f"case{n}.nii.gz" for n in range(3)]


def test_what_segment_writes_is_found(tmp_path):
    scan = volume()
    for folder in ("out/a", "out/b", "ref"):
        (tmp_path / folder).mkdir(parents=True)
    for name in "ab":
        write_labels(
            tmp_path / "out" / name / "lungs.nii.gz", LabelVolume.on_grid_of(scan, lungs(scan)), scan
        )
        write_labels(tmp_path / "ref" / f"{name}.nii.gz", LabelVolume.on_grid_of(scan, lungs(scan)), scan)
    assert [files.name for files in match(tmp_path / "out", tmp_path / "ref")] == ["a", "b"]


def test_masks_of_other_tasks_beside_a_scan_are_passed_over(tmp_path):
    for name in ("a_ct", "a_lungs", "a_airways", "a_vessels", "a_lobes"):
        (tmp_path / f"{name}.nii.gz").touch()
    for task in ("lungs", "airways", "vessels", "lobes"):
        (found,) = match(tmp_path, tmp_path, tmp_path, task=task)
        assert (found.name, found.reference.name, found.ct.name) == ("a", f"a_{task}.nii.gz", "a_ct.nii.gz")
    (tmp_path / "out" / "a_ct").mkdir(parents=True)
    (tmp_path / "out" / "a_ct" / "airways.nii.gz").touch()
    assert match(tmp_path / "out", tmp_path, task="airways")[0].prediction.parent.name == "a_ct"
    with pytest.raises(InputError, match="holds no masks of pleura"):
        match(tmp_path, tmp_path / "out", task="pleura")


def test_a_mask_without_partner_is_refused_or_left_out(folders):
    (folders / "ref" / "case1_lungs.nii.gz").unlink()
    with pytest.raises(InputError, match=r"1 prediction has no reference of the same name \(case1\)"):
        match(folders / "pred", folders / "ref")
    assert len(match(folders / "pred", folders / "ref", matched_only=True)) == 2
    (folders / "ct" / "case0_ct.nii.gz").unlink()
    with pytest.raises(InputError, match=r"1 case has no CT"):
        match(folders / "pred", folders / "pred", folders / "ct")


def test_other_ways_to_go_wrong(folders, tmp_path):
    with pytest.raises(InputError, match="a folder and"):
        match(folders / "pred", folders / "ref" / "case0_lungs.nii.gz")
    with pytest.raises(InputError):
        match(folders / "pred", folders / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no masks"):
        match(folders / "pred", tmp_path / "empty")
    (folders / "lone").mkdir()
    (folders / "pred" / "case0.nrrd").rename(folders / "lone" / "other.nrrd")
    with pytest.raises(InputError, match="No prediction has a reference"):
        match(folders / "lone", folders / "ref", matched_only=True)
    write_labels(
        folders / "ref" / "case1_mask.nii.gz", LabelVolume.on_grid_of(volume(), lungs(volume())), volume()
    )
    with pytest.raises(InputError, match="have the same name 'case1'"):
        match(folders / "pred", folders / "ref")
    with pytest.raises(UsageError, match="sides is 'both'"):
        evaluate_masks(folders / "pred", folders / "ref", sides="both")


def test_values_are_right_and_sides_are_kept(folders):
    found = evaluate_masks(folders / "pred", folders / "ref", ct=folders / "ct")
    assert list(found.regions) == list(Side)
    case = found.cases[1].values
    assert case[Side.LUNGS]["dice"].value == pytest.approx(2 * 9 / 19)
    assert case[Side.RIGHT]["sensitivity"].value == pytest.approx(0.9)
    voxels = 12 * 8
    assert case[Side.LUNGS]["volume_error"].value == pytest.approx(-voxels * 0.8 * 0.8 * 2.5 / 1000)
    assert case[Side.LUNGS]["mass_error"].value == pytest.approx(-voxels * 0.0016 * 0.15)
    assert case[Side.LUNGS]["hd95"].value == pytest.approx(0.8)
    assert found.row("dice").worst_case == "case2"
    assert [plate.case for plate in found.figures] == ["case2", "case1", "case0"]


def test_a_mask_in_another_orientation_is_the_same_mask(tmp_path):
    scan = volume()
    flipped = Volume(scan.hu[::-1, :, ::-1], AFFINE @ _flip(scan.shape))
    write_labels(tmp_path / "a.nii.gz", LabelVolume.on_grid_of(scan, lungs(scan)), scan)
    write_labels(tmp_path / "b.nii.gz", LabelVolume.on_grid_of(flipped, lungs(scan)[::-1, :, ::-1]), flipped)
    values = evaluate_masks(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz").cases[0].values
    assert values[Side.LUNGS]["dice"].value == values[Side.LEFT]["dice"].value == 1


def _flip(shape):
    out = np.diag([-1.0, 1.0, -1.0, 1.0])
    out[0, 3], out[2, 3] = shape[0] - 1, shape[2] - 1
    return out


def test_stacks_lie_as_people_look_at_them(tmp_path):
    """The patient's right on the left, the front up: for any order of axes in the file."""
    mask = np.zeros((20, 18, 12), np.uint8)
    mask[15:18, 2:4, 9:11] = 1  # RAS: right, back, head
    for order in ((0, 1, 2), (2, 0, 1)):
        columns = np.diag([0.8, 0.7, 2.5])[:, order]
        affine = np.eye(4)
        affine[:3, :3] = columns
        turned = mask.transpose(order)
        write_labels(
            tmp_path / "m.nii.gz",
            LabelVolume.on_grid_of(Volume(np.zeros(turned.shape, np.int16), affine), turned),
            Volume(np.zeros(turned.shape, np.int16), affine),
        )
        case = load_case(match(tmp_path / "m.nii.gz", tmp_path / "m.nii.gz")[0])
        z, y, x = (np.flatnonzero(case.reference.any(axis=a)) for a in ((1, 2), (0, 2), (0, 1)))
        assert (list(z), list(y), list(x)) == ([9, 10], [14, 15], [2, 3, 4])
        assert case.grid.pixel_mm == pytest.approx((0.7, 0.8))
        assert case.grid.slice_mm == pytest.approx(2.5)


def test_masks_on_two_grids_are_refused(tmp_path):
    scan, other = volume(), volume((20, 18, 11))
    write_labels(tmp_path / "a.nii.gz", LabelVolume.on_grid_of(scan, lungs(scan)), scan)
    write_labels(tmp_path / "b.nii.gz", LabelVolume.on_grid_of(other, lungs(other)), other)
    text = r"a.nii.gz and b.nii.gz do not lie on one grid: 20 x 18 x 12 .* against 20 x 18 x 11"
    with pytest.raises(GeometryError, match=text):
        evaluate_masks(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    moved = AFFINE.copy()
    moved[0, 3] = 30
    write_labels(
        tmp_path / "c.nii.gz", LabelVolume.on_grid_of(volume(affine=moved), lungs(scan)), volume(affine=moved)
    )
    with pytest.raises(GeometryError, match=r"same size .* but lie at different places"):
        evaluate_masks(tmp_path / "a.nii.gz", tmp_path / "c.nii.gz")


def test_values_without_a_meaning_are_refused_until_a_map_is_given(tmp_path):
    scan = volume()
    write_labels(tmp_path / "a.nii.gz", LabelVolume.on_grid_of(scan, lungs(scan)), scan)
    write_map(tmp_path / "b.nii.gz", 40 * lungs(scan), scan, "lungs")
    with pytest.raises(InputError, match=r"b.nii.gz.*40, 80"):
        evaluate_masks(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    found = evaluate_masks(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz", ref_labels="40=1,80=2")
    assert found.row("dice", Side.LEFT).mean == 1


def test_each_mask_has_its_own_vocabulary(tmp_path):
    """A vocabulary that fits the prediction must not wipe out the reference."""
    scan = volume()
    write_labels(tmp_path / "ref.nii.gz", LabelVolume.on_grid_of(scan, lungs(scan)), scan)
    write_map(tmp_path / "ts.nii.gz", np.array([0, 13, 10], np.uint8)[lungs(scan)], scan, "lobes")
    found = evaluate_masks(tmp_path / "ts.nii.gz", tmp_path / "ref.nii.gz", labels="totalsegmentator")
    assert [found.row("dice", side).mean for side in Side] == [1, 1, 1]
    assert (found.source["labels"], found.source["ref_labels"]) == ("totalsegmentator", None)
    back = evaluate_masks(
        tmp_path / "ref.nii.gz", tmp_path / "ts.nii.gz", ref_labels="10=2,13=1", labels="lungmask"
    )
    assert back.row("dice", Side.LEFT).mean == 1
    with pytest.raises(
        InputError, match=r"value 1 is no lung, but ref.nii.gz calls it 'right_lung'"
    ) as caught:
        evaluate_masks(tmp_path / "ts.nii.gz", tmp_path / "ref.nii.gz", labels="totalsegmentator",
                       ref_labels="totalsegmentator")  # fmt: skip
    assert caught.value.exit_code == 3
    with pytest.raises(InputError, match="other than 0, 1 and 2") as caught:
        evaluate_masks(tmp_path / "ref.nii.gz", tmp_path / "ts.nii.gz")
    assert "ref_labels" in caught.value.hint
    with pytest.raises(UsageError, match=r"^ref_labels holds"):
        evaluate_masks(tmp_path / "ref.nii.gz", tmp_path / "ts.nii.gz", ref_labels="nonsense")


def test_an_empty_reference_has_no_dice(tmp_path):
    scan = volume()
    write_labels(tmp_path / "a.nii.gz", LabelVolume.on_grid_of(scan, lungs(scan)), scan)
    write_labels(tmp_path / "b.nii.gz", LabelVolume.on_grid_of(scan, 0 * lungs(scan)), scan)
    with pytest.raises(InputError, match=r"The reference b.nii.gz holds no lung"):
        evaluate_masks(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    found = evaluate_masks(tmp_path / "b.nii.gz", tmp_path / "a.nii.gz")  # an empty prediction is a bad one
    assert found.row("dice").mean == 0


def test_a_folder_of_structures_is_one_mask(tmp_path):
    scan = volume()
    for case in ("p1", "p2"):
        inner = tmp_path / "pred" / case / "segmentations"
        inner.mkdir(parents=True)
        for name, side in (("lung_right", 1), ("lung_left", 2)):
            write_labels(
                inner / f"{name}.nii.gz",
                LabelVolume.on_grid_of(scan, (lungs(scan) == side).astype(np.uint8)),
                scan,
            )
        (tmp_path / "ref").mkdir(exist_ok=True)
        write_labels(tmp_path / "ref" / f"{case}.nii.gz", LabelVolume.on_grid_of(scan, lungs(scan)), scan)
    found = evaluate_masks(tmp_path / "pred", tmp_path / "ref")
    assert [case.name for case in found.cases] == ["p1", "p2"]
    assert found.row("dice", Side.RIGHT).mean == 1
    one = evaluate_masks(tmp_path / "pred" / "p1" / "segmentations", tmp_path / "ref" / "p1.nii.gz")
    assert one.row("dice", Side.LEFT).mean == 1


def test_one_label_for_both_lungs_is_evaluated_by_sides_only_where_they_are_certain(tmp_path):
    scan = volume((30, 18, 12))
    true = np.zeros(scan.shape, np.uint8)
    true[3:12, 4:14, 2:10], true[18:27, 4:14, 2:10] = 1, 2  # the first axis grows to the left
    write_labels(tmp_path / "ref.nii.gz", LabelVolume.on_grid_of(scan, true), scan)
    write_labels(tmp_path / "one.nii.gz", LabelVolume.on_grid_of(scan, (true > 0).astype(np.uint8)), scan)
    files = tmp_path / "one.nii.gz", tmp_path / "ref.nii.gz"
    assert list(evaluate_masks(*files).regions) == [Side.LUNGS]
    assert evaluate_masks(*files, labels="both").row("dice").mean == 1
    by_side = evaluate_masks(*files, sides="yes")
    assert [by_side.row("dice", side).mean for side in Side] == [1, 1, 1]
    grown = np.zeros_like(true)
    grown[3:27, 4:14, 2:10] = 1
    write_labels(tmp_path / "one.nii.gz", LabelVolume.on_grid_of(scan, grown), scan)
    with pytest.raises(InputError, match=r"one.nii.gz: The mask has one label for both lungs"):
        evaluate_masks(*files, sides="yes")


def test_one_bad_case_costs_only_itself(folders):
    scan = volume()
    whole = evaluate_masks(folders / "pred", folders / "ref")
    assert not whole.failed
    (folders / "pred" / "case1.nrrd").unlink()
    write_map(folders / "pred" / "case1.nii.gz", 9 * lungs(scan), scan, "lungs")
    found = evaluate_masks(folders / "pred", folders / "ref")
    assert [failure.case for failure in found.failed] == ["case1"]
    assert found.failed[0].code == InputError.exit_code
    assert "values other than" in found.failed[0].reason
    assert [case.name for case in found.cases] == [c.name for c in whole.cases if c.name != "case1"]


def test_if_every_case_fails_there_is_no_evaluation(folders):
    scan = volume()
    for file in sorted((folders / "pred").iterdir()):
        file.unlink()
        write_map(folders / "pred" / f"{file.name.split('.')[0]}.nii.gz", 9 * lungs(scan), scan, "lungs")
    with pytest.raises(InputError, match=r"None of the \d cases could be evaluated. case0: "):
        evaluate_masks(folders / "pred", folders / "ref")


def test_slices_without_spacing(tmp_path):
    from PIL import Image

    y, x = np.indices((30, 40))
    mask = ((y - 15) ** 2 + (x - 20) ** 2 < 64).astype(np.uint8)
    Image.fromarray(mask).save(tmp_path / "ref.png")
    Image.fromarray(np.roll(mask, 2, 1)).save(tmp_path / "pred.png")
    write_hu_tiff(tmp_path / "ct.tiff", np.where(mask, -700, 40).astype(np.int16), None)
    found = evaluate_masks(tmp_path / "pred.png", tmp_path / "ref.png", ct=tmp_path / "ct.tiff")
    values = found.cases[0].values[Side.LUNGS]
    assert (values["hd95"].value, values["hd95"].unit) == (2, "px")
    assert values["mass_error"].value is None
    assert values["mass_error_percent"].value > 0
    alone = evaluate_masks(tmp_path / "pred.png", tmp_path / "ref.png").cases[0].values[Side.LUNGS]
    assert alone["dice"].value == values["dice"].value
    assert alone["mass_error_percent"].reason == "no CT was given"


def test_worst_slice_is_where_most_pixels_differ():
    one, two = np.zeros((3, 4, 4), np.uint8), np.zeros((3, 4, 4), np.uint8)
    one[1, :2], two[2] = 1, 2
    assert worst_slice(one, two) == 2
