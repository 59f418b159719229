from __future__ import annotations

import numpy as np
import pytest

from hilum.synthesis.pathology import Pathology
from hilum.synthesis.phantoms import Kernel, Kind, Phantom, Tissue, Truth, make_phantom
from hilum.synthesis.phantoms.anatomy import Anatomy, Body
from hilum.synthesis.phantoms.grid import make_grid
from hilum.synthesis.phantoms.injury import Injuries, parse_injury
from hilum.synthesis.phantoms.lung import ChestModel
from hilum.synthesis.phantoms.render import render
from hilum.synthesis.phantoms.trees import as_coordinates
from hilum.synthesis.phantoms.truth import integrate_at

SUPINE = {"noise_hu": 0.0}
PRONE = {"noise_hu": 0.0, "prone": True, "arms_down": True}


def coarse(**arguments: object) -> Phantom:
    return make_phantom(**{"spacing": (4.0, 4.0, 4.0), **arguments})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plain() -> Phantom:
    return coarse(noise_hu=0.0)


def test_same_arguments_same_bytes() -> None:
    def make() -> tuple[bytes, bytes, Truth]:
        model = ChestModel(Body.draw(5, 1.0, False, False), 5, parse_injury("ground_glass,nodule,effusion"))
        grid = make_grid(
            spacing=(6.0, 6.0, 6.0),
            orientation="LPS",
            oblique_deg=(0.0, 0.0, 0.0),
            shape=None,
            coverage=(0.0, 1.0),
            size=1.0,
            prone=False,
        )
        image = render(model, grid, seed=5, noise_hu=15.0, kernel=Kernel.SOFT)
        return image.hu.tobytes(), image.labels.tobytes(), integrate_at(model, 4.0)

    assert make() == make()


def test_same_seed_same_injuries() -> None:
    anatomy = Anatomy(Body.draw(4, 1.0, False, False))
    severity = {Pathology.GROUND_GLASS: 0.5, Pathology.NODULE: 1.0}
    first, second, other = (Injuries(anatomy, seed, severity) for seed in (4, 4, 5))
    for kind in first.patches:
        assert (first.patches[kind].centres == second.patches[kind].centres).all()
    assert first.nodules is not None and second.nodules is not None and other.nodules is not None  # noqa: PT018
    assert (first.nodules.radii == second.nodules.radii).all()
    assert not (first.nodules.radii == other.nodules.radii).all()


def test_bytes_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    from hilum.synthesis.phantoms import render as module

    first = coarse(kernel="soft")
    monkeypatch.setattr(module, "CHUNK_POINTS", 300_000)
    second = coarse(kernel="soft")
    # Coordinates are rounded to float32 from another origin, so a value may fall on the other side of .5.
    assert np.abs(first.volume.hu.astype(int) - second.volume.hu).max() <= 1
    assert np.count_nonzero(first.labels != second.labels) <= 2


def test_another_seed_is_another_chest(plain: Phantom) -> None:
    other = coarse(seed=1, noise_hu=0.0)
    assert other.truth.lungs.volume_ml != pytest.approx(plain.truth.lungs.volume_ml, rel=1e-3)
    assert other.parameters["body"] != plain.parameters["body"]


@pytest.mark.parametrize(
    ("orientation", "oblique"),
    [
        ("LPS", (0.0, 0.0, 0.0)),
        ("RAS", (0.0, 0.0, 0.0)),
        ("SRA", (0.0, 0.0, 0.0)),
        ("PIR", (0.0, 0.0, 0.0)),
        ("LPS", (8.0, -6.0, 10.0)),
        ("AIL", (-5.0, 0.0, 12.0)),
    ],
)
def test_right_stays_right(orientation: str, oblique: tuple[float, float, float]) -> None:
    phantom = make_phantom(
        orientation=orientation, oblique_deg=oblique, spacing=(2.4, 1.9, 2.1), size=0.5, noise_hu=0.0
    )
    if not any(oblique):
        assert "".join(phantom.volume.axcodes) == orientation
    assert phantom.labels.shape == phantom.volume.shape
    for value, sign in ((1, 1), (2, -1)):
        centre = np.argwhere(phantom.labels == value).mean(axis=0)
        place = phantom.volume.affine @ [*centre, 1]
        assert sign * place[0] > 25
    # The table is behind and the trachea above: neither is the other axis mirrored.
    trachea = np.argwhere((phantom.volume.hu < -900) & (phantom.labels == 0))
    place = (phantom.volume.affine[:3, :3] @ trachea.T).T + phantom.volume.affine[:3, 3]
    inside = np.abs(place - (0.5, -9.0, 45.0)).max(axis=1) < 5
    assert inside.sum() * phantom.volume.voxel_volume_ml > 0.3
    ml = (phantom.labels > 0).sum() * phantom.volume.voxel_volume_ml
    assert ml == pytest.approx(phantom.truth.lungs.volume_ml, rel=0.015)
    assert phantom.truth.regions == make_phantom(spacing=(9.0, 9.0, 9.0), size=0.5).truth.regions


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 8.0), (5.0, 2.3, 3.3)])
def test_any_spacing_measures_the_same_volume(
    spacing: tuple[float, float, float], measured, plain: Phantom
) -> None:
    phantom = coarse(spacing=spacing, noise_hu=0.0)
    assert phantom.volume.spacing == pytest.approx(spacing)
    assert measured(phantom)["volume_ml"] == pytest.approx(plain.truth.lungs.volume_ml, rel=0.01)


def test_mass_of_the_whole_field_does_not_depend_on_spacing() -> None:
    """Partial volume conserves mass: the sum over all voxels is that of the body."""
    field = {"noise_hu": 0.0}
    sums = []
    for step, shape in ((4.0, (90, 70, 60)), (2.0, (180, 140, 120))):
        phantom = make_phantom(spacing=(step,) * 3, shape=shape, **field)  # type: ignore[arg-type]
        sums.append((phantom.volume.hu.astype(float) + 1000).sum() * step**3)
    assert sums[0] == pytest.approx(sums[1], rel=2e-3)


@pytest.mark.parametrize("kernel", ["soft", "sharp"])
def test_kernel_keeps_mass(kernel: str, plain: Phantom) -> None:
    other = coarse(kernel=kernel, noise_hu=0.0)
    inside = (slice(None), slice(None), slice(10, -10))
    mine, theirs = (p.volume.hu[inside].astype(float).mean() for p in (plain, other))
    # A sharp kernel undershoots in air, where a scanner (and the phantom) cuts at -1024 HU.
    assert theirs == pytest.approx(mine, abs=0.3 if kernel == "soft" else 2.5)


@pytest.mark.parametrize("sd", [10.0, 30.0])
def test_noise_has_the_wanted_spread_and_no_offset(sd: float, plain: Phantom) -> None:
    noisy = coarse(noise_hu=sd)
    difference = noisy.volume.hu.astype(float) - plain.volume.hu
    tissue = (plain.volume.hu > -300) & (plain.volume.hu < 300)
    assert difference[tissue].std() == pytest.approx(sd, rel=0.03)
    assert difference[tissue].mean() == pytest.approx(0.0, abs=0.5)


def test_noise_of_a_sharp_kernel_is_finer_than_of_a_soft_one() -> None:
    def neighbour_correlation(kernel: str) -> float:
        shape = (60, 60, 4)
        noisy, clean = (
            make_phantom(spacing=(1.0, 1.0, 1.0), shape=shape, kernel=kernel, noise_hu=n).volume.hu.astype(
                float
            )
            for n in (40.0, 0.0)
        )
        noise = noisy - clean
        return float(np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1])

    assert neighbour_correlation("soft") > neighbour_correlation("standard") > neighbour_correlation("sharp")


def test_hounsfield_units_are_those_of_a_chest(healthy: Phantom) -> None:
    hu = healthy.volume.hu
    assert np.median(hu[:8, -8:, :]) == pytest.approx(-1000, abs=60)
    # Vessels of the lung are thin: voxels of 2 mm that are mostly vessel still hold some parenchyma.
    assert -250 < np.median(hu[healthy.tissue == Tissue.VESSEL]) < 60
    assert np.percentile(hu[healthy.tissue == Tissue.VESSEL], 95) == pytest.approx(60, abs=25)
    assert hu.max() > 500
    lung = hu[healthy.labels > 0]
    assert -860 < np.median(lung) < -810


def test_dependent_lung_is_denser_supine_and_prone(plain: Phantom) -> None:
    for phantom, sign in ((plain, 1), (coarse(**PRONE), -1)):
        inside = np.argwhere(phantom.labels > 0)
        y = (phantom.volume.affine[:3, :3] @ inside.T + phantom.volume.affine[:3, 3:])[1]
        hu = phantom.volume.hu[phantom.labels > 0]
        back, front = np.median(hu[y < -50]), np.median(hu[y > 30])
        assert sign * (back - front) > 40


def test_prone_puts_the_table_in_front() -> None:
    for arguments, position, expected in ((SUPINE, "HFS", -1), (PRONE, "HFP", 1)):
        phantom = coarse(**arguments)
        assert phantom.volume.meta.patient_position == position
        # Far from the body the table alone is seen: its shell holds foam of about -945 HU.
        foam = np.argwhere(np.abs(phantom.volume.hu[40:60, :, 40:50] + 945) < 3)[:, 1]
        assert len(foam) > 500
        y = phantom.volume.affine[1, 1] * np.median(foam) + phantom.volume.affine[1, 3]
        assert expected * y > 100


def test_arms_beside_the_chest(plain: Phantom) -> None:
    arms = coarse(**PRONE)
    for phantom, low, high in ((arms, -200, 200), (plain, -1000, -900)):
        # The right arm lies at the edge of the field.
        i, j, k = np.rint(np.linalg.inv(phantom.volume.affine) @ [200.0, -22.0, -40.0, 1.0])[:3].astype(int)
        assert low <= np.median(phantom.volume.hu[i : i + 3, j - 3 : j + 4, k - 5 : k + 5]) < high


def test_coverage_cuts_the_lungs(plain: Phantom) -> None:
    cut = coarse(coverage=(0.0, 0.6), noise_hu=0.0)
    assert (cut.labels[:, :, -1] > 0).any()
    assert not (plain.labels[:, :, -1] > 0).any()
    assert not (plain.labels[:, :, 0] > 0).any()
    assert cut.truth.regions == plain.truth.regions


def test_a_single_slice() -> None:
    phantom = make_phantom(spacing=(2.0, 2.0, 1.0), shape=(180, 150, 1))
    assert phantom.volume.shape == (180, 150, 1)
    assert set(np.unique(phantom.labels)) == {0, 1, 2}


EXPECTED = {
    # injury: sign of the change of volume, air, mass of the lungs at severity 0.7; 0 is "as good as none"
    "ground_glass": (0, -1, 1),
    "consolidation": (0, -1, 1),
    "atelectasis": (0, -1, 1),
    "effusion": (-1, -1, 0),
    "emphysema": (0, 1, -1),
    "pneumothorax": (-1, -1, 0),
    "nodule": (0, -1, 1),
    "oedema": (0, -1, 1),
}


def content(injury: str | dict[str, float] | None) -> Truth:
    """Truth on a coarse lattice, the same for all injuries."""
    return integrate_at(ChestModel(Body.draw(0, 1.0, False, False), 0, parse_injury(injury)), 3.0)


@pytest.fixture(scope="module")
def unhurt() -> Truth:
    return content(None)


@pytest.mark.parametrize("injury", list(EXPECTED))
def test_injury_moves_the_truth_the_right_way(injury: str, unhurt: Truth) -> None:
    hurt = content({injury: 0.7})
    if injury != "oedema":
        assert hurt.tissues_ml[injury] > 3
    for quantity, sign in zip(("volume_ml", "air_ml", "mass_g"), EXPECTED[injury], strict=True):
        change = getattr(hurt.lungs, quantity) - getattr(unhurt.lungs, quantity)
        relative = change / getattr(unhurt.lungs, quantity)
        if sign:
            assert sign * relative > 0.001, quantity
        else:
            assert abs(relative) < (1e-6 if quantity == "volume_ml" else 0.10), quantity


@pytest.mark.parametrize(
    ("injury", "part"), [("ground_glass", 0.45), ("consolidation", 0.25), ("emphysema", 0.35)]
)
def test_patches_fill_the_part_they_should(injury: str, part: float, unhurt: Truth) -> None:
    filled = content({injury: 0.6}).tissues_ml[injury] / unhurt.lungs.volume_ml
    assert filled == pytest.approx(part * 0.6, rel=0.25)


def test_more_severe_is_heavier(unhurt: Truth) -> None:
    masses = [content({"oedema": s}).lungs.mass_g for s in (0.4, 1.0)]
    assert unhurt.lungs.mass_g < masses[0] < masses[1]
    # Severe oedema about doubles or trebles the weight of the lungs.
    assert 1.8 < masses[1] / unhurt.lungs.mass_g < 3.5


def test_injuries_are_seen_in_the_tissue_map() -> None:
    injuries = ("ground_glass", "consolidation", "emphysema", "nodule", "atelectasis")
    hurt = coarse(injury=dict.fromkeys(injuries, 0.6), noise_hu=0.0)
    for injury in injuries:
        seen = (hurt.tissue == Tissue[injury.upper()]).sum() * hurt.volume.voxel_volume_ml
        # Where two injuries meet only one is shown; small vessels are too thin to be shown.
        assert 0.3 * hurt.truth.tissues_ml[injury] < seen < 1.3 * hurt.truth.tissues_ml[injury], injury
        assert (hurt.labels[hurt.tissue == Tissue[injury.upper()]] > 0).mean() > 0.97, injury


def test_fluid_and_air_in_the_pleura_are_not_lung(plain: Phantom) -> None:
    hurt = coarse(injury={"effusion": 0.8, "pneumothorax": 0.6}, noise_hu=0.0)
    fluid, air = hurt.tissue == Tissue.EFFUSION, hurt.tissue == Tissue.PNEUMOTHORAX
    assert not hurt.labels[fluid].any()
    assert not hurt.labels[air].any()
    assert np.median(hurt.volume.hu[fluid]) == pytest.approx(10, abs=3)
    assert np.median(hurt.volume.hu[air]) == pytest.approx(-1000, abs=3)
    # What the lung loses is what the pleural space holds.
    lost = plain.truth.lungs.volume_ml - hurt.truth.lungs.volume_ml
    pleural = hurt.truth.tissues_ml["effusion"] + hurt.truth.tissues_ml["pneumothorax"]
    assert pleural == pytest.approx(lost, rel=1e-3)
    # Fluid lies at the back of a supine patient, air in front.
    y = [np.argwhere(m).mean(axis=0)[1] for m in (fluid, air)]
    assert y[0] > y[1]


def test_severity_from_text() -> None:
    assert parse_injury("effusion:0.8, ground-glass") == {
        Pathology.EFFUSION: 0.8,
        Pathology.GROUND_GLASS: 0.5,
    }
    assert parse_injury({"oedema": 0}) == {}
    assert parse_injury(None) == {}


def test_trees_obey_murray_and_end_near_the_pleura(healthy: Phantom) -> None:
    for kind in (Kind.ARTERY, Kind.VEIN):
        tree = healthy.branches[kind]
        children: dict[int, list[float]] = {}
        for branch in tree:
            if branch.parent >= 0:
                children.setdefault(branch.parent, []).append(branch.radius)
        for parent, radii in children.items():
            assert len(radii) == 2
            assert tree[parent].radius ** 3 == pytest.approx(sum(r**3 for r in radii))
        assert len(tree) > 3000
    ends = np.array([b.end for i, b in enumerate(tree) if i not in children])
    anatomy = Anatomy(Body.draw(0, 1.0, False, False))
    p = as_coordinates(ends / anatomy.body.size)
    depth = -np.minimum(anatomy.lung(p, 1), anatomy.lung(p, -1))
    assert (depth > 0).mean() > 0.99
    assert np.percentile(depth, 25) < 12


def test_branches_join(healthy: Phantom) -> None:
    for tree in healthy.branches.values():
        for branch in tree:
            if branch.parent >= 0:
                assert branch.start == pytest.approx(tree[branch.parent].end, abs=1e-6)
                assert branch.generation == tree[branch.parent].generation + 1 or branch.generation == 0


def test_meta_says_phantom(plain: Phantom) -> None:
    meta = plain.volume.meta
    assert (meta.name, meta.source_format, meta.modality) == ("phantom-0", "phantom", "CT")
    assert plain.volume.hu.dtype == np.int16
    assert plain.labels.dtype == np.uint8
