"""Splitting subjects into training, validation and test parts. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hilum.core.errors import UsageError
from hilum.core.sentences import Sentence

__all__ = ["Split", "split_subjects"]


@dataclass(frozen=True)
class Split:
    """Numbers of the subjects in each part, ascending; no subject is in two parts."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    seed: int
    fold: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for ``split.json``."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}


def split_subjects(
    subjects: Sequence[int],
    *,
    seed: int,
    test_share: float = 0.20,
    validation_share: float = 0.15,
    fold: str | None = None,
) -> Split:
    """Split subjects at random, reproducibly for a seed.

    The test part is drawn first, so that it is the same for all folds. Each part with a share gets at
    least one subject.

    Args:
        subjects: Numbers of all subjects; order and repetitions do not matter.
        seed: Seed of the draw.
        test_share: Share of the test part; 0 for no test part.
        validation_share: Share of the validation part, if there are no folds.
        fold: ``k/n``: the k-th of n folds of the subjects outside the test part is the validation part.

    Raises:
        UsageError: There are too few subjects for the parts.
    """
    ids = np.array(sorted(set(subjects)), dtype=np.int64)
    order = np.random.default_rng([seed, 20]).permutation(ids)
    tests = max(1, round(test_share * len(ids))) if test_share > 0 else 0
    rest = order[tests:]
    number, folds = (int(part) for part in fold.split("/")) if fold else (1, 0)
    validations = max(1, round(validation_share * len(ids)))
    needed = tests + (folds if folds else validations + 1)
    if len(ids) < max(needed, 2):
        parts = "training, validation and test" if tests else "training and validation"
        have = "one subject" if len(ids) == 1 else f"{len(ids)} subjects"
        raise UsageError(
            f"The dataset has {have}, too few to split into {parts}"
            + (f" with {folds} folds." if folds else "."),
            Sentence("Add subjects with {verb:prepare}: no subject may be in two parts."),
        )
    validation = np.array_split(rest, folds)[number - 1] if folds else rest[:validations]
    train = np.setdiff1d(rest, validation)
    return Split(
        train=_sorted(train),
        validation=_sorted(validation),
        test=_sorted(order[:tests]),
        seed=seed,
        fold=fold,
    )


def _sorted(ids: Any) -> tuple[int, ...]:
    return tuple(sorted(int(i) for i in ids))
