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
from hilum.errors import GeometryError, InputError, OutputError, UsageError
from hilum.io import read, write_hu_tiff, write_labels
from hilum.learn import load_dataset, load_index
from hilum.learn.dataset_index import read_image
from hilum.learn.encode import encode_mask, encode_picture
from hilum.learn.prepare import prepare
from hilum.volume import Volume


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


def test_index_tells_files_and_hashes(tmp_path, pairs):
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


def test_changed_source_is_made_anew_without_leftovers(tmp_path, write_pair):
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
    prepare(pairs, tmp_path / "b", workers=2)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("pool", FileNotFoundError(errno.ENOENT, "No such file or directory")),
        ("pool", PermissionError(errno.EACCES, "Permission denied")),
        ("pool", NotImplementedError("no semaphores")),
        ("submit", BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")),
    ],
    ids=["no /dev/shm", "no right to it", "no semaphores", "no more processes"],
)
def test_where_the_system_gives_no_processes_one_does_all(tmp_path, pairs, tree, monkeypatch, place, error):
    from multiprocessing import context, process

    prepare(pairs, tmp_path / "whole")

    def refuse(*_args, **_kwargs):
        raise error

    if place == "pool":
        monkeypatch.setattr(context.BaseContext, "Lock", refuse)
    else:
        monkeypatch.setattr(process.BaseProcess, "start", refuse)
    done = prepare(pairs, tmp_path / "ds", workers=2)
    assert done.alone
    assert tree(tmp_path / "ds") == tree(tmp_path / "whole")


def test_one_process_instead_of_several_is_told(tmp_path, pairs, monkeypatch, capsys):
    from multiprocessing import context

    from hilum.cli.app import run

    def refuse(*_):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(context.BaseContext, "Lock", refuse)
    assert run(["prepare", str(pairs), "-o", str(tmp_path / "ds"), "--workers", "2", "--json"]) == 0
    streams = capsys.readouterr()
    assert "so one did all" in streams.err
    assert json.loads(streams.out)["subjects"] == 3


_KILLED_AT = """
import os, signal, sys
from hilum.io import atomic
from hilum.learn.prepare import prepare
real = atomic._sync
def sync(path):
    if path.name.endswith(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    real(path)
atomic._sync = sync
prepare(sys.argv[1], sys.argv[2])
"""


@pytest.mark.skipif(os.name != "posix", reason="needs kill -9")
def test_no_hidden_file_of_a_killed_run_stays_in_or_beside_the_data_set(tmp_path, pairs, tree):
    for killed_at in ("subjects.json", ".parquet"):
        words = [sys.executable, "-c", _KILLED_AT, str(pairs), str(tmp_path / "place" / "ds"), killed_at]
        assert subprocess.run(words, stderr=subprocess.DEVNULL).returncode == -signal.SIGKILL
        assert [path.name for path in tmp_path.rglob(".hilum-*") if path.name.endswith(killed_at)]
    prepare(pairs, tmp_path / "place" / "ds")
    assert not list(tmp_path.rglob(".*"))


_RUN = "import sys; from hilum.learn.prepare import prepare\n" + (
    "if __name__ == '__main__': prepare(sys.argv[1], sys.argv[2], workers=2)\n"
)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs kill -9")
def test_killed_runs_end_with_the_same_bytes(tmp_path, write_pair, tree):
    for seed in range(4):
        write_pair(tmp_path / "in", f"s{seed}", seed)
    prepare(tmp_path / "in", tmp_path / "whole")
    script = tmp_path / "run.py"
    script.write_text(_RUN)
    chance = random.Random(7)
    command = [sys.executable, str(script), str(tmp_path / "in"), str(tmp_path / "ds")]
    begin = time.monotonic()
    subprocess.run([*command[:-1], str(tmp_path / "timed")], check=True)
    length = time.monotonic() - begin
    for _ in range(3):
        running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(length * chance.uniform(0.4, 1.0))
        running.send_signal(signal.SIGKILL)
        running.wait()
        for image in (tmp_path / "ds").glob("images/*.tiff"):
            read_image(image)  # nothing half-written under a final name
    subprocess.run(command, check=True)
    assert tree(tmp_path / "ds") == tree(tmp_path / "whole")


def test_stopped_after_one_subject_goes_on(tmp_path, pairs, tree, monkeypatch):
    prepare(pairs, tmp_path / "whole")
    from hilum.learn import prepare as module

    real, calls = module.make_subject, []

    def stop_at_second(job):
        calls.append(job.id)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(job)

    monkeypatch.setattr(module, "make_subject", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        prepare(pairs, tmp_path / "ds")
    with pytest.raises(InputError, match="not complete"):
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


def test_full_disk_is_one_sentence_and_goes_on(tmp_path, pairs, tree, monkeypatch):
    real, written = Path.write_bytes, []

    def full(self, data):
        written.append(self)
        if len(written) > 50:
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"disk of .* is full; subjects that were finished are kept"):
        prepare(pairs, tmp_path / "ds")
    monkeypatch.undo()
    left = {path.name for path in (tmp_path / "ds").iterdir()}
    assert left == {"images", "masks", "records"}
    assert {path.name.split("_")[0] for path in (tmp_path / "ds" / "images").iterdir()} == {"0"}
    prepare(pairs, tmp_path / "ds")
    prepare(pairs, tmp_path / "whole")
    assert tree(tmp_path / "ds") == tree(tmp_path / "whole")


# -- what is refused ---------------------------------------------------------------------------------------


def moved(volume, labels):
    return Volume(
        volume.hu, volume.affine @ np.array([[1, 0, 0, 9], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    ), labels


def other_grid(folder: Path, write_pair) -> None:
    """A mask at half the resolution along two axes, over the same extent."""
    volume, labels = write_pair(folder, "x")
    affine = volume.affine @ np.diag([2.0, 2.0, 1.0, 1.0])
    affine[:3, 3] += volume.affine[:3, :3] @ [0.5, 0.5, 0.0]
    coarse = np.ascontiguousarray(labels[::2, ::2])
    write_labels(folder / "x_lungs.nii.gz", coarse, Volume(coarse.astype(np.int16), affine))


def test_grids_that_differ_are_refused_or_resampled(tmp_path, write_pair):
    other_grid(tmp_path / "in", write_pair)
    with pytest.raises(GeometryError, match="The mask and its image do not lie on one grid") as caught:
        prepare(tmp_path / "in", tmp_path / "ds")
    assert "--resample-masks" in caught.value.hint
    assert [p.name for p in tmp_path.iterdir()] == ["in"]  # nothing half-written
    prepare(tmp_path / "in", tmp_path / "ds", resample_masks=True, sides=True)
    subject = load_dataset(tmp_path / "ds").subjects[0]
    assert subject.notes[0][0] == "mask_resampled"
    assert "12 x 9 x 12 voxels" in subject.notes[0][1]
    data = load_dataset(tmp_path / "ds")
    drawn = np.stack([data.mask(record) for record in data.slices])
    _, labels = write_pair(tmp_path / "other", "x")
    expected = labels[::2, ::2].repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(drawn, np.transpose(expected[:, ::-1, ::-1], (1, 2, 0)))


def values(*pairs_of_values):
    def change(volume, labels):
        for old, new in pairs_of_values:
            labels = np.where(labels == old, new, labels).astype(np.uint8)
        return volume, labels

    return change


def test_other_values_need_a_map(tmp_path, write_pair):
    _, labels = write_pair(tmp_path / "in", "x", change=values((1, 3), (2, 5)))
    with pytest.raises(InputError, match=r"other than 0, 1 and 2 \(3, 5\)") as caught:
        prepare(tmp_path / "in", tmp_path / "ds")
    assert "--labels 3=right,5=left" in caught.value.hint
    with pytest.raises(InputError, match=r"does not name \(5\)"):
        prepare(tmp_path / "in", tmp_path / "ds", labels="3=1")
    prepare(tmp_path / "in", tmp_path / "ds", labels={3: 1, 5: 1})
    data = load_dataset(tmp_path / "ds")
    assert sum(int(data.mask(r).sum()) for r in data.slices) == np.count_nonzero(labels)
    prepare(tmp_path / "in", tmp_path / "one", labels="3=1,*=0")
    data = load_dataset(tmp_path / "one")
    assert sum(int(data.mask(r).sum()) for r in data.slices) == np.count_nonzero(labels == 3)


def one_label(volume, labels):
    return volume, (labels > 0).astype(np.uint8)


def test_one_label_is_parted_where_sides_are_wanted(tmp_path, write_pair):
    _, labels = write_pair(tmp_path / "two", "x")
    write_pair(tmp_path / "one", "x", change=one_label)
    for source in ("one", "two"):
        done = prepare(tmp_path / source, tmp_path / f"ds-{source}", sides=True)
        data = load_dataset(done.dataset)
        drawn = np.stack([data.mask(record) for record in data.slices])
        assert [np.count_nonzero(drawn == side) for side in (1, 2)] == [
            np.count_nonzero(labels == side) for side in (1, 2)
        ]
        assert ("sides_parted" in {code for _, code, _ in done.notes}) == (source == "one")


def test_one_label_that_cannot_be_parted_is_refused_where_sides_are_wanted(tmp_path, write_pair):
    def block(volume, labels):
        labels = np.zeros_like(labels)
        labels[4:20, 5:13, 2:-2] = 1
        return volume, labels

    write_pair(tmp_path / "in", "x", change=block)
    with pytest.raises(InputError, match="one label for both lungs") as caught:
        prepare(tmp_path / "in", tmp_path / "ds", sides=True)
    assert "--sides" in caught.value.hint
    assert prepare(tmp_path / "in", tmp_path / "ds").subjects == 1


def test_labels_of_nnunet_are_read_from_its_dataset_json(tmp_path, write_pair):
    _, labels = write_pair(tmp_path / "in", "x", change=values((1, 4), (2, 9)))
    for folder, old, new in (("imagesTr", "x_ct", "x_0000"), ("labelsTr", "x_lungs", "x")):
        (tmp_path / "raw" / folder).mkdir(parents=True)
        (tmp_path / "in" / f"{old}.nii.gz").rename(tmp_path / "raw" / folder / f"{new}.nii.gz")
    table = tmp_path / "raw" / "dataset.json"
    told = {"channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}
    table.write_text(json.dumps({**told, "labels": {"background": 0, "right lung": 4, "liver": 9}}))
    data = load_dataset(prepare(table, tmp_path / "ds").dataset)
    assert sum(int(data.mask(r).sum()) for r in data.slices) == np.count_nonzero(labels == 4)
    table.write_text(json.dumps({**told, "labels": {"background": 0, "lung": 4}}))
    with pytest.raises(InputError, match=r"values that dataset.json does not name \(9\)"):
        prepare(table, tmp_path / "other")


def test_a_mask_that_would_lose_its_lung_is_not_resampled(tmp_path, write_pair):
    import nibabel as nib

    write_pair(tmp_path / "in", "x")
    path = tmp_path / "in" / "x_lungs.nii.gz"
    image = nib.load(path)
    array = np.asarray(image.dataobj)
    shifted = image.affine.copy()
    shifted[:3, 3] += (20.5, 0.0, 0.0)
    nib.save(nib.Nifti1Image(array, shifted), path)
    with pytest.raises(GeometryError, match=r"Of the [\d.,]+ mL of The mask only [\d.,]+ mL lie inside"):
        prepare(tmp_path / "in", tmp_path / "ds", resample_masks=True)
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    with pytest.raises(GeometryError, match="lost the affine") as caught:
        prepare(tmp_path / "in", tmp_path / "ds", resample_masks=True)
    assert "resample" not in caught.value.hint


def test_what_was_done_to_a_mask_is_said_on_the_screen(tmp_path, write_pair, capsys):
    from hilum.cli.app import run

    other_grid(tmp_path / "in", write_pair)
    arguments = ["prepare", str(tmp_path / "in"), "-o", str(tmp_path / "ds"), "--resample-masks"]
    assert run([*arguments, "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "mask_resampled: subject 0: The mask was resampled from 12 x 9 x 12 voxels" in said
    assert "mL became" in said


@pytest.mark.parametrize("text", ["3", "3=4", "x=lung", "70000=1", "3=1,,", "cip,both"])
def test_maps_that_cannot_be_read(tmp_path, pairs, text):
    with pytest.raises(UsageError, match=r"^labels (holds|names two)"):
        prepare(pairs, tmp_path / "ds", labels=text)


def test_refused_pairs_are_listed_without_names_and_the_rest_goes_on(tmp_path, pairs, write_pair):
    write_pair(pairs, "clara", 5, change=values((1, 0), (2, 0)))
    (pairs / "dora_ct.nii.gz").write_bytes((pairs / "berta_ct.nii.gz").read_bytes())
    (pairs / "emil_ct.nii.gz").write_bytes(b"\x1f\x8bnot gzip")
    (pairs / "emil_lungs.nii.gz").write_bytes(b"")
    done = prepare(pairs, tmp_path / "ds")
    assert done.subjects == 3
    said = {refused.name: str(refused.error) for refused in done.refused}
    assert "empty" in said["clara"]
    assert "no mask" in said["dora"]
    assert set(said) == {"clara", "dora", "emil"}
    data = load_dataset(tmp_path / "ds")
    assert len(data.refused) == 3
    text = (tmp_path / "ds" / "dataset.json").read_text()
    assert not any(name in text for name in said)


def test_the_same_image_under_two_names_counts_once(tmp_path, pairs, tree):
    for role in ("ct", "lungs"):
        (pairs / f"zoe_{role}.nii.gz").write_bytes((pairs / f"berta_{role}.nii.gz").read_bytes())
    done = prepare(pairs, tmp_path / "ds")
    assert [(r.name, str(r.error)[:40]) for r in done.refused] == [
        ("zoe", "Its image is the same as that of subject")
    ]
    assert not list((tmp_path / "ds" / "images").glob("3_*"))
    first = tree(tmp_path / "ds")
    prepare(pairs, tmp_path / "ds")
    assert tree(tmp_path / "ds") == first


def test_a_data_set_has_one_plane(tmp_path, pairs):
    prepare(pairs, tmp_path / "ds")
    with pytest.raises(UsageError, match="was made with plane = coronal, not axial"):
        prepare(pairs, tmp_path / "ds", plane="axial")


def test_lost_dictionary(tmp_path, pairs):
    done = prepare(pairs, tmp_path / "ds")
    done.dictionary.rename(tmp_path / "kept.json")
    with pytest.raises(InputError, match=r"dictionary .* is missing"):
        prepare(pairs, tmp_path / "ds")
    assert prepare(pairs, tmp_path / "ds", subjects=tmp_path / "kept.json").kept == (0, 1, 2)


def test_folders_of_others_are_not_touched(tmp_path, pairs):
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match="not touched"):
        prepare(pairs, other)
    assert [p.name for p in other.iterdir()] == ["thesis.txt"]
    with pytest.raises(UsageError, match="must not hold names"):
        prepare(pairs, tmp_path / "ds", subjects=tmp_path / "ds" / "s.json")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"plane": "oblique"}, "plane is"),
        ({"spacing": "1"}, "spacing is"),
        ({"spacing": (0, 1)}, "between"),
        ({"workers": 0}, "workers is"),
    ],
)
def test_arguments(tmp_path, pairs, arguments, words):
    with pytest.raises(UsageError, match=words):
        prepare(pairs, tmp_path / "ds", **arguments)
    assert not (tmp_path / "ds").exists()


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
    write_labels(tmp_path / "in/p_lungs.nii.gz", made.labels, made.volume)
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


def test_pictures_without_scale(tmp_path):
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
    with pytest.raises(GeometryError, match="single axial picture"):
        prepare(tmp_path / "in", tmp_path / "ds")
    with pytest.raises(GeometryError, match="pixel size"):
        prepare(tmp_path / "in", tmp_path / "ds", plane="axial", spacing="square")
    prepare(tmp_path / "in", tmp_path / "ds", plane="axial")
    data = load_dataset(tmp_path / "ds")
    assert [s.spacing_mm for s in data.subjects] == [None, None]
    np.testing.assert_array_equal(data.image(data.slices[1]), hu)
    np.testing.assert_array_equal(data.mask(data.slices[1]), mask)


def test_encoders_are_exact_at_the_ends_of_the_range(tmp_path):
    from hilum.io.tiff import Plane

    rng = np.random.default_rng(0)
    hu = rng.integers(-32768, 32768, (7, 11)).astype(np.int16)
    (tmp_path / "x.tiff").write_bytes(encode_picture(hu, Plane.SAGITTAL, (0.7, 0.8), 1.5))
    from hilum.io.tiff import load_tiff

    raw = load_tiff(tmp_path / "x.tiff")
    np.testing.assert_array_equal(raw.array[:, :, 0], hu)
    np.testing.assert_allclose(np.linalg.norm(raw.affine[:3, :3], axis=0), (0.7, 0.8, 1.5))


def test_errors_reach_the_parent_from_another_process(tmp_path, pairs, write_pair):
    write_pair(pairs, "clara", 5, change=values((1, 9)))
    done = prepare(pairs, tmp_path / "ds", workers=2)
    assert "--labels 9=right" in done.refused[0].error.hint


@pytest.mark.real
def test_real_slices(tmp_path):
    source = Path(os.environ.get("HILUM_DATA", Path(__file__).parents[3] / "shared" / "data")) / "slices"
    if not source.is_dir():
        pytest.skip("the real scans are not here")
    table = tmp_path / "some.csv"
    images = sorted((source / "images").glob("*.tif"))[:4]
    lines = [f"{image},{source / 'masks' / (image.stem + '.png')}" for image in images]
    table.write_text("\n".join(["image,mask", *lines]))
    prepare(table, tmp_path / "ds", plane="axial")
    data = load_dataset(tmp_path / "ds")
    np.testing.assert_array_equal(data.image(data.slices[2]), read(images[2]).hu[:, :, 0])
    assert all("calibration_off" in subject.flags for subject in data.subjects)
