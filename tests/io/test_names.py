from __future__ import annotations

import pytest

from hilum.io import scan_name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/b/scan.nii.gz", "scan"),
        ("scan.v2.nii", "scan.v2"),
        ("SCAN.NII.GZ", "SCAN"),
        ("labels.seg.nrrd", "labels"),
        ("slice 07 (soft).tif", "slice_07_soft"),
        ("1.2.840.113619", "1.2.840.113619"),
        ("Müller–Übung.mha", "Müller_Übung"),
        ("../..", "scan"),
        (".nii.gz", "nii.gz"),
        ("...", "scan"),
        ("-rf.nii", "rf"),
        ("con.nii", "scan_con"),
        ("a\nb;c$d.dcm", "a_b_c_d"),
        ("e" * 300 + ".nii.gz", "e" * 120),
        ("é" * 200, "é" * 60),
    ],
)
def test_scan_name(path, name):
    assert scan_name(path) == name
