"""Runs whose files were damaged: resuming and finishing end with a sentence, and run no code of a pickle."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("onnxscript")
pytest.importorskip("openvino")

from hilum.cli.app import run  # noqa: E402
from hilum.core.errors import ModelError  # noqa: E402
from hilum.core.label_volume import LabelVolume  # noqa: E402
from hilum.core.volume import Volume  # noqa: E402
from hilum.io import write_labels, write_volume  # noqa: E402
from hilum.training.checkpoint import load_weights_into, read_checkpoint, steps_done  # noqa: E402

WORDS = ["--model", "fcnn", "--steps", "2", "-q"]
for _setting in (
    "size=[32, 32]",
    "networks.fcnn_patch=3",
    "networks.fcnn_hidden=[4]",
    "batch=2",
    "threads=1",
):
    WORDS += ["--set", _setting]
WORDS += ["--set", "validate_every=1"]


class _Code:
    """What a hostile pickle holds: a call."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def good() -> dict[str, Any]:
    return {"state_dict": {"weight": torch.zeros(3, 2), "bias": torch.zeros(3)}, "global_step": 4}


def flip(file: Path) -> None:
    """Change one bit of the largest part of a checkpoint, which only the checksum detects."""
    with zipfile.ZipFile(file) as parts:
        part = max(parts.infolist(), key=lambda info: info.file_size)
    data = bytearray(file.read_bytes())
    start = part.header_offset + 30 + int.from_bytes(data[part.header_offset + 26 :][:2], "little")
    start += int.from_bytes(data[part.header_offset + 28 :][:2], "little")
    data[start + part.file_size // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    ["cut off", "empty", "text", "flipped", "code", "old format", "a list", "no weights", "missing", "pipe"],
)
def test_an_unusable_checkpoint_is_one_sentence_and_runs_no_code(damage: str, tmp_path: Path) -> None:
    file, mark = tmp_path / "last.ckpt", tmp_path / "mark"
    torch.save(good(), file)
    if damage == "cut off":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "text":
        file.write_text("no checkpoint")
    elif damage == "flipped":
        flip(file)
    elif damage == "code":
        torch.save({**good(), "code": _Code(mark)}, file)
    elif damage == "old format":
        torch.save({**good(), "code": _Code(mark)}, file, _use_new_zipfile_serialization=False)
    elif damage == "a list":
        torch.save([1, 2], file)
    elif damage == "no weights":
        torch.save({"global_step": 4}, file)
    elif damage == "missing":
        file.unlink()
    elif damage == "pipe":
        file.unlink()
        os.mkfifo(file)
    with pytest.raises(ModelError) as caught:
        read_checkpoint(file, "net")
    assert "last.ckpt" in caught.value.message
    assert "\n" not in caught.value.message
    assert "torch" not in str(caught.value).lower()
    assert caught.value.hint
    assert not mark.exists()


def test_weights_of_another_network_do_not_fit() -> None:
    module = torch.nn.Linear(2, 3)
    load_weights_into(module, good()["state_dict"], "net")
    for state in (
        {},
        {"weight": 1, "bias": 2},
        {"weight": torch.zeros(2, 2), "bias": torch.zeros(3)},
        {1: 2},
    ):
        with pytest.raises(ModelError, match="do not fit this network") as caught:
            load_weights_into(module, state, "net")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("steps", [None, "4", -1, 2.0, True])
def test_a_checkpoint_must_tell_its_step(steps: Any) -> None:
    assert steps_done(good(), Path("last.ckpt"), "net") == 4
    with pytest.raises(ModelError, match=r"last\.ckpt of the run net is damaged"):
        steps_done({"global_step": steps}, Path("last.ckpt"), "net")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    affine = np.diag([-6.0, -6.0, 8.0, 1.0])
    (folder / "in").mkdir()
    for seed in range(4):
        hu = np.full((24, 18, 4), -1000, np.int16)
        hu[2:22, 2:16] = 40
        labels = np.zeros(hu.shape, np.uint8)
        labels[4:11, 5:13], labels[13:20, 5:13] = 1, 2
        hu[labels > 0] = -850
        hu += np.random.default_rng(seed).integers(-20, 21, hu.shape).astype(np.int16)
        write_volume(folder / "in" / f"s{seed}_ct.nii.gz", Volume(hu, affine))
        write_labels(
            folder / "in" / f"s{seed}_lungs.nii.gz",
            LabelVolume.on_grid_of(Volume(hu, affine), labels),
            Volume(hu, affine),
        )
    command = ["prepare", str(folder / "in"), "-o", str(folder / "dataset"), "--plane", "axial"]
    assert run([*command, "--jobs", "1", "-q"]) == 0
    return folder / "dataset"


@pytest.fixture(scope="module")
def stopped(dataset: Path) -> Path:
    """A run with all its checkpoints but without a card, as a kill in the export leaves it."""
    folder = dataset.parent / "run"
    assert run(["train", str(dataset), "-o", str(folder), *WORDS]) == 0
    (folder / "card.json").unlink()
    return folder


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:200])


def of_another_training(file: Path) -> None:
    checkpoint = torch.load(file, weights_only=True)
    torch.save({**checkpoint, "loops": {"fit_loop": 7}, "optimizer_states": [], "lr_schedulers": 3}, file)


def of_another_network(file: Path) -> None:
    torch.save({**torch.load(file, weights_only=True), "state_dict": {"x": torch.zeros(1)}}, file)


DAMAGES = {
    "last.ckpt cut off": ("checkpoints/last.ckpt", cut, 2, "last.ckpt of the run run is damaged"),
    "last.ckpt flipped": ("checkpoints/last.ckpt", flip, 2, "last.ckpt of the run run is damaged"),
    "last.ckpt other": ("checkpoints/last.ckpt", of_another_training, 2, "is of another training"),
    "last.ckpt shape": ("checkpoints/last.ckpt", of_another_network, 2, "do not fit this network"),
    "best.ckpt cut off": ("checkpoints/best.ckpt", cut, 2, "best.ckpt of the run run is damaged"),
    "best.ckpt missing": ("checkpoints/best.ckpt", Path.unlink, 2, "no file or folder best.ckpt"),
    "plan.json cut off": ("plan.json", lambda file: file.write_text("{"), 3, "plan.json of the run run"),
    "plan.json list": ("plan.json", lambda file: file.write_text("[1]"), 3, "plan.json of the run run"),
    "plan.json deep": ("plan.json", lambda file: file.write_text("[" * 99_999), 3, "nested more than"),
    "plan.json text": ("plan.json", lambda file: change(file, steps="many"), 3, "steps is 'many'"),
    "plan.json zero": ("plan.json", lambda file: change(file, every=0), 3, "every is 0"),
    "plan.json less": ("plan.json", lambda file: change(file, world=None), 3, "world is None"),
    "config.toml": ("config.toml", lambda file: file.write_text("[" + "a." * 900), 3, "not valid TOML"),
}


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **values}), "utf-8")


@pytest.mark.parametrize("name", list(DAMAGES))
def test_a_run_that_was_damaged_is_not_gone_on_with(
    name: str, dataset: Path, stopped: Path, tmp_path: Path, capsys: Any
) -> None:
    place, damage, code, words = DAMAGES[name]
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    damage(folder / place)
    assert run(["train", str(dataset), "-o", str(folder), *WORDS]) == code
    said = capsys.readouterr().err.strip().splitlines()
    assert said[0].startswith("hilum: error: ")
    assert words in said[0]
    assert len(said) == 2
    assert not (folder / "card.json").exists()


def test_a_corrupted_cache_is_made_again_and_the_run_is_finished(
    dataset: Path, stopped: Path, tmp_path: Path, capsys: Any
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    (folder / "cache").mkdir(exist_ok=True)
    (folder / "cache" / "cache.json").write_text("[" * 99_999)
    (folder / "cache" / "hu.bin").write_bytes(b"short")
    assert run(["train", str(dataset), "-o", str(folder), *WORDS]) == 0
    assert (folder / "card.json").exists()
    assert capsys.readouterr().err == ""


def test_first_weights_of_a_damaged_run(dataset: Path, stopped: Path, tmp_path: Path, capsys: Any) -> None:
    shutil.copytree(stopped, tmp_path / "first")
    flip(tmp_path / "first" / "checkpoints" / "best.ckpt")
    command = ["train", str(dataset), "-o", str(tmp_path / "run"), *WORDS, "--init", str(tmp_path / "first")]
    assert run(command) == 2
    assert "best.ckpt of the run first is damaged" in capsys.readouterr().err
