from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import hilum
from hilum.core.errors import GeometryError, InputError, OutputError
from hilum.core.label_volume import LabelVolume
from hilum.core.volume import Volume
from hilum.datasets import load_dataset, load_index
from hilum.datasets.encode import encode_mask, encode_slice
from hilum.datasets.index import read_image
from hilum.datasets.prepare import prepare
from hilum.io import read, write_hu_tiff, write_labels
from support.real_data import real_folder
from support.work import dying_subject


def test_slices_come_back_exactly_as_people_look_at_them(tmp_path, write_pair):
    volume, labels = write_pair(tmp_path / "in", "x")
    prepare(tmp_path / "in", tmp_path / "ds")
    data = load_dataset(tmp_path / "ds")
    assert data.plane == "coronal"
    assert len(data.slices) == 18
    record = data.slices[4]
    # Axes are L P S: row 0 is the head, column 0 the patient's right, slice 4 counts from the back.
    j = volume.shape[1] - 1 - 4
    np.testing.assert_array_equal(data.image(record), volume.hu[:, j, ::-1].T)
    np.testing.assert_array_equal(data.mask(record), labels[:, j, ::-1].T > 0)
    assert (record.rows, record.cols) == (12, 24)
    assert record.spacing_mm == (4.0, 3.0)
    assert record.slice_spacing_mm == 2.0
    assert record.lung_fraction == pytest.approx((labels[:, j] > 0).mean(), abs=1e-6)
    assert data.subjects[0].volume_voxel_ml == pytest.approx(0.024)
    again = read(tmp_path / "ds" / record.image)
    assert again.spacing[:2] == pytest.approx((4.0, 3.0))
    assert again.meta.spacing_known


@pytest.mark.parametrize(
    ("plane", "count", "shape"),
    [("axial", 12, (18, 24)), ("sagittal", 24, (12, 18)), ("coronal", 18, (12, 24))],
)
@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SAR"])
def test_orientation_of_the_file_does_not_matter(tmp_path, write_pair, plane, count, shape, orientation):
    import nibabel as nib

    def turned(volume, labels):
        codes = nib.orientations.axcodes2ornt(tuple(orientation))
        ornt = nib.orientations.ornt_transform(nib.io_orientation(volume.affine), codes)
        affine = volume.affine @ nib.orientations.inv_ornt_aff(ornt, volume.shape)
        hu, mask = (nib.apply_orientation(a, ornt) for a in (volume.hu, labels))
        return Volume(np.ascontiguousarray(hu), affine), np.ascontiguousarray(mask)

    write_pair(tmp_path / "a", "x")
    write_pair(tmp_path / "b", "x", change=turned)
    for name in "ab":
        prepare(tmp_path / name, tmp_path / f"ds{name}", plane=plane, sides=True)
    first, second = (load_dataset(tmp_path / f"ds{name}") for name in "ab")
    assert len(first.slices) == count
    assert (first.slices[0].rows, first.slices[0].cols) == shape
    for mine, other in zip(first.slices, second.slices, strict=True):
        np.testing.assert_array_equal(first.image(mine), second.image(other))
        np.testing.assert_array_equal(first.mask(mine), second.mask(other))
    if plane != "sagittal":  # right lung on the left side
        drawn = first.mask(first.slices[count // 2])
        assert np.nonzero(drawn == 1)[1].max() < np.nonzero(drawn == 2)[1].min()


def test_the_index_lists_files_and_hashes(tmp_path, pairs):
    prepare(pairs, tmp_path / "ds")
    records = load_index(tmp_path / "ds")
    assert [r.subject for r in records] == sorted(r.subject for r in records)
    for record in records[::7]:
        for name, digest in ((record.image, record.image_sha256), (record.mask, record.mask_sha256)):
            assert hashlib.sha256((tmp_path / "ds" / name).read_bytes()).hexdigest() == digest
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(tmp_path / "ds" / "index.parquet").to_pylist()
    with (tmp_path / "ds" / "index.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [str(row["image"]) for row in table] == [row["image"] for row in rows]
    assert list(table[0]) == list(rows[0])


def test_names_stay_outside(tmp_path, pairs, tree):
    done = prepare(pairs, tmp_path / "ds")
    assert done.dictionary == tmp_path / "ds.subjects.json"
    assert json.loads(done.dictionary.read_text()) == {"0": "anna-2", "1": "anna-10", "2": "berta"}
    if os.name == "posix":
        assert stat.S_IMODE(done.dictionary.stat().st_mode) == 0o600
    for name, content in tree(tmp_path / "ds").items():
        assert b"anna" not in content, name
        assert b"berta" not in content, name


def test_adding_subjects_keeps_the_old_numbers(tmp_path, pairs, write_pair, tree):
    prepare(pairs, tmp_path / "ds")
    before = tree(tmp_path / "ds")
    write_pair(pairs, "aaa", 9)
    done = prepare(pairs, tmp_path / "ds")
    assert done.made == (3,)
    assert set(done.kept) == {0, 1, 2}
    assert json.loads(done.dictionary.read_text())["3"] == "aaa"
    after = tree(tmp_path / "ds")
    assert all(after[name] == before[name] for name in before if name.startswith(("images/", "masks/")))
    write_pair(tmp_path / "more", "zzz", 10)
    assert prepare(tmp_path / "more", tmp_path / "ds").subjects == 5  # those not given now stay


def test_a_changed_source_is_prepared_again_without_leftovers(tmp_path, write_pair):
    write_pair(tmp_path / "in", "x", 1)
    prepare(tmp_path / "in", tmp_path / "ds", plane="axial")

    def shorter(volume, labels):
        return Volume(volume.hu[:, :, :9], volume.affine), labels[:, :, :9]

    volume, _ = write_pair(tmp_path / "in", "x", 2, change=shorter)
    assert prepare(tmp_path / "in", tmp_path / "ds", plane="axial").made == (0,)
    data = load_dataset(tmp_path / "ds")
    assert len(list((tmp_path / "ds" / "images").iterdir())) == len(data.slices) == volume.shape[2]


def test_same_bytes_with_one_and_two_processes(tmp_path, pairs, tree):
    prepare(pairs, tmp_path / "a")
    prepare(pairs, tmp_path / "b", jobs=2)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_a_subject_whose_process_dies_is_refused_and_is_made_by_the_next_run(
    tmp_path, pairs, tree, monkeypatch
):
    prepare(pairs, tmp_path / "whole")
    monkeypatch.setattr("hilum.datasets.prepare.make_subject", dying_subject)
    done = prepare(pairs, tmp_path / "ds", jobs=2)
    assert (done.made, [one.id for one in done.refused]) == ((0, 2), [1])
    assert done.refused[0].error.exit_code == 7
    assert not list((tmp_path / "ds").rglob(".hilum-*"))
    monkeypatch.undo()
    assert prepare(pairs, tmp_path / "ds").made == (1,)
    assert tree(tmp_path / "ds") == tree(tmp_path / "whole")


_KILLED_AT = """
import os, signal, sys
from hilum.io import atomic
from hilum.datasets.prepare import prepare
real = atomic.sync
def sync(path):
    if path.name.endswith(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    real(path)
atomic.sync = sync
prepare(sys.argv[1], sys.argv[2])
"""


@pytest.mark.skipif(os.name != "posix", reason="needs kill -9")
def test_no_hidden_file_of_a_killed_run_stays_in_or_beside_the_dataset(tmp_path, pairs, tree):
    for killed_at in ("subjects.json", ".parquet"):
        words = [sys.executable, "-c", _KILLED_AT, str(pairs), str(tmp_path / "place" / "ds"), killed_at]
        assert subprocess.run(words, stderr=subprocess.DEVNULL).returncode == -signal.SIGKILL
        assert [path.name for path in tmp_path.rglob(".hilum-*") if path.name.endswith(killed_at)]
    prepare(pairs, tmp_path / "place" / "ds")
    assert not list(tmp_path.rglob(".*"))


_RUN = "import sys; from hilum.datasets.prepare import prepare\n" + (
    "if __name__ == '__main__': prepare(sys.argv[1], sys.argv[2], jobs=2)\n"
)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs kill -9")
def test_killed_runs_end_with_the_same_bytes(tmp_path, write_pair, tree):
    for seed in range(4):
        write_pair(tmp_path / "in", f"s{seed}", seed)
    prepare(tmp_path / "in", tmp_path / "whole")
    script = tmp_path / "run.py"
    script.write_text(_RUN)
    rng = random.Random(7)
    command = [sys.executable, str(script), str(tmp_path / "in"), str(tmp_path / "ds")]
    begin = time.monotonic()
    subprocess.run([*command[:-1], str(tmp_path / "timed")], check=True)
    length = time.monotonic() - begin
    for _ in range(3):
        running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(length * rng.uniform(0.4, 1.0))
        running.send_signal(signal.SIGKILL)
        running.wait()
        for image in (tmp_path / "ds").glob("images/*.tiff"):
            read_image(image)  # nothing half-written under a final name
    subprocess.run(command, check=True)
    assert tree(tmp_path / "ds") == tree(tmp_path / "whole")


def test_a_run_stopped_after_one_subject_resumes(tmp_path, pairs, tree, monkeypatch):
    prepare(pairs, tmp_path / "whole")
    from hilum.datasets import prepare as module

    real, calls = module.make_subject, []

    def stop_at_second(job):
        calls.append(job.id)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(job)

    monkeypatch.setattr(module, "make_subject", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        prepare(pairs, tmp_path / "ds")
    with pytest.raises(InputError, match="incomplete"):
        load_dataset(tmp_path / "ds")
    monkeypatch.setattr(module, "make_subject", real)
    assert prepare(pairs, tmp_path / "ds").kept == (0,)
    assert tree(tmp_path / "ds") == tree(tmp_path / "whole")


def test_lost_or_cut_files_are_made_again(tmp_path, pairs, tree):
    prepare(pairs, tmp_path / "ds")
    before = tree(tmp_path / "ds")
    (tmp_path / "ds" / "images" / "1_3.tiff").write_bytes(b"II*")
    (tmp_path / "ds" / "masks" / "2_0.png").unlink()
    assert prepare(pairs, tmp_path / "ds").made == (1, 2)
    assert tree(tmp_path / "ds") == before


def test_a_full_disk_is_one_sentence_and_the_run_resumes(tmp_path, pairs, tree, monkeypatch):
    real, written = Path.write_bytes, []

    def full(self, data):
        written.append(self)
        if len(written) > 50:
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"disk of .* is full; finished subjects are kept"):
        prepare(pairs, tmp_path / "ds")
    monkeypatch.undo()
    left = {path.name for path in (tmp_path / "ds").iterdir()}
    assert left == {"images", "masks", "records"}
    assert {path.name.split("_")[0] for path in (tmp_path / "ds" / "images").iterdir()} == {"0"}
    prepare(pairs, tmp_path / "ds")
    prepare(pairs, tmp_path / "whole")
    assert tree(tmp_path / "ds") == tree(tmp_path / "whole")


@pytest.fixture(scope="module")
def phantom():
    return hilum.phantom(seed=3, spacing=(3.0, 4.0, 4.0), noise_hu=0)


# -- pixel size ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spacing", "expected"), [("square", (3.0, 3.0)), ("5,5", (5.0, 5.0)), ((2.0, 1.5), (2.0, 1.5))]
)
def test_resampled_pixels_keep_volume_and_density(tmp_path, phantom, spacing, expected):
    from hilum.io import write_volume

    made = phantom
    (tmp_path / "in").mkdir()
    write_volume(tmp_path / "in/p_ct.nii.gz", made.volume)
    write_labels(
        tmp_path / "in/p_lungs.nii.gz", LabelVolume.on_grid_of(made.volume, made.labels), made.volume
    )
    prepare(tmp_path / "in", tmp_path / "ds", spacing=spacing)
    data = load_dataset(tmp_path / "ds")
    subject = data.subjects[0]
    assert subject.spacing_mm == expected
    lungs = [(data.image(r), data.mask(r) > 0) for r in data.slices]
    volume = sum(int(mask.sum()) for _, mask in lungs) * subject.volume_voxel_ml
    truth = np.count_nonzero(made.labels) * made.volume.voxel_volume_ml
    assert volume == pytest.approx(truth, rel=0.02)
    mean = np.mean(np.concatenate([hu[mask] for hu, mask in lungs]))
    assert mean == pytest.approx(made.volume.hu[made.labels > 0].mean(), abs=20)
    assert subject.notes[0][0] == "pixels_resampled"


def test_slices_without_scale(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / "in" / folder).mkdir(parents=True)
    rng = np.random.default_rng(1)
    for name in ("1", "2"):
        hu = np.full((40, 50), -1000, np.int16)
        hu[5:35, 5:45] = 40
        hu[10:30, 10:40] = -800
        hu += rng.integers(-9, 10, hu.shape).astype(np.int16)
        write_hu_tiff(tmp_path / "in/images" / f"{name}.tif", hu, None)
        mask = np.zeros(hu.shape, np.uint8)
        mask[10:30, 10:40] = 1
        (tmp_path / "in/masks" / f"{name}.png").write_bytes(encode_mask(mask))
    with pytest.raises(GeometryError, match="single axial slice"):
        prepare(tmp_path / "in", tmp_path / "ds")
    with pytest.raises(GeometryError, match="pixel size"):
        prepare(tmp_path / "in", tmp_path / "ds", plane="axial", spacing="square")
    prepare(tmp_path / "in", tmp_path / "ds", plane="axial")
    data = load_dataset(tmp_path / "ds")
    assert [s.spacing_mm for s in data.subjects] == [None, None]
    np.testing.assert_array_equal(data.image(data.slices[1]), hu)
    np.testing.assert_array_equal(data.mask(data.slices[1]), mask)


def test_encoders_are_exact_at_the_ends_of_the_range(tmp_path):
    from hilum.core.planes import Plane

    rng = np.random.default_rng(0)
    hu = rng.integers(-32768, 32768, (7, 11)).astype(np.int16)
    (tmp_path / "x.tiff").write_bytes(encode_slice(hu, Plane.SAGITTAL, (0.7, 0.8), 1.5))
    from hilum.io.tiff import load_tiff

    raw = load_tiff(tmp_path / "x.tiff")
    np.testing.assert_array_equal(raw.array[:, :, 0], hu)
    np.testing.assert_allclose(np.linalg.norm(raw.affine[:3, :3], axis=0), (0.7, 0.8, 1.5))


@pytest.mark.real
def test_real_slices(tmp_path):
    source = real_folder("slices")
    table = tmp_path / "some.csv"
    images = sorted((source / "images").glob("*.tif"))[:4]
    lines = [f"{image},{source / 'masks' / (image.stem + '.png')}" for image in images]
    table.write_text("\n".join(["image,mask", *lines]))
    prepare(table, tmp_path / "ds", plane="axial")
    data = load_dataset(tmp_path / "ds")
    np.testing.assert_array_equal(data.image(data.slices[2]), read(images[2]).hu[:, :, 0])
    assert all("calibration_off" in subject.flags for subject in data.subjects)
