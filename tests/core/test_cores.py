"""Threads of BLAS."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_info

from hilum.core.cores import one_blas_thread


def threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_blas_uses_one_thread_until_the_last_user_leaves():
    assert (np.eye(2) @ np.eye(2) == np.eye(2)).all()  # BLAS is loaded
    before = threads()
    assert before
    first, second = one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    assert set(threads()) == {1}
    first.__exit__(None, None, None)
    assert set(threads()) == {1}
    second.__exit__(None, None, None)
    assert threads() == before
