"""Select the series to read.

The rules, in this order; each keeps what passes it, and the first that leaves one decides:

1. CT volumes: no localizers, projections, secondary captures, colour or 8-bit images, other modalities.
2. Axial (within 37 degrees) before other planes.
3. Not named as another part of the body (BodyPartExamined), where others are not.
4. At least 100 mm along the patient, so that a chest fits in, before shorter ones.
5. The most slices; within 5 % counts as equal.
6. The thinnest slices (nominal thickness), to 0.05 mm.
7. The softest kernel (:func:`hilum.io.dicom.kernels.sharpness`); an unknown kernel ranks as medium (50).
8. Original before derived images.
9. Ties: the lowest series number, then the first UID in alphabetical order, then the first part.

What is wrong with a series (a missing slice, say) does not count: a damaged series that wins is refused with
a sentence, and never silently replaced by another one.

The rules choose within one study. Several studies may be several patients, so one of them is never picked:
:func:`choose` refuses and names them, :func:`choose_each` gives one stack per study.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from hilum.core.errors import InputError, UsageError
from hilum.io.dicom.kernels import sharpness
from hilum.io.dicom.stacks import Stack

__all__ = ["Choice", "choose", "choose_each", "describe", "series_label"]

_CHEST_MM = 100.0
_ELSEWHERE = {
    "HEAD", "BRAIN", "SKULL", "NECK", "CSPINE", "LSPINE", "ABDOMEN", "ABDOMENPELVIS", "PELVIS",
    "KNEE", "LEG", "FOOT", "ANKLE", "HAND", "WRIST", "ARM", "ELBOW", "SHOULDER", "HIP", "EXTREMITY",
    "LIVER", "KIDNEY", "COLON", "SINUS", "ORBIT",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Choice:
    """The stack that is read.

    Attributes:
        stack: The stack.
        why: One sentence that says which it is and why; empty where there was no choice.
    """

    stack: Stack
    why: str


def choose(stacks: Sequence[Stack], series: str | None = None) -> Choice:
    """Pick the stack to read.

    Args:
        stacks: What was found, at least one.
        series: What the user asked for: a series UID, a part of it that is unique at its beginning or end, or
            the series number (``3`` or ``#3``). A series of several stacks takes the part after a colon
            (``3:2``); without it the rules choose within the series. A number is looked up as series number
            first and as part of a UID second.

    Raises:
        UsageError: ``series`` fits nothing, or more than one series; or there are several studies with CT.
        InputError: There is no CT volume, or the one that was asked for is not CT.
    """
    if series is not None:
        stacks = _asked_for(stacks, series)
    able = [s for s in stacks if s.readable]
    if not able:
        raise _nothing_readable(stacks)
    studies = len({s.head.study_uid for s in able})
    if studies > 1:
        raise UsageError(f"There are {studies} studies, perhaps of several patients.", _offer(able))
    return _by_rules(able, series)


def choose_each(stacks: Sequence[Stack], series: str | None = None) -> list[Choice]:
    """Pick one stack of each study that holds CT, in the order of the stacks given.

    Args:
        stacks: What was found.
        series: As in :func:`choose`, but it may fit one series of each of several studies; studies that it
            does not fit are left out.

    Returns:
        One choice per study, empty where no stack is a CT volume.

    Raises:
        UsageError: ``series`` fits nothing, or more than one series of a study.
    """
    wanted = stacks if series is None else _fitting(stacks, series)
    if series is not None and not wanted:
        raise UsageError(f"No series fits {series!r}.", _offer(stacks))
    studies: dict[str, list[Stack]] = {}
    for stack in wanted:
        studies.setdefault(stack.head.study_uid, []).append(stack)
    if series is not None:
        studies = {uid: _one_series(of_study, series) for uid, of_study in studies.items()}
    able = [[s for s in of_study if s.readable] for of_study in studies.values()]
    return [_by_rules(of_study, series) for of_study in able if of_study]


def _by_rules(able: list[Stack], series: str | None) -> Choice:
    """Apply the rules to the readable stacks of one study."""
    if len(able) == 1:
        only = able[0]
        return Choice(only, f"{series_label(only).capitalize()} was asked for." if series is not None else "")
    left, reason = able, ""
    for rule, what in _RULES:
        kept = rule(left)
        if len(kept) < len(left):
            left, reason = kept, what
        if len(left) == 1:
            break
    stack = min(left, key=_tie)
    if len(left) > 1:
        reason = "equal in all rules, it comes first by number and UID"
    subject = f"{series_label(stack).capitalize()} ({describe(stack)})"
    what = "parts of the series" if series is not None else "CT stacks"
    return Choice(stack, f"{subject} of {len(able)} {what} is read: {reason}.")


def series_label(stack: Stack) -> str:
    """Name a stack by its series number, never by a UID or a description."""
    number = stack.head.number
    name = "the series without a number" if number is None else f"series {number}"
    return f"{name}, part {stack.part}" if stack.parts > 1 else name


def describe(stack: Stack) -> str:
    """Slices, thickness and kernel in a few words."""
    words = ["1 slice" if stack.slices == 1 else f"{stack.slices} slices"]
    if stack.thickness:
        words[0] += f" of {stack.thickness:.3g} mm"
    if stack.kernel:
        words.append(f"kernel {stack.kernel}")
    return ", ".join(words)


def _axial(stacks: list[Stack]) -> list[Stack]:
    return [s for s in stacks if s.plane == "axial"] or stacks


def _body_part(stacks: list[Stack]) -> list[Stack]:
    return [s for s in stacks if s.head.body_part.upper().replace(" ", "") not in _ELSEWHERE] or stacks


def _long(stacks: list[Stack]) -> list[Stack]:
    return [s for s in stacks if s.extent >= _CHEST_MM] or stacks


def _most_slices(stacks: list[Stack]) -> list[Stack]:
    most = max(s.slices for s in stacks)
    return [s for s in stacks if s.slices >= 0.95 * most]


def _thinnest(stacks: list[Stack]) -> list[Stack]:
    least = min(s.thickness or inf for s in stacks)
    return [s for s in stacks if (s.thickness or inf) <= least + 0.05]


def _softest(stacks: list[Stack]) -> list[Stack]:
    ranks = [_rank(s) for s in stacks]
    return [s for s, rank in zip(stacks, ranks, strict=True) if rank == min(ranks)]


def _rank(stack: Stack) -> float:
    rank = sharpness(stack.kernel)
    return 50.0 if rank is None else rank


def _original(stacks: list[Stack]) -> list[Stack]:
    return [s for s in stacks if "ORIGINAL" in s.head.image_type] or stacks


_RULES: tuple[tuple[Callable[[list[Stack]], list[Stack]], str], ...] = (
    (_axial, "it is axial"),
    (_body_part, "the others are named as another part of the body"),
    (_long, "it is long enough for a chest"),
    (_most_slices, "it has the most slices"),
    (_thinnest, "its slices are the thinnest"),
    (_softest, "its kernel is the softest"),
    (_original, "its images are original, not derived"),
)


def _tie(stack: Stack) -> tuple[float, str, int]:
    number = stack.head.number
    return (inf if number is None else number, stack.head.series_uid, stack.part)


def _asked_for(stacks: Sequence[Stack], series: str) -> list[Stack]:
    found = _fitting(stacks, series)
    if not found:
        raise UsageError(f"No series fits {series!r}.", _offer(stacks))
    return _one_series(found, series)


def _fitting(stacks: Sequence[Stack], series: str) -> list[Stack]:
    wanted, _, part = series.strip().partition(":")
    found = _matching(stacks, wanted)
    return [s for s in found if str(s.part) == part] if part else found


def _one_series(found: list[Stack], series: str) -> list[Stack]:
    uids = {(s.head.study_uid, s.head.series_uid) for s in found}
    if len(uids) > 1:
        raise UsageError(f"{len(uids)} series fit {series!r}.", _offer(found))
    return found


def _matching(stacks: Sequence[Stack], wanted: str) -> list[Stack]:
    digits = wanted.removeprefix("#")
    if digits.isdigit():
        numbered = [s for s in stacks if s.head.number == int(digits)]
        if numbered or wanted.startswith("#"):
            return numbered
    exact = [s for s in stacks if s.head.series_uid == wanted]
    ends = [s for s in stacks if wanted and s.head.series_uid.endswith(wanted)]
    begins = [s for s in stacks if wanted and s.head.series_uid.startswith(wanted)]
    return exact or ends or begins


def _offer(stacks: Sequence[Stack]) -> str:
    shown = [
        f"{series_label(s)} (UID ...{s.head.series_uid[-12:]}; {s.kind.value}, {describe(s)})"
        for s in stacks[:12]
    ]
    more = f" and {len(stacks) - 12} more" if len(stacks) > 12 else ""
    return "There is: " + "; ".join(shown) + more + "."


def _nothing_readable(stacks: Sequence[Stack]) -> InputError:
    first = next(f for f in stacks[0].findings if f.effect.value == "left_out")
    if len(stacks) == 1:
        return InputError(first.sentence, first.hint)
    counts: dict[str, int] = {}
    for s in stacks:
        what = s.head.modality if s.kind.value == "other modality" and s.head.modality else s.kind.value
        counts[what] = counts.get(what, 0) + 1
    what = ", ".join(f"{n} of {name}" for name, n in sorted(counts.items()))
    return InputError(f"There is no CT volume among the {len(stacks)} series ({what}).", "Give a chest CT.")
