"""What reads an input of each kind: the functions behind the commands, without the commands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fuzzing.chest import STEPS, chest
from hilum.core.volume import Volume
from hilum.datasets.index import Dataset, SubjectRecord, load_dataset
from hilum.datasets.pairs import find_pairs, labels_of
from hilum.datasets.pseudonyms import read_dictionary
from hilum.datasets.record import read_record
from hilum.evaluation.report import render_evaluation
from hilum.evaluation.result import read_evaluation
from hilum.evaluation.runs import Run
from hilum.io import OutputFolder, read, read_labels
from hilum.io.inspect import inspect
from hilum.io.masks import as_lungs, load_mask
from hilum.io.vocabulary import parse_labels
from hilum.models.card import read_card
from hilum.models.registry import open_model
from hilum.models.slices import SliceModel
from hilum.training.config import load_config


def kind_of(folder: Path) -> tuple[str, str]:
    """What reads an input, and the name of the sound input that it was made from."""
    target, kind = (folder / ".kind").read_text().split()
    return target, kind


def files_of(folder: Path) -> list[Path]:
    """The files of an input, without what the harness notes."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in (".kind", "case.json"))


def _entry(folder: Path) -> Path:
    """What a user would give: the folder of a series, or the header of a file in two parts."""
    files = files_of(folder)
    if any(file.suffix == ".dcm" for file in files):
        return folder
    return next((file for file in files if file.suffix in (".nhdr", ".mhd", ".hdr")), files[0])


def _scan(folder: Path) -> None:
    path = _entry(folder)
    if path.is_dir():
        inspect(path)
    volume = read(path)
    float(volume.hu.min())


def _mask(folder: Path) -> None:
    path = _entry(folder)
    hu, _ = chest()
    volume = None if path.suffix == ".png" else Volume(hu, np.diag([-STEPS[0], -STEPS[1], STEPS[2], 1.0]))
    as_lungs(load_mask(path), None, path.name)
    read_labels(path, volume)


def _run(folder: Path) -> None:
    run = Run(folder)
    subject = SubjectRecord(2, 1, 18, 20, None, None, None)
    run.subjects(
        Dataset(folder, "axial", "keep", False, {}, (subject,), (), (), run.index_sha256 or "", "0"), "test"
    )
    SliceModel(open_model(folder, threads=1)).probabilities(np.full((1, 20, 30), -900, np.int16), (1.0, 1.0))


def _evaluation(folder: Path) -> None:
    render_evaluation(read_evaluation(folder))


def _settings(folder: Path) -> None:
    for line in files_of(folder)[0].read_text("utf-8", "replace").split("\n"):
        if line:
            load_config(None, {"model": "unet"}, [line])


def _labels(folder: Path) -> None:
    mapping = parse_labels(files_of(folder)[0].read_text("utf-8", "replace").strip())
    if mapping is not None:
        mapping.describe()


def _result(folder: Path) -> None:
    with OutputFolder(folder / "out") as out:
        (out / "lungs.nii.gz").write_bytes(b"new")


TARGETS: dict[str, Callable[[Path], object]] = {
    "scan": _scan,
    "mask": _mask,
    "pairs": lambda folder: (find_pairs(files_of(folder)[0]), labels_of(files_of(folder)[0])),
    "subjects": lambda folder: read_dictionary(files_of(folder)[0]),
    "dataset": lambda folder: load_dataset(folder),
    "record": lambda folder: read_record(folder, 0),
    "evaluation": _evaluation,
    "config": lambda folder: load_config(folder / "config.toml"),
    "settings": _settings,
    "labels": _labels,
    "run": _run,
    "volume-card": lambda folder: read_card(folder / "lungs.json", "lungs"),
    "result": _result,
}


def repair(folder: Path, kind: str) -> None:
    """Put hashes right that a mutation broke, so that what lies behind them is reached."""
    about, content, key = {
        "dataset": ("dataset.json", "index.csv", "index_sha256"),
        "run": ("card.json", "model.onnx", "onnx_sha256"),
    }.get(kind, ("", "", ""))
    if not about:
        return
    try:
        data = json.loads((folder / about).read_text("utf-8"))
    except (ValueError, RecursionError):
        return
    if isinstance(data, dict) and isinstance(data.get(key), str) and len(data[key]) == 64:
        data[key] = hashlib.sha256((folder / content).read_bytes()).hexdigest()
        (folder / about).write_text(json.dumps(data), "utf-8", "surrogatepass")
