from __future__ import annotations

import numpy as np
import pytest

from hilum.core.errors import InputError, UsageError
from hilum.core.volume import Volume
from hilum.evaluation import evaluate_masks
from hilum.evaluation.class_labels import class_names, parse_class_names, to_classes
from hilum.evaluation.class_sets import CLASS_SETS, EVALUATED, any_classes, class_set
from hilum.evaluation.lesions import find_lesions
from hilum.io import write_map, write_volume
from hilum.io.mask import Mask, ScanMeta
from hilum.tasks.registry import TASKS

AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])
SHAPE = (40, 30, 20)
LUL, LLL, RUL, RML, RLL = 1, 2, 3, 4, 5


def lobes(shift=0):
    """Five boxes: on each side two lobes one above the other, on the right a third before the upper one."""
    out = np.zeros(SHAPE, np.uint8)
    middle = 10 + shift
    out[2:18, 2:28, 2:middle], out[2:18, 2:28, middle:18] = RLL, RUL
    out[2:18, 16:28, middle:18] = RML
    out[22:38, 2:28, 2:middle], out[22:38, 2:28, middle:18] = LLL, LUL
    return out


@pytest.fixture
def write(tmp_path):
    scan = Volume(np.zeros(SHAPE, np.int16), AFFINE)

    def make(folder, name, labels):
        (tmp_path / folder).mkdir(exist_ok=True)
        write_map(tmp_path / folder / f"{name}.nii.gz", labels.astype(np.uint8), scan, "labels")
        return tmp_path / folder / f"{name}.nii.gz"

    return make


def mask_of(array, names=None):
    return Mask(np.asarray(array), np.eye(4), ScanMeta(), names or {})


def test_lobes_against_themselves_are_equal_and_their_fissures_lie_on_each_other(write):
    file = write("r", "a_lobes", lobes())
    found = evaluate_masks(write("p", "a_lobes", lobes()), file, task="lobes")
    values = found.cases[0].values
    assert values["classes"]["dice"].value == 1
    for fissure in ("left_oblique_fissure", "right_oblique_fissure", "right_horizontal_fissure"):
        assert values[fissure]["assd"].value == 0
        assert values[fissure]["surface_dice_1"].value == 1
        assert "dice" not in values[fissure]
    assert values["right_lung"]["volume_reference"].value == pytest.approx(16 * 26 * 16 * 2 / 1000)
    assert found.regions["right_middle_lobe"] == "Right middle lobe"


def test_a_fissure_two_slices_too_high_is_four_mm_off_and_the_outer_border_does_not_count(write):
    found = evaluate_masks(write("p", "a", lobes(2)), write("r", "a", lobes()), task="lobes")
    values = found.cases[0].values
    assert values["left_oblique_fissure"]["assd"].value == pytest.approx(4, abs=0.01)
    assert values["left_upper_lobe"]["assd"].value < 2  # most of its surface is the border of the lung
    assert values["fissures"]["assd"].value == pytest.approx(
        np.mean([values[f"{name}_fissure"]["assd"].value for name in
                 ("left_oblique", "right_oblique", "right_horizontal")])
    )  # fmt: skip
    assert values["left_lung"]["dice"].value == 1


def test_a_missing_lobe_has_no_fissure_and_says_so(write):
    found = evaluate_masks(
        write("p", "a", np.where(lobes() == RML, RUL, lobes())), write("r", "a", lobes()), task="lobes"
    )
    values = found.cases[0].values
    assert values["right_horizontal_fissure"]["assd"].value is None
    assert values["right_horizontal_fissure"]["assd"].reason == "the prediction lacks a lobe beside it"
    assert values["right_middle_lobe"]["dice"].value == 0
    assert values["right_oblique_fissure"]["assd"].value == 0


def test_values_in_another_order_are_read_by_their_vocabulary_and_else_said(write):
    order = {RUL: 1, RML: 2, RLL: 3, LUL: 4, LLL: 5}
    turned = np.zeros(SHAPE, np.uint8)
    for value, other in order.items():
        turned[lobes() == value] = other
    pred, ref = write("p", "a", lobes()), write("r", "a", turned)
    assert evaluate_masks(pred, ref, task="lobes", ref_labels="rul-to-lll").row("dice", "classes").mean == 1
    pairs = "1=RUL,2=right middle lobe,3=right_lower_lobe,4=1,5=lung_lower_lobe_left"
    assert evaluate_masks(pred, ref, task="lobes", ref_labels=pairs).row("dice", "classes").mean == 1
    wrong = evaluate_masks(pred, ref, task="lobes")
    assert any("may not mean the same" in note for note in wrong.notes)


def test_grams_come_from_the_ct(write, tmp_path):
    drawn, found = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    drawn[5:15, 5:15, 5:15] = 4
    found[5:15, 5:15, 5:10] = 4
    hu = np.where(drawn, 0, -900).astype(np.int16)
    write_volume(tmp_path / "a_ct.nii.gz", Volume(hu, AFFINE))
    files = write("p", "a", found), write("r", "a", drawn)
    values = evaluate_masks(*files, task="injury", ct=tmp_path / "a_ct.nii.gz").cases[0].values
    entry = values["consolidation"]
    assert entry["volume_reference"].value == pytest.approx(2.0)
    assert entry["mass_reference"].value == pytest.approx(2.0)
    assert entry["mass_error"].value == pytest.approx(-1.0)
    assert entry["mass_error_percent"].value == pytest.approx(-50)
    assert values["injured"]["mass_prediction"].value == pytest.approx(1.0)
    assert "emphysema_like" not in values  # neither mask has it
    without = evaluate_masks(*files, task="injury").cases[0].values["injured"]
    assert without["mass_error"].reason == "no CT was given"


def test_lesions_are_found_above_an_iou_of_a_tenth():
    drawn, found = np.zeros((30, 30, 30), bool), np.zeros((30, 30, 30), bool)
    drawn[2:12, 2:12, 2:12] = True  # 1000 voxels
    found[2:3, 2:12, 2:12] = True  # 100 of them: an IoU of 0.1 is not above it
    drawn[15:25, 15:25, 15:25] = True
    found[15:17, 15:25, 15:25] = True  # 0.2
    found[28, 28, 28] = True  # in no lesion
    every, large = find_lesions(found, drawn, 1.0)
    assert (every.reference, every.found, every.missed, every.false) == (2, 1, 1, 2)
    assert large is not None
    assert (large.reference, large.found, large.false) == (2, 1, 0)  # 100 voxels are less than a ball of 6 mm
    assert find_lesions(found, drawn, None)[1] is None
    assert find_lesions(np.zeros_like(found), np.zeros_like(found), 1.0)[0].sensitivity is None


def test_a_class_that_the_reference_lacks_is_said_and_has_a_dice_of_zero(write):
    drawn, found = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    drawn[5:15, 5:15, 5:15] = found[5:15, 5:15, 5:15] = 1
    found[20:25, 5:15, 5:10] = 2
    result = evaluate_masks(write("p", "a", found), write("r", "a", drawn), task="pleura")
    assert result.notes == ("The prediction holds free pleural gas, which the reference lacks.",)
    gas = result.cases[0].values["pleural_gas"]
    assert gas["dice"].value == 0
    assert gas["lesions_false"].value == 1
    assert result.cases[0].values["classes"]["dice"].value == 0.5


def test_label_maps_of_any_classes_are_named_by_the_user(write):
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[5:15, 5:15, 5:15], drawn[20:30, 5:15, 5:15] = 7, 9
    pred, ref = write("p", "a", np.where(drawn == 7, 1, 2 * (drawn == 9))), write("r", "a", drawn)
    found = evaluate_masks(pred, ref, task="labels", labels="1=Tumour,2=cyst", ref_labels="7=tumour,9=cyst")
    assert list(found.regions) == ["classes", "tumour", "cyst"]
    assert found.row("dice", "classes").mean == 1
    plain = evaluate_masks(ref, ref, task="labels")
    assert list(plain.regions) == ["classes", "label_7", "label_9"]


def test_names_in_a_file_count_before_the_contract():
    classes = class_set("lobes")
    mask = mask_of(np.array([[[0, 1, 2, 3]]], np.uint8), {1: "RLL", 2: "Left upper lobe", 3: "trachea"})
    names = class_names(mask, None, classes, "m", "labels")
    assert names == {1: "right_lower_lobe", 2: "left_upper_lobe"}
    assert to_classes(mask, names, classes).ravel().tolist() == [0, RLL, LUL, 0]
    strange = mask_of(mask.array, {1: "liver", 2: "spleen", 3: "heart"})
    with pytest.raises(InputError, match=r"none of them is a class of lobes \(liver, spleen, heart\)"):
        class_names(strange, None, classes, "m", "labels")
    said = parse_class_names("liver=rul,*=0", classes)
    assert class_names(strange, said, classes, "m", "labels") == {1: "right_upper_lobe"}


def test_values_without_a_meaning_are_refused_until_one_is_given(write):
    odd = np.where(lobes() == RLL, 6, lobes())
    pred, ref = write("p", "a", odd), write("r", "a", lobes())
    with pytest.raises(InputError, match=r"no classes of lobes \(6\)"):
        evaluate_masks(pred, ref, task="lobes")
    contract = "1=1,2=2,3=3,4=4"
    with pytest.raises(InputError, match=r"\(6\)"):
        evaluate_masks(pred, ref, task="lobes", labels=contract)
    for text in (f"{contract},6=right_lower_lobe", "6=RLL,1=LUL,2=LLL,3=RUL,4=RML"):
        assert evaluate_masks(pred, ref, task="lobes", labels=text).row("dice", "classes").mean == 1
    # What is only dropped leaves the contract to the others.
    for text in ("6=0", "*=0"):
        found = evaluate_masks(pred, ref, task="lobes", labels=text)
        assert found.row("dice", "classes").mean == 0.8
        assert found.row("dice", "right_lower_lobe").mean == 0


def test_labels_that_cannot_be_read_are_refused():
    classes = class_set("lobes")
    for text, said in (
        ("lungmask", "expected one of lungmask-lobes"),
        ("3=spleen", "expected a class of lobes"),
        ("*=rul", r"\*=0"),
        ("99999=rul", "VALUE=CLASS"),
        ("7=9", "expected a class of lobes"),
    ):
        with pytest.raises(UsageError, match=said):
            parse_class_names(text, classes)
    with pytest.raises(UsageError, match="expected pairs"):
        parse_class_names("totalsegmentator", None)
    assert parse_class_names("", classes) is None
    read = parse_class_names("totalsegmentator,51=0", classes)
    assert read is not None
    assert (read.values[10], read.values[51]) == ("left_upper_lobe", None)
    with pytest.raises(UsageError, match="expected one of lungs, pleura"):
        evaluate_masks("p", "r", task="heart")
    with pytest.raises(UsageError, match="sides is for lungs"):
        evaluate_masks("p", "r", task="lobes", sides="yes")


def test_contracts_are_those_of_the_tasks():
    assert set(TASKS) <= set(EVALUATED)
    for task, labels in ((name, TASKS[name].label_set) for name in CLASS_SETS if name in TASKS):
        classes = class_set(task)
        assert classes is not None
        assert {info.name: info.value for info in labels.values()}.items() <= classes.names.items()
        if not classes.tree:
            assert {info.name for info in labels.values()} == {entry.name for entry in classes.classes}
    assert [entry.name for entry in any_classes(["b c", "A", "B_C"]).classes] == ["b_c", "a"]


def test_what_lies_outside_of_the_lungs_does_not_count(write, tmp_path):
    drawn = np.where(lobes() == RML, 1, 0)
    found = drawn.copy()
    found[18:22, 2:28, 5:10] = 1  # between the lungs
    files = write("p", "a_injury", found), write("r", "a_injury", drawn)
    inside = write("l", "a_lungs", np.where(lobes() > 2, 1, np.where(lobes() > 0, 2, 0)))
    assert evaluate_masks(*files, task="injury").row("dice", "classes").mean < 1
    for within in (inside, inside.parent):
        assert evaluate_masks(*files, task="injury", within=within).row("dice", "classes").mean == 1
    folders = tmp_path / "p", tmp_path / "r"
    assert evaluate_masks(*folders, task="injury", within=inside.parent).row("dice", "classes").mean == 1
    write("p", "b_injury", found)
    write("r", "b_injury", drawn)
    with pytest.raises(InputError, match=r"1 case has no mask of the lungs of the same name \(b\)"):
        evaluate_masks(*folders, task="injury", within=inside.parent)
    with pytest.raises(InputError, match="one mask of the lungs for 2 cases"):
        evaluate_masks(*folders, task="injury", within=inside)
    with pytest.raises(UsageError, match="within is for other tasks"):
        evaluate_masks(*folders, within=inside)


def test_lesions_are_added_up_and_classes_keep_their_order_over_cases(write, tmp_path):
    for name, extra in (("a", 0), ("b", 1)):
        drawn = np.zeros(SHAPE, np.uint8)
        drawn[5:10, 5:10, 5:10] = drawn[20:25, 5:10, 5:10] = 5
        if extra:
            drawn[5:10, 15:20, 5:10] = 3
        write("r", f"{name}_injury", drawn)
        write("p", f"{name}_injury", np.where(np.indices(SHAPE)[0] < 15, drawn, 0))
    found = evaluate_masks(tmp_path / "p", tmp_path / "r", task="injury")
    assert list(found.regions) == ["classes", "ground_glass", "nodule", "injured"]
    row = found.row("lesions_found", "nodule")
    assert (row.total, found.row("lesions_missed", "nodule").total, row.n) == (2, 2, 2)
    assert found.metrics["lesions_found"].counts
