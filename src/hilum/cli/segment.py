"""``hilum segment``: from CT files to masks, measures and a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hilum.cli.options import Calibrate, Json, Quiet, Resample, Series, progress_bar, say, say_flags
from hilum.errors import HilumError, UsageError

__all__ = ["command"]


def command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="NIfTI, NRRD, MHA/MHD, HU TIFF, DICOM file or folder, or a zip of one.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for the results, one folder a scan in it.")
    ] = None,
    task: Annotated[str, typer.Option(help="What to segment, comma-separated.")] = "lungs",
    model: Annotated[
        str, typer.Option(help="lungs (learned), classic (thresholds), or the folder of a trained run.")
    ] = "lungs",
    device: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    format: Annotated[
        str, typer.Option(help="Of the masks: nifti, nrrd, dicom-seg; comma-separated.")
    ] = "nifti",
    series: Series = None,
    resample: Resample = False,
    calibrate: Calibrate = False,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html.")] = True,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Find the lungs in chest CTs, measure them, and write masks, measures and a report.

    Several inputs are done one after the other; one that fails does not stop the others, and the exit code
    is that of the first failure.
    """
    from hilum.cli.app import complain
    from hilum.output import folder_names, parse_formats

    formats = parse_formats(format)
    if out is None and not as_json:
        raise UsageError(
            "No folder for the results was given.", "Add -o FOLDER, or --json to print measures only."
        )
    code = 0
    printed: list[dict[str, object]] = []
    for source, name in zip(inputs, folder_names(inputs), strict=True):
        try:
            import hilum

            with progress_bar(name, quiet) as progress:
                result = hilum.segment(
                    source,
                    task=task,
                    model=model,
                    device=device,
                    series=series,
                    resample=resample,
                    calibrate=calibrate,
                    progress=progress,
                )
                where = _write(result, out, name, formats, report)
        except HilumError as error:
            code = code or complain(error, name if len(inputs) > 1 else "")
            continue
        from hilum.output import summary_line

        say(summary_line(name, result, where), quiet=quiet, to_stderr=as_json)
        say_flags(result.flags, quiet=quiet, to_stderr=as_json)
        printed.append({"name": name, **result.measures.as_dict()})
    if as_json and printed:
        print(json.dumps(printed[0] if len(inputs) == 1 else printed, indent=2, ensure_ascii=False))
    return code


def _write(result: object, out: Path | None, name: str, formats: object, report: bool) -> Path | None:
    if out is None:
        return None
    from hilum.output import write_result

    return write_result(result, out / name, formats=formats, report=report)  # type: ignore[arg-type]
