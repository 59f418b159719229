from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hilum.core.labels import Side
from hilum.evaluation import METRICS, CaseResult
from hilum.evaluation.paired import holm, paired_tests
from hilum.evaluation.summary import bootstrap_mean, summarise
from hilum.measures import Value

UNITS = {"hd95": "mm", "assd": "mm", "volume_error": "mL", "mass_error": "g"}


def case(name, subject=None, unit="mm", **known):
    values = {
        metric: Value(known[metric], UNITS.get(metric, "") and (unit if metric == "hd95" else UNITS[metric]))
        if metric in known
        else Value(None, UNITS.get(metric, ""), "not given")
        for metric in METRICS
    }
    return CaseResult(name, subject or name, {Side.LUNGS: values})


def row(cases, metric):
    return next(r for r in summarise(cases) if r.metric == metric and r.n)


def test_numbers_of_a_summary():
    found = row([case("a", dice=0.9), case("b", dice=0.8), case("c", dice=0.97), case("d")], "dice")
    assert (found.n, found.unknown, found.reason) == (3, 1, "not given (1)")
    assert found.mean == pytest.approx(0.89)
    assert found.sd == pytest.approx(np.std([0.9, 0.8, 0.97], ddof=1))
    assert found.median == 0.9
    assert (found.worst, found.worst_case) == (0.8, "b")
    assert found.low < 0.89 < found.high


@pytest.mark.parametrize(
    ("metric", "values", "worst"),
    [("dice", (0.9, 0.8, 0.95), "b"), ("hd95", (3, 9, 4), "b"), ("volume_error", (20, -90, 50), "b")],
)
def test_worst_goes_the_way_of_the_metric(metric, values, worst):
    cases = [case(name, **{metric: value}) for name, value in zip("abc", values, strict=True)]
    assert row(cases, metric).worst_case == worst


def test_signed_errors_also_have_a_size():
    found = row([case("a", volume_error=-30), case("b", volume_error=30)], "volume_error")
    assert (found.mean, found.mean_absolute) == (0, 30)
    assert row([case("a", dice=0.5)], "dice").mean_absolute is None


def test_millimetres_and_pixels_are_not_mixed():
    cases = [case("a", hd95=2), case("b", hd95=4), case("c", hd95=100, unit="px")]
    rows = [r for r in summarise(cases) if r.metric == "hd95"]
    assert {r.unit: (r.n, r.mean) for r in rows} == {"mm": (2, 3), "px": (1, 100)}


def test_a_single_case_has_no_spread():
    found = row([case("a", dice=0.9)], "dice")
    assert (found.sd, found.low, found.high) == (None, None, None)


def test_cases_without_values_have_no_mean():
    found = next(r for r in summarise([case("a")]) if r.metric == "dice")
    assert (found.n, found.mean, found.worst, found.reason) == (0, None, None, "not given (1)")


def test_interval_is_that_of_the_normal_for_many_subjects():
    random = np.random.default_rng(0)
    values = random.normal(5, 2, 400)
    low, high = bootstrap_mean(values, [str(n) for n in range(400)])
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.02)
    assert high == pytest.approx(values.mean() + half, abs=0.02)


def test_subjects_are_drawn_not_slices():
    """Ten copies of each slice add no information: the interval must stay as wide."""
    values = np.random.default_rng(1).normal(size=30)
    names = [str(n) for n in range(30)]
    once = bootstrap_mean(values, names)
    copies = bootstrap_mean(np.repeat(values, 10), [name for name in names for _ in range(10)])
    assert copies == pytest.approx(once)
    naive = bootstrap_mean(np.repeat(values, 10), [str(n) for n in range(300)])
    assert naive[1] - naive[0] < 0.5 * (once[1] - once[0])


def test_bootstrap_is_seeded_and_needs_two_subjects():
    values, names = np.random.default_rng(0).normal(size=16), list("aabbccddeeffgghh")
    assert bootstrap_mean(values, names, seed=3) == bootstrap_mean(values, names, seed=3)
    assert bootstrap_mean(values, names, seed=3) != bootstrap_mean(values, names, seed=4)
    assert bootstrap_mean(values, ["a"] * 16) is None
    assert bootstrap_mean(np.array([]), []) is None


def models(one, other, metric="dice"):
    return {
        "x": [case(str(n), **{metric: v}) for n, v in enumerate(one)],
        "y": [case(str(n), **{metric: v}) for n, v in enumerate(other)],
    }


def test_p_is_that_of_scipy_and_the_better_one_is_named():
    random = np.random.default_rng(0)
    one = random.uniform(0.8, 1, 25)
    other = one - random.normal(0.02, 0.02, 25)
    (test,) = paired_tests(models(one, other))
    assert (test.first, test.second, test.subjects, test.better) == ("x", "y", 25, "x")
    assert test.p == pytest.approx(stats.wilcoxon(one - other).pvalue)
    assert test.p_holm == test.p
    assert test.difference == pytest.approx((one - other).mean())
    assert test.low < test.difference < test.high


def test_signed_errors_are_compared_by_size():
    (test,) = paired_tests(models([-30, -20, -40], [5, 6, 7], "volume_error"))
    assert test.better == "y"
    assert test.difference == pytest.approx(24)
    (test,) = paired_tests(models([3, 2, 4], [5, 6, 7], "hd95"))
    assert test.better == "x"


def test_slices_of_a_subject_are_one_observation():
    cases = {
        name: [case(f"{s}_{n}", s, dice=0.9 + shift * (s != "c")) for s in "abcd" for n in range(6)]
        for name, shift in (("x", 0.0), ("y", 0.01))
    }
    (test,) = paired_tests(cases)
    assert test.subjects == 4
    assert test.p > 0.1


def test_equal_models_have_no_p_value():
    (test,) = paired_tests(models([0.9, 0.8], [0.9, 0.8]))
    assert (test.p, test.p_holm, test.better, test.reason) == (None, None, None, "no subject differs")
    (test,) = paired_tests(models([0.9], [0.8]))
    assert test.reason == "a test needs two subjects"


def test_cases_without_a_value_are_counted():
    one, other = models([0.9, 0.8, 0.7], [0.8, 0.7, 0.6]).values()
    other = [*other[:2], case("2")]
    (test,) = paired_tests({"x": one, "y": other})
    assert (test.subjects, test.left_out) == (2, 1)


def test_three_models_are_corrected_together():
    random = np.random.default_rng(0)
    cases = {
        name: [case(str(n), dice=v) for n, v in enumerate(random.uniform(0.7 + 0.1 * k, 1, 20))]
        for k, name in enumerate("xyz")
    }
    tests = paired_tests(cases)
    assert [(t.first, t.second) for t in tests] == [("x", "y"), ("x", "z"), ("y", "z")]
    assert [t.p_holm for t in tests] == pytest.approx(holm([t.p for t in tests]))


def test_holm():
    assert holm([]) == []
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
