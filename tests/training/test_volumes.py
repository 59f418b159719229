"""Training of the 3-D network on tiny cases."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

pytest.importorskip("torch")

import torch

from hilum.core.errors import ModelError, UsageError
from hilum.datasets.volume_grid import STEP_MM, to_isotropic
from hilum.synthesis.phantoms import make_phantom
from hilum.training.config import Variation
from hilum.training.volumes.augment import AIR, vary
from hilum.training.volumes.export import export_volumes, round_file_to_float16, round_to_float16
from hilum.training.volumes.initial import load_initial
from hilum.training.volumes.net2net import init_from_narrower, network_of
from hilum.training.volumes.networks import LungNet3d, depth_to_space, space_to_depth
from hilum.training.volumes.onednn import use_onednn_layers
from hilum.training.volumes.pleura import label_pleura
from hilum.training.volumes.pool import LocalPool
from hilum.training.volumes.sources import case_of

FIELDS = list(Variation.model_fields)
SIZE = (32, 32, 32)
NOT_ZERO = {"elastic_mm": (0, 0, 0), "side_cut": 0.05, "smallest": 0.5}
STILL = Variation(**{f: NOT_ZERO.get(f, 0) for f in FIELDS})


@pytest.fixture(scope="module")
def case():
    phantom = make_phantom(seed=0, spacing=(8.0, 8.0, 8.0))
    return case_of(*to_isotropic(phantom.volume, phantom.labels))


def test_a_case_holds_the_extents_of_its_lungs(case):
    assert case.hu.dtype == np.int16
    x = np.flatnonzero((case.labels == 1).any(axis=(1, 2)))
    assert case.extents[1][0] == (x[0], x[-1])
    # RAS: x grows to the patient's right, where lung 1 lies
    assert sum(case.extents[1][0]) > sum(case.extents[2][0])
    empty = case_of(case.hu, np.zeros_like(case.labels))
    assert empty.extents[0] == (None, None, None)


def test_an_example_is_a_function_of_its_seed(case):
    def example(seed):
        return vary(case, SIZE, STEP_MM, Variation(), torch.Generator().manual_seed(seed), 5)

    (hu, target), (again, same), (other, _) = example(1), example(1), example(2)
    assert torch.equal(hu, again)
    assert torch.equal(target, same)
    assert not torch.equal(hu, other)
    assert target.shape == (5, *SIZE)
    assert torch.allclose(target.sum(0), torch.ones(()), atol=1e-5)


def still(case, seed=0, **choices):
    """An example of which only the given choices vary."""
    size = [-(-n // 8) * 8 for n in case.hu.shape]
    update = STILL.model_copy(update=choices)
    return vary(case, size, STEP_MM, update, torch.Generator().manual_seed(seed), 5)


def test_choices_that_are_off_move_no_draw(case):
    hu, target = still(case, noise=1.0)
    again, same = still(case, noise=1.0, smallest=0.7)
    assert torch.equal(hu, again)
    assert torch.equal(target, same)


def test_a_small_body_has_small_lungs(case):
    whole = still(case)[1][1:3].sum()
    small = [float(still(case, seed, small=1.0, smallest=0.3)[1][1:3].sum() / whole) for seed in range(12)]
    assert min(small) < 0.2
    assert max(small) <= 1.01


def test_half_a_body_holds_one_lung_and_air_for_the_rest(case):
    for seed in range(4):
        whole = still(case, seed)[1]
        hu, target = still(case, seed, half=1.0)
        shares = sorted(float(target[side].sum() / whole[side].sum()) for side in (1, 2))
        assert shares[0] < 0.5 < shares[1]
        gone = (target[1:].sum(0) == 0) & (whole[1:3].sum(0) > 0.5)
        assert (hu[0][gone] == AIR).all()


def test_upside_down_lungs_keep_the_side_that_the_axis_says(case):
    plain, turned = still(case)[1], still(case, upside_down=1.0)[1]
    assert torch.equal(turned[1], plain[1].flip(2))


def test_metal_leaves_streaks_in_some_planes_and_no_label_moves(case):
    (hu, target), (corrupted, same) = still(case), still(case, metal=1.0)
    assert torch.equal(target, same)
    planes = ((corrupted - hu).abs() > 20).flatten(0, 2).any(0)
    assert 0 < int(planes.sum()) < hu.shape[3]
    assert corrupted.max() > 3000


def test_without_augmentation_the_scan_is_unchanged(case):
    size = [n + 64 for n in case.hu.shape]  # off by the draw of the middle, so that all of it is inside
    image, target = vary(case, size, STEP_MM, STILL, torch.Generator().manual_seed(0))
    assert target[1].sum().item() == pytest.approx(float((case.labels == 1).sum()), rel=0.02)
    inside = image[0][target[2] > 0.99]
    assert inside.median().item() == pytest.approx(float(np.median(case.hu[case.labels == 2])), abs=15)


def test_a_mirror_image_swaps_the_sides_and_keeps_fluid_and_gas(case):
    labels = case.labels.copy()
    labels[case.labels == 1] = 3
    ill = case_of(case.hu, labels)
    size = [n + 64 for n in case.hu.shape]
    plain, mirrored = (
        vary(ill, size, STEP_MM, STILL.model_copy(update={"mirror": m}), torch.Generator().manual_seed(0), 5)
        for m in (0.0, 1.0)
    )
    assert torch.equal(mirrored[1][1], plain[1][2].flip(0))
    assert torch.equal(mirrored[1][3], plain[1][3].flip(0))


def test_a_training_starts_from_an_exported_network(tmp_path):
    torch.manual_seed(3)
    network = round_to_float16(LungNet3d((4, 8), soft_tissue=(-0.2, 0.2)))
    torch.nn.init.normal_(network.soft_tissue_branch[2].weight)
    path = export_volumes(network, tmp_path / "net.onnx")
    again = load_initial(path, (-0.2, 0.2))
    for (name, ours), (_, theirs) in zip(
        network.state_dict().items(), again.state_dict().items(), strict=True
    ):
        assert torch.equal(ours, theirs), name
    assert load_initial("lungs", (-0.2, 0.2)).classes == 5
    with pytest.raises(ModelError, match="no first weights"):
        load_initial(tmp_path / "absent.pt", None)
    (tmp_path / "broken.pt").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="damaged"):
        load_initial(tmp_path / "broken.pt", None)


def test_depth_to_space_is_the_inverse_of_space_to_depth():
    x = torch.randn(2, 3, 8, 4, 6)
    assert torch.equal(depth_to_space(space_to_depth(x)), x)


def test_a_wider_network_begins_with_the_same_answers():
    """And learns with what is new: the new channels get a gradient."""
    small, wide = LungNet3d((4, 6, 8)).eval(), LungNet3d((6, 6, 12), soft_tissue=(-0.2, 0.2)).eval()
    x = torch.rand(1, 1, 24, 16, 32) * 2 - 1
    with torch.no_grad():
        before = wide(x)
        init_from_narrower(small, wide)
        assert not torch.allclose(before, small(x), atol=1e-2)
        assert torch.allclose(wide(x), small(x), atol=1e-4)
    wide(x).square().mean().backward()
    assert wide.head.weight.grad[:, 4:].abs().max() > 0
    with pytest.raises(UsageError, match="wider"):
        init_from_narrower(wide, LungNet3d((4, 6, 12), soft_tissue=(-0.2, 0.2)))
    with pytest.raises(UsageError, match="another shape"):
        init_from_narrower(small, LungNet3d((4, 6)))


@pytest.mark.parametrize("soft", [None, (-0.2, 0.2)])
def test_a_detail_begins_as_none_and_goes_over_to_a_wider_network(soft):
    small, fine = LungNet3d((4, 6), 3, soft).eval(), LungNet3d((4, 6), 3, soft, refinement=5).eval()
    x = torch.rand(1, 1, 16, 8, 24) * 2 - 1
    with torch.no_grad():
        init_from_narrower(small, fine)
        assert torch.allclose(fine(x), small(x), atol=1e-5)
        fine.refinement[2].weight.normal_()
        assert not torch.allclose(fine(x), small(x), atol=1e-2)
        wide = LungNet3d((6, 8), 3, soft, refinement=7).eval()
        wide.refinement[2].weight.normal_()
        init_from_narrower(fine, wide)
        assert torch.allclose(wide(x), fine(x), atol=1e-4)
    with pytest.raises(UsageError, match="another shape"):
        init_from_narrower(fine, LungNet3d((4, 6), 3, soft))


@pytest.mark.parametrize("size", [(1, 1, 32, 48, 64), (1, 1, 96, 80, 16), (2, 1, 32, 32, 32)])
def test_quicker_layers_learn_the_same(size):
    torch.manual_seed(0)
    plain = LungNet3d((8, 24, 128), 3, (-0.2, 0.2), 8).double()  # so that nothing but rounding may differ
    quick = copy.deepcopy(plain)
    use_onednn_layers(quick)
    assert type(quick.head) is not type(plain.head)
    x, weight = torch.rand(2, *size, dtype=torch.double)
    answers = [network(x) for network in (plain, quick)]
    assert torch.allclose(*answers, rtol=0, atol=1e-9)
    for answer in answers:
        (answer * weight).sum().backward()
    ours, theirs = (
        {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
        for network in (plain, quick)
    )
    assert ours.keys() == theirs.keys()
    largest = max(float(grad.abs().max()) for grad in ours.values())
    for name, grad in ours.items():
        assert float((grad - theirs[name]).abs().max()) < 1e-9 * largest, name


def test_half_the_file_and_the_same_answer(tmp_path):
    pytest.importorskip("openvino")
    from hilum.models.engine import open_session

    network = LungNet3d((8, 16), soft_tissue=(-0.2, 0.5)).eval()
    torch.nn.init.normal_(network.soft_tissue_branch[2].weight, 0, 0.1)
    rounded = round_to_float16(network)
    whole, packed = (export_volumes(n, tmp_path / f"{i}.onnx") for i, n in enumerate((network, rounded)))
    assert packed.stat().st_size < 0.7 * whole.stat().st_size
    x = torch.rand(1, 1, 16, 24, 32) * 2 - 1
    with torch.no_grad():
        expected = torch.softmax(rounded(x), 1).numpy()
    assert np.abs(open_session(packed).run(x.numpy()) - expected).max() < 1e-4
    before = open_session(whole).run(x.numpy())
    round_file_to_float16(whole)
    assert whole.stat().st_size < 1.05 * packed.stat().st_size
    after = open_session(whole).run(x.numpy())
    assert 0 < np.abs(after - before).max() < 5e-3  # rounded, and nearly the same


def test_a_raised_diaphragm_keeps_the_apex(case):
    size = [n + 64 for n in case.hu.shape]
    most = 0.0
    for seed in range(4):
        tops, sizes = [], []
        for raised in (0.0, 1.0):
            choices = STILL.model_copy(update={"raised": raised, "raised_mm": 60.0})
            _, target = vary(case, size, STEP_MM, choices, torch.Generator().manual_seed(seed))
            lung = target[1:] > 0.5
            tops.append([int(torch.nonzero(side.any(0).any(0)).max()) for side in lung])
            sizes.append([int(side.sum()) for side in lung])
        assert np.abs(np.array(tops[0]) - tops[1]).max() <= 2
        change = np.abs(np.array(sizes[1]) / np.array(sizes[0]) - 1)
        assert change.min() < 0.03  # the other lung stays
        most = max(most, float(change.max()))
    assert most > 0.05


def test_weights_with_old_names_and_fewer_classes_go_over():
    """A state dict written before two parts of the network were renamed still loads, and gains classes."""
    old = LungNet3d((4, 6), 3, (-0.2, 0.2), 5).eval()
    names = {"soft_tissue_branch.": "closer.", "refinement.": "detail."}
    state = {}
    for key, value in old.state_dict().items():
        for new, former in names.items():
            key = key.replace(new, former)
        state[key] = value.half()
    again = network_of(state, (-0.2, 0.2)).eval()
    five = LungNet3d((4, 6), 5, (-0.2, 0.2), 5).eval()
    init_from_narrower(again, five)
    x = torch.rand(1, 1, 16, 8, 24) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(again(x), old(x), atol=0.05)
        assert torch.allclose(five(x)[:, :3], again(x), atol=1e-5)
        assert float(torch.softmax(five(x), 1)[:, 3:].mean()) < 0.05
    with pytest.raises(UsageError, match="another shape"):
        network_of({"weight": torch.zeros(2)}, None)


def test_voxels_that_an_injury_removes_from_the_lung_are_fluid_or_gas():
    before = np.zeros((20, 20, 20), np.uint8)
    before[4:16, 4:16, 4:16] = 1
    after, hu = before.copy(), np.where(before, -850, 50)
    after[4:16, 4:8, 4:16] = 0
    hu[4:16, 4:8, 4:16] = 10
    after[4:16, 12:16, 4:16] = 0
    hu[4:16, 12:16, 4:16] = -990
    found = label_pleura(before, after, hu)
    assert np.array_equal(found > 0, before > 0)
    assert (found[5:15, 5, 5:15] == 3).all()
    assert (found[5:15, 13, 5:15] == 4).all()
    assert (found[after > 0] == 1).all()


class _Numbered:
    """Cases whose HU are their index."""

    def __init__(self):
        self.asked = []

    def make(self, index):
        self.asked.append(index)
        return case_of(np.full((4, 4, 4), index), np.ones((4, 4, 4), np.uint8))


def _draw(pool, examples):
    return [int(pool.draw(n, np.random.default_rng([7, n])).hu[0, 0, 0]) for n in examples]


def test_a_pool_in_the_training_process_gives_each_example_its_case():
    whole = _draw(LocalPool(_Numbered(), 3, 2), range(40))
    assert whole[::2] == list(range(20))  # each case is new once
    assert all(n // 2 - 3 < case <= n // 2 for n, case in enumerate(whole))
    source = _Numbered()
    assert _draw(LocalPool(source, 3, 2), range(25, 40)) == whole[25:]  # as in a resumed training
    assert min(source.asked) >= 10


@pytest.mark.skipif(os.name != "posix", reason="a process of Windows keeps the number of its parent")
def test_a_worker_ends_with_the_training_that_it_works_for(tmp_path):
    """Also if the training was killed without notice."""
    script = tmp_path / "killed.py"
    script.write_text(
        "import os, signal\n"
        "import numpy as np\n"
        "from hilum.training.volumes.pool import WorkerPool\n"
        "from hilum.training.volumes.sources import DatasetSource, case_of\n"
        "class Source:\n"
        "    def make(self, index):\n"
        "        return case_of(np.zeros((4, 4, 4)), np.ones((4, 4, 4), np.uint8))\n"
        "if __name__ == '__main__':\n"
        "    pool = WorkerPool(Source(), 6, 1)\n"
        "    pool.draw(0, np.random.default_rng(0))\n"
        "    print(pool._processes[0].pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    worker = int(ended.stdout)
    for _ in range(200):
        if not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.1)
    psutil.Process(worker).kill()
    pytest.fail("the worker still runs")
