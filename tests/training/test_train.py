"""Training on made-up slices: complete runs, resuming to the bit, several processes, refusals."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")
pytest.importorskip("lightning")
pytest.importorskip("onnxscript")
pytest.importorskip("openvino")

from hilum.core.errors import ModelError, OutputError, UsageError  # noqa: E402
from hilum.core.label_volume import LabelVolume  # noqa: E402
from hilum.core.volume import Volume  # noqa: E402
from hilum.datasets.index import load_dataset  # noqa: E402
from hilum.datasets.prepare import prepare  # noqa: E402
from hilum.io import write_labels, write_volume  # noqa: E402
from hilum.models.registry import open_model  # noqa: E402
from hilum.models.slices import SliceModel  # noqa: E402
from hilum.training.common import StepSampler  # noqa: E402
from hilum.training.config import TrainConfig, load_config  # noqa: E402
from hilum.training.slices.data import TrainingBatches, build_cache  # noqa: E402
from hilum.training.slices.fit import train  # noqa: E402

SETTINGS = [
    "size=[64, 64]",
    "batch=2",
    "threads=1",
    "validate_every=2",
    "networks.fcnn_patch=5",
    "networks.fcnn_hidden=[8, 8]",
    "networks.unet_widths=[4, 8, 8]",
    "networks.resnet_blocks=[1, 1, 1, 1]",
    "networks.resnet_widths=[4, 8, 8, 8]",
]


def choices(model: str, steps: int, *more: str) -> TrainConfig:
    return load_config(None, {"model": model, "steps": steps, "test_share": 0.2}, [*SETTINGS, *more])


def chest(seed: int) -> tuple[Volume, np.ndarray]:
    """A body with two lungs in some slices and none in the others."""
    rng = np.random.default_rng(seed)
    x, y = np.mgrid[:60, :48]
    hu = np.full((60, 48, 6), -1000, np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    hu[((x - 30) / 27) ** 2 + ((y - 24) / 20) ** 2 < 1] = 40
    for value, middle in ((1, 43), (2, 17)):
        lung = ((x - middle) / (9 + rng.random())) ** 2 + ((y - 24) / (13 + rng.random())) ** 2 < 1
        labels[lung, :4] = value
        hu[lung, :4] = -820
    hu += rng.normal(0, 20, hu.shape).astype(np.int16)
    return Volume(hu, np.diag([6.0, 6.0, 8.0, 1.0])), labels


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for seed in range(6):
        volume, labels = chest(seed)
        write_volume(folder / f"s{seed}_ct.nii.gz", volume)
        write_labels(folder / f"s{seed}_lungs.nii.gz", LabelVolume.on_grid_of(volume, labels), volume)
    out = folder.parent / "dataset"
    prepare(folder, out, plane="axial")
    return out


def weights(run: Path) -> dict[str, Any]:
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)
    return checkpoint["state_dict"]


def same_weights(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture(scope="module")
def unet_run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(dataset, tmp_path_factory.mktemp("runs") / "unet", choices("unet", 7))


def test_a_run_is_complete(unet_run: Path, dataset: Path) -> None:
    names = {path.name for path in unet_run.iterdir() if not path.name.startswith(".")}
    assert names == {
        *("config.toml", "split.json", "plan.json", "metrics.csv", "curves.png", "model.onnx"),
        *("card.json", "card.md", "checkpoints", "logs"),
    }
    assert {path.name for path in (unet_run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert list((unet_run / "logs").glob("events.out.tfevents.*"))
    card = json.loads((unet_run / "card.json").read_text("utf-8"))
    assert card["kind"] == "unet"
    assert card["input"]["plane"] == "axial"
    assert card["data"]["sha256"] == load_dataset(dataset).index_sha256
    assert card["data"]["subjects"] == {"train": 4, "validation": 1, "test": 1}
    assert card["figures"]["parity"]["max_probability_difference"] < 1e-3
    assert card["figures"]["parity"]["dice"] > 0.999
    assert load_config(unet_run / "config.toml") == choices("unet", 7)


def test_each_validation_is_a_row_also_the_last_short_one(unet_run: Path) -> None:
    with (unet_run / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [2, 4, 6, 7]
    assert all(0 <= float(row["val_dice"]) <= 1 for row in rows)


def test_the_model_runs_without_torch_on_slices_of_any_size(unet_run: Path) -> None:
    model = SliceModel(open_model(unet_run))
    slices = np.full((3, 50, 81), -1000, np.int16)
    out = model.probabilities(slices, (1.0, 0.5))
    assert out.shape == slices.shape
    assert out.dtype == np.float32
    assert 0 <= out.min() <= out.max() <= 1
    np.testing.assert_array_equal(model.probabilities(slices[:0]).shape, (0, 50, 81))
    assert open_model(unet_run / "model.onnx").info == model.model.info


def test_a_complete_run_is_left_as_it_is(unet_run: Path, dataset: Path) -> None:
    before = (unet_run / "card.json").stat().st_mtime_ns
    assert train(dataset, unet_run, choices("unet", 7)) == unet_run
    assert (unet_run / "card.json").stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="another configuration"):
        train(dataset, unet_run, choices("unet", 8))


@pytest.mark.slow
def test_killed_and_resumed_ends_with_the_same_weights_to_the_bit(
    dataset: Path, unet_run: Path, tmp_path: Path
) -> None:
    run, script = tmp_path / "run", tmp_path / "killed.py"
    script.write_text(
        f"""
import os, signal
from pathlib import Path
from lightning.pytorch import Callback
from hilum.training.config import load_config
from hilum.training.slices.fit import train

class Kill(Callback):
    def on_train_batch_end(self, trainer, module, *_):
        if trainer.global_step == 5:
            os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    config = load_config(None, {{"model": "unet", "steps": 7, "test_share": 0.2}}, {SETTINGS!r})
    train({str(dataset)!r}, {str(run)!r}, config, callbacks=[Kill()])
""",
        "utf-8",
    )
    ended = subprocess.run([sys.executable, str(script)], check=False, capture_output=True, timeout=120)
    assert ended.returncode == -9, ended.stderr.decode()
    assert not (run / "card.json").exists()
    with pytest.raises(ModelError, match="not ended"):
        open_model(run)
    assert not same_weights(run, unet_run)
    train(dataset, run, choices("unet", 7))
    assert same_weights(run, unet_run)
    with (run / "metrics.csv").open() as one, (unet_run / "metrics.csv").open() as other:
        for a, b in zip(csv.DictReader(one), csv.DictReader(other), strict=True):
            assert (a["step"], a["loss"], a["val_dice"]) == (b["step"], b["loss"], b["val_dice"])


@pytest.mark.slow
@pytest.mark.parametrize("model", ["fcnn", "resnet"])
def test_other_networks_train_and_the_same_seed_gives_the_same_weights(
    model: str, dataset: Path, tmp_path: Path
) -> None:
    runs = [train(dataset, tmp_path / name, choices(model, 2)) for name in ("one", "two")]
    assert same_weights(*runs)
    other = train(dataset, tmp_path / "other", choices(model, 2, "seed=1"))
    assert not same_weights(runs[0], other)


def test_it_learns(dataset: Path, tmp_path: Path) -> None:
    config = choices(
        "unet", 80, "validate_every=40", "batch=4", "learning_rate=0.01", "ema=0.8", "without_lung=0.4"
    )
    run = train(dataset, tmp_path / "run", config)
    card = json.loads((run / "card.json").read_text("utf-8"))
    assert card["figures"]["validation_dice"]["mean"] > 0.8


@pytest.mark.slow
def test_two_processes(dataset: Path, tmp_path: Path) -> None:
    run, script = tmp_path / "run", tmp_path / "two.py"
    script.write_text(
        f"""
from hilum.training.config import load_config
from hilum.training.slices.fit import train
if __name__ == "__main__":
    config = load_config(None, {{"model": "fcnn", "steps": 4, "test_share": 0.2}}, {SETTINGS!r})
    train({str(dataset)!r}, {str(run)!r}, config, devices=2)
""",
        "utf-8",
    )
    ended = subprocess.run([sys.executable, str(script)], check=False, capture_output=True, timeout=240)
    assert ended.returncode == 0, ended.stderr.decode()
    card = json.loads((run / "card.json").read_text("utf-8"))
    assert card["training"]["processes"] == 2
    with pytest.raises(UsageError, match="another configuration"):
        train(dataset, run, choices("fcnn", 5))


def test_batches_are_a_function_of_the_step(dataset: Path, tmp_path: Path) -> None:
    data, config = load_dataset(dataset), choices("unet", 4, "without_lung=0.5", "batch=64")
    cache = build_cache(data, data.of_subjects([0, 1, 2]), config, tmp_path / "cache")
    batches = TrainingBatches(cache, [0, 1], config)
    assert np.array_equal(batches.chosen(3), TrainingBatches(cache, [0, 1], config).chosen(3))
    assert not np.array_equal(batches.chosen(3), batches.chosen(4))
    assert not np.array_equal(batches.chosen(3), TrainingBatches(cache, [0, 1], config, rank=1).chosen(3))
    chosen = np.concatenate([batches.chosen(step) for step in range(20)])
    assert set(cache.subjects[chosen]) == {0, 1}
    assert 0.4 < 1 - cache.has_lung[chosen].mean() < 0.6
    hu, lung = cache.open()
    assert hu.shape == lung.shape == (18, 64, 64)
    assert lung.max() == 255


def test_steps_of_an_epoch() -> None:
    sampler = StepSampler(7, 3)
    seen = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        seen.append(list(sampler))
    assert seen == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_folder_with_other_files_is_not_touched(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", "utf-8")
    with pytest.raises(OutputError, match="no training of hilum"):
        train(dataset, tmp_path, choices("fcnn", 2))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_one_subject_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    volume, labels = chest(0)
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    write_volume(pairs / "a_ct.nii.gz", volume)
    write_labels(pairs / "a_lungs.nii.gz", LabelVolume.on_grid_of(volume, labels), volume)
    prepare(pairs, tmp_path / "dataset", plane="axial")
    with pytest.raises(UsageError, match="one subject"):
        train(tmp_path / "dataset", tmp_path / "run", choices("fcnn", 2))
    assert not (tmp_path / "run").exists()
