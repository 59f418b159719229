"""Full trees: counts and volumes, laws of the radii, places, label maps, tables and findings."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.spatial import cKDTree

from hilum.core import labels
from hilum.core.errors import UsageError
from hilum.core.labels import LOBES, Lung
from hilum.synthesis.phantoms import Airway, Branch, Kind, Lobe, Phantom, Vessel, make_phantom
from hilum.synthesis.phantoms.anatomy import Anatomy, Body
from hilum.synthesis.phantoms.branch_table import BRANCH_COLUMNS, branch_rows
from hilum.synthesis.phantoms.fields import Lattice
from hilum.synthesis.phantoms.findings import parse_findings
from hilum.synthesis.phantoms.full_trees import grow_full_trees
from hilum.synthesis.phantoms.grid import CENTRE_MM, FIELD_MM
from hilum.synthesis.phantoms.trees import Tree, as_coordinates
from hilum.synthesis.phantoms.tubes import FineTubes, Tubes

#: One chest in the quick tests; the others are grown in the slow ones, five CPU seconds each.
SEEDS = (0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2)))
ALL_FINDINGS = "bronchiectasis:1,mucus:1,thick_walls:0.5,tracheal_bronchus:0.5,cardiac_bronchus:1"


@lru_cache
def grown(seed: int, findings: str | None = None) -> tuple[Anatomy, dict[Kind, Tree]]:
    anatomy = Anatomy(Body.draw(seed, 1.0, False, False))
    return anatomy, grow_full_trees(anatomy, seed, parse_findings(findings))


@pytest.fixture(scope="module")
def full() -> Phantom:
    return make_phantom(seed=1, spacing=(2.5, 2.5, 2.5), noise_hu=0.0, trees="full")


def field_of_view(body: Body, step: float = 1.0) -> Lattice:
    """Voxels of the default field, in the frame of a chest of size 1."""
    low = (CENTRE_MM - FIELD_MM / 2) + step / body.size / 2
    counts = np.floor(FIELD_MM * body.size / step).astype(int).tolist()
    return Lattice(np.eye(3) * step / body.size, low, (counts[0], counts[1], counts[2]))


def along(tree: Tree) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points on the axes at most 1 mm apart, their outer radius and branch."""
    tubes = Tubes.of(tree)
    number = np.repeat(np.arange(len(tree)), [len(b.path) + 1 for b in tree])
    counts = np.maximum(1, np.ceil(np.linalg.norm(tubes.end - tubes.start, axis=1))).astype(int)
    row = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    t = ((place + 0.5) / counts[row])[:, None]
    points = tubes.start[row] * (1 - t) + tubes.end[row] * t
    return points, (tubes.radius + tubes.wall)[row], number[row]


def volume(tree: Tree) -> float:
    return float(sum(np.pi * b.radius**2 * b.length for b in tree))


def atm_branches(mask: np.ndarray) -> int:
    """Branches by the rule of ATM'22: skeleton pieces of at least 5 voxels between junctions."""
    morphology = pytest.importorskip("skimage.morphology")
    import cc3d
    from scipy import ndimage

    tree = cc3d.largest_k(mask, k=1, connectivity=26) > 0
    skeleton = morphology.skeletonize(ndimage.binary_fill_holes(tree)) > 0
    around = ndimage.convolve(skeleton.astype(np.uint8), np.ones((3, 3, 3)), mode="constant")
    pieces = cc3d.connected_components(skeleton & (around <= 3), connectivity=26)
    return int((np.bincount(pieces.ravel())[1:] >= 5).sum())


@pytest.mark.parametrize("seed", SEEDS)
def test_airways_are_as_many_and_as_large_as_networks_find_in_patients(seed: int) -> None:
    anatomy, trees = grown(seed)
    mask = Tubes.of(trees[Kind.AIRWAY]).inside(field_of_view(anatomy.body))
    assert 40 < mask.sum() / 1000 < 65
    assert 300 <= atm_branches(mask) <= 450


@pytest.mark.parametrize("seed", SEEDS)
def test_vessels_are_as_large_as_in_patients(seed: int) -> None:
    anatomy, trees = grown(seed)
    ml = sum(volume(trees[kind]) for kind in (Kind.ARTERY, Kind.VEIN)) * anatomy.body.size**3 / 1000
    assert 120 < ml < 300


def test_branches_end_at_the_stated_calibres() -> None:
    anatomy, trees = grown(0)
    size = anatomy.body.size
    lumens = [2 * b.radius * size for b in trees[Kind.AIRWAY]]
    assert min(lumens) == pytest.approx(1.2, abs=0.02)
    assert min(lumens) >= 1.2 - 1e-9
    for kind in (Kind.ARTERY, Kind.VEIN):
        radii = np.array([b.radius * size for b in trees[kind]])
        assert radii.min() == pytest.approx(0.3)
        # No two are alike, so a class by calibre is no single step.
        assert len(np.unique(radii.round(9))) > 0.99 * len(radii)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("side", [1, -1])
def test_one_exponent_rules_all_bifurcations_of_a_tree(kind: Kind, side: int) -> None:
    tree = grown(0)[1][kind]
    daughters: dict[int, list[float]] = {}
    for branch in tree:
        if branch.parent >= 0 and branch.side == side:
            daughters.setdefault(branch.parent, []).append(branch.radius)
    forks = [(tree[p].radius, radii) for p, radii in daughters.items() if len(radii) == 2 and tree[p].side]
    assert len(forks) > 50

    def excess(exponent: float, fork: tuple[float, list[float]]) -> float:
        return sum((radius / fork[0]) ** exponent for radius in fork[1]) - 1

    exponent = brentq(excess, 1.0, 6.0, args=(forks[0],))
    assert 2.2 < exponent < 3.0
    assert np.abs([excess(exponent, fork) for fork in forks]).max() < 1e-6


@pytest.mark.parametrize("kind", list(Kind))
def test_branches_join_and_are_curved(kind: Kind) -> None:
    tree = grown(0)[1][kind]
    bent = 0
    for index, branch in enumerate(tree):
        assert branch.parent < index
        if branch.parent >= 0:
            assert branch.start == tree[branch.parent].end
            assert branch.generation == tree[branch.parent].generation + 1
        bent += branch.length > 1.003 * np.linalg.norm(np.subtract(branch.end, branch.start))
    assert bent > 0.5 * len(tree)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", list(Kind))
def test_branches_beyond_the_hilum_stay_in_their_lobe(seed: int, kind: Kind) -> None:
    anatomy, trees = grown(seed)
    tree = trees[kind]
    points, _, number = along(tree)
    for lobe in Lobe:
        # The first branch of a lobe crosses the hilum.
        inner = np.array([b.lobe == lobe and b.parent >= 0 and tree[b.parent].lobe == lobe for b in tree])
        p = as_coordinates(points[inner[number]])
        assert len(p[0]) > 100
        outside = np.maximum(anatomy.lung(p, lobe.side), anatomy.lobe_field(p, lobe)) > 0
        assert outside.mean() < 0.005, lobe


@pytest.mark.parametrize("seed", SEEDS)
def test_trees_keep_apart(seed: int) -> None:
    trees = grown(seed)[1]
    axes = {kind: along(tree) for kind, tree in trees.items()}

    def overlap(one: Kind, other: Kind) -> tuple[float, float]:
        points, radius, _ = axes[one]
        others, outer, _ = axes[other]
        distance, index = cKDTree(others).query(points, k=24)
        depth = (outer[index] + radius[:, None] - distance).max(axis=1)
        return float((depth > 0.3).mean()), float((depth > radius).mean())

    touching, inside = overlap(Kind.ARTERY, Kind.AIRWAY)
    assert touching < 0.002
    assert inside < 0.001
    for other in (Kind.AIRWAY, Kind.ARTERY):
        touching, inside = overlap(Kind.VEIN, other)
        assert touching < 0.02
        assert inside < 0.004


@pytest.mark.parametrize("seed", SEEDS)
def test_no_part_of_the_lungs_is_bare(seed: int) -> None:
    anatomy, trees = grown(seed)
    vessels = np.concatenate([along(trees[kind])[0] for kind in (Kind.ARTERY, Kind.VEIN)])
    rng = np.random.default_rng(0)
    points = rng.uniform((-150, -108, -182), (150, 108, 128), (40_000, 3))
    p = as_coordinates(points)
    deep = np.minimum(anatomy.lung(p, 1), anatomy.lung(p, -1)) < -5
    distance = cKDTree(vessels).query(points[deep])[0]
    assert np.percentile(distance, 99) < 10
    assert distance.max() < 18


def test_the_volume_of_the_airway_map_is_that_of_the_table() -> None:
    tree = grown(1)[1][Kind.AIRWAY]
    # A lattice that holds the whole trachea.
    lattice = Lattice(np.eye(3), np.array([-150.0, -110, -190]), (300, 220, 370))
    assert Tubes.of(tree).inside(lattice).sum() == pytest.approx(volume(tree), rel=0.05)
    # The rule of the centre is right on the mean for the thinnest airways, too. Their ends are round.
    for low, high in ((0.6, 1.0), (1.0, 2.0), (2.0, 4.0)):
        part = [b for b in tree if low <= b.radius < high]
        assert Tubes.of(part).inside(lattice).sum() == pytest.approx(volume(tuple(part)), rel=0.05)


def test_the_volume_of_the_vessel_map_is_that_of_the_summary(full: Phantom) -> None:
    assert full.trees is not None
    vessels = full.trees.summary["vessels"]
    assert isinstance(vessels, dict)
    for value, name in ((Vessel.ARTERY, "artery_ml"), (Vessel.VEIN, "vein_ml")):
        voxels = ((full.trees.vessels == value) & (full.labels > 0)).sum()
        assert voxels * full.volume.voxel_volume_ml == pytest.approx(vessels[name], rel=0.05)


@pytest.mark.parametrize("width", [1.0, 2.25])
def test_thin_tubes_keep_their_volume_on_any_lattice(width: float) -> None:
    rng = np.random.default_rng(3)
    start = rng.uniform(10, 50, (300, 3))
    along_ = rng.normal(0, 5, (300, 3))
    radius = rng.uniform(0.3, 0.5, 300)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    for matrix in (np.eye(3) * width, turn * width):
        origin = np.full(3, 30.0) - matrix @ np.full(3, 60.0)
        lattice = Lattice(matrix, origin, (120, 120, 120))
        for one in range(0, 300, 30):
            tube = FineTubes(start[one][None], (start + along_)[one][None], radius[one][None], np.zeros(1))
            true = np.pi * radius[one] ** 2 * np.linalg.norm(along_[one])
            assert tube.coverage(lattice).sum() * width**3 == pytest.approx(true, rel=1e-4)


def test_same_seed_same_trees_and_another_seed_others() -> None:
    anatomy, first = grown(0)
    again = grow_full_trees(anatomy, 0, {})
    assert all(first[kind] == again[kind] for kind in Kind)
    assert first[Kind.AIRWAY][5] != grown(1)[1][Kind.AIRWAY][5]


@pytest.mark.slow
def test_maps_follow_the_orientation_and_hardly_depend_on_spacing(full: Phantom) -> None:
    assert full.trees is not None
    other = make_phantom(
        seed=1, spacing=(2.5, 2.5, 2.5), noise_hu=0.0, trees="full", orientation="SRA"
    )  # fmt: skip
    assert other.trees is not None
    fine = make_phantom(seed=1, spacing=(1.7, 2.0, 3.0), noise_hu=0.0, trees="full")
    assert fine.trees is not None
    for name in ("airways", "vessels", "lobes"):
        mine, theirs, third = (getattr(p.trees, name) for p in (full, other, fine))
        turned = theirs.transpose(1, 2, 0)[::-1, ::-1]
        assert (turned != mine).sum() <= 0.002 * (mine > 0).sum() + 2, name
        for value in np.unique(mine[mine > 0]):
            ml = (mine == value).sum() * full.volume.voxel_volume_ml
            assert (third == value).sum() * fine.volume.voxel_volume_ml == pytest.approx(ml, rel=0.06), name
    assert full.trees.summary == other.trees.summary == fine.trees.summary


def test_maps_do_not_overlap_and_hold_the_central_airways(full: Phantom) -> None:
    assert full.trees is not None
    airways, vessels, lobes = full.trees.airways, full.trees.vessels, full.trees.lobes
    assert not ((airways > 0) & (vessels > 0)).any()
    assert ((lobes > 0) == (full.labels > 0)).all()
    assert set(np.unique(airways)) == {0, Airway.LUMEN, Airway.WALL}
    assert set(np.unique(vessels)) == {0, Vessel.ARTERY, Vessel.VEIN}
    lumen = (airways == Airway.LUMEN) & (full.labels == 0)
    # Trachea and main bronchi lie outside the lungs and hold air.
    assert lumen.sum() * full.volume.voxel_volume_ml > 15
    assert np.median(full.volume.hu[lumen]) < -950


def test_lobes_have_the_values_of_the_task_of_this_name(full: Phantom) -> None:
    assert full.trees is not None
    lobes = full.trees.lobes
    sides = {value: set(np.unique(full.labels[lobes == value])) for value in LOBES}
    right = (labels.Lobe.RIGHT_UPPER, labels.Lobe.RIGHT_MIDDLE, labels.Lobe.RIGHT_LOWER)
    assert sides == {value: {Lung.RIGHT if value in right else Lung.LEFT} for value in LOBES}
    up = full.volume.affine[2, :3]
    heights = {value: (np.argwhere(lobes == value) @ up).mean() for value in LOBES}
    assert heights[labels.Lobe.RIGHT_UPPER] > heights[labels.Lobe.RIGHT_LOWER]
    assert heights[labels.Lobe.LEFT_UPPER] > heights[labels.Lobe.LEFT_LOWER]


def test_volumes_by_section_add_up_to_the_volume_of_the_tissue(full: Phantom) -> None:
    assert full.trees is not None
    vessels = full.trees.summary["vessels"]
    assert isinstance(vessels, dict)
    total = vessels["total_ml"]
    assert vessels["artery_ml"] + vessels["vein_ml"] == pytest.approx(total)
    parts = [vessels[name] for name in ("bv5_ml", "bv5_10_ml", "bv10_plus_ml")]
    assert sum(parts) == pytest.approx(total)
    assert min(parts) > 0.05 * total
    assert full.truth.tissues_ml["vessel"] == pytest.approx(total, rel=0.05)


@pytest.mark.slow
def test_fluid_and_nodules_take_the_place_of_the_trees() -> None:
    hurt = make_phantom(
        seed=1, spacing=(3.0,) * 3, noise_hu=0.0, trees="full", injury="effusion:0.8,nodule:1"
    )
    assert hurt.trees is not None
    for name in ("EFFUSION", "NODULE"):
        from hilum.synthesis.phantoms import Tissue

        where = hurt.tissue == Tissue[name]
        assert where.any()
        assert not hurt.trees.airways[where].any()
        assert not hurt.trees.vessels[where].any()


def _far_lumen(tree: Tree) -> float:
    """Volume of the lumens from the fifth generation on."""
    return volume(tuple(b for b in tree if b.generation >= 5))


def _not_tapered(tree: Tree) -> float:
    """Share of the branches within the lobes that are as wide as their parent."""
    inner = [b for b in tree if b.lobe and b.parent >= 0 and tree[b.parent].lobe]
    return float(np.mean([b.radius >= 0.999 * tree[b.parent].radius for b in inner]))


def test_findings_change_the_airways() -> None:
    _, healthy = grown(0)
    _, ill = grown(0, ALL_FINDINGS)
    before, after = healthy[Kind.AIRWAY], ill[Kind.AIRWAY]
    # Widened airways lose their taper, are seen farther out, and are never wider than the parent.
    assert _far_lumen(after) > 1.5 * _far_lumen(before)
    assert _not_tapered(before) == 0
    assert _not_tapered(after) > 0
    assert all(b.radius <= after[b.parent].radius * (1 + 1e-9) for b in after if b.parent >= 0)
    assert after[0].wall == pytest.approx(1.5 * before[0].wall)
    assert 0.03 < np.mean([b.plugged for b in after]) < 0.3
    assert not any(b.plugged for b in before)
    high = [b for b in after if b.lobe == Lobe.RIGHT_UPPER and b.parent >= 0 and after[b.parent].side == 0]
    assert len(high) == 1
    assert 10 < high[0].start[2] - after[1].end[2] < 40
    parents = {b.parent for b in after}
    blind = [i for i, b in enumerate(after) if b.side > 0 and b.lobe == 0 and i not in parents]
    assert [after[i].length for i in blind] == [pytest.approx(20.0, abs=0.5)]


def test_a_plug_fills_the_lumen() -> None:
    phantom = make_phantom(seed=2, spacing=(2.5,) * 3, noise_hu=0.0, trees="full", airway_findings="mucus:1")
    assert phantom.trees is not None
    plug = phantom.trees.airways == Airway.MUCUS
    assert plug.any()
    assert phantom.truth.tissues_ml["mucus"] > 0.1
    lumen = (phantom.trees.airways == Airway.LUMEN) & (phantom.labels > 0)
    assert np.median(phantom.volume.hu[plug]) > np.median(phantom.volume.hu[lumen]) + 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"trees": "huge"}, "trees is 'huge'"),
        ({"airway_findings": "mucus"}, "Coarse trees"),
        ({"trees": "full", "airway_findings": "asthma"}, "airway finding 'asthma' is unknown"),
        ({"trees": "full", "airway_findings": {"mucus": 2.0}}, "severity of mucus"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_phantom(spacing=(9.0, 9.0, 9.0), **arguments)  # type: ignore[arg-type]


def test_coarse_trees_have_no_maps() -> None:
    assert make_phantom(spacing=(9.0, 9.0, 9.0)).trees is None


def test_the_table_has_one_row_a_branch(full: Phantom) -> None:
    rows = [dict(zip(BRANCH_COLUMNS, row, strict=True)) for row in branch_rows(full.branches)]
    assert len(rows) == sum(len(tree) for tree in full.branches.values())
    trachea = rows[0]
    assert (trachea["kind"], trachea["id"], trachea["parent"], trachea["side"]) == ("airway", 0, "", "none")
    mains = [row for row in rows if row["kind"] == "airway" and row["generation"] == 1]
    assert sorted(str(row["side"]) for row in mains) == ["left", "right"]

    def first(kind: Kind) -> Branch:
        return full.branches[kind][0]

    vein = next(row for row in rows if row["kind"] == "vein")
    assert vein["diameter_mm"] == pytest.approx(2 * first(Kind.VEIN).radius, abs=1e-3)
    assert vein["length_mm"] == pytest.approx(first(Kind.VEIN).length, abs=1e-2)


def test_files_of_a_chest_with_full_trees(full: Phantom, tmp_path: Path) -> None:
    import csv
    import json

    import nibabel

    from hilum.results import write_phantoms

    folder = write_phantoms([full], tmp_path / "out")
    names = {path.name for path in folder.iterdir()}
    for name in ("airways.nii.gz", "vessels.nii.gz", "lobes.nii.gz", "branches.csv"):
        assert f"phantom-1_{name}" in names
    written = np.asarray(nibabel.load(folder / "phantom-1_airways.nii.gz").dataobj)
    assert full.trees is not None
    assert (written == full.trees.airways).all()
    with (folder / "phantom-1_branches.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(tree) for tree in full.branches.values())
    data = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    trees = data["subjects"]["phantom-1"]["trees"]
    assert trees["airways"]["branches"] == len(full.branches[Kind.AIRWAY])
