from __future__ import annotations

import gzip
import io

import numpy as np
import pytest
from isal import igzip

from hilum.io.gzip_writer import write_gzip


def squeezed(blocks) -> bytes:
    file = io.BytesIO()
    write_gzip(file, blocks)
    return file.getvalue()


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_any_reader_gets_the_bytes_back(count):
    rng = np.random.default_rng(count)
    blocks = [rng.integers(0, 4, 1000 + 77 * k, np.uint8).tobytes() for k in range(count)]
    out = squeezed(iter(blocks))
    assert gzip.decompress(out) == igzip.decompress(out) == b"".join(blocks)
    # One member: some programs read the first one only.
    assert out.count(b"\x1f\x8b\x08\x00" + bytes(4)) == 1


def test_the_bytes_do_not_depend_on_the_cores(monkeypatch):
    blocks = [np.arange(50_000, dtype=np.uint16).tobytes(), b"", bytes(10_000), b"lung" * 999]
    found = set()
    for cores in (1, 2, 3, 64):
        monkeypatch.setattr("hilum.io.gzip_writer.thread_count", lambda cores=cores: cores)
        found.add(squeezed(blocks))
    assert len(found) == 1


def test_errors_of_a_worker_are_raised():
    def broken():
        yield b"good"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        squeezed(broken())

    class Full(io.BytesIO):
        def write(self, data):
            if len(data) > 20:
                raise OSError(28, "full")
            return super().write(data)

    with pytest.raises(OSError, match="full"):
        write_gzip(Full(), [np.random.default_rng(0).bytes(1000)] * 8)
