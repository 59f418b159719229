from __future__ import annotations

import pytest

from hilum.core.errors import InputError, UsageError
from hilum.io.mask_names import lung_of, lung_of_code
from hilum.io.vocabulary import BOTH, VOCABULARIES, LabelMap, guess, meaning_of, parse_labels


@pytest.mark.parametrize(
    ("name", "lung"),
    [
        ("lung_upper_lobe_left", 2),
        ("lung_middle_lobe_right", 1),
        ("Right Lung", 1),
        ("left-lung mask", 2),
        ("Lung_R", 1),
        ("L Lung", 2),
        ("RightLung", 1),
        ("LEFTINFERIORLOBE", 2),
        ("RUL", 1),
        ("Lower lobe of left lung", 2),
        ("lingula", 2),
        ("lungs", BOTH),
        ("Left and right lungs", BOTH),
        ("right", None),
        ("right lobe", None),  # of the liver
        ("lung_vessels", None),
        ("lung nodule left", None),
        ("right pleural effusion", None),
        ("trachea", None),
        ("Segment_1", None),
        ("", None),
    ],
)
def test_names_of_lungs_are_known_and_names_of_other_things_are_not_lungs(name, lung):
    assert lung_of(name) == lung


def test_codes_tell_lungs_and_their_side_also_by_a_modifier():
    assert [lung_of_code(code) for code in ("3341006", "44029006", "39607008", "T-28500")] == [1, 2, BOTH, 2]
    assert lung_of_code("39607008", "24028007") == 1
    assert lung_of_code("45653009", "7771000") == 2
    assert lung_of_code("10200004", "24028007") is None  # liver


def test_vocabularies_say_what_their_programs_say():
    right, left = {}, {}
    for name, table in VOCABULARIES.items():
        right[name] = sorted(v for v, part in table.lungs.items() if part == 1)
        left[name] = sorted(v for v, part in table.lungs.items() if part == 2)
    assert (right["totalsegmentator"], left["totalsegmentator"]) == ([12, 13, 14], [10, 11])
    assert (right["totalsegmentator-v1"], left["totalsegmentator-v1"]) == ([15, 16, 17], [13, 14])
    assert (right["lungmask"], left["lungmask"]) == ([1], [2])
    assert (right["lungmask-lobes"], left["lungmask-lobes"]) == ([3, 4, 5], [1, 2])


def test_cip_keeps_the_region_in_the_low_byte_and_the_type_in_the_high_byte():
    cip = VOCABULARIES["cip"]
    assert [cip.meaning(v) for v in (1, 2, 3, 4, 8, 13)] == [BOTH, 1, 2, 1, 2, 1]
    assert cip.meaning(2 + (4 << 8)) == 1  # emphysema in the right lung
    assert cip.meaning(3 + (3 << 8)) == 2  # a vessel in the left lung
    assert cip.meaning(2 << 8) == 0  # an airway in no region
    assert cip.meaning(3 + (39 << 8)) == 0  # a main bronchus is not lung
    assert cip.meaning(99) is None


def test_a_map_may_be_a_vocabulary_pairs_names_or_a_vocabulary_that_pairs_mend():
    assert parse_labels(None) is None
    assert parse_labels("") is None
    assert parse_labels("lungmask-lobes,6=0").of_values([1, 3, 6], {}, "m") == {1: 2, 3: 1, 6: 0}
    assert parse_labels("10=left, 12=right, *=0").of_values([10, 12, 7], {}, "m") == {10: 2, 12: 1, 7: 0}
    assert parse_labels({3: 1, 5: 2}).of_values([3, 5], {}, "m") == {3: 1, 5: 2}
    assert parse_labels("both").of_values([255], {}, "m") == {255: BOTH}
    named = parse_labels("lunge rechts=right,Lunge links=left,*=0")
    assert named.of_values([1, 2, 3], {1: "Lunge rechts", 2: "Lunge links", 3: "x"}, "m") == {
        1: 1,
        2: 2,
        3: 0,
    }
    assert parse_labels("both,2=0").describe() == "both,2=0"
    assert parse_labels("12=1,10=2,*=0").describe() == "10=left,12=right,*=0"


@pytest.mark.parametrize(
    "text",
    ["lungmusk", "3", "3=4", "x=lung", "70000=1", "3=1,,", "cip,lungmask", "=1", "9" * 5000 + "=1"],
)
def test_maps_that_cannot_be_read_are_usage_errors(text):
    with pytest.raises(UsageError, match=r"^labels (holds|names two)"):
        parse_labels(text)


def test_values_that_do_not_fit_are_refused_and_the_vocabulary_is_guessed():
    for present, words in (
        ([10, 11, 12, 13, 14], "labels='totalsegmentator'"),
        ([1, 2, 3, 4, 5], "labels='lungmask-lobes'"),
        ([1, 2, 3, 4, 5, 6], "labels='lungmask-lobes,6=0'"),
        ([2, 3, 770], "labels='cip'"),
        ([255], "labels='both'"),
        ([7, 9], "labels='7=right,9=left'"),
    ):
        with pytest.raises(InputError, match="holds values other than 0, 1 and 2") as caught:
            meaning_of(present, {}, "m.nii")
        assert words in caught.value.hint, present
    assert guess(range(1, 118))[0] == "totalsegmentator"
    assert guess([3, 4, 5]) == []


def test_a_vocabulary_that_makes_nothing_a_lung_is_refused():
    with pytest.raises(InputError, match="by ref_labels totalsegmentator none is lung") as caught:
        LabelMap("totalsegmentator", option="ref_labels").of_values([1, 2], {}, "ref.nii")
    assert "ref_labels=" in caught.value.hint
    with pytest.raises(InputError, match=r"does not name \(200\)"):
        LabelMap("totalsegmentator").of_values([10, 200], {}, "m")
    with pytest.raises(InputError, match="2 values besides 0"):
        LabelMap("both").of_values([1, 2], {}, "m")


def test_names_in_the_file_are_believed_more_than_a_vocabulary():
    """Version 1 of TotalSegmentator has the pancreas where version 2 has a lobe."""
    with pytest.raises(InputError, match="the value 10 is left lung, but m calls it 'pancreas'"):
        LabelMap("totalsegmentator").of_values([10, 13], {10: "pancreas", 13: "lung_upper_lobe_left"}, "m")
    names = {10: "lung_upper_lobe_left", 12: "lung_upper_lobe_right", 5: "liver"}
    assert LabelMap("totalsegmentator").of_values([5, 10, 12], names, "m") == {5: 0, 10: 2, 12: 1}
    assert meaning_of([5, 10, 12], names, "m") == ({5: 0, 10: 2, 12: 1}, True)


def test_names_without_meaning_leave_the_label_contract():
    assert meaning_of([1, 2], {1: "Segment_1", 2: "Segment_2"}, "m") == ({1: 1, 2: 2}, False)
    with pytest.raises(InputError, match=r"none of them is a lung \(liver, spleen\)"):
        meaning_of([1, 2], {1: "liver", 2: "spleen"}, "m")
    with pytest.raises(InputError, match="but not the values 2"):
        meaning_of([1, 2], {1: "right lung"}, "m")
