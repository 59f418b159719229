"""Tasks and models by name. A new task is one line in ``_TASKS``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from hilum.core.errors import UsageError
from hilum.models.engine import Device
from hilum.tasks.airways.spec import AIRWAYS_TASK
from hilum.tasks.injury.spec import INJURY_TASK
from hilum.tasks.lobes.spec import LOBES_TASK
from hilum.tasks.lungs.models import DEFAULT_MODEL, available_models, load_model
from hilum.tasks.lungs.spec import LUNGS_TASK
from hilum.tasks.pleura.spec import PLEURA_TASK
from hilum.tasks.spec import Task
from hilum.tasks.vessels.spec import VESSELS_TASK

__all__ = [
    "DEFAULT_MODEL",
    "TASKS",
    "Device",
    "available_models",
    "in_order",
    "load_model",
    "parse_tasks",
    "registered",
]

_TASKS: dict[str, Task] = {
    LUNGS_TASK.name: LUNGS_TASK,
    PLEURA_TASK.name: PLEURA_TASK,
    AIRWAYS_TASK.name: AIRWAYS_TASK,
    VESSELS_TASK.name: VESSELS_TASK,
    LOBES_TASK.name: LOBES_TASK,
    INJURY_TASK.name: INJURY_TASK,
}
#: Every task by its name.
TASKS: Mapping[str, Task] = MappingProxyType(_TASKS)


def parse_tasks(text: str) -> tuple[str, ...]:
    """Read a comma-separated list of tasks.

    Raises:
        UsageError: A task is unknown, or none is named.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    in_order(names)
    return names


def in_order(names: Iterable[str]) -> tuple[Task, ...]:
    """Return the tasks and all that they need, each after what it needs and what it uses.

    Raises:
        UsageError: A task is unknown, or none is named.
    """
    out: dict[str, Task] = {}
    names = tuple(names)

    def add(name: str) -> None:
        if name not in TASKS:
            raise UsageError(f"task is {name!r}, expected one of {', '.join(TASKS)}.")
        asked = (other for other in TASKS[name].after if other in names)
        for first in (*TASKS[name].needs, *asked):
            add(first)
        out.setdefault(name, TASKS[name])

    for name in names:
        add(name)
    if not out:
        raise UsageError(f"No task was named, expected one of {', '.join(TASKS)}.")
    return tuple(out.values())


@contextmanager
def registered(task: Task) -> Iterator[Task]:
    """Add a task for a while, as a program does that brings its own.

    Raises:
        ValueError: There is a task of this name, it shares a region with another, or needs an unknown one.
    """
    regions = {region.name for other in TASKS.values() for region in other.label_set.regions}
    twice = regions & {region.name for region in task.label_set.regions}
    if task.name in TASKS or twice:
        raise ValueError(
            f"The task {task.name!r} or its regions ({', '.join(sorted(twice))}) are there already."
        )
    if not set(task.needs) <= set(TASKS):
        raise ValueError(f"The task {task.name!r} needs tasks that are not there: {', '.join(task.needs)}.")
    _TASKS[task.name] = task
    try:
        yield task
    finally:
        del _TASKS[task.name]
