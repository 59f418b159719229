from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import hilum
from hilum.core.flags import Severity
from hilum.core.volume import ScanMeta, Volume
from hilum.quality import check_volume
from hilum.quality.geometry import is_sharp


def flags(chest, labels=True):
    return {f.code: f for f in check_volume(chest.volume, chest.segmentation if labels else None)}


def test_unknown_spacing(chest):
    found = flags(chest.with_meta(spacing_known=False))
    assert found["spacing_unknown"].severity is Severity.ERROR
    assert found["spacing_unknown"].forbids == ("volume", "mass")


def test_unknown_spacing_is_flagged_once(chest):
    note = ("slice_thickness_unknown", "No thickness.")
    found = check_volume(chest.with_meta(spacing_known=False, notes=(note,)).volume)
    assert [f.code for f in found] == ["slice_thickness_unknown"]
    assert found[0].forbids == ("volume", "mass")
    assert found[0].message.startswith("No thickness. ")


@pytest.mark.parametrize("spacing", [(0.05, 0.05, 0.1), (11.0, 11.0, 6.0), (0.4, 0.4, 6.0)])
def test_spacing_that_no_chest_can_have(chest, spacing):
    found = flags(replace(chest, spacing=spacing), labels=False)
    assert found["spacing_implausible"].severity is Severity.ERROR
    assert "volume" in found["spacing_implausible"].forbids


def test_the_error_without_lungs_names_the_flags_of_the_scan(chest):
    from hilum.core.errors import NotAChestError
    from hilum.quality.explain import explain_no_lungs

    mouse = replace(chest, spacing=(0.2, 0.2, 0.3)).with_meta(
        notes=(("series_chosen", "Series 3 of 56 CT stacks is read."), ("padding", "Some padding."))
    )
    error = explain_no_lungs(NotAChestError("No lung.", "Check it."), mouse.volume)
    assert error.message == "No lung."
    assert error.hint == (
        "Voxels of 0.2 x 0.2 x 0.3 mm and slices 20 mm wide do not occur in chest CT. "
        "Series 3 of 56 CT stacks is read. Check it."
    )
    plain = explain_no_lungs(NotAChestError("No lung.", "Check it."), chest.volume)
    assert plain.hint == "Check it."
    with pytest.raises(NotAChestError) as met:
        hilum.segment(mouse.volume, model="classic")
    assert "slices 20 mm wide" in met.value.hint
    assert "Series 3 of 56" in met.value.hint


@pytest.mark.parametrize(("spacing", "thickness", "code"), [
    (5.0, None, None), (2.5, 2.5, None), (2.5, 5.0, None),
    (7.0, None, "thick_slices"), (2.5, 8.0, "thick_slices"), (3.0, 1.0, "slice_gaps"),
])  # fmt: skip
def test_slices(chest, spacing, thickness, code):
    scan = replace(chest, spacing=(4.0, 4.0, spacing)).with_meta(slice_thickness=thickness)
    found = flags(scan)
    assert list(found) == ([code] if code else [])


def test_slice_direction_is_that_of_the_patient(chest):
    """Sagittal files: the axis from head to foot need not be the last one."""
    volume = replace(chest, spacing=(4.0, 4.0, 7.0)).volume
    turned = Volume(volume.hu.transpose(2, 0, 1), volume.affine[:, [2, 0, 1, 3]])
    assert [f.code for f in check_volume(turned)] == ["thick_slices"]


@pytest.mark.parametrize(("axis", "along"), [(0, "from right to left"), (1, "from front to back")])
def test_slices_of_a_sagittal_or_coronal_series_are_checked_along_their_own_axis(chest, axis, along):
    """Slices of 4 mm without gaps and rows 6 mm apart: neither gaps nor thick slices."""
    scan = replace(chest, spacing=(4.0, 4.0, 6.0)).with_meta(slice_thickness=4.0)
    order = [n for n in range(3) if n != axis] + [axis]

    def acquired(scan, **meta):
        volume = scan.volume
        return Volume(
            volume.hu.transpose(order),
            volume.affine[:, [*order, 3]],
            replace(volume.meta, slice_axis=2, **meta),
        )

    def codes(volume):
        return [f.code for f in check_volume(volume)]

    assert acquired(scan).canonical().meta.slice_axis == axis
    assert codes(acquired(scan)) == []
    assert codes(acquired(scan, slice_thickness=2.0)) == ["slice_gaps"]
    assert codes(acquired(scan, slice_thickness=6.0)) == ["thick_slices"]
    fine = replace(chest, spacing=tuple(8.0 if n == axis else 1.5 for n in range(3)))
    found = {f.code: f for f in check_volume(acquired(fine))}
    assert along in found["anisotropic"].message


def test_few_slices(chest):
    found = flags(chest.crop(slice(None), slice(None), slice(20, 24)))
    assert found["few_slices"].severity is Severity.ERROR
    assert found["few_slices"].reason == "The scan is only 4 slices."


def test_one_coronal_slice(chest):
    found = flags(chest.crop(slice(None), slice(37, 38), slice(None)))
    assert set(found) == {"few_slices"}
    assert "single slice" in found["few_slices"].message


def test_anisotropic(chest):
    assert "anisotropic" in flags(replace(chest, spacing=(0.9, 0.9, 5.0)))


def test_oblique(chest):
    angle = np.deg2rad(12)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    volume = chest.volume
    found = check_volume(Volume(volume.hu, turn @ volume.affine))
    assert [(f.code, f.severity) for f in found if f.code == "oblique"] == [("oblique", Severity.INFO)]
    assert "12 degrees" in next(f.message for f in found if f.code == "oblique")


def test_unknown_orientation(chest):
    assert flags(chest.with_meta(orientation_known=False))["orientation_unknown"].severity is Severity.WARNING
    noted = chest.with_meta(orientation_known=False, notes=(("orientation_assumed", "Taken as axial."),))
    assert set(flags(noted)) == {"orientation_assumed"}


@pytest.mark.parametrize(("kernel", "sharp"), [
    ("B70f", True), ("B31f", False), ("B45f", False), ("Br64d\\3", True), ("Bl57f", True), ("I50f", True),
    ("STANDARD", False), ("LUNG", True), ("BONEPLUS", True), ("FC51", True), ("FC17", False), ("FC08", False),
    ("B", False), ("L", True), ("", False), ("unknown", False),
])  # fmt: skip
def test_kernels(kernel, sharp):
    assert is_sharp(kernel) is sharp


@pytest.mark.parametrize(("meta", "code"), [
    ({"kernel": "B70f"}, "sharp_kernel"),
    ({"contrast": True}, "contrast"),
    ({"patient_position": "HFP"}, "prone"),
    ({"patient_position": "FFS"}, "feet_first"),
    ({"patient_position": "HFDL"}, "lateral_position"),
    ({"modality": "MR"}, "modality_mismatch"),
    ({"body_part": "ABDOMEN"}, "body_part_mismatch"),
    ({"patient_position": "HFS", "body_part": "CHEST", "modality": "CT", "contrast": False}, None),
    ({"body_part": "CHESTABDPELVIS"}, None),
])  # fmt: skip
def test_flags_of_the_header(chest, meta, code):
    assert list(flags(chest.with_meta(**meta))) == ([code] if code else [])


def test_notes_of_the_reader_are_shown():
    meta = ScanMeta(notes=(("series_chosen", "Series 3 was read."), ("lossy", "Compressed with loss.")))
    from hilum.quality.geometry import note_flags

    first, second = note_flags(meta)
    assert (first.code, first.severity, first.message) == (
        "series_chosen",
        Severity.INFO,
        "Series 3 was read.",
    )
    assert second.severity is Severity.WARNING
