"""Clean shutdown: signals that end the program become an exception in its main thread.

What is open is then cleaned up as after an error: temporary folders with a patient's files, staging
folders, locks. Only the program does so; a process that imports hilum keeps its own handlers.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType

__all__ = ["Stopped", "end_with", "install", "is_helper", "is_program", "received", "reinstall", "sentence"]

_SENTENCES = {
    "SIGHUP": "hung up, nothing was left half-written.",
    "SIGINT": "interrupted, nothing was left half-written.",
    "SIGTERM": "terminated, nothing was left half-written.",
}
#: Signals that follow one another within this time (s) are one wish: ``timeout`` sends its signal twice, and
#: people press Ctrl-C twice. A second one must not interrupt the clean-up that the first one began.
_ONE_WISH_S = 2.0


class Stopped(BaseException):
    """A signal wants the program to end.

    No :class:`KeyboardInterrupt`, because libraries take that as theirs: Lightning ends the process with 1.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.hint = ""  # what the user can do about it, where a verb has something to say


class _State:
    """The signals received so far, and in which process."""

    process = 0
    number: int | None = None
    last = 0.0


def install() -> None:
    """Let the signals that end a program raise :class:`Stopped`; those that are ignored stay ignored."""
    if threading.current_thread() is not threading.main_thread():
        return
    _State.process = os.getpid()
    for name in _SENTENCES:
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is None or signal.getsignal(number) is signal.SIG_IGN:  # as nohup does
            continue
        # Ctrl-C reaches all processes of a training at once; the first of them ends the others.
        deaf = is_helper() and number != signal.SIGTERM
        signal.signal(number, signal.SIG_IGN if deaf else _stop)


def is_helper() -> bool:
    """Return whether this is one of several processes that train together, but not the first.

    Schedulers number the processes of any program, so other commands than a training stay as they are.
    """
    ranks = (os.environ.get(name, "") for name in ("LOCAL_RANK", "RANK", "SLURM_PROCID"))
    return "train" in sys.argv[1:2] and any(rank.isdecimal() and int(rank) > 0 for rank in ranks)


def reinstall() -> None:
    """Reinstall the handlers that a library replaced; only if :func:`install` was called."""
    if is_program():
        install()


def is_program() -> bool:
    """Return whether this process is the program, not one that imports hilum."""
    return _State.process == os.getpid()


def received() -> int | None:
    """Return the number of the last signal that came, None where none did."""
    return _State.number


def sentence(number: int) -> str:
    """Return the sentence that describes a signal."""
    return _SENTENCES[signal.Signals(number).name]


def end_with(code: int) -> None:
    """Let a signal that comes from now on end the process at once with ``code``: its work is done."""
    if not is_program():
        return

    def end(number: int, frame: FrameType | None) -> None:
        temporary = sys.modules.get("hilum.io.temporary")
        if temporary is not None:
            temporary.remove_open()
        os._exit(code)

    for name in _SENTENCES:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


def _stop(number: int, frame: FrameType | None) -> None:
    if os.getpid() != _State.process:  # a child that was forked, such as one that loads slices
        if number != signal.SIGINT:  # Ctrl-C reaches the parent too, which ends its children
            os._exit(128 + number)
        return
    now = time.monotonic()
    again = _State.number is not None and now - _State.last < _ONE_WISH_S
    _State.last = now
    if not again:
        _State.number = number
        # What libraries fail to clean up during shutdown must not show the user a traceback.
        sys.unraisablehook = lambda _: None
        threading.excepthook = lambda _: None
        raise Stopped(number)
