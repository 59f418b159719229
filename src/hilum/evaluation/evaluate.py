"""``evaluate``: masks against reference masks, or a trained network on a dataset. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

from hilum.core.errors import HilumError, UsageError
from hilum.core.segmentation import Progress
from hilum.evaluation.cases import Case, SideChoice, evaluate_case
from hilum.evaluation.files import load_case, match
from hilum.evaluation.result import Evaluation
from hilum.evaluation.runs import Run
from hilum.evaluation.volume_runs import plan_volumes
from hilum.evaluation.worst_cases import WorstCases
from hilum.io.vocabulary import parse_labels
from hilum.models.card import VolumeInput
from hilum.models.registry import find_model

__all__ = ["evaluate", "evaluate_masks", "evaluate_run", "is_run"]

_Path = str | PathLike[str]


def evaluate(
    first: _Path,
    second: _Path,
    *,
    ct: _Path | None = None,
    part: str = "test",
    labels: str | None = None,
    ref_labels: str | None = None,
    sides: SideChoice | str = SideChoice.AUTO,
    matched_only: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate masks against reference masks, or a trained network on a dataset.

    Args:
        first: Predicted masks (file or folder), or a folder made by ``hilum train``.
        second: Reference masks (file or folder), or a dataset made by ``hilum prepare``.
        ct: Masks: the scans, for dense recall and mass.
        part: Network: ``test``, ``validation``, ``train`` or ``all``.
        labels: Masks: meaning of the values of the prediction, such as ``totalsegmentator`` or ``3=1,5=1``;
            see :func:`hilum.io.vocabulary.parse_labels`.
        ref_labels: Masks: the same for the reference masks.
        sides: Masks: whether to compare right and left lung separately.
        matched_only: Masks: skip masks without a counterpart.
        progress: Called with the fraction done and a word.

    Returns:
        All metrics of all cases, and figures of the worst.

    Raises:
        InputError: Something is missing or cannot be read, or a reference holds no lung.
        GeometryError: Masks are not on one grid.
        UsageError: An argument is not allowed, or does not belong to this kind of evaluation.
    """
    if is_run(Path(first)):
        for name, given in (
            ("ct", ct),
            ("labels", labels),
            ("ref_labels", ref_labels),
            ("matched_only", matched_only),
        ):
            if given:
                raise UsageError(
                    f"{name} is for masks; a trained network takes its scans and masks from the dataset."
                )
        return evaluate_run(first, second, part=part, progress=progress)
    return evaluate_masks(
        first,
        second,
        ct=ct,
        labels=labels,
        ref_labels=ref_labels,
        sides=sides,
        matched_only=matched_only,
        progress=progress,
    )


def is_run(path: Path) -> bool:
    """Whether a folder was made by ``hilum train`` (it may be unfinished)."""
    return path.is_dir() and any((path / name).is_file() for name in ("card.json", "config.toml"))


def evaluate_masks(
    prediction: _Path,
    reference: _Path,
    *,
    ct: _Path | None = None,
    labels: str | None = None,
    ref_labels: str | None = None,
    sides: SideChoice | str = SideChoice.AUTO,
    matched_only: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate masks against reference masks; see :func:`evaluate`."""

    try:
        choice = SideChoice(sides)
    except ValueError as error:
        raise UsageError(f"sides is {sides!r}, expected auto, yes or no.") from error
    mapping = parse_labels(labels)
    ref_mapping = parse_labels(ref_labels, "ref_labels")
    files = match(
        Path(prediction), Path(reference), None if ct is None else Path(ct), matched_only=matched_only
    )

    def cases() -> Iterator[Case]:
        for entry in files:
            try:
                yield load_case(entry, labels=mapping, ref_labels=ref_mapping, sides=choice)
            except HilumError as error:
                if len(files) > 1:
                    raise error.about(entry.name) from error
                raise

    source = {
        "kind": "masks",
        "prediction": Path(prediction).name,
        "reference": Path(reference).name,
        "ct": None if ct is None else Path(ct).name,
        "labels": labels,
        "ref_labels": ref_labels,
        "sides": choice.value,
        "cases": len(files),
    }
    return _evaluate_cases(Path(prediction).name or "masks", source, cases(), len(files), progress)


def evaluate_run(
    run: _Path, dataset: _Path, *, part: str = "test", progress: Progress | None = None
) -> Evaluation:
    """Evaluate a trained network on a dataset; see :func:`evaluate`."""

    files = find_model(Path(run))
    if isinstance(files.card.input, VolumeInput):
        volumes = plan_volumes(files, Path(run), Path(dataset), part)
        return _evaluate_cases(files.name, volumes.source, volumes.cases(), volumes.size, progress)
    opened = Run(Path(run))
    plan = opened.plan(Path(dataset), part)
    return _evaluate_cases(opened.name, plan.source, plan.cases(), plan.size, progress)


def _evaluate_cases(
    title: str, source: dict[str, Any], cases: Iterator[Case], size: int, progress: Progress | None
) -> Evaluation:
    """Evaluate cases one after the other; only one is in memory at a time."""
    results = []
    worst = WorstCases()
    for number, case in enumerate(cases):
        result = evaluate_case(case)
        worst.see(case, result)
        results.append(result)
        if progress is not None:
            progress((number + 1) / max(size, 1), case.name)
    return Evaluation(title, source, tuple(results), worst.figures)
