"""The connection to Ray: an existing cluster, or one of our own on this machine that calls nobody."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from hilum.core.cores import core_count
from hilum.core.errors import MissingExtraError, UsageError
from hilum.core.sentences import Sentence
from hilum.io.temporary import temporary_folder

__all__ = ["ADDRESS", "Cluster", "check_installed", "connected"]

#: Where Ray's own tools put the address of the cluster that a program shall use.
ADDRESS = "RAY_ADDRESS"
#: Read by Ray when it is imported: neither a report on its use nor a question about it.
_NO_REPORT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_USAGE_STATS_PROMPT_ENABLED": "0"}
#: Processes of a cluster on this machine listen on 127.0.0.1 only. Despite its name it works on all systems.
_NO_NETWORK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
#: Even without reports Ray asks cloud providers at their metadata addresses whose machine this is, unless
#: this file lies in the home folder.
_ANSWER = "ray_bootstrap_config.yaml"
_HOMES = ("HOME", "USERPROFILE")
#: Bytes of shared memory for values between processes; outcomes are small, and Ray takes no less than 75 MB.
_STORE = 100_000_000
#: Longest path of a socket on macOS, and what Ray adds to its folder for one.
_SOCKET_PATH, _SOCKET_TAIL = 103, 66


class Cluster:
    """What is connected.

    Attributes:
        ray: The module.
        environment: Variables that processes of the cluster shall set: those that it was started without.
    """

    def __init__(self, ray: ModuleType, environment: Mapping[str, str] | None = None) -> None:
        self.ray, self.environment = ray, environment or {}

    def nodes(self) -> list[Mapping[str, float]]:
        """Return what each living machine has: ``CPU``, and ``memory`` in bytes."""
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]


def check_installed() -> None:
    """Refuse to go on without Ray.

    Raises:
        MissingExtraError: It is not installed.
    """
    if find_spec("ray") is None:
        raise MissingExtraError("Ray is not installed.", "Run: pip install 'hilum[ray]'")


def _import_ray(address: str | None) -> ModuleType:
    """Import Ray without its reports; what is set here stays, since Ray reads it only once a process."""
    check_installed()
    os.environ.update(_NO_REPORT)
    if not address and "ray" not in sys.modules:
        os.environ.update(_NO_NETWORK)
        if "RAY_AUTH_MODE" not in os.environ:
            os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)})
    return import_module("ray")


@contextmanager
def connected(address: str | None, jobs: int | None = None) -> Iterator[Cluster]:
    """Connect to Ray, and disconnect at the end; a connection that the program has already stays as it is.

    Args:
        address: ``ray://HOST:PORT``; None for what ``RAY_ADDRESS`` names, or a cluster of our own.
        jobs: Workers that a cluster of our own has place for, if that is more than there are cores.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: No cluster can be reached or started.
    """
    address = address or os.environ.get(ADDRESS)
    ray = _import_ray(address)
    if ray.is_initialized():
        yield Cluster(ray)
        return
    with ExitStack() as stack:
        stack.callback(ray.shutdown)
        if address:
            with _handlers_kept(), _said(address):
                ray.init(address, log_to_driver=False, logging_level="ERROR")
            yield Cluster(ray)
        else:
            home = stack.enter_context(temporary_folder())
            stack.callback(ray.shutdown)  # before the folder goes
            environment = {name: os.environ[name] for name in _HOMES if name in os.environ}
            with _handlers_kept(), _said("this machine"):
                _start(ray, home, max(jobs or 1, core_count()))
            yield Cluster(ray, environment)


def _start(ray: ModuleType, home: Path, cores: int) -> None:
    """Start a cluster on this machine whose files lie below ``home``."""
    (home / _ANSWER).write_text("{}", "ascii")
    place = {"_temp_dir": str(home)} if len(str(home)) + _SOCKET_TAIL <= _SOCKET_PATH else {}
    with _environment(dict.fromkeys(_HOMES, str(home))):
        ray.init(
            "local",
            num_cpus=cores,
            object_store_memory=_STORE,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            **place,
        )


@contextmanager
def _said(where: str) -> Iterator[None]:
    """Say in a sentence that Ray cannot be reached."""
    try:
        yield
    except Exception as error:  # Ray raises anything from ConnectionError to ValueError
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UsageError(
            f"Ray cannot be used on {where}: {reason}.",
            Sentence(
                "Check the address, and that its cluster runs the same versions of Ray and Python, or do "
                "the scans without {option:on}."
            ),
        ) from error


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Put back the handlers of signals that Ray replaces; those of the program clean up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ["SIGINT", "SIGTERM", *(["SIGBREAK"] if sys.platform == "win32" else ["SIGHUP"])]
    before = {number: signal.getsignal(number) for number in (getattr(signal, name) for name in names)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # one that no Python set
                signal.signal(number, handler)
