"""``hilum prepare``: from pairs of image and mask to a dataset of slices or volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import hilum
from hilum.cli.console import print_error, progress_bar, say, say_json
from hilum.cli.options import Json, Labels, Quiet

__all__ = ["command"]


def command(
    pairs: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS",
            help="Folder with NAME_ct.nii.gz and NAME_lungs.nii.gz; folder with images and masks (or "
            "imagesTr and labelsTr); CSV with the columns image, mask and, if wanted, subject; "
            "dataset.json of nnU-Net or of the Decathlon.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The dataset: a new folder, or one to resume.")],
    masks: Annotated[
        Path | None, typer.Option(help="Folder of masks; PAIRS is then the folder of images.")
    ] = None,
    plane: Annotated[str, typer.Option(help="coronal, axial or sagittal.")] = "coronal",
    spacing: Annotated[
        str, typer.Option(help="Pixel size: keep, square (the finer of the two), or ROW,COLUMN in mm.")
    ] = "keep",
    sides: Annotated[
        bool,
        typer.Option("--sides", help="Label right (1) and left (2) lung separately; otherwise both are 1."),
    ] = False,
    volumes: Annotated[
        bool,
        typer.Option("--volumes", help="Make volumes of isotropic voxels, for hilum train --model volume."),
    ] = False,
    step: Annotated[float, typer.Option("--step-mm", help="Voxel size of --volumes in mm.")] = 3.5,
    labels: Labels = None,
    resample_masks: Annotated[
        bool,
        typer.Option("--resample-masks", help="Resample masks on other grids to the grid of their image."),
    ] = False,
    subjects: Annotated[
        Path | None,
        typer.Option(
            help="JSON file that maps numbers to names of subjects.", show_default="OUT.subjects.json"
        ),
    ] = None,
    jobs: Annotated[
        str,
        typer.Option(
            help="Subjects at a time, each in a process of its own: a number, or auto.", metavar="N|auto"
        ),
    ] = "auto",
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Make a training dataset from CT volumes and their masks: slices, or volumes with --volumes.

    Writes images/ID_SLICE.tiff (16-bit HU), masks/ID_SLICE.png, index.csv, index.parquet, dataset.json; with
    --volumes images/ID_0_ct.nii and masks/ID_0_labels.nii on isotropic voxels, index.csv and dataset.json.
    There --labels may also name pleural fluid and free gas: 1=right,2=left,3=fluid,4=gas.
    Names of subjects become numbers; the dictionary is written beside the dataset, for its owner only.
    The same command resumes a run that was stopped. Pairs that cannot be used are listed, and the
    exit code is then that of the first.
    """
    with progress_bar("prepare", quiet) as progress:
        done = hilum.prepare(
            pairs,
            out,
            masks=masks,
            plane=plane,
            spacing=spacing,
            sides=sides,
            volumes=volumes,
            step_mm=step,
            labels=labels,
            resample_masks=resample_masks,
            subjects=subjects,
            jobs=jobs,
            progress=progress,
        )
    code = 0
    for refused in done.refused:
        failure = print_error(refused.error, about=f"refused {refused.name} (subject {refused.id})")
        code = code or failure
    for number, note, sentence in done.notes:
        say(f"  {note}: subject {number}: {sentence}", quiet=quiet, to_stderr=as_json)
    if as_json:
        report = {
            "dataset": str(done.dataset),
            "subjects": done.subjects,
            "volumes" if volumes else "slices": done.slices,
            "made": list(done.made),
            "kept": list(done.kept),
            "notes": [{"id": number, "code": note, "text": text} for number, note, text in done.notes],
            "refused": [{"id": r.id, "reason": r.error.message} for r in done.refused],
        }
        say_json(report)
    kept = f" ({len(done.kept)} were there already)" if done.kept else ""
    plural = "s" if done.subjects != 1 else ""
    what = "volumes" if volumes else "slices"
    line = f"{done.slices} {what} of {done.subjects} subject{plural}{kept} -> {done.dataset}"
    say(line, quiet=quiet, to_stderr=as_json)
    say(f"names: {done.dictionary}", quiet=quiet, to_stderr=as_json)
    return code
