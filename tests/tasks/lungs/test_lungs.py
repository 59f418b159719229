"""The learned model that ships: right where classic is, and where lung is dense; refuses what is no chest."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hilum.anatomy import Classic
from hilum.anatomy.model import Scan
from hilum.core.errors import ModelError, NotAChestError
from hilum.core.segmentation import Segmentation
from hilum.core.volume import Volume
from hilum.imaging.overlap import dice
from hilum.models.card import ModelCard
from hilum.models.engine import Device, Session, open_session
from hilum.models.registry import SHIPPED, Model, open_model
from hilum.synthesis.lesions import add_diaphragm
from hilum.synthesis.phantoms import Phantom, make_phantom
from hilum.tasks.lungs.default import VolumeLungs
from hilum.tasks.lungs.model import LearnedLungs
from hilum.tasks.lungs.thin import crescents, require_lung
from support.cards import changed, volume_card

pytest.importorskip("openvino")
SPACING = (2.0, 2.0, 2.5)


class Unused:
    """A session that must not be asked."""

    engine = "none"
    lanes = 1

    def run(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        raise AssertionError

    def run_many(self, inputs: Sequence[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float32]]:
        return [self.run(x) for x in inputs]


def network(session: Session, step_mm: float = 3.5, **fields: Any) -> Model:
    """A model of volumes with a session of the test's own."""
    card = changed(volume_card(**fields), "input.step_mm", step_mm)
    return Model(ModelCard.model_validate(card), Path("net.onnx"), session)


@pytest.fixture(scope="module")
def healthy() -> Phantom:
    return make_phantom(seed=21, spacing=SPACING, orientation="RAS")


@pytest.fixture(scope="module")
def found(model: LearnedLungs, healthy: Phantom) -> Segmentation:
    return model(healthy.volume)


@pytest.fixture(scope="module")
def sick() -> Phantom:
    return make_phantom(seed=22, spacing=SPACING, orientation="RAS", injury="consolidation:0.6")


def test_each_lung_is_found_on_its_side(healthy: Phantom, found: Segmentation) -> None:
    for side in (1, 2):
        assert dice(found.labels.data == side, healthy.labels == side) > 0.95
    assert found.model.name == "lungs"
    assert len(found.model.sha256) == 64
    assert found.landmarks.outside_air_hu == pytest.approx(-1000, abs=15)


def test_consolidated_lung_is_lung(model: LearnedLungs, sick: Phantom) -> None:
    dense = (sick.labels > 0) & (sick.volume.hu > -300)
    learned, classic = (float((m(sick.volume).labels.data > 0)[dense].mean()) for m in (model, Classic()))
    assert learned > 0.7
    assert learned > classic + 0.3


def orientations() -> list[Any]:
    """Orders and directions of the axes; each order once in the quick tests, all in the slow ones."""
    flips = ((0, 0, 0), (1, 0, 1), (1, 1, 1))
    return [
        pytest.param(order, flip, marks=() if n == (k + 1) % len(flips) else pytest.mark.slow)
        for k, order in enumerate(itertools.permutations(range(3)))
        for n, flip in enumerate(flips)
    ]


@pytest.mark.parametrize(("order", "flips"), orientations())
def test_no_order_or_direction_of_the_axes_swaps_the_lungs(
    order: tuple[int, int, int],
    flips: tuple[int, int, int],
    model: LearnedLungs,
    healthy: Phantom,
    found: Segmentation,
) -> None:
    affine = healthy.volume.affine.copy()
    hu, labels = healthy.volume.hu, found.labels.data
    for axis in np.flatnonzero(flips):
        shift = np.eye(4)
        shift[axis, axis], shift[axis, 3] = -1, hu.shape[axis] - 1
        affine = affine @ shift
        hu, labels = np.flip(hu, axis), np.flip(labels, axis)
    volume = Volume(np.ascontiguousarray(hu.transpose(order)), affine[:, [*order, 3]], healthy.volume.meta)
    assert np.array_equal(model(volume).labels.data, labels.transpose(order))


def test_threads_do_not_change_a_byte(healthy: Phantom) -> None:
    one, two = (LearnedLungs(open_model("lungs", threads=n))(healthy.volume).labels.data for n in (1, 2))
    assert np.array_equal(one, two)


def test_what_is_no_chest_is_refused(model: LearnedLungs) -> None:
    rng = np.random.default_rng(0)
    water = Volume(rng.normal(0, 20, (90, 80, 60)).astype(np.int16), np.diag([3.0, 3.0, 3.0, 1.0]))
    with pytest.raises(NotAChestError):
        model(water)
    low = make_phantom(seed=21, spacing=(3.0, 3.0, 3.0), orientation="RAS", coverage=(0.0, 0.12))
    with pytest.raises(NotAChestError):
        model(low.volume)


def test_half_a_chest_gives_the_half_that_is_there(model: LearnedLungs, healthy: Phantom) -> None:
    half = make_phantom(seed=21, spacing=SPACING, orientation="RAS", coverage=(0.5, 1.0))
    assert dice(model(half.volume).labels.data > 0, half.labels > 0) > 0.93


def test_a_single_slice_and_a_thin_stack_go_to_the_network_of_slices(
    healthy: Phantom, default: VolumeLungs
) -> None:
    middle = healthy.volume.shape[2] // 2
    for count in (1, 6):
        part = slice(middle, middle + count)
        affine = healthy.volume.affine.copy()
        affine[:3, 3] += affine[:3, 2] * middle
        thin = Volume(healthy.volume.hu[:, :, part], affine, healthy.volume.meta)
        found = default(thin)
        chance, tissue = default._slices.of_volumes(Scan.of(thin.canonical()), spacing_known=True)
        assert chance.shape == tissue.shape == thin.shape
        assert dice(chance >= 0.5, healthy.labels[:, :, part] > 0) > 0.9
        assert tissue[thin.hu < -900].mean() < 0.1 < 0.8 < tissue[thin.hu > 0].mean()
        assert found.model.name == "lungs-slices"
        assert dice(found.labels.data > 0, healthy.labels[:, :, part] > 0) > 0.93
        assert found.confidence is not None
        assert found.confidence.failure < 0.5


def test_the_dome_of_an_organ_in_a_slice_is_no_lung(healthy: Phantom, default: VolumeLungs) -> None:
    middle = healthy.volume.shape[2] // 2
    part = slice(middle, middle + 1)
    hu, labels = healthy.volume.hu[:, :, part], healthy.labels[:, :, part]
    for seed in range(3):
        new, left = add_diaphragm(hu, labels, SPACING, np.random.default_rng(seed))
        dome = (labels > 0) & (left == 0)
        found = default(Volume(new.astype(np.int16), healthy.volume.affine, healthy.volume.meta))
        assert (found.labels.data[dome] > 0).mean() < 0.3  # its border is blurred
        assert dice(found.labels.data > 0, left > 0) > 0.9


def test_the_tip_of_a_lung_in_a_slice_is_taken_where_the_model_is_sure(
    healthy: Phantom, default: VolumeLungs, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (healthy.volume.hu > -300).sum((0, 1)) + (healthy.labels > 0).sum((0, 1))
    share = (healthy.labels > 0).sum((0, 1)) / body
    low = int(np.flatnonzero(share > 0.055)[0])
    assert share[low] < 0.08
    part = slice(low, low + 1)
    tip = Volume(healthy.volume.hu[:, :, part], healthy.volume.affine, healthy.volume.meta)
    with pytest.raises(NotAChestError):
        Classic()(tip)
    assert dice(default(tip).labels.data > 0, healthy.labels[:, :, part] > 0) > 0.9
    monkeypatch.setattr("hilum.tasks.lungs.thin.chance_of_failure", lambda *_: 0.9)
    default(tip)  # in doubt as well, since the network of scans says the same
    _deny(monkeypatch)
    with pytest.raises(NotAChestError):
        default(tip)


def _deny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the network of scans see no lung in a slice."""

    def nothing(self: object, scan: Scan, known: bool) -> tuple[npt.NDArray[np.float32], ...]:
        return (np.zeros(scan.voxels.shape, np.float32),) * 2

    monkeypatch.setattr("hilum.tasks.lungs.thin.ThinLungs.of_volumes", nothing)


def test_thin_crescents_of_a_base_are_a_chest_where_both_networks_are_sure(
    healthy: Phantom, default: VolumeLungs, monkeypatch: pytest.MonkeyPatch
) -> None:
    area = (healthy.labels > 0).sum((0, 1)) * SPACING[0] * SPACING[1] / 100
    low = int(np.flatnonzero(area > 14)[0])
    assert area[low] < 20
    part = slice(low, low + 1)
    base = Volume(healthy.volume.hu[:, :, part], healthy.volume.affine, healthy.volume.meta)
    assert dice(default(base).labels.data > 0, healthy.labels[:, :, part] > 0) > 0.7
    _deny(monkeypatch)
    with pytest.raises(NotAChestError):
        default(base)


def test_crescents_hold_air_and_lie_in_a_trunk(healthy: Phantom) -> None:
    area = (healthy.labels > 0).sum((0, 1)) * SPACING[0] * SPACING[1] / 100
    low = int(np.flatnonzero(area > 14)[0])
    lungs = healthy.labels[:, :, low : low + 1] > 0
    hu, sure = healthy.volume.hu[:, :, low : low + 1], np.ones(lungs.shape, np.float32)

    def taken(hu: npt.NDArray[Any], scale: float, both: float = 1.0, by_volumes: float = 1.0) -> bool:
        affine = np.diag([SPACING[0] * scale, SPACING[1] * scale, SPACING[2], 1.0])
        scan = Scan.of(Volume(hu, affine).canonical())
        return crescents(scan, lungs, both * sure, by_volumes * sure) is not None

    assert taken(hu, 1.0)
    assert not taken(hu, 0.5)  # as wide as a neck
    assert not taken(np.where(lungs, np.int16(20), hu), 1.0)
    assert not taken(hu, 1.0, both=0.7)
    assert not taken(hu, 1.0, by_volumes=0.2)


def test_what_neither_network_is_sure_of_is_bowel() -> None:
    labels = np.zeros((20, 20, 1), np.uint8)
    labels[5:15, 5:15] = 1
    even = np.ones(labels.shape, np.float32)
    with pytest.raises(NotAChestError, match="bowel"):
        require_lung(labels, 0.78 * even, 0.5 * even)
    require_lung(labels, 0.9 * even, 0.5 * even)
    require_lung(labels, 0.78 * even, 0.7 * even)


@pytest.mark.slow
def test_confidence_tells_a_chest_from_nonsense(
    model: LearnedLungs, healthy: Phantom, found: Segmentation
) -> None:
    good = found.confidence
    assert good is not None
    assert good.failure < 0.5
    assert good.where is None
    tilted = Volume(np.ascontiguousarray(np.swapaxes(healthy.volume.hu, 1, 2)), np.diag([2.0, 2.5, 2.0, 1.0]))
    try:
        bad = model(tilted)
    except NotAChestError:
        return
    assert bad.confidence is not None
    assert bad.confidence.failure > good.failure
    if bad.confidence.failure >= 0.5:
        assert bad.confidence.where is not None
        assert bad.confidence.where.shape == tilted.shape
        assert 0 < bad.confidence.where.max() <= 100


def test_weights_are_small_whole_and_checked(tmp_path: Path) -> None:
    assert sum(p.stat().st_size for p in SHIPPED.glob("*.onnx")) < 15e6
    for name in ("lungs", "lungs-slices"):
        assert (SHIPPED / f"{name}.json").is_file()
    for name in ("lungs.onnx", "lungs.json"):
        shutil.copy(SHIPPED / name, tmp_path / name)
    data = bytearray((tmp_path / "lungs.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "lungs.onnx").write_bytes(data)
    with pytest.raises(ModelError, match="SHA-256"):
        open_model(tmp_path / "lungs.onnx")


def test_a_gpu_that_is_not_there_and_a_broken_file_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No GPU"):
        open_session(SHIPPED / "lungs.onnx", device=Device.GPU)
    (tmp_path / "x.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"x\.onnx cannot be run"):
        open_session(tmp_path / "x.onnx")


def test_onnx_runtime_gives_what_openvino_gives() -> None:
    pytest.importorskip("onnxruntime")
    from hilum.models.engine import _OnnxRuntime, _OpenVino

    x = np.random.default_rng(2).uniform(-1, 1, (1, 1, 48, 32, 32)).astype(np.float32)
    a, b = (engine(SHIPPED / "lungs.onnx", 1).run(x) for engine in (_OpenVino, _OnnxRuntime))
    assert np.abs(a - b).max() < 1e-3
