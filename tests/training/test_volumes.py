"""Training of the 3-D network on tiny cases."""

from __future__ import annotations

import copy
from dataclasses import fields

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from hilum.core.errors import InputError, UsageError
from hilum.synthesis.phantoms import make_phantom
from hilum.training.volumes.augment import Variation, vary
from hilum.training.volumes.cases import STEP_MM, find_cases, on_cubes, write_case
from hilum.training.volumes.export import export_volumes, halve, halve_file, load_exported
from hilum.training.volumes.fit import VolumeConfig, _Examples, dense_share, fit_volumes
from hilum.training.volumes.layers import use_onednn_layers
from hilum.training.volumes.networks import LungNet3d, depth_to_space, space_to_depth
from hilum.training.volumes.widen import init_from_narrower, network_of

SMALL = {"size": (32, 32, 32), "widths": (4, 8), "every": 2, "threads": 1, "shares": {"phantom": 1.0}}
STILL = Variation(**{f.name: (0, 0, 0) if f.name == "elastic_mm" else 0 for f in fields(Variation)})


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    for seed in range(2):
        phantom = make_phantom(seed=seed, spacing=(8.0, 8.0, 8.0))
        hu, labels = on_cubes(phantom.volume, phantom.labels)
        write_case(folder, f"phantom-{seed:02d}", hu, labels)
    return folder


def test_cases_come_back(cases):
    found = find_cases(cases)
    assert [(c.name, c.group) for c in found] == [("phantom-00", "phantom"), ("phantom-01", "phantom")]
    hu, labels = found[0].load()
    assert hu.dtype == np.int16
    assert hu.shape == labels.shape
    assert set(np.unique(labels)) == {0, 1, 2}
    # RAS: x grows to the patient's right, where lung 1 lies
    assert np.nonzero(labels == 1)[0].mean() > np.nonzero(labels == 2)[0].mean()


def test_a_training_goes_on_from_an_exported_network(tmp_path):
    torch.manual_seed(3)
    network = halve(LungNet3d((4, 8), soft_tissue=(-0.2, 0.2)))
    torch.nn.init.normal_(network.soft_tissue_branch[2].weight)
    path = export_volumes(network, tmp_path / "net.onnx")
    again = load_exported(LungNet3d((4, 8), soft_tissue=(-0.2, 0.2)), path)
    for (name, ours), (_, theirs) in zip(
        network.state_dict().items(), again.state_dict().items(), strict=True
    ):
        assert torch.equal(ours, theirs), name
    with pytest.raises(UsageError, match="another shape"):
        load_exported(LungNet3d((4, 16)), path)
    with pytest.raises(UsageError, match="another shape"):
        load_exported(LungNet3d((4, 8, 8)), path)


def test_no_cases(tmp_path):
    with pytest.raises(InputError, match="no training cases"):
        find_cases(tmp_path)


def test_an_example_is_a_function_of_seed_and_step(cases):
    data = _Examples(find_cases(cases), VolumeConfig(steps=4, **SMALL), Variation())
    first, again, other = data[1], data[1], data[2]
    assert torch.equal(first["hu"], again["hu"])
    assert torch.equal(first["target"], again["target"])
    assert not torch.equal(first["hu"], other["hu"])
    assert torch.allclose(first["target"].sum(0), torch.ones(()), atol=1e-5)


def test_a_group_without_cases_is_an_error(cases):
    with pytest.raises(UsageError, match="injured"):
        _Examples(find_cases(cases), VolumeConfig(), Variation())


def test_dense_lung_is_drawn_more_often(tmp_path):
    labels = np.zeros((16, 16, 16), np.uint8)
    labels[4:12, 4:12, 4:12] = 1
    for name, inside in (("phantom-00", -850), ("phantom-01", 40)):
        write_case(tmp_path, name, np.where(labels > 0, inside, 50), labels)
    aerated, dense = find_cases(tmp_path)
    assert (dense_share(aerated), dense_share(dense)) == (0.0, 1.0)
    plain, choosy = (
        _Examples([aerated, dense], VolumeConfig(steps=60, prefer_dense=p, **SMALL), Variation())
        for p in (0.0, 8.0)
    )
    plain.variation = choosy.variation = STILL

    def share(data):
        drawn = [data[k] for k in range(60)]
        return np.mean([float(d["hu"][0][d["target"][1:].sum(0) > 0.99].median()) > -300 for d in drawn])

    assert 0.3 < share(plain) < 0.7
    assert share(choosy) > 0.8


def test_nothing_varied_gives_the_scan(cases):
    hu, labels = (torch.from_numpy(np.array(a)) for a in find_cases(cases)[0].load())
    generator = torch.Generator().manual_seed(0)
    size = [n + 64 for n in hu.shape]  # off by the draw of the middle, so that all of it is inside
    image, target = vary(hu, labels, size, STEP_MM, STILL, generator)
    assert target[1].sum().item() == pytest.approx(float((labels == 1).sum()), rel=0.02)
    inside = image[0][target[2] > 0.99]
    assert inside.median().item() == pytest.approx(float(hu[labels == 2].float().median()), abs=15)


def test_depth_to_space_is_the_inverse_of_space_to_depth():
    x = torch.randn(2, 3, 8, 4, 6)
    assert torch.equal(depth_to_space(space_to_depth(x)), x)


def test_a_stopped_training_goes_on_to_the_same_weights(cases, tmp_path):
    config = VolumeConfig(steps=6, **SMALL)
    whole = fit_volumes(cases, tmp_path / "whole", config)

    class Stop(Exception):
        pass

    def stop(step, loss):
        assert np.isfinite(loss)
        if step == 5:
            raise Stop

    with pytest.raises(Stop):
        fit_volumes(cases, tmp_path / "cut", config, report=stop)
    again = fit_volumes(cases, tmp_path / "cut", config)
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_it_learns_from_given_weights(cases, tmp_path):
    start = LungNet3d(SMALL["widths"])
    config = VolumeConfig(steps=1, learning_rate=0.0, **SMALL)
    out = fit_volumes(cases, tmp_path / "run", config, initial=start)
    for a, b in zip(start.parameters(), out.parameters(), strict=True):
        assert torch.allclose(a, b)


def test_a_closer_look_begins_as_no_look(cases, tmp_path):
    """Weights of a network without it can be gone on from, and others are refused."""
    start = LungNet3d(SMALL["widths"])
    config = VolumeConfig(steps=1, learning_rate=0.0, soft_hu=(-160.0, 240.0), **SMALL)
    out = fit_volumes(cases, tmp_path / "run", config, initial=start).eval()
    x = torch.rand(1, 1, 16, 16, 16) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(out(x), start.eval()(x), atol=1e-5)
        out.soft_tissue_branch[2].weight.fill_(0.1)
        assert not torch.allclose(out(x), start(x), atol=1e-3)
    with pytest.raises(UsageError, match="another shape"):
        fit_volumes(cases, tmp_path / "other", config, initial=out.__class__((4, 8, 16)))


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
    rounded = halve(network)
    whole, packed = (export_volumes(n, tmp_path / f"{i}.onnx") for i, n in enumerate((network, rounded)))
    assert packed.stat().st_size < 0.7 * whole.stat().st_size
    x = torch.rand(1, 1, 16, 24, 32) * 2 - 1
    with torch.no_grad():
        expected = torch.softmax(rounded(x), 1).numpy()
    assert np.abs(open_session(packed).run(x.numpy()) - expected).max() < 1e-4
    before = open_session(whole).run(x.numpy())
    halve_file(whole)
    assert whole.stat().st_size < 1.05 * packed.stat().st_size
    after = open_session(whole).run(x.numpy())
    assert 0 < np.abs(after - before).max() < 5e-3  # rounded, and nearly the same


def test_a_raised_diaphragm_keeps_the_apex(cases):
    hu, labels = (torch.from_numpy(np.array(a)) for a in find_cases(cases)[0].load())
    still = dict.fromkeys(Variation.__dataclass_fields__, 0.0)
    size = [n + 64 for n in hu.shape]
    still["elastic_mm"] = (0.0,) * 3
    most = 0.0
    for seed in range(4):
        tops, sizes = [], []
        for raised in (0.0, 1.0):
            choices = Variation(**{**still, "raised": raised, "raised_mm": 60.0})
            _, target = vary(hu, labels, size, STEP_MM, choices, torch.Generator().manual_seed(seed))
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
