"""Memory available for arrays."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["free_memory"]

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_AVAILABLE = re.compile(r"^(?:MemAvailable|SwapFree):\s+(\d+) kB$", re.MULTILINE)

_CACHED = re.compile(r"^file (\d+)$", re.MULTILINE)


def free_memory() -> int | None:
    """Return the bytes that this process can still take before the system ends it.

    Linux gives memory away without having it and ends a process later, so an array that is too large has to
    be refused before. None if the system does not report it (macOS and Windows, which refuse by themselves).
    """
    try:
        lines = _AVAILABLE.findall(_MEMINFO.read_text("ascii", "replace"))
    except OSError:
        return None
    if not lines:
        return None
    free = sum(int(line) for line in lines) * 1024
    return min(free, _left_in_container(free))


def _left_in_container(free: int) -> int:
    """Return what the limit of a container (cgroup 2) leaves; files held in memory do not count."""
    try:
        most = (_CGROUP / "memory.max").read_text("ascii").strip()
        used = (_CGROUP / "memory.current").read_text("ascii").strip()
        cached = _CACHED.search((_CGROUP / "memory.stat").read_text("ascii"))
    except (OSError, ValueError):
        return free
    if not (most.isdigit() and used.isdigit()):
        return free
    return max(0, int(most) - int(used) + (int(cached[1]) if cached else 0))
