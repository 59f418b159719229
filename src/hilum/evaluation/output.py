"""Writing the output of ``evaluate`` and ``compare``. Files appear complete or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hilum.core.version import RUN_SCHEMA, __version__
from hilum.evaluation.compare import MODEL_COLUMNS, TEST_COLUMNS
from hilum.evaluation.report import render_comparison, render_evaluation
from hilum.evaluation.result import CASE_COLUMNS, FAILED_COLUMNS, Evaluation
from hilum.evaluation.summary import SUMMARY_COLUMNS
from hilum.io import OutputFolder, write_csv, write_json, write_text

if TYPE_CHECKING:
    from hilum.evaluation.compare import Comparison

__all__ = ["write_comparison", "write_evaluation"]


def write_evaluation(evaluation: Evaluation, folder: Path | str, *, report: bool = True) -> Path:
    """Write ``evaluation.json``, ``cases.csv``, ``summary.csv``, ``report.html`` and ``run.json``.

    Where cases failed, ``failed.csv`` names them.

    Args:
        evaluation: What :func:`hilum.evaluation.evaluate` returned.
        folder: The folder; an earlier result of hilum there is replaced.
        report: Whether to write ``report.html``.

    Raises:
        OutputError: It cannot be written; then no part of it is left.
    """
    with OutputFolder(Path(folder)) as out:
        write_json(out / "evaluation.json", evaluation.as_dict())
        write_csv(out / "cases.csv", CASE_COLUMNS, evaluation.rows())
        write_csv(out / "summary.csv", SUMMARY_COLUMNS, evaluation.summary_rows())
        if evaluation.failed:
            write_csv(out / "failed.csv", FAILED_COLUMNS, evaluation.failed_rows())
        if report:
            write_text(out / "report.html", render_evaluation(evaluation))
        _write_manifest(out, "evaluate")
    return Path(folder)


def write_comparison(comparison: Comparison, folder: Path | str, *, report: bool = True) -> Path:
    """Write ``comparison.json``, four tables, ``report.html`` and ``run.json``.

    Args:
        comparison: What :func:`hilum.evaluation.compare` returned.
        folder: The folder; an earlier result of hilum there is replaced.
        report: Whether to write ``report.html``.

    Raises:
        OutputError: It cannot be written; then no part of it is left.
    """
    with OutputFolder(Path(folder)) as out:
        write_json(out / "comparison.json", comparison.as_dict())
        write_csv(out / "models.csv", MODEL_COLUMNS, comparison.model_rows())
        write_csv(out / "summary.csv", ("model", *SUMMARY_COLUMNS), comparison.summary_rows())
        write_csv(out / "cases.csv", ("model", *CASE_COLUMNS), comparison.case_rows())
        write_csv(out / "tests.csv", TEST_COLUMNS, comparison.test_rows())
        if report:
            write_text(out / "report.html", render_comparison(comparison))
        _write_manifest(out, "compare")
    return Path(folder)


def _write_manifest(folder: Path, verb: str) -> None:
    files = sorted([*(path.name for path in folder.iterdir()), "run.json"])
    write_json(
        folder / "run.json",
        {"schema": RUN_SCHEMA, "hilum": __version__, "verb": verb, "files": files},
    )
