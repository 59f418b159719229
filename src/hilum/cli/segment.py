"""``hilum segment``: from CT files to masks, measures and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import hilum
from hilum.cli.console import progress_bar, say
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
    # They bring numpy and pydantic, which the help of a command does without.
    from hilum.batch import WriteOptions, run_batch
    from hilum.cli.outcomes import Ended, print_json, tell, tell_sum
    from hilum.results import parse_formats
    from hilum.tasks.registry import parse_tasks

    formats = parse_formats(format)
    if out is None and not as_json:
        raise UsageError(
            "No folder for the results was given.", "Add -o FOLDER, or --json to print measures only."
        )
    outcomes = run_batch(
        inputs,
        hilum.SegmentOptions(
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
    ended: list[Ended] = []
    for outcome in outcomes:
        tell(outcome, quiet=quiet, to_stderr=as_json)
        ended.append(Ended.of(outcome))
    if as_json:
        print_json(ended)
    if len(ended) > 1:
        tell_sum(ended, out, quiet=quiet, to_stderr=as_json)
    return next((outcome.error.exit_code for outcome in ended if outcome.error), 0)
