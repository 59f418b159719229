"""``hilum phantom``: digital chests with exact truth, as NIfTI pairs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import hilum
from hilum.cli.console import progress_bar, say
from hilum.cli.options import Quiet
from hilum.core.errors import UsageError

if TYPE_CHECKING:
    from hilum.synthesis.phantoms import Phantom

__all__ = ["command"]


def command(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the pairs.", show_default=False)],
    subjects: Annotated[int, typer.Option(min=1, help="How many chests.")] = 1,
    injury: Annotated[
        str | None,
        typer.Option(help="Injuries with a severity of 0 to 1, such as ground_glass:0.5,effusion:0.3."),
    ] = None,
    spacing: Annotated[str, typer.Option(help="Voxel size x,y,z in mm.")] = "1,1,1",
    noise: Annotated[float, typer.Option(min=0, help="Standard deviation of the noise in HU.")] = 15.0,
    prone: Annotated[bool, typer.Option("--prone", help="The patient lies face down.")] = False,
    expiration: Annotated[
        float, typer.Option(min=0, max=1, help="How far the patient has breathed out, 0 to 1.")
    ] = 0.0,
    smoker_walls: Annotated[
        float, typer.Option(min=0, max=1, help="How much thicker airway walls are, as in smokers, 0 to 1.")
    ] = 0.0,
    trees: Annotated[
        str,
        typer.Option(help="coarse, or full for branches down to a lumen of 1.2 mm, with their label maps."),
    ] = "coarse",
    airway_findings: Annotated[
        str | None,
        typer.Option(
            help="With full trees: bronchiectasis, mucus, thick_walls, tracheal_bronchus, cardiac_bronchus, "
            "each with a severity of 0 to 1, such as bronchiectasis:0.5,mucus:0.3."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first chest; the others count on from it.")] = 0,
    quiet: Quiet = False,
) -> int:
    """Write digital chests: NAME_ct.nii.gz, NAME_lungs.nii.gz and truth.json.

    Injuries add NAME_injury.nii.gz, with mL and grams of each class in truth.json. Full trees add
    NAME_airways, NAME_vessels and NAME_lobes.nii.gz and NAME_branches.csv.
    """
    # The results bring numpy, which the help of a command does without.
    from hilum.results import write_phantoms

    try:
        sizes = tuple(float(part) for part in spacing.split(","))
    except ValueError as error:
        raise UsageError(f"spacing is {spacing!r}, expected three numbers such as 1,1,1.") from error
    if len(sizes) != 3:
        raise UsageError(f"spacing is {spacing!r}, expected three numbers such as 1,1,1.")
    with progress_bar("phantom", quiet) as progress:

        def chests() -> Iterator[Phantom]:
            for index in range(subjects):
                if progress:
                    progress(index / subjects, f"chest {index + 1} of {subjects}")
                yield hilum.phantom(
                    seed=seed + index,
                    spacing=sizes,
                    injury=injury,
                    noise_hu=noise,
                    prone=prone,
                    expiration=expiration,
                    smoker_walls=smoker_walls,
                    trees=trees,
                    airway_findings=airway_findings,
                )

        written = write_phantoms(chests(), out)
    say(f"{subjects} chest{'s' if subjects != 1 else ''} written to {written}", quiet=quiet)
    return 0
