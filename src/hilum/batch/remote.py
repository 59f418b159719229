"""Results at a URL: worked on in folders of this machine, and copied there when they are finished.

The tables of a batch are fetched before it and sent after it, by the program. The results of a scan are sent
by the process that made them: the marker :data:`WRITING` stands beside them until ``run.json``, the last
file, is there. What a killed process left half-written is known by it, and removed when the scan is done
again.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hilum.batch.ledger import SALT, SOURCES, Salt
from hilum.core.errors import OutputError
from hilum.io.partial_files import HIDDEN
from hilum.io.remote import Remote
from hilum.tables.covariates import COVARIATES
from hilum.tables.failures import FAILED
from hilum.tables.remote import TABLES, WRITING, copy_scans, finished

__all__ = ["RemoteResults"]

_MANIFEST = "run.json"
#: All files beside the folders of scans.
_TABLES = (SOURCES, FAILED, COVARIATES, SALT, *TABLES)


@dataclass(frozen=True)
class RemoteResults:
    """A folder of results at a URL; small plain data, which each job carries.

    Attributes:
        url: The URL.
    """

    url: str

    def address(self, name: str) -> str:
        """Return the URL of something below."""
        return f"{self.url.rstrip('/')}/{name}"

    def fetch_tables(self, folder: Path) -> bool:
        """Copy the tables to a folder, and make the salt where there is none.

        Returns:
            Whether the salt was made.

        Raises:
            OutputError: They cannot be read, or the salt cannot be written.
        """
        remote = self._remote()
        folder.mkdir(parents=True, exist_ok=True)
        there = remote.listed(depth=1)
        remote.get({name: folder / name for name in _TABLES if name in there})
        if SALT in there:
            return False
        Salt(folder).hash("")
        if remote.write(SALT, (folder / SALT).read_bytes(), new=True):
            return True
        remote.get({SALT: folder / SALT})  # another part of the batch was faster
        return False

    def send_tables(self, folder: Path, *, made_salt: bool) -> None:
        """Copy the tables back; those that are gone are removed there, too.

        Args:
            folder: Where they are.
            made_salt: Whether :meth:`fetch_tables` made the salt, so that it goes where nothing else came.

        Raises:
            OutputError: They cannot be written.
        """
        remote = self._remote()
        here = [name for name in _TABLES if (folder / name).is_file()]
        gone = [name for name in _TABLES if name not in here]
        if made_salt and set(here) <= {SALT} and remote.listed() == [SALT]:
            here, gone = [], [SALT]
        remote.put({name: folder / name for name in here})
        remote.remove(gone)

    def fetch(self, name: str, folder: Path) -> None:
        """Make what stands there of a scan in a folder, so that it is decided as on one machine what to do.

        Manifest and measures are copied. Of other files only the names matter; they are made empty.

        Args:
            name: Of the scan.
            folder: Where all results are to lie.

        Raises:
            OutputError: They cannot be read.
        """
        remote = self._remote()
        self._recover(remote, name)
        copy_scans(remote, [f"{name}/{file}" for file in remote.listed(name)], folder)

    def fetch_all(self, folder: Path) -> None:
        """Do so for all scans.

        Raises:
            OutputError: They cannot be read.
        """
        remote = self._remote()
        copy_scans(remote, finished(remote.listed()), folder)

    def send(self, name: str, folder: Path) -> None:
        """Copy the results of a scan, in place of former ones.

        Args:
            name: Of the scan.
            folder: Where all results lie.

        Raises:
            OutputError: They cannot be written.
        """
        remote, here = self._remote(), folder / name
        files = {
            file.relative_to(folder).as_posix(): file
            for file in sorted(here.rglob("*"))
            if file.is_file() and not file.name.startswith(HIDDEN)
        }
        former = [f"{name}/{file}" for file in remote.listed(name)]
        last = f"{name}/{_MANIFEST}"
        remote.write(f"{name}/{WRITING}", json.dumps(sorted({*files, *former})).encode())
        remote.remove([last])
        remote.put({file: place for file, place in files.items() if file != last})
        remote.put({file: place for file, place in files.items() if file == last})
        remote.remove([*(file for file in former if file not in files), f"{name}/{WRITING}"])

    def recover(self, name: str) -> None:
        """Remove results of a scan that a killed process left half-written.

        Raises:
            OutputError: They cannot be removed.
        """
        self._recover(self._remote(), name)

    def _remote(self) -> Remote:
        return Remote(self.url, OutputError)

    @staticmethod
    def _recover(remote: Remote, name: str) -> None:
        marker = f"{name}/{WRITING}"
        if WRITING not in remote.listed(name, depth=1):
            return
        with suppress(ValueError):  # it was cut off itself, before anything else was touched
            begun = json.loads(remote.read(marker))
            remote.remove([file for file in begun if file.startswith(f"{name}/")])
        remote.remove([marker])
