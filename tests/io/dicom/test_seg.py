"""DICOM SEG, read back with highdicom."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import pydicom
import pytest

from hilum.errors import InputError, OutputError, UsageError
from hilum.io.dicom import read_dicom
from hilum.io.dicom.seg import write_dicom_seg
from hilum.volume import ScanMeta, Volume


def labels_of(volume: Volume) -> np.ndarray:
    """Right lung 1, left lung 2, by the two densities of the made-up chest."""
    return ((volume.hu == -850) + 2 * (volume.hu == -820)).astype(np.uint8)


def assert_same_place(path, labels, affine):
    """Compare labels voxel by voxel at the same millimetres."""
    seg = hd.seg.segread(path)
    back = seg.get_volume(combine_segments=True, rescale_fractional=False)
    to_index = np.linalg.inv(back.affine) @ np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    i, j, k = np.nonzero(labels)
    place = np.rint(to_index @ np.stack([i, j, k, np.ones_like(i)])).astype(int)
    assert (back.array[place[0], place[1], place[2]] == labels[i, j, k]).all()
    assert np.count_nonzero(back.array) == i.size
    return seg


@pytest.mark.parametrize(
    "axes", [(1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, -1, 0), (0.8, 0.6, 0, 0, 0, -1), (0.6, 0.8, 0, -0.8, 0.6, 0)]
)
def test_labels_come_back_where_they_were(dicom, folder, tmp_path, axes):
    normal = np.cross(axes[:3], axes[3:])
    dicom.save_all(dicom.series(6, orientation=axes, step=normal * 2), folder)
    volume = read_dicom(folder)
    labels = labels_of(volume)
    path = write_dicom_seg(tmp_path / "lungs.dcm", labels, volume)
    seg = assert_same_place(path, labels, volume.affine)
    assert seg.Modality == "SEG"
    codes = [
        (d.SegmentNumber, d.SegmentLabel, d.SegmentedPropertyTypeCodeSequence[0].CodeValue)
        for d in seg.SegmentSequence
    ]
    assert codes == [(1, "Right lung", "3341006"), (2, "Left lung", "44029006")]
    algorithm = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName == "hilum"
    assert algorithm.AlgorithmVersion
    source = seg.ReferencedSeriesSequence[0]
    assert source.SeriesInstanceUID == volume.meta.series_uid
    assert len(source.ReferencedInstanceSequence) == 6


def test_resampled_and_sheared_grids(dicom, folder, tmp_path):
    slices = dicom.series(8)
    del slices[3]
    dicom.save_all(slices, folder)
    volume = read_dicom(folder, resample=True)
    labels = labels_of(volume)
    assert_same_place(write_dicom_seg(tmp_path / "gap.dcm", labels, volume), labels, volume.affine)
    dicom.save_all(dicom.series(40, step=(0, 0.028, 2.0)), tmp_path / "lean")
    leaning = read_dicom(tmp_path / "lean")
    assert leaning.affine[1, 2] != 0
    seg = pydicom.dcmread(write_dicom_seg(tmp_path / "lean.dcm", labels_of(leaning), leaning))
    frames = seg.PerFrameFunctionalGroupsSequence
    places = [[float(v) for v in f.PlanePositionSequence[0].ImagePositionPatient] for f in frames]
    assert max(places, key=lambda p: p[2]) == pytest.approx([-20.0, -30 + 39 * 0.028, -22.0])


def test_enhanced_source(dicom, folder, tmp_path):
    dicom.save(dicom.enhanced(dicom.series(5), [3, 1, 0, 4, 2]), folder / "e.dcm")
    volume = read_dicom(folder)
    labels = labels_of(volume)
    assert_same_place(write_dicom_seg(tmp_path / "e.dcm", labels, volume), labels, volume.affine)


def test_one_lung_only(dicom, folder, tmp_path):
    dicom.save_all(dicom.series(4), folder)
    volume = read_dicom(folder)
    labels = labels_of(volume)
    labels[labels == 2] = 0
    assert_same_place(write_dicom_seg(tmp_path / "one.dcm", labels, volume), labels, volume.affine)


def test_the_same_labels_have_the_same_uids(dicom, folder, tmp_path):
    dicom.save_all(dicom.series(4), folder)
    volume = read_dicom(folder)
    labels = labels_of(volume)
    first, again = (pydicom.dcmread(write_dicom_seg(tmp_path / n, labels, volume)) for n in "ab")
    labels[0, 0, 0] = 1
    other = pydicom.dcmread(write_dicom_seg(tmp_path / "c", labels, volume))
    assert first.SOPInstanceUID == again.SOPInstanceUID != other.SOPInstanceUID
    assert first.SeriesInstanceUID == again.SeriesInstanceUID
    assert first.PixelData == again.PixelData


def test_only_scans_from_dicom_files(dicom, folder, tmp_path):
    hu = dicom.truth(range(4))
    plain = Volume(hu, np.diag([-1.0, -1.0, 2.0, 1.0]), ScanMeta(source_format="nifti"))
    with pytest.raises(UsageError, match="needs a scan read from DICOM"):
        write_dicom_seg(tmp_path / "a.dcm", labels_of(plain), plain)
    dicom.save_all(dicom.series(4), folder)
    volume = read_dicom(folder)
    with pytest.raises(UsageError, match="expected"):
        write_dicom_seg(tmp_path / "a.dcm", np.zeros((2, 2, 2), np.uint8), volume)
    with pytest.raises(UsageError, match="value 3"):
        write_dicom_seg(tmp_path / "a.dcm", np.full(volume.shape, 3, np.uint8), volume)
    with pytest.raises(UsageError, match="empty"):
        write_dicom_seg(tmp_path / "a.dcm", np.zeros(volume.shape, np.uint8), volume)
    assert not (tmp_path / "a.dcm").exists()


def test_a_source_that_is_gone_or_lacks_tags(dicom, folder, tmp_path):
    paths = dicom.save_all(dicom.series(4, FrameOfReferenceUID=None), folder)
    volume = read_dicom(folder)
    with pytest.raises(InputError, match="lack FrameOfReferenceUID"):
        write_dicom_seg(tmp_path / "a.dcm", labels_of(volume), volume)
    paths[0].unlink()
    with pytest.raises(InputError, match="cannot be read any more"):
        write_dicom_seg(tmp_path / "a.dcm", labels_of(volume), volume)


def test_a_place_that_cannot_be_written(dicom, folder, tmp_path):
    dicom.save_all(dicom.series(4), folder)
    volume = read_dicom(folder)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        write_dicom_seg(tmp_path / "file" / "a.dcm", labels_of(volume), volume)


def test_no_name_is_shouted_while_writing(dicom, folder, tmp_path, recwarn, caplog, capfd, has_no_canary):
    """highdicom warns of names of one component and quotes them."""
    dicom.save_all(dicom.series(4, PatientName=dicom.canary), folder)
    volume = read_dicom(folder)
    path = write_dicom_seg(tmp_path / "a.dcm", labels_of(volume), volume)
    for warning in recwarn.list:
        has_no_canary(warning.message)
    has_no_canary(caplog.text)
    has_no_canary("".join(capfd.readouterr()))
    assert pydicom.dcmread(path).PatientName == dicom.canary  # DICOM demands it there
