"""Files at URLs, such as ``s3://bucket/ct.nii.gz``, by fsspec; it is loaded when a URL is named.

Nothing of hilum works on a URL itself: a scan is copied into a temporary folder and read there, and finished
results are copied back.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hilum.core.errors import HilumError, InputError, MissingExtraError, UsageError
from hilum.core.sentences import Sentence

__all__ = ["Remote", "RemoteScan", "is_url"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
#: Kinds of URL that name files of this machine, where parents of a file have to be made.
_LOCAL = ("file", "local")
#: Headers whose voxels may lie in another file beside them, with the same name but for its ending.
_WITH_DATA_BESIDE = (".mhd", ".nhdr", ".hdr", ".img", ".hdr.gz", ".img.gz")
_NOT_A_NAME = frozenset({"", ".", ".."})
#: What file systems say of a file's content, the first that is there: Google's MD5, the entity tag of S3, of
#: web servers, of Azure. Times and sizes are not among them: programs that copy files keep them.
_TAGS = ("md5Hash", "ETag", "etag")
#: A web server gives it to versions that it holds to be equivalent, not to be the same bytes.
_WEAK = "W/"


def is_url(text: str) -> bool:
    """Whether a text is a URL and not a path."""
    return _URL.match(text) is not None


class Remote:
    """A file or folder at a URL, and what lies below it.

    Args:
        url: The URL.
        kind: Error that is raised where something cannot be done.

    Attributes:
        url: The URL.
        path: The same without its scheme, as fsspec names it.

    Raises:
        MissingExtraError: fsspec is not installed.
        UsageError: fsspec does not know this kind of URL, or a package for it is missing.
    """

    def __init__(self, url: str, kind: type[HilumError] = InputError) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise MissingExtraError(
                "URLs need fsspec, which is not installed.", "Run: pip install 'hilum[remote]'"
            ) from error
        scheme = url.partition("://")[0].lower()
        options = {"auto_mkdir": True} if scheme in _LOCAL else {}
        try:
            files, path = url_to_fs(url, **options)
        except ImportError as error:
            raise UsageError(
                f"URLs that begin with {scheme}:// need another package: {error}.",
                "Install it beside hilum, on all machines that work on the scans.",
            ) from error
        except ValueError as error:
            raise UsageError(
                Sentence("{file:path} cannot be used: {reason}.", path=url, reason=_first_line(error)),
                "Give a URL of a kind that fsspec knows, such as s3://, gs:// or file://.",
            ) from error
        files.invalidate_cache()  # listings are kept, and others write there, too
        self.url, self.path, self._files, self._kind = url.rstrip("/"), str(path).rstrip("/"), files, kind

    def is_folder(self) -> bool:
        """Whether it is a folder; False for a file.

        Raises:
            HilumError: There is nothing, or it cannot be reached.
        """
        with self._told():
            if self._files.isfile(self.path):
                return False
            if self._files.isdir(self.path):
                return True
        raise self._kind(Sentence("{file:path} does not exist.", path=self.url), "Check the URL.")

    def matching(self) -> list[str]:
        """Return the URLs that fit a pattern, in the order of their names."""
        with self._told():
            return sorted(str(self._files.unstrip_protocol(path)) for path in self._files.glob(self.path))

    def listed(self, below: str = "", *, depth: int | None = None) -> list[str]:
        """Return the files below a folder by their paths relative to it, sorted; none where it is missing.

        Paths that would lead out of the folder once it is copied are left out.
        """
        base = self.place(below)
        with self._told():
            paths = [str(path) for path in self._files.find(base, maxdepth=depth)]
        relative = (path[len(base) :].lstrip("/") for path in paths if path != base)
        return sorted(path for path in relative if _is_safe(path))

    def place(self, below: str = "") -> str:
        """Return the path of something below, as fsspec names it."""
        return f"{self.path}/{below}" if below else self.path

    def tags(self, files: Iterable[str]) -> dict[str, str]:
        """Return the checksum or the entity tag of each file with its size: it changes with the content.

        Args:
            files: Files below, not those of folders below; or the empty text for the file itself.

        Returns:
            The tags; empty where the file system has no such. Nothing is read; it takes one listing.
        """
        wanted = list(files)
        with self._told():
            if wanted == [""]:
                found: Mapping[str, Any] = {self.path: self._files.info(self.path)}
            else:
                found = self._files.find(self.path, maxdepth=1, detail=True)
        return {file: _tag(found.get(self.place(file), {})) for file in wanted}

    def read(self, below: str = "") -> bytes:
        """Return the content of a file."""
        with self._told():
            return bytes(self._files.cat_file(self.place(below)))

    def write(self, below: str, content: bytes, *, new: bool = False) -> bool:
        """Write a file.

        Args:
            below: Its path.
            content: Its bytes.
            new: Leave a file alone that is there, also if another process writes it in this moment.

        Returns:
            Whether it was written.
        """
        with self._told():
            try:
                self._files.pipe_file(self.place(below), content, mode="create" if new else "overwrite")
            except FileExistsError:
                return False
        return True

    def remove(self, below: Sequence[str]) -> None:
        """Remove files; those that are not there are passed over."""
        with self._told():
            for name in below:
                if self._files.exists(self.place(name)):
                    self._files.rm_file(self.place(name))

    def get(self, wanted: Mapping[str, Path]) -> None:
        """Copy files, named by their paths below, to places of this machine."""
        for place in wanted.values():
            place.parent.mkdir(parents=True, exist_ok=True)
        if wanted:
            with self._told():
                self._files.get([self.place(name) for name in wanted], [str(to) for to in wanted.values()])

    def put(self, given: Mapping[str, Path]) -> None:
        """Copy files of this machine to their paths below."""
        if given:
            with self._told():
                self._files.put([str(file) for file in given.values()], [self.place(n) for n in given])

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in a sentence what went wrong: each kind of URL has its own exceptions."""
        try:
            yield
        except (HilumError, MemoryError):
            raise
        except FileNotFoundError as error:
            raise self._kind(
                Sentence("{file:path} does not exist.", path=self.url), "Check the URL."
            ) from error
        except Exception as error:
            raise self._kind(
                Sentence(
                    "{file:path} cannot be reached: {reason}.", path=self.url, reason=_first_line(error)
                ),
                "Check the URL, the network, and the credentials on the machine that works on it.",
            ) from error


@dataclass(frozen=True)
class RemoteScan:
    """The files of one scan: a file with what belongs to it, or the files of a folder but not those below it.

    Attributes:
        base: What all files lie below.
        files: By their paths below ``base``, where they are copied to, relative to a folder for all.
        place: The file or folder to read once they are copied, relative to the same.
    """

    base: Remote
    files: Mapping[str, Path]
    place: Path

    @classmethod
    def at(cls, url: str) -> RemoteScan:
        """Look which files a scan has.

        Args:
            url: Where it lies.

        Raises:
            InputError: There is nothing, or it cannot be reached.
        """
        remote = Remote(url)
        name = PurePosixPath(remote.path).name or "scan"
        if remote.is_folder():
            listed = [file for file in remote.listed(depth=1) if not file.startswith(".")]
            return cls(remote, {file: Path(name, file) for file in listed}, Path(name))
        ending = next((end for end in _WITH_DATA_BESIDE if name.lower().endswith(end)), "")
        if not ending:
            return cls(remote, {"": Path(name)}, Path(name))
        beside = Remote(remote.url.rpartition("/")[0])
        stem = f"{name[: -len(ending)]}."
        listed = [file for file in beside.listed(depth=1) if file.startswith(stem)]
        return cls(beside, {file: Path(file) for file in listed}, Path(name))

    def stamp(self) -> str:
        """Return a hash of the names and the tags of all files; empty where a file has no tag.

        Raises:
            InputError: They cannot be reached.
        """
        tags = self.base.tags(self.files)
        if not (tags and all(tags.values())):
            return ""
        return hashlib.sha256(json.dumps(tags, sort_keys=True).encode()).hexdigest()

    def fetch(self, into: Path) -> Path:
        """Copy the files.

        Args:
            into: An existing folder.

        Returns:
            The file or folder to read, with its own name.

        Raises:
            InputError: They cannot be read.
        """
        if not self.files:
            (into / self.place).mkdir()
        self.base.get({file: into / place for file, place in self.files.items()})
        return into / self.place


def _tag(about: Mapping[str, Any]) -> str:
    found = next((str(about[name]) for name in _TAGS if about.get(name)), "")
    return "" if not found or found.startswith(_WEAK) else f"{found} {about.get('size')}"


def _is_safe(path: str) -> bool:
    return "\\" not in path and "\0" not in path and not _NOT_A_NAME & set(path.split("/"))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
