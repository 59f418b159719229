"""A batch from S3 to S3, against a server of S3 in this process."""

from __future__ import annotations

import json

import pytest

import hilum
from hilum.cli.app import run
from hilum.io import write_volume
from support.dicom_series import write_series
from support.plain_chest import build_chest

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("s3fs")
moto = pytest.importorskip("moto.server")

pytestmark = pytest.mark.slow


@pytest.fixture
def bucket(monkeypatch):
    """The file system of a server that has one bucket; its address and credentials are in the environment."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    kind = fsspec.get_filesystem_class("s3")
    kind.clear_instance_cache()
    files = fsspec.filesystem("s3")
    files.makedirs("ours", exist_ok=True)  # the server keeps its buckets in this process
    yield files
    kind.clear_instance_cache()
    server.stop()


def test_a_batch_from_s3_to_s3_gives_the_bytes_of_folders_and_copies_no_scan_again(bucket, tmp_path, capsys):
    chest = build_chest(spacing=(6.0, 6.0, 8.0)).volume
    for number, name in enumerate(("a.nii.gz", "ward/b.nii.gz")):
        path = tmp_path / "ct" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_volume(path, hilum.Volume(chest.hu + chest.hu.dtype.type(number), chest.affine))
    write_series(tmp_path / "ct" / "p3", chest)
    bucket.put(str(tmp_path / "ct"), "ours/ct", recursive=True)
    options = ["--model", "classic", "--resume"]
    command = ["segment", "s3://ours/ct", "-o", "s3://ours/results", *options]

    assert run([*command, "--jobs", "2"]) == 0
    assert run(["segment", str(tmp_path / "ct"), "-o", str(tmp_path / "results"), *options]) == 0
    names = {path.removeprefix("ours/results/") for path in bucket.find("ours/results")}
    here = {p.relative_to(tmp_path / "results").as_posix() for p in (tmp_path / "results").rglob("*.*")}
    assert names == here | {"salt.txt"}
    for name in names:
        if name.endswith((".nii.gz", "measures.json", "report.html", "measures_long.csv", ".png")):
            assert bucket.cat_file(f"ours/results/{name}") == (tmp_path / "results" / name).read_bytes()

    before = bucket.cat_file("ours/results/p3/run.json")
    assert json.loads(before)["url_key"]
    copied: list[str] = []
    get = bucket.get
    bucket.get = lambda paths, *rest, **more: (copied.extend(paths), get(paths, *rest, **more))
    capsys.readouterr()
    assert run(command) == 0
    assert "3 scans: 0 measured, 3 were done before, 0 failed" in capsys.readouterr().out
    assert copied
    assert not [path for path in copied if path.startswith("ours/ct")]
    bucket.invalidate_cache()
    assert bucket.cat_file("ours/results/p3/run.json") == before


def test_a_bucket_that_is_not_there_is_named(bucket, capsys):
    assert run(["segment", "s3://nobody/ct", "-o", "s3://ours/results"]) == 3
    assert "s3://nobody/ct does not exist" in capsys.readouterr().err
