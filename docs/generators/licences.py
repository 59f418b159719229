"""Licences of everything that an install of hilum brings, from the metadata of the installed packages.

``python docs/generators/licences.py`` prints the page. It fails where a package names no licence, or one that is
not in :data:`PERMISSIVE` or :data:`COPYLEFT`: then a person has to look, and add it to one of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

__all__ = ["COPYLEFT", "EXTRAS", "Package", "packages_of", "unknown_licences"]

#: What an install of each kind adds, and what it is for. The empty name is the install without extras.
EXTRAS = {"": "hilum itself", "train": "`hilum[train]`"}
#: SPDX identifiers that ask for no more than a notice.
PERMISSIVE = frozenset({
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
    "CC0-1.0", "ISC", "MIT", "MIT-CMU", "PSF-2.0", "Unlicense", "Zlib",
})  # fmt: skip
#: SPDX identifiers that ask for more, and the packages of hilum's core install known to have them.
COPYLEFT = {
    "LGPL-3.0-or-later": frozenset({"connected-components-3d", "edt"}),
    "MPL-2.0": frozenset({"tqdm"}),
}
#: Words of older metadata and the SPDX identifier that is meant; the first that is found counts.
_WORDS = (
    (r"LGPL-3.0-or-later", "LGPL-3.0-or-later"),
    (r"^MPL-2.0 AND MIT$", "MPL-2.0 AND MIT"),
    (r"Mozilla Public License 2.0|^MPL-2.0$", "MPL-2.0"),
    (r"\bGPL|General Public License", "GPL"),
    (r"Apache", "Apache-2.0"),
    (r"BSD[- ]2", "BSD-2-Clause"),
    (r"BSD[- ]3|3-Clause BSD", "BSD-3-Clause"),
    (r"\bBSD\b", "BSD"),
    (r"\bMIT\b|Expat", "MIT"),
    (r"\bISC\b", "ISC"),
    (r"Python Software Foundation|PSF", "PSF-2.0"),
)


@dataclass(frozen=True)
class Package:
    """One installed package.

    Attributes:
        name: Its name in the package index.
        version: The installed version.
        licence: SPDX expression, or the empty string where the metadata name none that is known.
    """

    name: str
    version: str
    licence: str

    @property
    def identifiers(self) -> frozenset[str]:
        """The single licences of the expression."""
        return frozenset(re.split(r" (?:AND|OR) ", self.licence.replace("(", "").replace(")", "")))


def packages_of(root: str = "hilum", extra: str = "") -> list[Package]:
    """Return the packages that an install brings, sorted by name, without ``root``.

    Args:
        root: The package that is installed.
        extra: Its extra; with one, only what is there beyond the install without it.

    Raises:
        PackageNotFoundError: A package that the install needs is not installed here.
    """
    found = _closure(root, extra)
    if extra:
        base = _closure(root, "")
        found = {name: dist for name, dist in found.items() if name not in base}
    listed = [Package(d.metadata["Name"], d.version, _licence(d)) for d in found.values()]
    return sorted(listed, key=lambda package: package.name.lower())


def unknown_licences(packages: list[Package]) -> list[Package]:
    """Return the packages whose licence nobody has checked yet."""
    return [package for package in packages if not _is_known(package)]


def _is_known(package: Package) -> bool:
    return all(
        name in PERMISSIVE or package.name.lower() in COPYLEFT.get(name, ()) for name in package.identifiers
    )


def _closure(root: str, extra: str) -> dict[str, Distribution]:
    """Return what ``root`` requires in this environment, and what that requires, by normalised name."""
    found: dict[str, Distribution] = {}
    waiting = [(root, frozenset({extra}))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if (key, extras) in seen:
            continue
        seen.add((key, extras))
        found[key] = distribution(name)
        for line in found[key].requires or ():
            need = Requirement(line)
            wanted = [need.marker is None or need.marker.evaluate({"extra": e}) for e in extras | {""}]
            if any(wanted):
                waiting.append((need.name, frozenset(need.extras or {""})))
    del found[re.sub(r"[-_.]+", "-", root).lower()]
    return found


def _licence(found: Distribution) -> str:
    """Return the licence as SPDX, from the newest kind of metadata that the package has."""
    fields = found.metadata
    if fields.get("License-Expression"):
        return str(fields["License-Expression"])
    classifiers = [c for c in fields.get_all("Classifier") or [] if c.startswith("License ::")]
    head = (fields.get("License") or "").strip().partition("\n")[0]
    for told in (head if len(head) <= 60 else "", *classifiers, head):
        for words, identifier in _WORDS:
            if re.search(words, told):
                return identifier
    return ""


_INTRO = """# Licences of dependencies

This page is made from the metadata of the packages that were installed when the site was built. A test fails if a
package arrives whose licence nobody has checked. hilum itself, its code and its weights, is under Apache-2.0; the
data that the weights were learned from are named on the [model card](models/lungs.md#licence).

The shape prior of the lobes is made from data of the Chest Imaging Platform and carries that license (BSD style, for
research; "clinical applications are neither recommended nor advised"); its text lies beside the file, see the
[model card](models/lobes.md#licence).

## Two packages under the LGPL

`connected-components-3d` and `edt` are under LGPL-3.0-or-later. All others of the core install are under licences
that ask for a notice only. What the two mean depends on what you do:

| you | what follows |
|---|---|
| use hilum, in a company too | nothing |
| write a program that imports hilum and give out the program alone | nothing: pip installs the two packages from the index |
| give out both packages unchanged with your program (an image, an appliance, an installer) | add their licence texts and a notice that you use them, say where their source is, and let the recipient replace them |
| freeze hilum into one file (PyInstaller, Nuitka) | the two must stay replaceable: keep them as separate files beside the program, or give the recipient what is needed to build it anew |
| change one of the two | give out your changed version of that package under the LGPL; your own code is not touched |

Both are loaded as ordinary Python extension modules and hilum's source does not contain code of them. This is a
summary by engineers, not legal advice.

`tqdm`, which `hilum[train]` brings through Lightning, is under MPL-2.0 and MIT: who changes its files gives these files
out. Tools for development and for this site are not part of an install and are not listed.

Wheels can carry further libraries: those of NumPy and SciPy carry OpenBLAS (BSD) and the GCC runtime (GPL with the
runtime exception), that of OpenVINO oneTBB (Apache-2.0). Their licence files lie in the installed packages'
`.dist-info` folders.

## Which packages call out

`openvino-telemetry` would; hilum loads OpenVINO without it, see [privacy](concepts/privacy.md#connections).

## The lists
"""


def licences_page() -> str:
    """Return the page as Markdown.

    Raises:
        ValueError: A package has a licence that nobody has checked.
    """
    parts = [_INTRO]
    for extra, shown in EXTRAS.items():
        try:
            packages = packages_of(extra=extra)
        except PackageNotFoundError as error:
            if not extra:
                raise
            parts.append(f"### {shown}\n\nNot installed when this page was made ({error.name} is missing).\n")
            continue
        if unknown := unknown_licences(packages):
            raise ValueError(f"Check the licences of {unknown}, then add them to {__file__}.")
        rows = [f"| {p.name} | {p.version} | {_shown(p)} |" for p in packages]
        what = "adds" if extra else "needs"
        parts.append(f"### {shown}\n\nIt {what} {len(rows)} packages.\n")
        parts.append("\n".join(["| package | version | licence |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def _shown(package: Package) -> str:
    strong = package.identifiers & COPYLEFT.keys()
    return f"**{package.licence}**" if strong else package.licence


if __name__ == "__main__":
    print(licences_page())
