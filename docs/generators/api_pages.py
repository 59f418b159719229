"""One page of the Python API a package; mkdocstrings fills them from the docstrings.

A package whose face (``__init__.pyi`` or ``__init__.py``) has an ``__all__`` is described by these names. Of the
others each module with an ``__all__`` is a section. Nothing is imported: the names are read from the sources.
"""

from __future__ import annotations

import ast
from pathlib import Path

__all__ = ["PACKAGES", "api_pages", "public_names"]

SOURCE = Path(__file__).parents[2] / "src" / "hilum"
#: The packages that a user's program may import, and what each is for.
PACKAGES = {
    "core": "Ground types: volumes, labels, segmentations, flags and errors.",
    "io": "Reading and writing of files.",
    "imaging": "Arrays with millimetres: morphology, interpolation, surface distances.",
    "drawing": "SVG elements, charts and slice images.",
    "models": "What a trained model is, and how it is run.",
    "anatomy": "The chest without learned weights: body, air, airways, sides.",
    "tasks": "What hilum segments; one folder per task.",
    "quality": "The quality gate.",
    "measures": "The registry of measures and the engine that computes them.",
    "datasets": "Pairs of scan and mask, and datasets of slices and volumes.",
    "synthesis": "Digital chests and lesions with exact truth.",
    "study": "Intensities of a dataset.",
    "evaluation": "Metrics, paired tests and comparisons.",
    "training": "Training of networks. Needs `hilum[train]`.",
    "layouts": "Where scans are found and where results go: folders, BIDS.",
    "report": "The page of a result.",
    "tables": "Many results in one table and on one page.",
    "batch": "Many scans: jobs with keys, tables, resuming.",
    "executors": "Where jobs are done: in this process or in several.",
}


def public_names(face: Path) -> list[str]:
    """Return the names in ``__all__`` of a module, or none where it has no such list."""
    for node in ast.parse(face.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "__all__" for t in node.targets):
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


def api_pages() -> dict[str, str]:
    """Return the pages as Markdown by their path in the site."""
    pages = {"reference/api/index.md": _front()}
    for package, purpose in PACKAGES.items():
        if (SOURCE / package).is_dir():
            pages[f"reference/api/{package}.md"] = _package_page(package, purpose)
    return pages


def _front() -> str:
    rows = [
        f"| [`hilum.{name}`]({name}.md) | {purpose} |"
        for name, purpose in PACKAGES.items()
        if (SOURCE / name).is_dir()
    ]
    head = ["# Python API", "", "| package | what it is for |", "|---|---|", *rows, ""]
    head += [
        "Names in `hilum` itself are the public face, and keep their meaning within a minor version. The packages "
        "are documented for those who build on them.",
        "",
        "## hilum",
        "",
    ]
    names = [name for name in public_names(SOURCE / "__init__.pyi") if not name.startswith("_")]
    return "\n".join(head) + "\n".join(_entry(f"hilum.{name}") for name in names)


def _package_page(package: str, purpose: str) -> str:
    folder = SOURCE / package
    parts = [f"# hilum.{package}\n\n{purpose}\n"]
    names = [n for face in ("__init__.pyi", "__init__.py") for n in _names_of(folder / face)]
    if names:
        parts += [_entry(f"hilum.{package}.{name}", level=2) for name in dict.fromkeys(names)]
        return "\n".join(parts)
    for module in sorted(folder.rglob("*.py")):
        if module.stem.startswith("_") or not public_names(module):
            continue
        dotted = ".".join(module.relative_to(SOURCE.parent).with_suffix("").parts)
        members = public_names(module)
        parts.append(f"## {dotted}\n")
        parts += [_entry(f"{dotted}.{name}") for name in members]
    return "\n".join(parts)


def _names_of(face: Path) -> list[str]:
    return public_names(face) if face.exists() else []


def _entry(name: str, level: int = 3) -> str:
    return f"::: {name}\n    options:\n      heading_level: {level}\n"
