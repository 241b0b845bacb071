"""The regression check: ratios of processor seconds at small sizes are near what is kept of them.

Load is no failure: both sides of a ratio meet it, the bound is three times what was seen, and what is beyond it is
measured again before it counts.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.measure import Sample, Side
from benchmarks.ratios import BOUND, TRIES, Pair, check, judge, kept_ratios, measured


def test_nothing_costs_three_times_what_it_did(tmp_path: Path) -> None:
    verdicts = check(tmp_path, print)
    assert [str(verdict) for verdict in verdicts if not verdict.met] == []
    assert {verdict.name for verdict in verdicts} == kept_ratios().keys()


def test_what_is_within_its_bound_is_measured_once() -> None:
    verdict = judge("it", 2.0, iter([BOUND * 2.0]).__next__)
    assert (verdict.met, verdict.tries) == (True, 1)


def test_load_that_goes_is_no_regression() -> None:
    verdict = judge("it", 2.0, iter([60.0, 6.5, 2.1]).__next__)
    assert (verdict.met, verdict.tries, verdict.ratio) == (True, 3, 2.1)


def test_what_stays_beyond_its_bound_is_one_and_is_told_with_the_least_that_was_seen() -> None:
    verdict = judge("it", 2.0, iter([9.0, 7.0, 8.0, 7.5, 1.0]).__next__)
    assert (verdict.met, verdict.tries) == (False, TRIES)
    assert str(verdict) == "it: 7.00x, kept 2.00x, bound 3 times that: MISSED"


def test_a_pair_of_which_nothing_is_kept_fails() -> None:
    verdict = judge("it", None, iter([1.0]).__next__)
    assert not verdict.met
    assert "--update" in str(verdict)


def test_both_sides_of_a_round_run_one_after_the_other_and_the_median_round_counts() -> None:
    side = Side(name="ours", command=lambda _: [], environ={}, folder=Path("/"))
    other = Side(name="beside", command=lambda _: [], environ={}, folder=Path("/"))
    seconds = iter([2.0, 1.0, 30.0, 10.0, 50.0, 1.0])
    ran: list[tuple[str, int]] = []

    def run(given: Side, number: int) -> Sample:
        ran.append((given.name, number))
        return Sample(wall=99.0, cpu=next(seconds), peak=0)

    assert measured(Pair(name="it", ours=side, beside=other), run) == pytest.approx(3.0)
    assert ran == [(name, number) for number in range(3) for name in ("ours", "beside")]
