"""Writing gzip on several cores, with the same bytes on any number of them."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO

from hilum.core.cores import thread_count

__all__ = ["write_gzip"]

#: Magic number, deflate, no flags, no time, fastest, unknown system (RFC 1952).
_HEADER = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x04\xff"
_LEVEL = 1


def write_gzip(file: BinaryIO, blocks: Iterable[Any]) -> None:
    """Write blocks of bytes as one gzip member without name and time, so that equal blocks give equal files.

    Each block is compressed by itself and ends on a byte, as by pigz; together they are one stream that any
    reader of gzip takes. By zlib: isal would be faster, but its tables of matches begin with what was in
    memory, so that now and then the same data come out as other bytes.

    Args:
        file: Open for writing in binary.
        blocks: Bytes or memory views; some of them are held at once.
    """
    threads = thread_count()
    check, size = 0, 0
    waiting: deque[Future[bytes]] = deque()
    file.write(_HEADER)
    with ThreadPoolExecutor(threads) as pool:
        for block in blocks:
            waiting.append(pool.submit(_deflate, block))
            check, size = zlib.crc32(block, check), size + len(block)
            if len(waiting) > threads:
                file.write(waiting.popleft().result())
        for done in waiting:
            file.write(done.result())
    file.write(zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS).flush())  # an empty last block
    file.write(check.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little"))


def _deflate(block: Any) -> bytes:
    squeezer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return squeezer.compress(block) + squeezer.flush(zlib.Z_SYNC_FLUSH)
