"""Folders of results for tests of how they are written."""

from __future__ import annotations

from pathlib import Path

from hilum.io import write_json, write_text


def fill(folder: Path, text: str = "new", **run: object) -> None:
    """Write what marks a folder as one of results."""
    write_text(folder / "report.html", text)
    write_json(folder / "run.json", {"hilum": "0.1.0", **run})


def tree(folder: Path) -> list[str]:
    """All names below a folder, hidden ones included."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))
