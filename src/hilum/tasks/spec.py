"""What a task is: what it finds, with which models, and what is measured, checked and shown of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hilum.core.flags import Flag
from hilum.core.labels import LabelSet
from hilum.core.segmentation import Progress, Segmentation
from hilum.core.volume import Volume

if TYPE_CHECKING:
    from hilum.measures import Measures

__all__ = ["Find", "Section", "Task", "TaskResult"]

#: Finds a label map in a scan, given the segmentations of the tasks that are needed, by their names.
Find = Callable[[Volume, Mapping[str, Segmentation], Progress | None], Segmentation]


@dataclass(frozen=True, eq=False)
class TaskResult:
    """What a task gave for one scan.

    Attributes:
        segmentation: The label map, and what its model says of it.
        measures: What was measured of it.
        asked: Whether the user asked for this task; else another task needed it, and its label map is not
            written.
        details: What :attr:`Task.collect` returned, for a task that writes files of its own; else None.
    """

    segmentation: Segmentation
    measures: Measures
    asked: bool = True
    details: Any = None


@dataclass(frozen=True)
class Section:
    """What a task shows in the report: Jinja templates and their values.

    Attributes:
        package: The package that the templates lie in; they may include and import those of ``hilum.report``.
        body: Template of the section.
        method: Template of what is said of it under "How it was measured"; empty for nothing.
        values: What the templates show.
    """

    package: str
    body: str
    method: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task. A new one is a folder in ``hilum/tasks`` and a line in :mod:`hilum.tasks.registry`.

    Attributes:
        name: Name on the command line and in every output.
        title: Name for people.
        label_set: What its label map holds.
        models: Names of its models; the first one is the default. Empty for a task that takes its label map
            from the segmentation of a task that it needs.
        load: Opens a model: its name (or the folder of a trained run; empty without models) and the device
            give a :data:`Find`.
        collect: First stage of measuring, which does not depend on the quality flags: what it returns is
            handed to ``measure``. It runs beside the checks.
        measure: Second stage: scan, segmentation, quality flags and what ``collect`` returned give the
            measures. It respects what the flags forbid.
        check: Quality flags of a label map.
        section: What the report shows: scan and result of the task give a :class:`Section`.
        summary: A few values in words, for one line on a terminal.
        headline: Measures that a short table shows, by id.
        needs: Names of the tasks whose segmentations ``load``'s function is given.
        after: Names of tasks whose segmentations it uses where they are asked for, too; they then come first.
        compared: Names of tasks whose label maps its measuring uses where they are there, too. They are put
            beside its own after all tasks are done, so two tasks may name each other.
        stem: Name of the files of its label map, without the ending; ``name`` where it is empty.
        uncertainty: Name of the file of its uncertainty map, without the ending; empty for
            ``STEM-uncertainty``.
        write: Writes files of its own beside the label map: scan, result of the task, and what turns a name
            such as ``tree.json`` into the path to write.
    """

    name: str
    title: str
    label_set: LabelSet
    models: tuple[str, ...]
    load: Callable[[str, str], Find]
    measure: Callable[[Volume, Segmentation, Sequence[Flag], Any], Measures]
    check: Callable[[Volume, Segmentation], tuple[Flag, ...]]
    section: Callable[[Volume, TaskResult], Section]
    summary: Callable[[Measures], tuple[str, ...]]
    headline: tuple[str, ...]
    collect: Callable[[Volume, Segmentation], Any] | None = None
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()
    stem: str = ""
    uncertainty: str = ""
    write: Callable[[Volume, TaskResult, Callable[[str], Path]], None] | None = None

    def file_name(self, suffix: str) -> str:
        """Name of the file of the label map with an ending such as ``.nii.gz``."""
        return f"{self.stem or self.name}{suffix}"

    def uncertainty_file_name(self, suffix: str) -> str:
        """Name of the file of the uncertainty map with an ending such as ``.nii.gz``."""
        return f"{self.uncertainty or f'{self.stem or self.name}-uncertainty'}{suffix}"
