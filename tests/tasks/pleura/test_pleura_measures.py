"""Sides, amounts and flags of given label maps."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.anatomy.pleura import SIDES, by_side
from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS, PLEURA, LabelSet
from hilum.core.segmentation import ModelInfo, Segmentation
from hilum.core.volume import ScanMeta, Volume
from hilum.quality.pleura import pleura_flags
from hilum.tasks.pleura.measures import measure_pleura

SHAPE = (40, 20, 20)
AFFINES = {"RAS": np.diag([5.0, 5.0, 5.0, 1.0]), "LPS": np.diag([-5.0, -5.0, 5.0, 1.0])}
VOXEL_ML = 0.125
#: Voxels of one column of :func:`pleura`.
COLUMN = 144
BOX = ModelInfo("box", "1")


def scan(axes: str = "RAS", hu: int = 20, known: bool = True) -> Volume:
    return Volume(np.full(SHAPE, hu, np.int16), AFFINES[axes], ScanMeta(name="box", spacing_known=known))


def placed(volume: Volume, data: np.ndarray, label_set: LabelSet) -> LabelVolume:
    """Labels whose x axis runs from left to right, on the grid of a scan."""
    return LabelVolume.on_grid_of(volume, data if volume.axcodes[0] == "R" else data[::-1], label_set)


def lungs(volume: Volume, right: bool = True, left: bool = True) -> LabelVolume:
    data = np.zeros(SHAPE, np.uint8)
    data[28:36, 4:16, 4:16] = right * 1
    data[4:12, 4:16, 4:16] = left * 2
    return placed(volume, data, LUNGS)


def pleura(volume: Volume, *columns: tuple[int, int]) -> LabelVolume:
    """Columns of 12 x 12 voxels: place from left to right, and label value."""
    data = np.zeros(SHAPE, np.uint8)
    for x, value in columns:
        data[x, 4:16, 4:16] = value
    return placed(volume, data, PLEURA)


def found(volume: Volume, *columns: tuple[int, int]) -> Segmentation:
    return Segmentation(pleura(volume, *columns), BOX, beside={LUNGS.name: lungs(volume)})


@pytest.mark.parametrize("axes", AFFINES)
def test_each_voxel_belongs_to_the_side_of_the_nearer_lung(axes: str) -> None:
    volume = scan(axes)
    sided = by_side(volume, pleura(volume, (38, 1), (37, 1), (24, 2), (2, 1), (14, 2)), lungs(volume))
    assert sided.label_set is SIDES
    assert sided.counts() == {1: 2 * COLUMN, 2: COLUMN, 3: COLUMN, 4: COLUMN}


@pytest.mark.parametrize("axes", AFFINES)
def test_where_one_lung_is_missing_the_middle_of_the_body_separates_the_sides(axes: str) -> None:
    volume = scan(axes)
    marked = pleura(volume, (30, 1), (25, 1), (2, 1))
    for missing in ("right", "left"):
        sided = by_side(volume, marked, lungs(volume, **{missing: False}))
        assert (sided.counts()[1], sided.counts()[2]) == (2 * COLUMN, COLUMN)


def test_mass_of_fluid_is_volume_times_one_plus_a_thousandth_of_its_hu() -> None:
    hu = np.full(SHAPE, 20, np.int16)
    hu[38] = -50
    volume = Volume(hu, AFFINES["RAS"], ScanMeta(name="box", spacing_known=True))
    measures = measure_pleura(volume, found(volume, (38, 1), (2, 1), (3, 1)))
    ml = COLUMN * VOXEL_ML
    expected = {
        "right_pleural_fluid": (ml, ml * 0.95, -50.0),
        "left_pleural_fluid": (2 * ml, 2 * ml * 1.02, 20.0),
        "pleural_fluid": (3 * ml, ml * (0.95 + 2.04), -10 / 3),
    }
    for region, values in expected.items():
        got = [measures[region][name].value for name in ("volume", "fluid_mass", "mean_hu")]
        assert got == pytest.approx(values)
    assert set(measures["pleural_gas"]) == {"volume"}


def test_nothing_found_is_zero_ml_and_an_unknown_density() -> None:
    volume = scan()
    values = measure_pleura(volume, found(volume))["pleural_fluid"]
    assert (values["volume"].value, values["fluid_mass"].value) == (0.0, 0.0)
    assert (values["mean_hu"].value, values["mean_hu"].reason) == (None, "No pleural fluid was found here.")


def test_what_a_flag_withholds_of_a_lung_it_withholds_of_the_pleura_beside_it() -> None:
    volume = scan()
    cut = Flag(FlagCode.CUT_BOTTOM, Severity.ERROR, "Cut.", ("right_lung", "lungs"), ("volume", "mass"))
    measures = measure_pleura(volume, found(volume, (38, 1), (2, 1)), [cut])
    for region in ("right_pleural_fluid", "pleural_fluid"):
        assert (measures[region]["volume"].value, measures[region]["volume"].reason) == (None, "Cut.")
        assert measures[region]["fluid_mass"].value is None
        assert measures[region]["mean_hu"].value == 20
    assert measures["left_pleural_fluid"]["volume"].value == pytest.approx(COLUMN * VOXEL_ML)


def test_without_a_voxel_size_amounts_are_unknown() -> None:
    volume = scan(known=False)
    values = measure_pleura(volume, found(volume, (38, 1)))["right_pleural_fluid"]
    assert values["volume"].value is None
    assert "no voxel size" in str(values["volume"].reason)
    assert values["mean_hu"].value == 20


def flags(volume: Volume, marked: LabelVolume | None) -> list[Flag]:
    beside = {} if marked is None else {PLEURA.name: marked}
    return list(pleura_flags(volume, Segmentation(lungs(volume), BOX, beside=beside)))


@pytest.mark.parametrize("value", [1, 2])
def test_a_flag_begins_at_its_limit_and_gives_the_ml_by_side(value: int) -> None:
    volume = scan()
    limit = (LIMITS.pleural_fluid_ml, LIMITS.pleural_gas_ml)[value - 1]
    voxels = round(limit / VOXEL_ML) + 1
    data = np.zeros(SHAPE, np.uint8)
    data[38].ravel()[: voxels - 2] = value
    assert flags(volume, placed(volume, data, PLEURA)) == []
    data[38].ravel()[:voxels] = value
    (flag,) = flags(volume, placed(volume, data, PLEURA))
    assert flag.code == (FlagCode.PLEURAL_FLUID, FlagCode.PNEUMOTHORAX)[value - 1]
    assert flag.regions == ("right_lung",)
    assert f"{limit:.0f} mL (right {limit:.0f} mL, left 0 mL)" in flag.message


def test_a_model_without_the_pleura_and_a_scan_without_a_voxel_size_raise_no_flag() -> None:
    assert flags(scan(), None) == []
    unknown = scan(known=False)
    assert flags(unknown, pleura(unknown, (38, 1), (2, 2))) == []
