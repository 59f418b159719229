"""One pair of files at a time: read, evaluated and drawn, wherever the work is done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hilum.core.labels import LUNGS
from hilum.evaluation.all_metrics import ALL_METRICS
from hilum.evaluation.branch_table import BranchTable, find_branch_table, read_branch_table
from hilum.evaluation.cases import Case, CaseResult, SideChoice, evaluate_case
from hilum.evaluation.class_cases import evaluate_classes, only_predicted, swapped
from hilum.evaluation.class_labels import ClassNames
from hilum.evaluation.class_sets import ClassSet
from hilum.evaluation.files import MaskFiles
from hilum.evaluation.loading import load_case, load_classes
from hilum.evaluation.tree_cases import TREES, evaluate_tree
from hilum.evaluation.tree_figures import draw_tree
from hilum.evaluation.views import badness, view_of
from hilum.evaluation.worst_cases import SliceFigure, draw_case
from hilum.io.vocabulary import LabelMap

__all__ = ["Pair", "PairOptions", "evaluate_pair", "joined", "words_of"]


@dataclass(frozen=True)
class PairOptions:
    """How pairs are read and compared.

    Attributes:
        task: What the masks show.
        labels: Lungs: meaning of the values of the prediction.
        ref_labels: Lungs: the same for the reference.
        classes: Other tasks: meaning of the values of the prediction.
        ref_classes: Other tasks: the same for the reference.
        sides: Lungs: whether to compare right and left lung separately.
    """

    task: str
    labels: LabelMap | None = None
    ref_labels: LabelMap | None = None
    classes: ClassNames | None = None
    ref_classes: ClassNames | None = None
    sides: SideChoice = SideChoice.AUTO

    @property
    def structures(self) -> frozenset[str]:
        """Names of structures that the user calls classes."""
        said = (names.names for names in (self.classes, self.ref_classes) if names is not None)
        return frozenset(name for names in said for name, meaning in names.items() if meaning is not None)


@dataclass(frozen=True, eq=False)
class Pair:
    """What came of a pair of files.

    Attributes:
        result: Its metrics.
        badness: How bad it is among others; None where it has no value.
        figure: Where it is wrong; None where it has no value.
        notes: What has to be known of the comparison, without the name of the case.
    """

    result: CaseResult
    badness: float | None
    figure: SliceFigure | None
    notes: tuple[str, ...] = ()


def evaluate_pair(files: MaskFiles, options: PairOptions) -> Pair:
    """Read a pair of files, compute its metrics, and draw where it is wrong.

    Raises:
        InputError: A file cannot be read, or a mask holds values of unknown meaning.
        GeometryError: They are not on one grid.
    """
    task = options.task
    notes: list[str] = []
    if task == LUNGS.name:
        case = load_case(files, labels=options.labels, ref_labels=options.ref_labels, sides=options.sides)
        result = evaluate_case(case)
    else:
        case, classes = load_classes(files, task, labels=options.classes, ref_labels=options.ref_classes)
        if task in TREES:
            table = _table(files, task, notes)
            result = evaluate_tree(case, classes, table)
            notes += _lacking(case, classes)
        else:
            result = evaluate_classes(case, classes)
            notes += _class_notes(case, classes)
    bad = badness(result, task)
    figure = None
    if bad is not None:
        words = words_of(result, task)
        figure = _draw(case, task, words)
    return Pair(result, bad, figure, tuple(notes))


def _draw(case: Case, task: str, words: str) -> SliceFigure:
    if task in TREES:
        return draw_tree(case, task, words)
    return draw_case(case, words, classes=task != LUNGS.name)


def _table(files: MaskFiles, task: str, notes: list[str]) -> BranchTable | None:
    path = find_branch_table(files.reference, files.name)
    table = None if path is None else read_branch_table(path, task)
    if table is not None:
        notes.append("Diameters and generations of the reference come from its table of branches")
    return table


def _class_notes(case: Case, classes: ClassSet) -> list[str]:
    notes = [
        f"The prediction holds {title.lower()}, which the reference lacks"
        for title in only_predicted(case, classes)
    ]
    mixed = [f"{one.lower()} is {other.lower()}" for one, other in swapped(case, classes)]
    if mixed:
        notes.append(
            "The values of the masks may not mean the same: what the prediction calls "
            f"{', '.join(mixed)} in the reference"
        )
    return notes


def _lacking(case: Case, classes: ClassSet) -> list[str]:
    """Say what only one mask distinguishes, so that it cannot be compared: walls, or arteries and veins."""
    second = next(entry for entry in classes.classes if entry.values[0] == 2).title.lower()
    there = {
        name: bool((labels == 2).any())
        for name, labels in (("prediction", case.prediction), ("reference", case.reference))
    }
    return [
        f"The {name} holds no {second}, so it was not compared by itself"
        for name in there
        if not there[name] and any(there.values())
    ]


def words_of(result: CaseResult, task: str) -> str:
    """Return the metric that ranks a case, in words."""
    view = view_of(task)
    value, metric = result.values[view.region][view.metric], ALL_METRICS[view.metric]
    known = "unknown" if value.value is None else f"{value.value:.{metric.digits}f}"
    return f"{metric.title} {known}"


def joined(notes: Iterable[tuple[str, str]], cases: int) -> tuple[str, ...]:
    """Join notes of single cases to sentences.

    Args:
        notes: Name of the case, and a note.
        cases: How many cases there are.
    """
    by_text: dict[str, list[str]] = {}
    for case, text in notes:
        by_text.setdefault(text, []).append(case)
    out = []
    for text, names in by_text.items():
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        out.append(f"{text}." if len(names) == cases else f"{text} ({len(names)} of {cases} cases: {shown}).")
    return tuple(out)


_SHOWN = 5
