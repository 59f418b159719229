"""``compare``: comparing trained networks, or any evaluated masks. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from hilum.core.errors import InputError, UsageError
from hilum.core.labels import LUNGS
from hilum.core.segmentation import Progress
from hilum.core.sentences import Sentence
from hilum.core.version import __version__
from hilum.evaluation.all_metrics import ALL_METRICS
from hilum.evaluation.cases import Case
from hilum.evaluation.evaluate import evaluate_run, is_run
from hilum.evaluation.metrics import Metric
from hilum.evaluation.paired import TEST_COLUMNS, PairedTest, paired_tests
from hilum.evaluation.result import Evaluation, read_evaluation
from hilum.evaluation.runs import BATCH, Plan, Run
from hilum.evaluation.speed import VOLUME_SLICES, Speed, machine, measure_speed, synthetic_slices
from hilum.evaluation.worst_cases import SliceFigure, draw, worst_slice

__all__ = ["MODEL_COLUMNS", "TEST_COLUMNS", "Comparison", "ModelRow", "compare"]

SCHEMA = "hilum.comparison/1"
#: Default output folder of ``hilum evaluate RUN DATASET``.
EVALUATION_FOLDER = "evaluation"
_WORST = 4
_EVALUATE_HINT = Sentence("Give {option:dataset}, or run {verb:evaluate} on it first.")


@dataclass(frozen=True)
class ModelRow:
    """A model and its cost. Unknown values are None, and ``reason`` states why.

    Attributes:
        name: Name in tables: the folder.
        kind: ``fcnn``, ``unet`` or ``resnet``; empty for masks of unknown origin.
        parameters: Number of parameters of the network.
        file_mb: Size of ``model.onnx`` in MB.
        training_minutes: Training time in minutes.
        speed: Inference time; None if not measured.
        reason: Why a value is unknown; empty if all are known.
    """

    name: str
    kind: str
    parameters: int | None
    file_mb: float | None
    training_minutes: float | None
    speed: Speed | None
    reason: str


MODEL_COLUMNS = (
    "model",
    "kind",
    "parameters",
    "file_mb",
    "training_minutes",
    "ms_slice",
    "s_volume",
    "volume_slices",
    "reason",
)


@dataclass(frozen=True, eq=False)
class Comparison:
    """A comparison of models.

    Attributes:
        models: The models and their costs.
        evaluations: Name to evaluation, on the same cases.
        tests: Paired tests.
        machine: Machine that the times were measured on; empty if none were measured.
        figures: Figures of the worst cases, one row per case and one figure per model, worst first.
        notes: Sentences on what is missing and why.
    """

    models: tuple[ModelRow, ...]
    evaluations: Mapping[str, Evaluation]
    tests: tuple[PairedTest, ...]
    machine: str = ""
    figures: tuple[tuple[SliceFigure, ...], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """What the masks show; see :class:`hilum.evaluation.Evaluation`."""
        return next(iter(self.evaluations.values())).task

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics that at least one model has, by id, in the order of tables."""
        found = {id_ for evaluation in self.evaluations.values() for id_ in evaluation.metrics}
        return {id_: metric for id_, metric in ALL_METRICS.items() if id_ in found}

    def as_dict(self) -> dict[str, object]:
        """Return the content of ``comparison.json`` as plain data."""
        return {
            "schema": SCHEMA,
            "hilum": __version__,
            "metrics": {id_: metric.as_dict() for id_, metric in self.metrics.items()},
            "machine": self.machine or None,
            "notes": list(self.notes),
            "models": [
                {
                    **dict(zip(MODEL_COLUMNS, row, strict=True)),
                    "source": dict(self.evaluations[str(row[0])].source),
                    "summary": [entry.as_dict() for entry in self.evaluations[str(row[0])].summary],
                }
                for row in self.model_rows()
            ],
            "tests": [test.as_dict() for test in self.tests],
        }

    def model_rows(self) -> Iterator[tuple[object, ...]]:
        """Yield the rows of the table of models; the header is :data:`MODEL_COLUMNS`."""
        for model in self.models:
            speed = model.speed
            yield (
                model.name,
                model.kind,
                model.parameters,
                model.file_mb,
                model.training_minutes,
                None if speed is None else round(speed.ms_slice, 2),
                None if speed is None else round(speed.s_volume, 2),
                None if speed is None else speed.slices,
                model.reason,
            )

    def summary_rows(self) -> Iterator[tuple[object, ...]]:
        """Yield the summaries of all models."""
        for name, evaluation in self.evaluations.items():
            for row in evaluation.summary_rows():
                yield name, *row

    def case_rows(self) -> Iterator[tuple[object, ...]]:
        """Yield the cases of all models."""
        for name, evaluation in self.evaluations.items():
            for row in evaluation.rows():
                yield name, *row

    def test_rows(self) -> Iterator[tuple[object, ...]]:
        """Yield the paired tests; the header is :data:`TEST_COLUMNS`."""
        for test in self.tests:
            yield tuple(float(f"{v:.6g}") if isinstance(v, float) else v for v in test.as_dict().values())


@dataclass(frozen=True, eq=False)
class _Entry:
    """One model during a comparison."""

    name: str
    evaluation: Evaluation
    run: Run | None
    plan: Plan | None


def compare(
    sources: Sequence[str | PathLike[str]],
    *,
    dataset: str | PathLike[str] | None = None,
    part: str = "test",
    speed: bool = True,
    progress: Progress | None = None,
) -> Comparison:
    """Compare models on the same cases.

    Args:
        sources: Folders made by ``hilum train``, or by ``hilum evaluate``.
        dataset: Dataset to evaluate the networks on. Without it their evaluations must exist already,
            in the folder ``evaluation`` of each. A matching evaluation is not computed again.
        part: ``test``, ``validation``, ``train`` or ``all``.
        speed: Whether to measure times.
        progress: Called with the fraction done and a word.

    Returns:
        All metrics of all models, paired tests, costs, and, with a dataset, figures of the worst cases.

    Raises:
        UsageError: Fewer than two models, or a model given twice.
        InputError: One has no evaluation, or they were evaluated on different cases.
    """
    paths = [Path(source) for source in sources]
    if len(paths) < 2:
        raise UsageError(
            "A comparison needs two models or more.", Sentence("To evaluate one, use {verb:evaluate}.")
        )
    if len({path.resolve() for path in paths}) < len(paths):
        raise UsageError("A model was given twice.", "Name each folder once.")
    say = progress or (lambda fraction, what: None)
    entries = []
    for number, (path, name) in enumerate(zip(paths, _names(paths), strict=True)):
        low, high = 0.8 * number / len(paths), 0.8 * (number + 1) / len(paths)
        entries.append(_open(path, name, dataset, part, _part(say, low, high, name)))
    _check_same_cases(entries)
    runs = [entry.run for entry in entries if entry.run is not None]
    notes = []
    times: dict[str, Speed] = {}
    if speed and runs:
        say(0.85, "times")
        speeds = measure_speed(runs, *_timed_slices(entries))
        named = [entry.name for entry in entries if entry.run is not None]
        times = dict(zip(named, speeds, strict=True))
    if dataset is None:
        notes.append(Sentence("Figures of the worst cases need the dataset: give {option:dataset}."))
    say(0.95, "figures")
    return Comparison(
        models=tuple(_model_row(entry, times.get(entry.name), speed) for entry in entries),
        evaluations={entry.name: entry.evaluation for entry in entries},
        tests=tuple(paired_tests({entry.name: entry.evaluation.cases for entry in entries})),
        machine=machine() if times else "",
        figures=_worst(entries),
        notes=tuple(notes),
    )


def _part(say: Progress, low: float, high: float, name: str) -> Progress:
    """Return a progress callback for one model as a part of the whole."""
    return lambda fraction, what: say(low + (high - low) * fraction, name)


def _names(paths: Sequence[Path]) -> list[str]:
    """Name models by their folder; equal names are prefixed by the parent folder, then numbered."""
    names = [path.resolve().name for path in paths]
    if len(set(names)) < len(names):
        names = [f"{path.resolve().parent.name}/{path.resolve().name}" for path in paths]
    if len(set(names)) < len(names):
        names = [f"{name}#{number}" for number, name in enumerate(names, start=1)]
    return names


def _open(
    path: Path, name: str, dataset: str | PathLike[str] | None, part: str, progress: Progress
) -> _Entry:

    if (path / "evaluation.json").is_file():
        return _Entry(name, read_evaluation(path), None, None)
    if not is_run(path):
        raise InputError(
            f"{path.name or path} is neither a trained network nor an evaluation.",
            Sentence("Give folders that {verb:train} or {verb:evaluate} made."),
        )
    run = Run(path)
    there = path / EVALUATION_FOLDER
    stored = read_evaluation(there) if (there / "evaluation.json").is_file() else None
    if dataset is None:
        if stored is None:
            raise InputError(f"{run.name} has not been evaluated.", _EVALUATE_HINT)
        return _Entry(name, stored, run, None)
    plan = run.plan(Path(dataset), part)
    if stored is not None and _fits(stored.source, plan.source):
        return _Entry(name, replace(stored, title=name), run, plan)
    return _Entry(name, evaluate_run(path, dataset, part=part, progress=progress), run, plan)


def _fits(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether an evaluation has the same weights and the same slices."""
    keys = ("onnx_sha256", "index_sha256", "subjects", "threshold")
    return all(stored.get(key) == wanted.get(key) for key in keys) and stored.get("onnx_sha256") is not None


def _check_same_cases(entries: Sequence[_Entry]) -> None:
    first = entries[0]
    names = {case.name for case in first.evaluation.cases}
    for entry in entries[1:]:
        tasks = first.evaluation.task, entry.evaluation.task
        if tasks[0] != tasks[1]:
            raise InputError(
                f"{first.name} was evaluated for {tasks[0]} and {entry.name} for {tasks[1]}.",
                "Give evaluations of one task.",
            )
        others = {case.name for case in entry.evaluation.cases}
        data = {str(e.evaluation.source.get("index_sha256")) for e in (first, entry)}
        if names != others or len(data) > 1:
            what = f"{len(names - others)} and {len(others - names)} cases that the other lacks"
            said = "different datasets" if len(data) > 1 else f"different cases ({what})"
            raise InputError(
                f"{first.name} and {entry.name} were evaluated on {said}, so they cannot be compared.",
                "Train them with the same seed and split, or evaluate them on the same masks.",
            )


def _model_row(entry: _Entry, speed: Speed | None, wanted: bool) -> ModelRow:
    if entry.run is None:
        reason = "only its evaluation was given, not the network"
        return ModelRow(entry.name, "", None, None, None, None, reason)
    card = entry.run.card
    missing = [] if card.training.minutes is not None else ["card.json states no training.minutes"]
    onnx = entry.run.path / "model.onnx"
    size = round(onnx.stat().st_size / 1e6, 3) if onnx.is_file() else None
    if size is None:
        missing.append("there is no model.onnx")
    if speed is None:
        missing.append("times were not measured" if not wanted else "times could not be measured")
    return ModelRow(
        name=entry.name,
        kind=card.kind,
        parameters=card.parameters,
        file_mb=size,
        training_minutes=card.training.minutes,
        speed=speed,
        reason="; ".join(missing),
    )


def _timed_slices(entries: Sequence[_Entry]) -> tuple[Any, int, tuple[float, float] | None]:
    """Return slices to measure times on, the number of slices of a volume, and their spacing."""
    plan = next((entry.plan for entry in entries if entry.plan is not None), None)
    if plan is None:
        return synthetic_slices(), VOLUME_SLICES, None
    longest = max(plan.groups, key=len)
    records = longest if len(longest) > 1 else [group[0] for group in plan.groups]
    size = (records[0].rows, records[0].cols)
    same = [record for record in records if (record.rows, record.cols) == size]
    spread = np.unique(np.linspace(0, len(same) - 1, 2 * BATCH).round().astype(int))
    images = np.stack([plan.dataset.image(same[n]) for n in spread])
    return images, len(longest) if len(longest) > 1 else VOLUME_SLICES, records[0].spacing_mm


def _worst(entries: Sequence[_Entry]) -> tuple[tuple[SliceFigure, ...], ...]:
    """Draw the cases with the worst Dice of any model, with all models.

    The worst network is run on the case again to find the slice, the others on that slice only.
    """
    plans = {entry.name: entry.plan for entry in entries if entry.plan is not None}
    if not plans:
        return ()
    dice: dict[str, dict[str, float]] = {}
    for entry in entries:
        for case in entry.evaluation.cases:
            value = case.values[LUNGS.name]["dice"].value
            if value is not None:
                dice.setdefault(case.name, {})[entry.name] = value
    worst = sorted(dice, key=lambda name: min(dice[name].values()))[:_WORST]
    out = []
    for name in worst:
        lowest = min(plans, key=lambda model: dice[name].get(model, 1.0))
        group = plans[lowest].group(name)
        whole = plans[lowest].case(group)
        index = worst_slice(whole.prediction, whole.reference)
        found = {
            model: _one(whole, index) if model == lowest else plan.case([group[index]])
            for model, plan in plans.items()
        }
        masks = [case.prediction[0] for case in found.values()]
        row = []
        for model, shown in found.items():
            value = dice[name].get(model)
            said = "no Dice" if value is None else f"Dice {value:.4f}"
            if len(group) > 1:
                said += f", slice {group[index].slice}"
            row.append(draw(shown, 0, f"{model}, case {name}: {said}", masks))
        out.append(tuple(row))
    return tuple(out)


def _one(case: Case, index: int) -> Case:
    """Return one slice of a case as a case."""
    part = slice(index, index + 1)
    hu = None if case.hu is None else case.hu[part]
    return replace(case, prediction=case.prediction[part], reference=case.reference[part], hu=hu)
