"""``hilum segment``: from CT files to masks, measures and a report."""

from __future__ import annotations

from typing import Annotated

import typer

import hilum
from hilum.cli import signals
from hilum.cli.batch_bar import BatchBar
from hilum.cli.console import say
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
            help="NIfTI, NRRD, MHA/MHD, HU TIFF or DICOM file; folder of any depth; zip; a pattern such as "
            "'scans/*.nii.gz'; a URL such as s3://bucket/scans; @list.txt with one of these a line; or a CSV "
            "with a column 'scan'.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FOLDER",
            help="Folder or URL for the results; with --layout bids it may be left out.",
        ),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(
            help="folders (one for each scan), or bids: INPUT is a BIDS dataset, and the results are a "
            "derivative of it, INPUT/derivatives/hilum without -o."
        ),
    ] = "folders",
    task: Annotated[
        str,
        typer.Option(help="Comma-separated: lungs, pleura, lobes, airways, vessels, injury."),
    ] = "lungs",
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
    predicted_weight_g: Annotated[
        float | None,
        typer.Option(
            help="Predicted weight of the patient's lungs in g; the task injury gives the excess over it.",
            show_default="none",
        ),
    ] = None,
    jobs: Annotated[
        str,
        typer.Option(
            help="Scans at a time, each in a process of its own: a number, or auto.", metavar="N|auto"
        ),
    ] = "1",
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Leave alone what was done before with the same files, options and versions."
        ),
    ] = False,
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds that one scan may take.", show_default="none")
    ] = None,
    memory_limit: Annotated[
        float | None,
        typer.Option(help="Memory in GB that one scan may take.", show_default="its part of what is free"),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(help="Do one part of the scans, such as 3/50 for the third of 50.", metavar="K/N"),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            help="Do the scans in workers of Ray: ray for this machine, or the address of a cluster whose "
            "machines see the same files.",
            metavar="ray|ray://HOST:PORT",
            show_default="this machine, without Ray",
        ),
    ] = None,
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
    from hilum.cli.outcomes import how_to_go_on, print_json, tell, tell_sum
    from hilum.results import parse_formats

    if out is None and layout == "folders" and not as_json:
        raise UsageError(
            "No folder for the results was given.", "Add -o FOLDER, or --json to print measures only."
        )

    def notify(sentence: str) -> None:
        with bar.paused():
            say(sentence, quiet=quiet, to_stderr=True)

    batch = hilum.run_batch(
        inputs,
        out,
        layout=layout,
        task=task,
        model=model,
        device=device,
        series=series,
        resample=resample,
        calibrate=calibrate,
        predicted_weight_g=predicted_weight_g,
        formats=parse_formats(format),
        report=report,
        overwrite=overwrite,
        code_ids=code_ids,
        keep_uids=keep_uids,
        jobs=jobs,
        resume=resume,
        time_limit=time_limit,
        memory_limit=memory_limit,
        part=part,
        on=on,
        one=one,
        notify=notify,
        progress=lambda name: bar.scan(name),
    )
    counts, bar = batch.counts, BatchBar(batch.counts, quiet=quiet)
    outcomes: list[hilum.Outcome] = []
    failures: list[tuple[int, int]] = []
    try:
        with bar, batch:
            for outcome in batch:
                with bar.paused():
                    tell(outcome, quiet=quiet, to_stderr=as_json)
                if outcome.error is not None:
                    failures.append((outcome.index, outcome.error.exit_code))
                if as_json:
                    outcomes.append(outcome)
    except signals.Stopped as stop:
        if batch.out is not None and (counts.total or 0) > 1:
            stop.hint = how_to_go_on(counts)
        raise
    if as_json:
        print_json(outcomes)
    if counts.ended != 1:
        tell_sum(counts, batch.out, quiet=quiet, to_stderr=as_json)
    return min(failures, default=(0, 0))[1]
