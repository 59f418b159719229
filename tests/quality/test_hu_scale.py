from __future__ import annotations

import numpy as np
import pytest

from hilum.core.flags import Severity
from hilum.core.segmentation import Landmarks
from hilum.quality import calibration, check_volume, correct_calibration
from hilum.quality.hu_scale import Calibration, ReferencePoint, calibration_flags


def point(hu):
    return None if hu is None else ReferencePoint(hu, 1000)


def severity(air=None, trachea=None, tissue=None):
    flags = calibration_flags(Calibration(point(air), point(trachea), point(tissue)))
    assert len(flags) <= 1
    return (flags[0].code, flags[0].severity) if flags else None


def squeeze(hu):
    return 0.8 * np.asarray(hu, float) - 9


def test_a_good_scan(chest):
    found = calibration(chest.volume, chest.segmentation)
    assert found.outside_air.hu == pytest.approx(-1000, abs=12)
    assert found.soft_tissue.hu == pytest.approx(45, abs=5)
    assert found.fat.hu == pytest.approx(-105, abs=6)
    assert found.air_deviation == pytest.approx(0, abs=12)
    assert check_volume(chest.volume, chest.segmentation) == ()


def test_lungs_need_not_be_known(chest):
    assert calibration(chest.volume).outside_air.hu == pytest.approx(-1000, abs=12)


def test_squeezed_values(chest):
    bad = chest.changed(hu=squeeze(chest.hu))
    (flag,) = check_volume(bad.volume, bad.segmentation)
    assert (flag.code, flag.severity) == ("calibration_off", Severity.ERROR)
    assert set(flag.forbids) == {"density", "mass"}
    assert "-809 HU instead of -1000" in flag.message or "-81" in flag.message
    assert "too much" in flag.message
    assert "calibrate=True" in flag.message


@pytest.mark.parametrize("padding", [-3024, -2000, -1024])
def test_padding_is_not_air(chest, padding):
    """A scanner's circle with padding round it; all that is left of the room is air at -1000."""
    x, y, _ = np.ogrid[tuple(slice(0, n) for n in chest.hu.shape)]
    outside = np.broadcast_to((x - 49.5) ** 2 + (y - 37.5) ** 2 > 44**2, chest.hu.shape)
    padded = chest.changed(hu=np.where(outside, padding, chest.hu))
    assert outside.mean() > 0.1
    found = calibration(padded.volume, padded.segmentation)
    assert found.outside_air.hu == pytest.approx(-1000, abs=12)
    assert calibration_flags(found) == ()


def test_air_without_noise(chest):
    flat = chest.changed(hu=np.where(chest.hu < -930, -1000, chest.hu))
    assert calibration(flat.volume, flat.segmentation).outside_air.hu == -1000


def test_mattress_foam_does_not_count(chest):
    hu = chest.hu.copy()
    hu[:, :10] += 80  # behind the patient
    assert calibration(chest.changed(hu=hu).volume).outside_air.hu == pytest.approx(-1000, abs=12)


def test_crop_without_room_air(chest):
    box = (slice(20, 80), slice(20, 56), slice(None))
    tight = chest.crop(*box)
    (flag,) = [f for f in check_volume(tight.volume, tight.segmentation) if "calibration" in f.code]
    assert (flag.code, flag.severity) == ("calibration_unknown", Severity.INFO)
    # the trachea serves where it was seen
    seen = tight.changed(landmarks=Landmarks(tracheal_air_hu=-975.0))
    assert not [f for f in check_volume(seen.volume, seen.segmentation) if "calibration" in f.code]


def test_lung_cut_by_the_slice_is_not_room_air(chest):
    """A crop through both lungs: lung at the edge of the slice must not be read as bright room air."""
    tight = chest.crop(slice(30, 70), slice(25, 50), slice(None))
    assert calibration(tight.volume).outside_air is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"air": -1000, "tissue": 45}, None),
        ({"air": -975, "tissue": 98}, None),
        ({"air": -1024}, None),
        ({"air": -965}, ("calibration_off", Severity.WARNING)),
        ({"air": -1040}, ("calibration_off", Severity.WARNING)),
        ({"air": -930}, ("calibration_off", Severity.ERROR)),
        ({"air": -1070}, ("calibration_off", Severity.ERROR)),
        ({"air": -1000, "tissue": -10}, ("calibration_off", Severity.WARNING)),
        ({"air": -1000, "tissue": 160}, ("calibration_off", Severity.WARNING)),
        ({"air": -1000, "trachea": -700}, None),
        ({"trachea": -950}, None),
        ({"trachea": -890}, ("calibration_off", Severity.WARNING)),
        ({"trachea": -790}, ("calibration_off", Severity.ERROR)),
        ({"tissue": 45}, ("calibration_unknown", Severity.INFO)),
        ({}, ("calibration_unknown", Severity.INFO)),
    ],
)
def test_limits(values, expected):
    assert severity(**values) == expected


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_correction(chest, kind):
    bad = chest.changed(hu=squeeze(chest.hu))
    volume = type(bad.volume)(bad.hu.astype(kind), bad.volume.affine)
    before = volume.hu.copy()
    better, notes = correct_calibration(volume, calibration(volume, bad.segmentation))
    assert better.hu.dtype == kind
    assert [note.code for note in notes] == ["calibrated"]
    assert check_volume(better, bad.segmentation) == ()
    lung = chest.labels > 0
    assert better.hu[lung].mean() == pytest.approx(chest.hu[lung].mean(), abs=12)
    assert (volume.hu == before).all()


def test_a_good_scan_is_not_corrected(chest):
    contrast = Calibration(point(-1004.0), None, point(150.0))
    same, notes = correct_calibration(chest.volume, contrast)
    assert same.hu is chest.hu or (same.hu == chest.hu).all()
    assert [note.code for note in notes] == ["calibration_not_needed"]


def test_no_correction_without_room_air(chest):
    _, notes = correct_calibration(chest.volume, Calibration(tracheal_air=point(-800.0)))
    assert [(n.code, n.severity) for n in notes] == [("calibration_not_possible", Severity.WARNING)]


def test_correction_stays_in_sixteen_bits(chest):
    hu = squeeze(chest.hu).astype(np.int16)
    hu[0, 0, 0], hu[1, 0, 0] = 32767, -32768
    better, _ = correct_calibration(
        chest.changed(hu=hu).volume, Calibration(point(-809.0), None, point(27.0))
    )
    assert (better.hu[0, 0, 0], better.hu[1, 0, 0]) == (32767, -32768)


def test_plain_data():
    found = Calibration(point(-999.0), None, point(40.0))
    assert found.as_dict()["outside_air"] == {"hu": -999.0, "places": 1000}
    assert found.as_dict()["fat"] is None
