"""Generation of a digital chest with known truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hilum.core.errors import UsageError
from hilum.core.volume import ScanMeta, Volume
from hilum.synthesis.pathology import Pathology
from hilum.synthesis.phantoms.anatomy import Body
from hilum.synthesis.phantoms.findings import AirwayFinding, parse_findings
from hilum.synthesis.phantoms.grid import make_grid
from hilum.synthesis.phantoms.injury import parse_injury
from hilum.synthesis.phantoms.injury_map import InjuryTruth
from hilum.synthesis.phantoms.kernel import Kernel
from hilum.synthesis.phantoms.lung import ChestModel
from hilum.synthesis.phantoms.maps import TreeTruth, tree_truth
from hilum.synthesis.phantoms.render import render
from hilum.synthesis.phantoms.trees import Branch, Detail, Kind
from hilum.synthesis.phantoms.truth import Truth, integrate

__all__ = ["Phantom", "make_phantom"]


@dataclass(frozen=True, eq=False)
class Phantom:
    """A rendered chest and its exact truth.

    Attributes:
        volume: The scan, int16 HU.
        labels: uint8 lung labels on the grid of the scan by the label contract: 1 right, 2 left.
        truth: Volume, air and mass of the continuous lungs.
        tissue: uint8 map of airways, vessels and injuries on the same grid, see
            :class:`hilum.synthesis.phantoms.Tissue`.
        branches: Airway, artery and vein trees in mm in the frame of the scan (RAS).
        seed: The seed.
        parameters: Everything that was drawn from the seed or given, as plain data.
        trees: Label maps of airways, vessels and lobes and the sums of full trees; None with coarse trees.
        injury: Label map of the injuries with mL and grams; None for a chest without any.
    """

    volume: Volume
    labels: npt.NDArray[np.uint8]
    truth: Truth
    tissue: npt.NDArray[np.uint8]
    branches: dict[Kind, tuple[Branch, ...]]
    seed: int
    parameters: dict[str, object]
    trees: TreeTruth | None = None
    injury: InjuryTruth | None = None


def make_phantom(
    *,
    seed: int = 0,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    orientation: str = "LPS",
    oblique_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    shape: tuple[int, int, int] | None = None,
    injury: str | Mapping[str, float] | None = None,
    noise_hu: float = 15.0,
    kernel: str | Kernel = Kernel.STANDARD,
    prone: bool = False,
    expiration: float = 0.0,
    smoker_walls: float = 0.0,
    arms_down: bool = False,
    size: float = 1.0,
    coverage: tuple[float, float] = (0.0, 1.0),
    trees: str | Detail = Detail.COARSE,
    airway_findings: str | Mapping[str, float] | None = None,
) -> Phantom:
    """Make a digital chest. The same arguments give the same bytes.

    Args:
        seed: Draws body, trees, places of injuries and noise.
        spacing: Voxel size along i, j, k in mm.
        orientation: Direction in which each array axis grows, such as ``LPS`` or ``RAS``.
        oblique_deg: Rotation of the grid about the patient's x, y and z axis in degrees.
        shape: Voxels along i, j, k; None covers the whole chest with a margin.
        injury: Names with severity 0 to 1, as a mapping or as text (``"effusion:0.8,oedema"``).
        noise_hu: Standard deviation of the noise in HU.
        kernel: ``soft``, ``standard`` or ``sharp``.
        prone: Whether the patient lies face down.
        expiration: How far the patient has breathed out, 0 to 1: the diaphragm stands higher, and the lung is
            denser, below more than above.
        smoker_walls: How much thicker the airway walls in the lungs are, 0 to 1: up to half as thick again,
            in the upper lobes three quarters; no other sign of smoking.
        arms_down: Whether the arms lie beside the chest.
        size: Scale of the chest; 1 is an adult of about 1.75 m.
        coverage: Part of the foot-head field to keep; (0, 0.7) cuts the top of the chest. The truth always
            speaks of whole lungs.
        trees: ``coarse`` or ``full``, see :class:`hilum.synthesis.phantoms.Detail`. Full trees come with
            label maps of airways, vessels and lobes.
        airway_findings: Names with severity 0 to 1, as a mapping or as text
            (``"bronchiectasis:0.5,mucus"``), see :class:`hilum.synthesis.phantoms.AirwayFinding`. Full trees
            only.

    Raises:
        UsageError: An argument has a value that is not allowed; the message names it.

    Examples:
        >>> phantom = make_phantom(spacing=(4.0, 4.0, 4.0))
        >>> 3.0 < phantom.truth.lungs.volume_ml / 1000 < 7.0
        True
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError(f"seed is {seed!r}; it must be a whole number of at least 0.")
    if not 0.3 <= float(size) <= 1.5:
        raise UsageError(f"size is {size}; it must be between 0.3 and 1.5.")
    if not 0.0 <= float(noise_hu) <= 200.0:
        raise UsageError(f"noise_hu is {noise_hu}; it must be between 0 and 200 HU.")
    if not 0.0 <= float(expiration) <= 1.0:
        raise UsageError(f"expiration is {expiration}; it must be between 0 and 1.")
    if not 0.0 <= float(smoker_walls) <= 1.0:
        raise UsageError(f"smoker_walls is {smoker_walls}; it must be between 0 and 1.")
    try:
        chosen = Kernel(kernel)
    except ValueError:
        names = ", ".join(k.value for k in Kernel)
        raise UsageError(f"kernel is {kernel!r}; it must be one of {names}.") from None
    try:
        detail = Detail(trees)
    except ValueError:
        names = ", ".join(d.value for d in Detail)
        raise UsageError(f"trees is {trees!r}; it must be one of {names}.") from None
    severity = parse_injury(injury)
    findings = parse_findings(airway_findings)
    if findings and detail is not Detail.FULL:
        raise UsageError("Coarse trees show no findings in the airways.", "Ask for full trees.")
    seed = int(seed)
    body = Body.draw(seed, float(size), bool(prone), bool(arms_down)).expired(float(expiration))
    # The grid is checked before the long computation.
    grid = make_grid(
        spacing=spacing,
        orientation=orientation,
        oblique_deg=oblique_deg,
        shape=shape,
        coverage=coverage,
        size=body.size,
        prone=body.prone,
    )
    model, truth = _model(
        body,
        seed,
        tuple(sorted(severity.items())),
        detail,
        tuple(sorted(findings.items())),
        float(smoker_walls),
    )
    image = render(model, grid, seed=seed, noise_hu=float(noise_hu), kernel=chosen, injury=bool(severity))
    thickness = float(np.linalg.norm(grid.affine[:3, grid.slices]))
    meta = ScanMeta(
        name=f"phantom-{seed}",
        source_format="phantom",
        modality="CT",
        kernel=chosen.value,
        slice_thickness=thickness,
        patient_position="HFP" if prone else "HFS",
        contrast=False,
        body_part="CHEST",
    )
    parameters: dict[str, object] = {
        "seed": seed,
        "spacing": [float(s) for s in spacing],
        "orientation": str(orientation).upper(),
        "oblique_deg": [float(a) for a in oblique_deg],
        "shape": list(grid.shape),
        "coverage": [float(c) for c in coverage],
        "noise_hu": float(noise_hu),
        "kernel": chosen.value,
        "injury": {kind.value: value for kind, value in severity.items()},
        "body": model.body.as_dict(),
    }
    if smoker_walls:
        parameters["smoker_walls"] = float(smoker_walls)
    known: TreeTruth | None = None
    if detail is Detail.FULL:
        parameters["trees"] = detail.value
        parameters["airway_findings"] = {finding.value: value for finding, value in findings.items()}
        known = tree_truth(model, grid, image.labels, image.tissue)
    return Phantom(
        Volume(image.hu, grid.affine, meta),
        image.labels,
        replace(truth, labelled=image.labelled),
        image.tissue,
        {kind: _scaled(tree, model.body.size) for kind, tree in model.trees.items()},
        seed,
        parameters,
        known,
        image.injury,
    )


@lru_cache(maxsize=16)
def _model(
    body: Body,
    seed: int,
    severity: tuple[tuple[Pathology, float], ...],
    detail: Detail,
    findings: tuple[tuple[AirwayFinding, float], ...],
    smoker_walls: float,
) -> tuple[ChestModel, Truth]:
    """Build a chest and integrate its truth, once for all renderings."""
    model = ChestModel(body, seed, dict(severity), detail, dict(findings), smoker_walls)
    return model, integrate(model)


def _scaled(tree: tuple[Branch, ...], size: float) -> tuple[Branch, ...]:
    """Scale a tree from the frame of a chest of size 1 to millimetres of the scan."""

    def at(point: tuple[float, float, float]) -> tuple[float, float, float]:
        return point[0] * size, point[1] * size, point[2] * size

    return tuple(
        replace(
            b,
            start=at(b.start),
            end=at(b.end),
            radius=b.radius * size,
            wall=b.wall * size,
            path=tuple(at(point) for point in b.path),
        )
        for b in tree
    )
