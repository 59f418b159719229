"""How sure the network must be before dense lung is added: chosen on the patient whom stage 1 left out.

    python recipes/lungs/thresholds.py --work WORK     # after stage 1 of make.py; prints, changes nothing

The best row goes by hand into hilum.segmentation.lungs.shape; the second stage then learns from all patients.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from ship import HELD_OUT, load_mean, stages

import hilum
from hilum.errors import NotAChestError
from hilum.learn.volumes.augment import AIR
from hilum.learn.volumes.cases import STEP_MM, Case, find_cases
from hilum.learn.volumes.export import export_volumes
from hilum.learn.volumes.fit import HIGH_HU
from hilum.segmentation.classic.model import Scan, aerated_lungs
from hilum.segmentation.engine import open_session
from hilum.segmentation.lungs.model import CLOSING_MM
from hilum.segmentation.lungs.network import Opinion, ask_network
from hilum.segmentation.lungs.shape import Rules, join_lungs

SMALL, LARGE = (0.5, 0.6, 0.7), (0.5, 0.6, 0.7, 0.8, 0.88, 0.94)
SURELY_NOT = (0.1, 0.2, 0.35)
LEVELS = ((0.5,), (0.5, 0.65, 0.8))


def look(case: Case, session: Any) -> tuple[Any, ...] | None:
    """Return what the join needs, and the truth; None where there is no chest."""
    hu, labels = (np.asarray(a) for a in case.load())
    scan = Scan.of(hilum.Volume(hu.astype(np.int16), np.diag([STEP_MM] * 3 + [1.0])).canonical())
    opinion: Opinion = ask_network(session, scan.hu, scan.reduced.spacing, STEP_MM, (AIR, HIGH_HU), True)
    try:
        aerated, _, keep_out = aerated_lungs(scan, CLOSING_MM)
    except NotAChestError:
        return None
    return aerated, opinion.right, opinion.left, keep_out, scan.reduced.spacing, labels > 0


def dice(a: Any, b: Any) -> float:
    return 2 * float((a & b).sum()) / max(1.0, float(a.sum() + b.sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    work = parser.parse_args().work
    config = stages(1)[0]
    network, step = load_mean(work / "lungs-1" / "last.ckpt", config)
    session = open_session(export_volumes(network, work / "lungs-1" / "model.onnx"))
    prefixes = tuple(f"{group}-{HELD_OUT:02d}" for group in ("real", "injured"))
    seen = [look(c, session) for c in find_cases(work / "cases") if c.name.startswith(prefixes)]
    cases = [s for s in seen if s is not None]
    air = np.array([dice(c[0] > 0, c[-1]) for c in cases])
    alone = np.array([dice(c[1] + c[2] >= 0.5, c[-1]) for c in cases])
    print(f"step {step}: {len(cases)} of {len(seen)} cases; air {air.mean():.4f}, network {alone.mean():.4f}")
    rows = []
    for small, large, deny, levels in itertools.product(SMALL, LARGE, SURELY_NOT, LEVELS):
        rules = Rules(sure=(small, large), surely_not=deny, levels=levels)
        found = np.array([dice(join_lungs(*c[:-1], rules) > 0, c[-1]) for c in cases])
        rows.append((found.mean(), np.quantile(found, 0.1), found.min(), small, large, deny, levels))
    for row in sorted(rows, reverse=True)[:15]:
        print("mean {:.4f}  tenth {:.4f}  worst {:.4f}  sure {} to {}  surely not {}  levels {}".format(*row))


if __name__ == "__main__":
    main()
