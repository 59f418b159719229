"""Masks that keep each structure apart, read as classes: folders, layers, DICOM SEG."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from hilum.core.errors import HilumError, InputError
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LOBES
from hilum.core.volume import Volume
from hilum.evaluation import evaluate_masks
from hilum.evaluation.class_parts import ClassParts
from hilum.evaluation.class_sets import CLASS_SETS, class_set
from hilum.io import write_labels
from hilum.io.mask_segments import SegmentName
from hilum.tasks.registry import TASKS

AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])
SHAPE = (20, 16, 12)
TOTAL = {"lung_upper_lobe_left": 1, "lung_lower_lobe_left": 2, "lung_upper_lobe_right": 3,
         "lung_middle_lobe_right": 4, "lung_lower_lobe_right": 5}  # fmt: skip


def lobes() -> np.ndarray:
    out = np.zeros(SHAPE, np.uint8)
    out[1:9, 1:15, 1:6], out[1:9, 1:15, 6:11], out[1:9, 8:15, 6:11] = 5, 3, 4
    out[11:19, 1:15, 1:6], out[11:19, 1:15, 6:11] = 2, 1
    return out


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.asarray(array, np.uint8), AFFINE), path)
    return path


@pytest.fixture
def prediction(tmp_path):
    scan = Volume(np.zeros(SHAPE, np.int16), AFFINE)
    (tmp_path / "chest").mkdir()
    return write_labels(tmp_path / "chest" / "lobes.nii.gz", LabelVolume(lobes(), AFFINE, LOBES), scan)


def total(folder):
    for name, value in TOTAL.items():
        save(folder / f"{name}.nii.gz", lobes() == value)
    for other in ("heart", "lung_vessels"):
        (folder / f"{other}.nii.gz").write_bytes(b"is not opened")
    return folder


def perfect(prediction, reference, task="lobes", **options) -> bool:
    return evaluate_masks(prediction, reference, task=task, **options).row("dice", "classes").mean == 1


def test_a_folder_of_totalsegmentator_is_a_mask_of_lobes(prediction, tmp_path):
    folder = total(tmp_path / "segmentations")
    assert perfect(prediction, folder)
    assert perfect(prediction.parent, folder)  # the output of one scan
    assert perfect(folder, prediction, labels="totalsegmentator")


def test_folders_of_cases_hold_a_folder_of_structures_each(prediction, tmp_path):
    total(tmp_path / "ref" / "chest" / "segmentations")
    (tmp_path / "out").mkdir()
    prediction.parent.rename(tmp_path / "out" / "chest")
    assert perfect(tmp_path / "out", tmp_path / "ref")
    with pytest.raises(InputError, match="ref is a folder of masks and chest is one mask"):
        evaluate_masks(tmp_path / "out" / "chest", tmp_path / "ref", task="lobes")


def test_a_lobe_that_is_missing_beside_others_is_an_error(prediction, tmp_path):
    folder = total(tmp_path / "total")
    (folder / "lung_middle_lobe_right.nii.gz").unlink()
    with pytest.raises(InputError, match="lung_middle_lobe_right is missing in total"):
        evaluate_masks(prediction, folder, task="lobes")


def test_a_folder_without_a_class_says_how_to_name_them_and_then_reads_them(prediction, tmp_path):
    folder = tmp_path / "drawn"
    names = ("links oben", "links unten", "rechts oben", "Mittellappen", "rechts unten")
    for value, name in enumerate(names, start=1):
        save(folder / f"{name}.nii.gz", lobes() == value)
    pairs = ",".join(f"{name}={value}" for value, name in enumerate(names, start=1))
    assert perfect(prediction, folder, ref_labels=pairs)
    with pytest.raises(HilumError, match=r"drawn is a folder and lobes\.nii\.gz is a file"):
        evaluate_masks(prediction, folder, task="lobes")


def test_structures_that_overlap_are_refused(prediction, tmp_path):
    folder = total(tmp_path / "total")
    save(folder / "lung_upper_lobe_left.nii.gz", np.isin(lobes(), (1, 2)))
    with pytest.raises(InputError, match="voxels are marked as left lower lobe and as left upper lobe"):
        evaluate_masks(prediction, folder, task="lobes")


def layers(path, names, arrays, term=""):
    image = sitk.JoinSeries([sitk.GetImageFromArray(a.astype(np.uint8).T) for a in arrays])
    vector = sitk.Compose([image[..., k] for k in range(len(arrays))])
    vector.SetSpacing((1.0, 1.0, 2.0))  # LPS: the same as AFFINE in RAS
    for k, name in enumerate(names):
        for key, value in {"Name": name, "LabelValue": 1, "Layer": k, "Tags": term if not k else ""}.items():
            vector.SetMetaData(f"Segment{k}_{key}", str(value))
    sitk.WriteImage(vector, str(path))
    return path


def test_layers_of_3d_slicer_are_classes_and_what_is_none_may_overlap(prediction, tmp_path):
    drawn = lobes()
    names = ["Oberlappen", "left lower lobe", "RUL", "right middle lobe", "Right Lower Lobe", "right lung"]
    arrays = [drawn == value for value in range(1, 6)] + [np.isin(drawn, (3, 4, 5))]
    term = ("TerminologyEntry:List~SCT^123037004^Anatomical Structure~SCT^45653009^Upper lobe of lung"
            "~SCT^7771000^Left~Regions~^^~^^|")  # fmt: skip
    file = layers(tmp_path / "drawn.seg.nrrd", names, arrays, term)
    assert perfect(prediction, file)
    other = layers(tmp_path / "other.seg.nrrd", ["liver", "spleen"], arrays[:2])
    with pytest.raises(InputError, match=r"No segment of other.seg.nrrd is a class of lobes by its name"):
        evaluate_masks(prediction, other, task="lobes")


def test_structures_of_any_names_are_classes_of_the_task_labels(tmp_path):
    for folder in ("p", "r"):
        for name, value in TOTAL.items():
            save(tmp_path / folder / f"{name}.nii.gz", lobes() == value)
    drawn = layers(tmp_path / "r.seg.nrrd", list(TOTAL), [lobes() == value for value in TOTAL.values()])
    found = evaluate_masks(tmp_path / "p", drawn, task="labels")
    assert found.row("dice", "classes").mean == 1
    assert set(found.regions) == {"classes", *TOTAL}
    assert len(evaluate_masks(tmp_path / "p", tmp_path / "r", task="labels").cases) == 5  # five cases


@pytest.mark.parametrize("task", [task for task in CLASS_SETS if task in TASKS])
def test_segments_are_known_by_the_names_and_titles_that_hilum_writes(task):
    parts = ClassParts(class_set(task), None, "labels")
    for info in TASKS[task].label_set.values():
        assert parts.value_of(SegmentName(info.name)) == info.value
        assert parts.value_of(SegmentName(info.title)) == info.value


@pytest.mark.parametrize(
    ("task", "code", "modifier", "value"),
    [("lobes", "44714003", "", 1), ("lobes", "90572001", "24028007", 5), ("pleura", "60046008", "", 1),
     ("injury", "95436008", "", 4), ("airways", "89187006", "", 0), ("lobes", "39607008", "7771000", 0)],
)  # fmt: skip
def test_segments_are_known_by_their_codes_where_these_mean_one_class(task, code, modifier, value):
    parts = ClassParts(class_set(task), None, "labels")
    assert parts.value_of(SegmentName("Segment_1", 1, code, modifier)) == value


@pytest.mark.parametrize(
    ("task", "name", "value"),
    [("airways", "lung_trachea_bronchia", 1), ("vessels", "lung_vessels", 1),
     ("pleura", "pleural_effusion", 1), ("injury", "lung_nodules", 5),
     ("lobes", "Upper lobe of left lung", 1), ("airways", "trachea", 0)],
)  # fmt: skip
def test_names_of_other_programs_mean_what_the_table_in_the_documentation_says(task, name, value):
    assert ClassParts(class_set(task), None, "labels").value_of(SegmentName(name)) == value
