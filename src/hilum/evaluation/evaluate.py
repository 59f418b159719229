"""``evaluate``: masks against reference masks, or a trained network on a dataset. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from hilum.batch.spread import parse_jobs
from hilum.core.errors import HilumError, InternalError, UsageError
from hilum.core.labels import LUNGS
from hilum.core.segmentation import Progress
from hilum.core.sentences import Sentence
from hilum.evaluation.cases import Case, SideChoice, evaluate_case
from hilum.evaluation.class_labels import parse_class_names
from hilum.evaluation.class_sets import check_task, class_set
from hilum.evaluation.files import MaskFiles, match
from hilum.evaluation.pairs import Pair, PairOptions, evaluate_pair, joined, words_of
from hilum.evaluation.result import Evaluation, Failure
from hilum.evaluation.runs import Run
from hilum.evaluation.views import badness
from hilum.evaluation.volume_runs import plan_volumes
from hilum.evaluation.worst_cases import SliceFigure, WorstCases, draw_case
from hilum.executors import Executor, Here, Limits, Pool, share_out
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
    task: str = LUNGS.name,
    within: _Path | None = None,
    part: str = "test",
    labels: str | None = None,
    ref_labels: str | None = None,
    sides: SideChoice | str = SideChoice.AUTO,
    matched_only: bool = False,
    jobs: int | str = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate masks against reference masks, or a trained network on a dataset.

    Args:
        first: Predicted masks (file or folder), or a folder made by ``hilum train``.
        second: Reference masks (file or folder), or a dataset made by ``hilum prepare``.
        ct: Masks: the scans, for dense recall and mass.
        task: Masks: what they show: ``lungs``, ``pleura``, ``lobes``, ``airways``, ``vessels``, ``injury``
            or, for label maps of any classes, ``labels``.
        within: Masks of other tasks than lungs: masks of the lungs; what lies outside of them does not count.
        part: Network: ``test``, ``validation``, ``train`` or ``all``.
        labels: Masks: meaning of the values of the prediction, such as ``totalsegmentator`` or ``3=1,5=1``;
            see :func:`hilum.io.vocabulary.parse_labels`. For other tasks pairs such as
            ``3=right_upper_lobe,*=0``; see :func:`hilum.evaluation.class_labels.parse_class_names`.
        ref_labels: Masks: the same for the reference masks.
        sides: Lungs: whether to compare right and left lung separately.
        matched_only: Masks: skip masks without a counterpart.
        jobs: Masks: how many cases are evaluated at a time, each in its own process, or ``auto``. A program
            that asks for more than one guards its main part as with :mod:`multiprocessing`.
        progress: Called with the fraction done and a word.

    Returns:
        All metrics of all cases, and figures of the worst. A case of several that fails costs only itself;
        it is named in ``failed``.

    Raises:
        InputError: Something is missing or cannot be read, a reference holds no lung or no tree, or every
            case failed.
        GeometryError: Masks are not on one grid.
        UsageError: An argument is not allowed, or does not belong to this kind of evaluation.
    """
    if is_run(Path(first)):
        _refuse_for_runs(
            ct=ct,
            labels=labels,
            ref_labels=ref_labels,
            matched_only=matched_only,
            task=task != LUNGS.name,
            within=within,
            jobs=str(jobs) != "1",
        )
        return evaluate_run(first, second, part=part, progress=progress)
    return evaluate_masks(
        first,
        second,
        ct=ct,
        task=task,
        within=within,
        labels=labels,
        ref_labels=ref_labels,
        sides=sides,
        matched_only=matched_only,
        jobs=jobs,
        progress=progress,
    )


def _refuse_for_runs(**given: object) -> None:
    """Refuse arguments that only masks have."""
    for name, value in given.items():
        if value:
            raise UsageError(
                f"{name} is for masks; a trained network takes its scans and masks from the dataset."
            )


def is_run(path: Path) -> bool:
    """Whether a folder was made by ``hilum train`` (it may be unfinished)."""
    return path.is_dir() and any((path / name).is_file() for name in ("card.json", "config.toml"))


def evaluate_masks(
    prediction: _Path,
    reference: _Path,
    *,
    ct: _Path | None = None,
    task: str = LUNGS.name,
    within: _Path | None = None,
    labels: str | None = None,
    ref_labels: str | None = None,
    sides: SideChoice | str = SideChoice.AUTO,
    matched_only: bool = False,
    jobs: int | str = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate masks against reference masks; see :func:`evaluate`."""
    options = _options(check_task(task), labels, ref_labels, sides)
    if within is not None and task == LUNGS.name:
        raise UsageError("within is for other tasks than lungs.", "Leave it out.")
    count = parse_jobs(jobs)
    files = match(
        Path(prediction),
        Path(reference),
        None if ct is None else Path(ct),
        matched_only=matched_only,
        task=task,
        within=None if within is None else Path(within),
        structures=options.structures,
    )
    source = {
        "kind": "masks",
        "task": task,
        "prediction": Path(prediction).name,
        "reference": Path(reference).name,
        "ct": None if ct is None else Path(ct).name,
        "within": None if within is None else Path(within).name,
        "labels": labels,
        "ref_labels": ref_labels,
        "sides": options.sides.value if task == LUNGS.name else None,
        "cases": len(files),
    }
    pairs, failed, worst = _run(files, options, count, progress)
    return Evaluation(
        Path(prediction).name or "masks",
        source,
        tuple(pair.result for pair in pairs),
        worst.figures,
        task=task,
        notes=joined(((pair.result.name, note) for pair in pairs for note in pair.notes), len(pairs)),
        failed=failed,
    )


def _options(task: str, labels: str | None, ref_labels: str | None, sides: SideChoice | str) -> PairOptions:
    try:
        choice = SideChoice(sides)
    except ValueError as error:
        raise UsageError(f"sides is {sides!r}, expected auto, yes or no.") from error
    if task == LUNGS.name:
        return PairOptions(
            task, labels=parse_labels(labels), ref_labels=parse_labels(ref_labels, "ref_labels"), sides=choice
        )
    if choice is not SideChoice.AUTO:
        raise UsageError(f"sides is for lungs, and the task is {task}.", "Leave it out.")
    classes = class_set(task)
    return PairOptions(
        task,
        classes=parse_class_names(labels, classes),
        ref_classes=parse_class_names(ref_labels, classes, "ref_labels"),
    )


def _run(
    files: list[MaskFiles], options: PairOptions, jobs: int | None, progress: Progress | None
) -> tuple[list[Pair], tuple[Failure, ...], WorstCases]:
    """Evaluate pairs of files; their order, and not that in which they end, is that of the results.

    Raises:
        HilumError: All failed; the error is the first.
    """
    number_of = {entry: number for number, entry in enumerate(files)}
    pairs: dict[int, Pair] = {}
    errors: dict[int, HilumError] = {}
    worst = WorstCases()
    executor = _executor(jobs, len(files))
    with closing(executor.run(partial(evaluate_pair, options=options), files)) as ends:
        for ended in ends:
            number = number_of[ended.job]
            if ended.value is None:
                errors[number] = ended.error or InternalError("The case gave no result.")
            else:
                figure = ended.value.figure
                if figure is not None:
                    worst.add(number, ended.value.badness, partial(_same, figure))
                pairs[number] = replace(ended.value, figure=None)
            if progress is not None:
                progress((len(pairs) + len(errors)) / len(files), ended.job.name)
    if not pairs:
        first = errors[0]
        if len(files) == 1:
            raise first
        said = first.about(files[0].name)
        raise said.saying(
            Sentence(
                "None of the {count} cases could be evaluated. {said}", count=len(files), said=said.message
            )
        )
    failed = tuple(Failure.of(files[number].name, errors[number]) for number in sorted(errors))
    return [pairs[number] for number in sorted(pairs)], failed, worst


def _same(figure: SliceFigure) -> SliceFigure:
    return figure


def _executor(jobs: int | None, cases: int) -> Executor:
    """Choose where cases are evaluated: here, or in several processes."""
    if jobs == 1 or cases == 1:
        return Here()
    share = share_out(jobs, Limits())
    return Pool(share_out(cases, Limits()) if cases < share.jobs else share)


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
        words = words_of(result, LUNGS.name)
        worst.add(number, badness(result, LUNGS.name), partial(draw_case, case, words))
        results.append(result)
        if progress is not None:
            progress((number + 1) / max(size, 1), case.name)
    return Evaluation(title, source, tuple(results), worst.figures)
