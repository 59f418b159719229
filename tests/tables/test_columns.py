"""Which regions have columns of their own in the table of scans."""

from __future__ import annotations

import pytest

from hilum.core.labels import INJURY, LOBES
from hilum.tables.columns import is_whole, measure_column


def test_every_lobe_has_columns_the_one_that_is_called_like_a_third_too():
    assert all(is_whole(lobe.name) for lobe in LOBES.labels)
    assert all(is_whole(f"right_middle_lobe_{kind.name}") for kind in INJURY.labels)


@pytest.mark.parametrize("third", ["ventral", "mid_ap", "dorsal", "apical", "middle", "basal"])
def test_thirds_of_lungs_have_none_with_or_without_a_class_of_tissue(third):
    for lung in ("right_lung", "left_lung", "lungs"):
        assert not is_whole(f"{lung}_{third}")
        assert not is_whole(f"{lung}_{third}_ground_glass")


def test_a_header_holds_no_sign_of_a_unit():
    about = {"title": "Rise", "unit": "HU/(10.cm)", "formula": ""}
    assert measure_column("injury", "lungs_injury", "Lungs", "expected_slope", about).name == (
        "lungs_injury_expected_slope_hu_per_10_cm"
    )
