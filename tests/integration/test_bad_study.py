"""Everything that can be wrong with pairs, datasets and trainings: exit code, one sentence, nothing left."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.cli.app import run
from hilum.core.volume import Volume
from hilum.io import write_map, write_volume

AFFINE = np.diag([-6.0, -6.0, 8.0, 1.0])


def pair(
    folder: Path, name: str, seed: int, change: Callable[[np.ndarray], np.ndarray] | None = None
) -> None:
    """Write a block of tissue with two blocks of lung; ``change`` is done to the mask."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    hu = np.full((24, 18, 10), -1000, np.int16)
    hu[2:22, 2:16] = 40
    labels = np.zeros(hu.shape, np.uint8)
    labels[4:11, 5:13, 2:-2], labels[13:20, 5:13, 2:-2] = 1, 2
    hu[labels > 0] = -850
    hu += rng.integers(-20, 21, hu.shape).astype(np.int16)
    write_volume(folder / f"{name}_ct.nii.gz", Volume(hu, AFFINE))
    labels = labels if change is None else change(labels)
    affine = AFFINE @ np.diag([24 / labels.shape[0], 1, 1, 1])
    grid = Volume(labels.astype(np.int16), affine)
    write_map(folder / f"{name}_lungs.nii.gz", labels, grid, "lungs")  # of any value


def half_grid(folder: Path) -> None:
    pair(folder, "a", 0, lambda labels: np.ascontiguousarray(labels[::2]))


def other_values(folder: Path) -> None:
    pair(folder, "a", 0, lambda labels: labels * np.uint8(3))


def empty_mask(folder: Path) -> None:
    pair(folder, "a", 0, np.zeros_like)


def no_mask(folder: Path) -> None:
    pair(folder, "a", 0)
    (folder / "a_lungs.nii.gz").unlink()


def same_name_twice(folder: Path) -> None:
    pair(folder, "a", 0)
    shutil.copy(folder / "a_ct.nii.gz", folder / "a_ct.nii")


@dataclass
class Case:
    make: Callable[[Path], None]
    code: int
    says: tuple[str, ...]


PAIRS = {
    "grids that differ": Case(half_grid, 4, ("do not lie on one grid", "--resample-masks")),
    "values without meaning": Case(other_values, 3, ("other than 0, 1 and 2 (3, 6)", "--labels")),
    "empty mask": Case(empty_mask, 3, ("mask is empty",)),
    "no mask": Case(no_mask, 3, ("No pair of image and mask",)),
    "a subject twice": Case(same_name_twice, 3, ("twice", "rename one")),
}


def one_sentence(said: str) -> None:
    lines = said.strip().splitlines()
    assert lines[0].startswith("hilum: error: ")
    assert len(lines) <= 2
    assert "Traceback" not in said
    assert "bug" not in said


@pytest.mark.parametrize("name", list(PAIRS))
def test_pairs_that_cannot_be_used(name: str, tmp_path: Path, capsys: Any) -> None:
    case = PAIRS[name]
    case.make(tmp_path / "in")
    before = sorted(tmp_path.rglob("*"))
    code = run(["prepare", str(tmp_path / "in"), "-o", str(tmp_path / "dataset"), "--jobs", "1", "-q"])
    streams = capsys.readouterr()
    assert code == case.code, streams.err
    one_sentence(streams.err)
    for words in case.says:
        assert words in streams.err
    assert streams.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_one_bad_pair_among_good_ones(tmp_path: Path, capsys: Any) -> None:
    pair(tmp_path / "in", "good", 1)
    pair(tmp_path / "in", "lonely", 2)
    (tmp_path / "in" / "lonely_lungs.nii.gz").unlink()
    code = run(["prepare", str(tmp_path / "in"), "-o", str(tmp_path / "dataset"), "--jobs", "1", "-q"])
    said = capsys.readouterr().err
    assert code == 3
    one_sentence(said)
    assert "no mask" in said
    names = {path.name.split("_")[0] for path in (tmp_path / "dataset" / "images").iterdir()}
    assert names == {"0"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    for seed in range(5):
        pair(folder / "in", f"s{seed}", seed)
    command = ["prepare", str(folder / "in"), "-o", str(folder / "dataset"), "--plane", "axial"]
    assert run([*command, "--jobs", "1", "-q"]) == 0
    return folder / "dataset"


SMALL = ["size=[32, 32]", "networks.fcnn_patch=3", "networks.fcnn_hidden=[4]", "batch=2", "threads=1"]


def train(dataset: Path, out: Path, *more: str) -> int:
    words = [word for setting in (*SMALL, "validate_every=1") for word in ("--set", setting)]
    return run(
        ["train", str(dataset), "-o", str(out), "--model", "fcnn", "--steps", "2", "-q", *words, *more]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learning_rte = 0.1", ("no key 'learning_rte'", "learning_rate")),
        ("[augment]\nnoize = 0.1", ("no key 'augment.noize'", "noise")),
        ("patience = 'long'", ("patience is 'long'",)),
    ],
)
def test_configurations_that_are_wrong(
    text: str, words: tuple[str, ...], dataset: Path, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "config.toml").write_text(text, "utf-8")
    assert train(dataset, tmp_path / "run", "--config", str(tmp_path / "config.toml")) == 2
    said = capsys.readouterr().err
    one_sentence(said)
    for word in words:
        assert word in said
    assert not (tmp_path / "run").exists()


def test_a_data_set_of_one_subject(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("lightning")
    pair(tmp_path / "in", "only", 0)
    run(["prepare", str(tmp_path / "in"), "-o", str(tmp_path / "dataset"), "--jobs", "1", "-q"])
    assert train(tmp_path / "dataset", tmp_path / "run") == 2
    said = capsys.readouterr().err
    one_sentence(said)
    assert "one subject" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("first", "second", "code", "words"),
    [
        ("absent", "dataset", 3, "no absent"),
        ("dataset", "dataset", 3, "no masks"),
    ],
)
def test_evaluate_a_missing_file(
    first: str, second: str, code: int, words: str, dataset: Path, capsys: Any
) -> None:
    folder = dataset.parent
    before = sorted(folder.rglob("*"))
    command = ["evaluate", str(folder / first), str(folder / second), "-q"]
    assert run([*command, *(["-o", str(folder / "out")] if first == "dataset" else [])]) == code
    said = capsys.readouterr().err
    one_sentence(said)
    assert words in said
    assert sorted(folder.rglob("*")) == before


# -- disk full -----------------------------------------------------------------------------------------------


def test_disk_full_while_slices_are_read(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    pytest.importorskip("lightning")
    from hilum.training.slices import data

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(data, "resize", full)
    assert train(dataset, tmp_path / "run") == 6
    said = capsys.readouterr().err
    one_sentence(said)
    assert "full; nothing was trained yet" in said
    assert not (tmp_path / "run" / "cache").exists()


def test_disk_full_at_a_checkpoint(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("openvino")
    real, written = Path.write_bytes, []

    def full(self: Path, content: bytes) -> int:
        if self.suffix == ".ckpt":
            written.append(self)
            if len(written) > 2:  # the best and the last of the first validation fit
                real(self, bytes(content)[:100])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert train(dataset, tmp_path / "run") == 6
    said = capsys.readouterr().err
    one_sentence(said)
    assert "full; the last checkpoint is kept" in said
    kept = {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()}
    assert kept == {"best.ckpt", "last.ckpt"}
    monkeypatch.undo()
    assert train(dataset, tmp_path / "run") == 0
    assert (tmp_path / "run" / "card.json").exists()
