"""The simulated farm: its page quotes it, it does every job, and what is lost is no more than what was under way."""

from __future__ import annotations

from benchmarks.farm import THREADS, lines, make, start, team
from tests.case import CHECKOUT


def test_the_page_quotes_what_the_command_prints() -> None:
    page = (CHECKOUT / "docs" / "scaling.md").read_text(encoding="utf-8")
    assert "$ python -m benchmarks.farm\n" + "\n".join(lines()) + "\n```" in page


def test_losing_workers_costs_what_they_were_doing() -> None:
    small = team(200)
    whole = make(small.graph, 8)
    assert (whole.jobs, whole.again) == (len(small.graph), 0)
    lost = make(small.graph, 8, lost_at=whole.seconds / 2)
    assert lost.jobs == whole.jobs
    assert 0 < lost.again <= 8 * THREADS // 2
    assert whole.seconds < lost.seconds < make(small.graph, 4).seconds + whole.seconds


def test_more_workers_are_never_slower_and_more_nodes_never_faster() -> None:
    small = team(200)
    times = [make(small.graph, workers).seconds for workers in (1, 4, 16)]
    assert times == sorted(times, reverse=True)
    begun = [start(small, nodes).last for nodes in (10, 100, 1000)]
    assert begun == sorted(begun)
