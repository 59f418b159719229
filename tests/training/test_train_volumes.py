"""Training of the network of volumes: from pairs to a model that segments and is evaluated."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from lightning.pytorch import Callback

from hilum.cli.app import run as cli
from hilum.core.errors import InputError, UsageError
from hilum.datasets.prepare import prepare
from hilum.io import read_labels, write_map, write_volume
from hilum.models.card import read_card
from hilum.models.registry import find_model
from hilum.synthesis.phantoms import make_phantom
from hilum.training.config import TrainConfig, load_config
from hilum.training.slices.fit import train
from hilum.training.volumes import fit
from hilum.training.volumes.fit import train_volumes

SETTINGS = [
    "size=[32, 32, 32]",
    "widths=[4, 8]",
    "refinement=4",
    "validate_every=2",
    "threads=1",
    "precision=32-true",
    "cases.injury=0.5",
    "cases.pool=3",
]


def choices(steps: int, *more: str) -> TrainConfig:
    return load_config(None, {"model": "volume", "steps": steps}, [*SETTINGS, *more])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "pairs"
    for seed in range(4):
        chest = make_phantom(seed=seed, spacing=(8.0, 8.0, 8.0))
        write_volume(folder / f"s{seed}_ct.nii.gz", chest.volume)
        write_map(folder / f"s{seed}_lungs.nii.gz", chest.labels, chest.volume, "lungs")
    return folder


@pytest.fixture(scope="module")
def dataset(pairs: Path) -> Path:
    out = pairs.parent / "volumes"
    prepare(pairs, out, volumes=True, step_mm=6.0)
    return out


@pytest.fixture(scope="module")
def run(dataset: Path) -> Path:
    return train_volumes(dataset, dataset.parent / "run", choices(5))


def weights(run: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return state


def test_a_run_holds_a_model_and_its_card(run: Path, dataset: Path) -> None:
    card = find_model(run).card
    assert card.kind == "volume"
    assert card.labels == {"right_lung": 1, "left_lung": 2, "pleural_fluid": 3, "pleural_gas": 4}
    assert card.input.step_mm == 6.0  # type: ignore[union-attr]
    assert card.data.subjects is not None
    assert card.data.subjects.train == 2
    assert card.figures.parity is not None
    assert card.figures.parity.max_probability_difference < 1e-3
    with (run / "metrics.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [2, 4, 5]
    for name in ("card.md", "curves.png", "config.toml", "split.json"):
        assert (run / name).stat().st_size > 0
    assert load_config(run / "config.toml") == choices(5)
    assert train_volumes(dataset, run, choices(5)) == run
    with pytest.raises(UsageError, match="another configuration"):
        train_volumes(dataset, run, choices(6))


class _Stop(Exception):
    pass


class _StopAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise _Stop


def test_a_stopped_training_resumes_to_the_same_weights(run: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(_Stop):
        train_volumes(dataset, tmp_path / "cut", choices(5), callbacks=[_StopAt(3)])
    train_volumes(dataset, tmp_path / "cut", choices(5))
    ours, theirs = weights(run), weights(tmp_path / "cut")
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_it_begins_with_given_weights(run: Path, dataset: Path, tmp_path: Path) -> None:
    state = {k.removeprefix("mean."): v for k, v in weights(run).items() if k.startswith("mean.")}
    torch.save(state, tmp_path / "first.pt")
    config = choices(1, "learning_rate=1e-12", "weight_decay=0")
    for number, first in enumerate((tmp_path / "first.pt", run)):
        again = weights(train_volumes(dataset, tmp_path / str(number), config, initial=first))
        name = "network.head.weight"
        assert torch.allclose(again[name], weights(run)["mean.head.weight"], atol=0.2)
        card = read_card(tmp_path / str(number) / "card.json", "")
        assert card.training.settings["initial"] == first.name
        assert len(str(card.training.settings["initial_sha256"])) == 64
    with pytest.raises(UsageError, match="shape"):
        train_volumes(dataset, tmp_path / "other", choices(1, "widths=[4, 4]"), initial=run)


def test_a_data_set_of_the_other_kind_is_one_sentence(dataset: Path, pairs: Path, tmp_path: Path) -> None:
    slices = tmp_path / "slices"
    prepare(pairs, slices)
    with pytest.raises(InputError, match="holds slices, but volumes are needed"):
        train_volumes(slices, tmp_path / "run", choices(2))
    with pytest.raises(InputError, match="holds volumes, but slices are needed"):
        train(dataset, tmp_path / "run", load_config(None, {"model": "unet", "steps": 2}))
    assert not (tmp_path / "run").exists()


def test_sections_of_the_other_kind_are_refused() -> None:
    with pytest.raises(UsageError, match=r"section \[augment\] is for networks of slices"):
        load_config(None, {"model": "volume"}, ["augment.noise=0.5"])
    with pytest.raises(UsageError, match=r"section \[cases\] is for networks of volumes"):
        load_config(None, {"model": "unet"}, ["cases.pool=3"])
    with pytest.raises(UsageError, match="multiples of 16"):
        load_config(None, {"model": "volume"}, ["size=[40, 40, 40]"])


def test_worker_processes_make_the_cases(dataset: Path, tmp_path: Path) -> None:
    out = train_volumes(dataset, tmp_path / "run", choices(3, "cases.workers=1"))
    assert find_model(out).card.data.cases["made"] >= 3


def test_a_training_of_given_minutes_measures_its_steps_and_ends_by_the_clock(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "_OVERTIME", 0.0)
    config = load_config(None, {"model": "volume", "minutes": 0.01}, SETTINGS)
    out = fit.train_volumes(dataset, tmp_path / "run", config)
    plan = json.loads((out / "plan.json").read_text())
    assert plan["steps"] >= 10
    assert plan["bare_step_s"] > 0
    with (out / "metrics.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [1]
    assert find_model(out).card.figures.best_step == 1


@pytest.mark.slow
def test_from_pairs_to_a_segmentation_and_its_evaluation_by_the_command_line(
    pairs: Path, tmp_path: Path
) -> None:
    """Four verbs in a row: the shipped weights gain two labels, and the new model finds the lungs."""
    data, out = tmp_path / "data", tmp_path / "run"
    assert cli(["prepare", str(pairs), "-o", str(data), "--volumes", "-q"]) == 0
    settings = ("size=[48, 48, 48]", "threads=1", "validate_every=4", "learning_rate=1e-4", "ema=0.5")
    words = [word for setting in settings for word in ("--set", setting)]
    words += ["--injury", "0.5", "--steps", "4", "--model", "volume", "--init", "lungs"]
    assert cli(["train", str(data), "-o", str(out), "-q", *words]) == 0
    card = find_model(out).card
    assert list(card.labels) == ["right_lung", "left_lung", "pleural_fluid", "pleural_gas"]
    assert card.figures.validation_dice is not None
    assert card.figures.validation_dice.mean > 0.9
    scan = pairs / "s0_ct.nii.gz"
    assert cli(["segment", str(scan), "-o", str(tmp_path / "seg"), "--model", str(out), "-q"]) == 0
    drawn = read_labels(pairs / "s0_lungs.nii.gz") > 0
    found = read_labels(next((tmp_path / "seg").rglob("lungs.nii.gz"))) > 0
    assert 2 * (drawn & found).sum() / (drawn.sum() + found.sum()) > 0.9
    assert cli(["evaluate", str(out), str(data), "-o", str(tmp_path / "figures"), "-q"]) == 0
    rows = list(csv.DictReader(next((tmp_path / "figures").rglob("cases.csv")).open()))
    assert any("dice" in name for name in (*rows[0], *rows[0].values()))
