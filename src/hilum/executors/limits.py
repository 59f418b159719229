"""How cores and memory are shared out among jobs that run at the same time."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

import psutil

from hilum.core.cores import core_count, thread_count
from hilum.core.errors import UsageError
from hilum.core.sentences import Sentence
from hilum.io.memory import free_memory

__all__ = ["GIB", "NEED", "Limits", "Share", "check_positive", "parse_jobs", "share_out"]

GIB = 2**30
#: Bytes of memory that one scan needs, where nobody says how many it may take.
NEED = 3 * GIB
#: Bytes of free memory that are left to others.
_KEPT = 0.1
#: What Slurm tells a job: MiB of memory a machine or a core (0 for all that there is), and its cores here.
_PER_NODE, _PER_CPU, _CPUS = "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE"


@dataclass(frozen=True)
class Limits:
    """What one job may take.

    Attributes:
        time_s: Seconds; None for no limit.
        memory: Bytes of memory of its process; None for no limit.
    """

    time_s: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Share:
    """How many jobs run at a time, and what each gets.

    Attributes:
        jobs: Number of jobs at a time.
        threads: Threads of each; together not more than there are cores, unless there are more jobs.
        limits: What each may take.
    """

    jobs: int
    threads: int
    limits: Limits

    def described(self) -> str:
        """Say it in one line."""
        many = f"{self.jobs} scans at a time" if self.jobs != 1 else "One scan at a time"
        parts = [f"{many}, {self.threads} thread{'s' if self.threads != 1 else ''} each"]
        if self.limits.memory is not None:
            parts.append(f"at most {self.limits.memory / GIB:.1f} GB of memory each")
        if self.limits.time_s is not None:
            parts.append(f"at most {self.limits.time_s:g} s each")
        return f"{', '.join(parts)}."


def check_positive(jobs: int | None, limits: Limits) -> None:
    """Refuse numbers that are not above 0.

    Raises:
        UsageError: One is not.
    """
    for name, value in (("jobs", jobs), ("time_limit", limits.time_s), ("memory_limit", limits.memory)):
        if value is not None and not value > 0:
            raise UsageError(
                Sentence("{option:$name} is {value}, expected more than 0.", name=name, value=value)
            )


def share_out(jobs: int | None, limits: Limits = Limits(), *, need: int = NEED) -> Share:
    """Share out cores and memory.

    Args:
        jobs: Jobs at a time; None for one a core, as far as the free memory goes.
        limits: What each may take. Without a limit of the memory each may take its part of what is free.
        need: Bytes that one job needs, for ``jobs=None``.

    Raises:
        UsageError: A number is not positive, or the limits are more than the memory that is free.
    """
    check_positive(jobs, limits)
    free = min(free_memory() or psutil.virtual_memory().available, _granted_by_slurm() or sys.maxsize)
    free = int(free * (1 - _KEPT))
    if jobs is None:
        jobs = max(1, min(core_count(), free // (limits.memory or need)))
    if limits.memory is not None and jobs > 1 and jobs * limits.memory > free:
        raise UsageError(
            f"{jobs} times {limits.memory / GIB:.1f} GB is more than the {free / GIB:.1f} GB of memory "
            "that are free.",
            Sentence("Give fewer {option:jobs} or a lower {option:memory_limit}."),
        )
    memory = limits.memory or free // jobs
    return Share(jobs, max(1, min(thread_count(), core_count() // jobs)), Limits(limits.time_s, memory))


def _granted_by_slurm() -> int:
    """Return the bytes that Slurm gives to a job on this machine; 0 outside of one, or where it does not say.

    Where Slurm limits jobs by cgroups it ends one that takes more; else it trusts it not to.
    """
    text = {name: os.environ.get(name, "") for name in (_PER_NODE, _PER_CPU, _CPUS)}
    mebibytes = {name: int(value) if value.isdecimal() else 0 for name, value in text.items()}
    return (mebibytes[_PER_NODE] or mebibytes[_PER_CPU] * mebibytes[_CPUS]) * 2**20


def parse_jobs(jobs: int | str) -> int | None:
    """Read a number of jobs; None for ``auto``.

    Raises:
        UsageError: It is neither ``auto`` nor a number above 0.
    """
    text = str(jobs).strip()
    if text == "auto":
        return None
    if not text.isdecimal() or not int(text):
        raise UsageError(
            Sentence("{option:jobs} is '{text}', expected a number above 0, or auto.", text=text)
        )
    return int(text)
