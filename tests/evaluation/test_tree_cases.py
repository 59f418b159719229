from __future__ import annotations

import csv

import numpy as np
import pytest

from hilum.core.errors import HilumError, InputError
from hilum.core.volume import Volume
from hilum.evaluation import evaluate_masks
from hilum.evaluation.branch_table import BranchTable, find_branch_table, read_branch_table
from hilum.evaluation.cases import Case, Grid
from hilum.evaluation.class_sets import class_set
from hilum.evaluation.tree_cases import evaluate_tree
from hilum.io import write_map
from hilum.synthesis.phantoms.branch_table import BRANCH_COLUMNS
from support.tubes import draw_tubes

SPACING = (0.8, 0.8, 1.0)
SHAPE = (76, 76, 60)
#: Start and end in mm from the first voxel, and radius.
STEM = ((30.1, 30.2, 4.1), (29.6, 29.7, 28.0), 3.5)
LEFT = ((29.6, 29.7, 28.0), (12.2, 30.1, 52.0), 2.4)
RIGHT = ((29.6, 29.7, 28.0), (48.3, 29.5, 52.2), 1.6)
AFFINE = np.array([[-0.8, 0, 0, 40], [0, -0.8, 0, 30], [0, 0, 1.0, -100], [0, 0, 0, 1]])


def tubes(*segments, grow=0.0):
    return draw_tubes(SHAPE, SPACING, [(a, b, r + grow) for a, b, r in segments])


@pytest.fixture(scope="module")
def lumen():
    return tubes(STEM, LEFT, RIGHT)


@pytest.fixture(scope="module")
def truth(lumen):
    """Lumen 1, wall 2."""
    return np.where(lumen, 1, np.where(tubes(STEM, LEFT, RIGHT, grow=1.0), 2, 0)).astype(np.uint8)


def to_mm(point):
    return AFFINE[:3, :3] @ (np.asarray(point) / SPACING) + AFFINE[:3, 3]


def write_table(path, segments=(STEM, LEFT, RIGHT), columns=BRANCH_COLUMNS):
    with path.open("w", newline="") as file:
        rows = csv.DictWriter(file, columns, extrasaction="ignore", restval="")
        rows.writeheader()
        for number, (start, end, radius) in enumerate(segments):
            row = {"kind": "airway", "id": number, "generation": min(number, 1), "diameter_mm": 2 * radius}
            for name, point in (("start", to_mm(start)), ("end", to_mm(end))):
                row |= {f"{name}_{axis}": value for axis, value in zip("xyz", point, strict=True)}
            rows.writerow(row)


@pytest.fixture
def write(tmp_path):
    scan = Volume(np.zeros(SHAPE, np.int16), AFFINE)

    def make(folder, name, labels):
        (tmp_path / folder).mkdir(exist_ok=True)
        path = tmp_path / folder / f"{name}.nii.gz"
        write_map(path, labels.astype(np.uint8), scan, "airways")
        return path

    return make


def values(found, region):
    return found.cases[0].values[region]


def test_the_truth_itself_is_found_whole_in_every_part(write, truth):
    pred, ref = write("pred", "a_airways", truth), write("ref", "a_airways", truth)
    found = evaluate_masks(pred, ref, task="airways")
    assert found.task == "airways"
    whole = values(found, "airways")
    assert whole["td"].value == whole["bd"].value == whole["cl_dice"].value == whole["dice"].value == 1
    assert whole["leakage"].value == whole["volume_error"].value == 0
    assert whole["branches"].value == 3
    assert values(found, "airway_wall")["dice"].value == 1
    assert not any(region.startswith("generation") for region in found.regions)  # there is no table


def test_bins_of_diameter_add_up_to_the_tree(write, truth):
    found = evaluate_masks(write("p", "a", tubes(STEM, LEFT)), write("r", "a", truth), task="airways")
    bins = [entry for name, entry in found.cases[0].values.items() if "_bin_" in name]
    assert len(bins) == 5
    for metric in ("branches", "branches_found", "length", "length_found"):
        assert sum(entry[metric].value for entry in bins) == pytest.approx(
            values(found, "airways")[metric].value
        )


def test_a_table_of_branches_gives_diameters_and_generations(write, truth):
    ref = write("ref", "a_airways", truth)
    write_table(ref.parent / "a_branches.csv")
    found = evaluate_masks(write("pred", "a_airways", tubes(STEM, LEFT)), ref, task="airways")
    assert any("table of branches" in note for note in found.notes)
    # The right branch is 3.2 mm wide by the table, and it alone is missed.
    thin, middle = values(found, "airways_bin_3_to_5_mm"), values(found, "airways_bin_from_5_mm")
    assert (thin["table_branches"].value, thin["table_bd"].value) == (2, 0.5)
    assert (middle["table_branches"].value, middle["table_bd"].value) == (1, 1)
    assert values(found, "airways_from_2_mm")["table_bd"].value == pytest.approx(2 / 3)
    assert values(found, "generation_0")["bd"].value == 1
    assert values(found, "generation_1")["bd"].value == 0.5
    assert values(found, "airways_bin_0_to_1.5_mm")["td"].value is None


def test_the_table_of_another_scan_is_refused(write, truth):
    ref = write("ref", "a_airways", truth)
    shifted = [((x, y, z), (x, y + 20, z), r) for (x, y, z), _, r in (STEM, LEFT)]
    write_table(ref.parent / "a_branches.csv", shifted)
    with pytest.raises(InputError, match="of the reference lie on the branches of its table"):
        evaluate_masks(write("pred", "a", truth), ref, task="airways")


def test_tables_are_found_by_name_and_read_with_care(tmp_path):
    ref = tmp_path / "x_airways.nii.gz"
    assert find_branch_table(ref, "x") is None
    write_table(tmp_path / "y_branches.csv")
    assert find_branch_table(ref, "x") is None
    path = tmp_path / "x_branches.csv"
    write_table(path)
    assert find_branch_table(ref, "x") == path
    table = read_branch_table(path, "airways")
    assert table is not None
    assert table.generation.tolist() == [0, 1, 1]
    assert read_branch_table(path, "vessels") is None
    write_table(path, columns=("kind", "id"))
    assert read_branch_table(path, "airways") is None
    write_table(path)
    path.write_text(path.read_text().replace("7.0", "wide"))
    with pytest.raises(InputError, match="no table of branches"):
        read_branch_table(path, "airways")


def test_owners_are_the_nearest_branches():
    starts, ends = np.zeros((2, 3)), np.array([[10.0, 0, 0], [0, 10.0, 0]])
    table = BranchTable(starts, ends, np.array([2.0, 2.0]), np.array([0, 1]))
    assert table.owners(np.array([[5.0, 0.4, 0], [0.3, 6.0, 0]])).tolist() == [0, 1]
    assert table.owners(np.zeros((0, 3))).shape == (0,)


def test_axes_of_a_mask_do_not_change_its_metrics(truth):
    found = np.where(tubes(STEM, LEFT), 1, 0).astype(np.uint8)
    results = []
    for order in ((0, 1, 2), (2, 1, 0)):
        spacing = tuple(SPACING[axis] for axis in order)
        grid = Grid(spacing[1:], spacing[0], 0.64e-3)
        case = Case("a", "a", found.transpose(order), truth.transpose(order), grid, affine=np.eye(4))
        classes = class_set("airways")
        assert classes is not None
        results.append(evaluate_tree(case, classes).values["airways"])
    for metric in ("dice", "tree_precision", "leakage_volume", "volume_reference"):
        assert results[0][metric].value == pytest.approx(results[1][metric].value)
    assert results[0]["td_mm"].value == pytest.approx(results[1]["td_mm"].value, abs=0.03)


def test_mucus_is_a_part_of_the_tree(write, truth, lumen):
    plugged = truth.copy()
    plugged[lumen & tubes(RIGHT) & ~tubes(STEM)] = 3
    found = evaluate_masks(write("p", "a", truth), write("r", "a", plugged), task="airways")
    assert values(found, "airways")["td"].value == values(found, "airways")["tree_precision"].value == 1


def test_what_only_one_mask_tells_apart_is_said_and_not_compared(write, truth, lumen):
    found = evaluate_masks(write("p", "a", lumen), write("r", "a", truth), task="airways")
    assert "airway_wall" not in found.regions
    assert any("prediction holds no airway wall" in note for note in found.notes)
    vessels = evaluate_masks(write("p", "b", lumen), write("r", "b", truth), task="vessels")
    assert "artery" not in vessels.regions


def test_arteries_and_veins_are_compared_where_both_masks_have_them(write, truth):
    found = evaluate_masks(write("p", "a", truth), write("r", "a", truth), task="vessels")
    assert values(found, "artery")["dice"].value == values(found, "vein")["dice"].value == 1


def test_loose_pieces_of_the_reference_are_no_leak_where_they_are_found(write, truth, lumen):
    piece = np.zeros(SHAPE, bool)
    piece[5:9, 5:9, 5:9] = True
    reference = np.where(piece, 1, truth)
    bridge = np.zeros(SHAPE, bool)
    bridge[5:40, 6, 6] = bridge[37, 6:38, 6] = True
    found = evaluate_masks(
        write("p", "a", lumen | piece | bridge), write("r", "a", reference), task="airways"
    )
    outside = int((bridge & ~lumen & ~piece).sum())
    assert values(found, "airways")["leakage_volume"].value == pytest.approx(outside * 0.64 / 1000, abs=1e-6)


def test_empty_trees_and_flat_masks(write, truth):
    empty = np.zeros(SHAPE, np.uint8)
    found = evaluate_masks(write("p", "a", empty), write("r", "a", truth), task="airways")
    whole = values(found, "airways")
    assert whole["td"].value == 0
    assert whole["tree_precision"].value is None
    assert "no tree" in whole["tree_precision"].reason
    with pytest.raises(InputError, match="holds no tree"):
        evaluate_masks(write("p", "b", truth), write("r", "b", empty), task="airways")


def test_one_bad_pair_costs_only_itself(write, truth, tmp_path):
    for name in ("a", "b"):
        write("p", f"{name}_airways", truth)
        write("r", f"{name}_airways", truth)
    write("r", "c_airways", np.zeros(SHAPE))
    write("p", "c_airways", truth)
    write("r", "a_vessels", truth)  # of another task: passed over
    found = evaluate_masks(tmp_path / "p", tmp_path / "r", task="airways")
    assert [case.name for case in found.cases] == ["a", "b"]
    assert [failure.case for failure in found.failed] == ["c"]
    assert found.row("td", "airways").n == 2
    assert len(found.figures) == 2


def test_a_mask_without_a_voxel_size_is_no_tree(tmp_path):
    from PIL import Image

    for name in ("p", "r"):
        Image.fromarray(np.eye(20, dtype=np.uint8)).save(tmp_path / f"{name}.png")
    with pytest.raises(HilumError, match="known voxel size"):
        evaluate_masks(tmp_path / "p.png", tmp_path / "r.png", task="airways")
