from __future__ import annotations

import itertools

import numpy as np
import pytest

from hilum.core.errors import UsageError
from hilum.synthesis.phantoms import make_phantom
from hilum.synthesis.phantoms.grid import FIELD_MM, make_grid

DEFAULTS = {
    "spacing": (2.0, 2.0, 3.0),
    "orientation": "LPS",
    "oblique_deg": (0.0, 0.0, 0.0),
    "shape": None,
    "coverage": (0.0, 1.0),
    "size": 1.0,
    "prone": False,
}

ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(("LR", "PA", "IS"))
    for letters in itertools.product(*axes)
]


def test_there_are_48_orientations() -> None:
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_affine_is_the_requested_one(orientation: str) -> None:
    import nibabel as nib

    grid = make_grid(**{**DEFAULTS, "orientation": orientation, "spacing": (2.0, 3.0, 4.0)})
    assert "".join(nib.aff2axcodes(grid.affine)) == orientation
    assert np.linalg.norm(grid.affine[:3, :3], axis=0) == pytest.approx([2.0, 3.0, 4.0])
    assert orientation[grid.slices] in "IS"


@pytest.mark.parametrize("chunks", [[0, 5], [0, 2, 5]])
def test_sub_points_average_to_the_voxel_centre(chunks: list[int]) -> None:
    grid = make_grid(
        **{**DEFAULTS, "shape": (3, 4, 5), "oblique_deg": (5.0, 10.0, -4.0), "spacing": (1.0, 2.6, 5.0)}
    )
    for first, last in itertools.pairwise(chunks):
        lattice = grid.chunk(first, last, size=1.0)
        x, y, z = (np.broadcast_to(c, lattice.shape) for c in lattice.coordinates)
        a, b, c = grid.factors()
        # The order is slices, rows, columns: k, j, i for LPS.
        mine = [v.reshape((last - first), a, 4, b, 3, c).mean(axis=(1, 3, 5)) for v in (x, y, z)]
        index = np.stack(np.meshgrid(range(first, last), range(4), range(3), indexing="ij"))[::-1]
        wanted = np.einsum("ab,b...->a...", grid.affine[:3, :3], index) + grid.affine[:3, 3, None, None, None]
        assert np.stack(mine) == pytest.approx(wanted, abs=1e-3)


def test_coverage_cuts_the_field_at_the_top() -> None:
    whole = make_grid(**DEFAULTS)
    cut = make_grid(**{**DEFAULTS, "coverage": (0.0, 0.6)})
    top = [float((g.affine @ [0, 0, g.shape[2] - 1, 1])[2]) for g in (whole, cut)]
    bottom = [float(g.affine[2, 3]) for g in (whole, cut)]
    assert top[0] - top[1] == pytest.approx(0.4 * FIELD_MM[2], abs=4)
    assert bottom[0] == pytest.approx(bottom[1], abs=3)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("spacing", (0.0, 1.0, 1.0)),
        ("spacing", (1.0, 1.0)),
        ("spacing", (1.0, 1.0, float("nan"))),
        ("orientation", "LLS"),
        ("orientation", "XYZ"),
        ("orientation", "LP"),
        ("oblique_deg", (0.0, float("inf"), 0.0)),
        ("shape", (0, 5, 5)),
        ("shape", (100_000, 100_000, 1_000)),
        ("coverage", (0.5, 0.5)),
        ("coverage", (-0.1, 1.0)),
        ("seed", -1),
        ("seed", 1.5),
        ("size", 9.0),
        ("noise_hu", -1.0),
        ("noise_hu", float("nan")),
        ("kernel", "B40f"),
        ("injury", "flu"),
        ("injury", {"effusion": 1.2}),
        ("injury", "effusion:much"),
    ],
)
def test_a_bad_argument_is_named(argument: str, value: object) -> None:
    with pytest.raises(UsageError, match=argument if argument != "injury" else "injury|severity"):
        make_phantom(**{argument: value})  # type: ignore[arg-type]
