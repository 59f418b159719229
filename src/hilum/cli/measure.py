"""``hilum measure``: measures and report from a CT and a mask that is there already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import hilum
from hilum import io
from hilum.cli.console import progress_bar, say, say_flags, say_json
from hilum.cli.options import Calibrate, Json, KeepUids, Labels, Overwrite, Quiet, Resample, Series
from hilum.core.errors import UsageError

__all__ = ["command"]


def command(
    ct: Annotated[str, typer.Argument(help="The CT, as in hilum segment.", show_default=False)],
    mask: Annotated[
        str,
        typer.Argument(
            help="Its lungs: label map, DICOM SEG, or a folder with one file per structure.",
            show_default=False,
        ),
    ],
    labels: Labels = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for the results, with one folder for the scan.")
    ] = None,
    series: Series = None,
    resample: Resample = False,
    calibrate: Calibrate = False,
    overwrite: Overwrite = False,
    keep_uids: KeepUids = False,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html.")] = True,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Measure lungs whose mask is given, by hilum or by another program.

    Masks of TotalSegmentator, lungmask, 3D Slicer, nnU-Net, the Chest Imaging Platform, and DICOM SEG.
    """
    # They bring numpy, which the help of a command does without.
    from hilum.batch import Ledger
    from hilum.results import measures_dict, summary_line

    if out is None and not as_json:
        raise UsageError(
            "No folder for the results was given.", "Add -o FOLDER, or --json to print measures only."
        )
    source = io.Source.single(ct)
    name, where = source.name, None if out is None else out / source.name
    with Ledger(out) as ledger, progress_bar(name, quiet) as progress:
        result = hilum.measure(
            ct, mask, labels=labels, series=series, resample=resample, calibrate=calibrate, progress=progress
        )
        if where is not None:
            uid = result.volume.meta.series_uid
            about = ledger.salt.series(uid, clear=keep_uids)
            hilum.write_result(result, where, formats=(), report=report, overwrite=overwrite, series=about)
            ledger.done(source, series_uid=uid, fingerprint=result.run.fingerprint)
    say(summary_line(name, result, where), quiet=quiet, to_stderr=as_json)
    say_flags(result.flags, quiet=quiet, to_stderr=as_json)
    if as_json:
        say_json({"name": name, **measures_dict(result)})
    return 0
