"""``hilum segment``: from CT files to masks, measures and a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.cli.console import COMMAND_LINE, print_error, progress_bar, say, say_flags, say_json
from hilum.cli.options import (
    Calibrate,
    Json,
    KeepUids,
    Overwrite,
    Quiet,
    Resample,
    Series,
)
from hilum.core.errors import UsageError
from hilum.core.sentences import worded

if TYPE_CHECKING:
    from hilum.batch import Outcome
    from hilum.core.errors import HilumError
    from hilum.io.sources import Source

__all__ = ["command"]


def command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="NIfTI, NRRD, MHA/MHD, HU TIFF or DICOM file; folder of any depth; zip; or a pattern such "
            "as 'scans/*.nii.gz'.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for the results, with one folder per scan.")
    ] = None,
    task: Annotated[str, typer.Option(help="What to segment, comma-separated: lungs, pleura.")] = "lungs",
    model: Annotated[
        str, typer.Option(help="lungs (learned), classic (thresholds), or the folder of a trained run.")
    ] = "lungs",
    device: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    format: Annotated[
        str, typer.Option(help="Format of the masks: nifti, nrrd, dicom-seg; comma-separated.")
    ] = "nifti",
    series: Series = None,
    resample: Resample = False,
    calibrate: Calibrate = False,
    one: Annotated[
        bool, typer.Option("--one", help="Refuse inputs that hold more than one scan, and list them.")
    ] = False,
    overwrite: Overwrite = False,
    code_ids: Annotated[
        bool,
        typer.Option(
            "--code-ids", help="Name the folders 0, 1, 2 ...; OUT.subjects.json says which is which."
        ),
    ] = False,
    keep_uids: KeepUids = False,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html.")] = True,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Find the lungs in chest CTs, measure them, and write masks, measures and a report.

    A folder or zip gives all its volumes and, for each DICOM study, one chest CT by stated rules. A scan
    that fails does not stop the others; each failure is printed, and the exit code is that of the first.
    """
    from hilum.batch import WriteOptions, run_batch
    from hilum.pipeline import SegmentOptions
    from hilum.results import parse_formats
    from hilum.tasks.registry import parse_tasks

    formats = parse_formats(format)
    if out is None and not as_json:
        raise UsageError(
            "No folder for the results was given.", "Add -o FOLDER, or --json to print measures only."
        )
    outcomes = run_batch(
        inputs,
        SegmentOptions(
            tasks=parse_tasks(task),
            model=model,
            device=device,
            series=series,
            resample=resample,
            calibrate=calibrate,
        ),
        out,
        WriteOptions(formats, report, overwrite, keep_uids, code_ids),
        one=one,
        notify=lambda sentence: say(sentence, quiet=quiet, to_stderr=True),
        progress=lambda name: progress_bar(name, quiet),
    )
    ended: list[_Ended] = []
    for outcome in outcomes:
        _tell(outcome, quiet=quiet, to_stderr=as_json)
        ended.append(_Ended.of(outcome))
    if as_json:
        _print_json(ended)
    if len(ended) > 1:
        _tell_sum(ended, out, quiet=quiet, to_stderr=as_json)
    return next((outcome.error.exit_code for outcome in ended if outcome.error), 0)


@dataclass(frozen=True)
class _Ended:
    """What is kept of a scan until the end; not its voxels, since there may be thousands of scans."""

    source: Source
    error: HilumError | None
    measures: dict[str, object]

    @classmethod
    def of(cls, outcome: Outcome) -> _Ended:
        from hilum.results import measures_dict

        return cls(outcome.source, outcome.error, measures_dict(outcome.result) if outcome.result else {})


def _tell(outcome: Outcome, *, quiet: bool, to_stderr: bool) -> None:
    """Print the outcome of a scan: a line on its lungs and its flags, or why it failed."""
    from hilum.results import summary_line

    if outcome.error is not None:
        print_error(outcome.error, "" if outcome.source.alone else outcome.source.name)
    elif outcome.result is not None:
        line = summary_line(outcome.source.name, outcome.result, outcome.folder)
        say(line, quiet=quiet, to_stderr=to_stderr)
        say_flags(outcome.result.flags, quiet=quiet, to_stderr=to_stderr)


def _tell_sum(ended: Sequence[_Ended], out: Path | None, *, quiet: bool, to_stderr: bool) -> None:
    """Print how many scans were measured; to stderr, and even with ``--quiet``, if some failed."""
    failed = sum(outcome.error is not None for outcome in ended)
    line = f"{len(ended)} scans: {len(ended) - failed} measured, {failed} failed"
    if failed and out is not None:
        from hilum.ledger import FAILED

        line += f" ({out / FAILED})"
    say(line, quiet=quiet and not failed, to_stderr=to_stderr or bool(failed))


def _print_json(ended: Sequence[_Ended]) -> None:
    """Print the measures of one scan as they are; those of several as a list that includes failures."""
    if len(ended) == 1 and ended[0].source.alone:
        plain: object = None if ended[0].error else _plain(ended[0])
    else:
        plain = [_plain(outcome) for outcome in ended]
    if plain is not None:
        say_json(plain)


def _plain(outcome: _Ended) -> dict[str, object]:
    name = outcome.source.name
    if outcome.error is not None:
        message, hint = (worded(text, COMMAND_LINE) for text in (outcome.error.message, outcome.error.hint))
        said = {"code": outcome.error.exit_code, "message": message, "hint": hint}
        return {"name": name, "error": said}
    return {"name": name, **outcome.measures}
