"""DICOM SEG, read back with highdicom."""

from __future__ import annotations

import shutil
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.datadict import DicomDictionary

from hilum.core.errors import InputError, OutputError, UsageError
from hilum.core.label_volume import LabelVolume
from hilum.core.volume import ScanMeta, Volume
from hilum.io.dicom import read_dicom
from hilum.io.dicom.seg import CARRIED, write_dicom_seg
from hilum.io.dispatch import read_zip


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
    path = write_dicom_seg(tmp_path / "lungs.dcm", LabelVolume.on_grid_of(volume, labels), volume)
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
    assert_same_place(
        write_dicom_seg(tmp_path / "gap.dcm", LabelVolume.on_grid_of(volume, labels), volume),
        labels,
        volume.affine,
    )
    dicom.save_all(dicom.series(40, step=(0, 0.028, 2.0)), tmp_path / "lean")
    leaning = read_dicom(tmp_path / "lean")
    assert leaning.affine[1, 2] != 0
    seg = pydicom.dcmread(
        write_dicom_seg(tmp_path / "lean.dcm", LabelVolume.on_grid_of(leaning, labels_of(leaning)), leaning)
    )
    frames = seg.PerFrameFunctionalGroupsSequence
    places = [[float(v) for v in f.PlanePositionSequence[0].ImagePositionPatient] for f in frames]
    assert max(places, key=lambda p: p[2]) == pytest.approx([-20.0, -30 + 39 * 0.028, -22.0])


def test_enhanced_source(dicom, folder, tmp_path):
    dicom.save(dicom.enhanced(dicom.series(5), [3, 1, 0, 4, 2]), folder / "e.dcm")
    volume = read_dicom(folder)
    labels = labels_of(volume)
    assert_same_place(
        write_dicom_seg(tmp_path / "e.dcm", LabelVolume.on_grid_of(volume, labels), volume),
        labels,
        volume.affine,
    )


def test_one_lung_only(dicom, folder, tmp_path):
    dicom.save_all(dicom.series(4), folder)
    volume = read_dicom(folder)
    labels = labels_of(volume)
    labels[labels == 2] = 0
    assert_same_place(
        write_dicom_seg(tmp_path / "one.dcm", LabelVolume.on_grid_of(volume, labels), volume),
        labels,
        volume.affine,
    )


def test_the_same_labels_have_the_same_uids(dicom, folder, tmp_path):
    dicom.save_all(dicom.series(4), folder)
    volume = read_dicom(folder)
    labels = labels_of(volume)
    first, again = (
        pydicom.dcmread(write_dicom_seg(tmp_path / n, LabelVolume.on_grid_of(volume, labels), volume))
        for n in "ab"
    )
    labels[0, 0, 0] = 1
    other = pydicom.dcmread(write_dicom_seg(tmp_path / "c", LabelVolume.on_grid_of(volume, labels), volume))
    assert first.SOPInstanceUID == again.SOPInstanceUID != other.SOPInstanceUID
    assert first.SeriesInstanceUID == again.SeriesInstanceUID
    assert first.PixelData == again.PixelData


def test_only_scans_from_dicom_files(dicom, folder, tmp_path):
    hu = dicom.truth(range(4))
    plain = Volume(hu, np.diag([-1.0, -1.0, 2.0, 1.0]), ScanMeta(source_format="nifti"))
    with pytest.raises(UsageError, match="needs a scan read from DICOM"):
        write_dicom_seg(tmp_path / "a.dcm", LabelVolume.on_grid_of(plain, labels_of(plain)), plain)
    dicom.save_all(dicom.series(4), folder)
    volume = read_dicom(folder)
    with pytest.raises(UsageError, match="expected"):
        write_dicom_seg(
            tmp_path / "a.dcm", LabelVolume.on_grid_of(volume, np.zeros((2, 2, 2), np.uint8)), volume
        )
    with pytest.raises(UsageError, match="values from 3"):
        write_dicom_seg(
            tmp_path / "a.dcm", LabelVolume.on_grid_of(volume, np.full(volume.shape, 3, np.uint8)), volume
        )
    with pytest.raises(UsageError, match="empty"):
        write_dicom_seg(
            tmp_path / "a.dcm", LabelVolume.on_grid_of(volume, np.zeros(volume.shape, np.uint8)), volume
        )
    assert not (tmp_path / "a.dcm").exists()


def test_a_source_that_is_gone_or_lacks_tags(dicom, folder, tmp_path):
    paths = dicom.save_all(dicom.series(4, FrameOfReferenceUID=None), folder)
    volume = read_dicom(folder)
    with pytest.raises(InputError, match="lack FrameOfReferenceUID"):
        write_dicom_seg(tmp_path / "a.dcm", LabelVolume.on_grid_of(volume, labels_of(volume)), volume)
    paths[0].unlink()
    with pytest.raises(InputError, match="cannot be read any more"):
        write_dicom_seg(tmp_path / "a.dcm", LabelVolume.on_grid_of(volume, labels_of(volume)), volume)


def test_a_place_that_cannot_be_written(dicom, folder, tmp_path):
    dicom.save_all(dicom.series(4), folder)
    volume = read_dicom(folder)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        write_dicom_seg(
            tmp_path / "file" / "a.dcm", LabelVolume.on_grid_of(volume, labels_of(volume)), volume
        )


def test_no_name_is_shouted_while_writing(dicom, folder, tmp_path, recwarn, caplog, capfd, has_no_canary):
    """highdicom warns of names of one component and quotes them."""
    dicom.save_all(dicom.series(4, PatientName=dicom.canary), folder)
    volume = read_dicom(folder)
    path = write_dicom_seg(tmp_path / "a.dcm", LabelVolume.on_grid_of(volume, labels_of(volume)), volume)
    for warning in recwarn.list:
        has_no_canary(warning.message)
    has_no_canary(caplog.text)
    has_no_canary("".join(capfd.readouterr()))
    assert pydicom.dcmread(path).PatientName == dicom.canary  # DICOM demands it there


LEAK = "Zzleak"
GUIDE = Path(__file__).parents[3] / "docs" / "concepts" / "privacy.md"


def with_a_word_in_every_text(ds):
    """Put a word into all texts that DICOM knows, also nested and private, but for those that are carried."""
    needed = {"ImageType", "Modality", "ConvolutionKernel", "Manufacturer", "SliceThickness", "RescaleType"}
    texts = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}
    for tag, (vr, _vm, _name, retired, keyword) in DicomDictionary.items():
        if vr in texts and not retired and keyword not in needed | set(CARRIED) and tag >> 16 > 2:
            setattr(ds, keyword, LEAK)
    nested = pydicom.Dataset()
    nested.PatientID = nested.InstitutionName = LEAK
    ds.OtherPatientIDsSequence = ds.ReferencedStudySequence = [nested]
    ds.private_block(0x0029, LEAK, create=True).add_new(1, "LO", LEAK)
    ds.PatientAge, ds.PatientWeight = "068Y", "71.5"
    return ds


@pytest.mark.parametrize("kind", ["slices", "enhanced"])
def test_nothing_is_carried_but_what_is_stated(dicom, folder, tmp_path, kind):
    slices = [with_a_word_in_every_text(ds) for ds in dicom.series(4, IssuerOfPatientID="Ward 7")]
    if kind == "slices":
        dicom.save_all(slices, folder)
    else:
        dicom.save(dicom.enhanced(slices), folder / "e.dcm")
    source = pydicom.dcmread(next(folder.iterdir()))
    assert LEAK in (source.InstitutionAddress, source.PatientComments, source.DeviceSerialNumber)
    volume = read_dicom(folder)
    path = write_dicom_seg(tmp_path / "lungs.dcm", LabelVolume.on_grid_of(volume, labels_of(volume)), volume)
    data = path.read_bytes()
    assert not [word for word in (LEAK, "068Y", "71.5", "ACME") if word.encode() in data]
    seg = pydicom.dcmread(path)
    for keyword in set(CARRIED) & set(source.dir()):
        assert seg[keyword].value == source[keyword].value, keyword
    assert seg.ReferringPhysicianName == ""


def test_what_is_carried_is_what_the_guide_says():
    if not GUIDE.exists():
        pytest.skip("the documentation is not here")
    stated = GUIDE.read_text("utf-8").split("## DICOM SEG")[1].split("\n## ")[0]
    assert set(CARRIED) == {
        word for word in stated.replace("`", " ").replace(",", " ").split() if word in CARRIED
    }
    assert set(CARRIED) <= set(stated.replace("`", " ").replace(",", " ").split())


def test_only_its_owner_may_read_it(dicom, folder, tmp_path):
    dicom.save_all(dicom.series(4), folder)
    volume = read_dicom(folder)
    path = write_dicom_seg(tmp_path / "lungs.dcm", LabelVolume.on_grid_of(volume, labels_of(volume)), volume)
    assert path.stat().st_mode & 0o777 == 0o600


def test_patient_and_study_may_be_unknown(dicom, folder, tmp_path):
    gone = ("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID")
    dicom.save_all(dicom.series(4, **dict.fromkeys(gone)), folder)
    volume = read_dicom(folder)
    seg = pydicom.dcmread(
        write_dicom_seg(tmp_path / "lungs.dcm", LabelVolume.on_grid_of(volume, labels_of(volume)), volume)
    )
    assert {str(seg[keyword].value or "") for keyword in gone} == {""}


def test_a_model_may_have_any_name(dicom, folder, tmp_path, recwarn):
    dicom.save_all(dicom.series(4), folder)
    volume = read_dicom(folder)
    path = write_dicom_seg(
        tmp_path / "lungs.dcm",
        LabelVolume.on_grid_of(volume, labels_of(volume)),
        volume,
        algorithm="hilum a\\b\udcfc\u03c0",
    )
    segment = pydicom.dcmread(path).SegmentSequence[0]
    assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == "hilum a?b??"
    assert not recwarn.list


def test_a_zip_gives_what_its_folder_gives(dicom, folder, tmp_path):
    dicom.save_all(dicom.series(4), folder / "a" / "b")
    packed = Path(shutil.make_archive(str(tmp_path / "case"), "zip", folder))
    one, other = read_dicom(folder), read_zip(packed)
    labels = labels_of(one)
    first = pydicom.dcmread(write_dicom_seg(tmp_path / "one.dcm", LabelVolume.on_grid_of(one, labels), one))
    second = pydicom.dcmread(
        write_dicom_seg(tmp_path / "other.dcm", LabelVolume.on_grid_of(other, labels), other)
    )
    for keyword in ("InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime"):
        first[keyword].value = second[keyword].value
    first.ContributingEquipmentSequence = second.ContributingEquipmentSequence  # holds the time, too
    assert (str(first), first.PixelData) == (str(second), second.PixelData)
    packed.unlink()
    with pytest.raises(InputError, match="does not exist"):
        write_dicom_seg(tmp_path / "third.dcm", LabelVolume.on_grid_of(other, labels), other)
