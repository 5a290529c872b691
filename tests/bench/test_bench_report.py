"""The results of the benchmark, its table and its chart."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from bench import plot, relays, report
from bench.relays import RELAYS
from bench.report import Case, Spread
from bench.run import derive
from bench.works import CPU, P50, RATE, WORKS, Goal, Work

WORK = Work("fan", "1 → 10", 11, goals=(Goal("twisted", RATE, 6, minimum=True),), plotted=True)
COUNTED = {
    "seconds": 2.0,
    "sent": 100,
    "received": 900,
    "receiver_drops": 100,
    "expected": 1100,
    "gaps": 200,
    "echoed": 0,
    "disorder": 0,
    "wrong_length": 0,
    "foreign": 0,
    "relay_cpu": 1.9,
    "softirqd_cpu": 0.1,
    "load_cpu": 0.5,
    "core_idle": 0.0,
    "own_core_idle": 1.5,
    "p50_us": -1.0,
    "p99_us": -1.0,
}


BY_NAME = {relay.name: relay for relay in (*RELAYS, *relays.before(Path(), "HEAD~1"))}


def case(relay_name: str, *rates: float | None, work: Work = WORK, **fields: float) -> Case:
    relay = BY_NAME[relay_name]
    common = derive(work, COUNTED) | fields
    return Case(work, relay, [r if r is None else common | {"rate": r} for r in rates])


def test_a_spread_has_median_minimum_and_maximum() -> None:
    assert report.spread([5, 1, 3]) == Spread(3, 1, 5)
    assert report.spread([4, 1]) == Spread(2.5, 1, 4)
    assert report.spread([]) is None


def test_a_spread_without_range_is_shown_as_one_figure() -> None:
    assert Spread(2.0, 2.001, 2.0).show(lambda v: f"{v:.1f}") == "2.0"
    assert Spread(2.0, 1.0, 3.0).show(lambda v: f"{v:.1f}") == "2.0 (1.0…3.0)"


def test_ratios_compare_results_of_the_same_round() -> None:
    ours, other = case("udprelay", 10, 40, 90), case("twisted", 10, 20, 30)
    assert report.ratios(ours, other, "rate") == Spread(2, 1, 3)


def test_failed_rounds_have_no_ratio() -> None:
    ours, other = case("udprelay", 10, None, 90), case("twisted", None, 20, 30)
    assert report.ratios(ours, other, "rate") == Spread(3, 3, 3)
    assert report.ratios(case("udprelay", None), other, "rate") is None


def test_drops_in_receive_buffers_count_as_deliveries() -> None:
    result = derive(WORK, COUNTED)
    assert result["deliveries"] == 1000
    assert result["rate"] == 500
    assert result["loss"] == pytest.approx(100 / 1100)


def test_cpu_counts_the_kernel_thread_on_the_relays_core() -> None:
    assert derive(WORK, COUNTED)["cpu_us"] == pytest.approx(2000)


def test_under_overload_all_undelivered_datagrams_are_lost() -> None:
    work = Work("overload", "", 11, rate=150_000)
    assert derive(work, COUNTED | {"sent": 1000})["loss"] == pytest.approx(0.9)


def test_a_core_used_by_other_processes_is_distinguished_from_an_idle_one() -> None:
    result = derive(WORK, COUNTED | {"relay_cpu": 0.9})
    assert (result["disturbed"], result["unsaturated"]) == (pytest.approx(0.5), False)
    result = derive(WORK, COUNTED | {"relay_cpu": 0.9, "core_idle": 1.0})
    assert (result["disturbed"], result["unsaturated"]) == (0, True)


def test_mistakes_are_summed() -> None:
    assert derive(WORK, COUNTED | {"echoed": 1, "disorder": 2})["mistakes"] == 3
    assert "3 WRONG DATAGRAMS" in report.notes(case("udprelay", 1, mistakes=3))


@pytest.mark.parametrize(
    ("minimum", "ratio", "met"), [(True, 6, True), (True, 5.9, False), (False, 5.9, True)]
)
def test_goals(minimum: bool, ratio: float, met: bool) -> None:
    assert Goal("twisted", RATE, 6, minimum).met(ratio) is met


def test_the_table_has_ratios_and_goals() -> None:
    text = report.table([case("udprelay", 600_000), case("twisted", 120_000)])
    ours, twisted = text.splitlines()[2:]
    assert ours.split()[:4] == ["fan", "udprelay", "600", "k"]
    assert "5.00" in twisted
    assert "≥ 6 MISSED" in twisted


def test_the_cpu_of_a_delivery_has_a_ratio_and_a_goal_of_its_own() -> None:
    work = replace(WORK, goals=(*WORK.goals, Goal("twisted", CPU, 1.1, minimum=False)))
    cases = [case("udprelay", 600, work=work, cpu_us=0.5), case("twisted", 100, work=work)]
    assert "≥ 6 met, CPU ≤ 1.1 met" in report.table(cases).splitlines()[-1]


def test_out_of_a_veth_only_cpu_is_compared() -> None:
    work = next(work for work in WORKS if work.name == "out-50")
    both = [case("udprelay", 9, work=work, cpu_us=1.2), case("c-mmsg-gso", 3, work=work, cpu_us=1)]
    last = report.table(both).splitlines()[-1]
    assert last.endswith("1.20  CPU ≤ 1.1 MISSED")
    assert "3.00" not in last


@pytest.mark.parametrize(
    ("name", "ratio", "met"), [("before", "0.50", "met"), ("before-session", "2.00", "MISSED")]
)
def test_an_earlier_commit_is_compared_with_the_same_kind_of_members(
    name: str, ratio: str, met: str
) -> None:
    cases = [
        case("udprelay", 1, cpu_us=1),
        case("udprelay-session", 1, cpu_us=4),
        case(name, 1, cpu_us=2),
    ]
    row = report.table(cases).splitlines()[-1].split()
    assert row[-5:] == [ratio, "CPU", "≤", "1.05", met]


def test_calls_are_shown_per_thousand_datagrams() -> None:
    counts = {"system_calls": 46.88, "python_calls": 1234.5, "c_calls": 0.4}
    cases = [replace(case(name, 1), counts=counts) for name in ("udprelay", "twisted")]
    failed = replace(case("c-sendto", 1), counts={"failed": "why"})
    rows = [line.split() for line in report.counted([*cases, failed]).splitlines()[2:]]
    assert rows == [["fan", "udprelay", "47", "1,234", "0"], ["twisted", "47", "1,234", "0"]]


def test_without_counts_there_is_no_table_of_calls() -> None:
    assert report.counted([case("udprelay", 1)]) == ""


def test_two_metrics_take_two_lines() -> None:
    work = Work("latency", "", 2, rate=1000, echo=True)
    both = [case(name, 1000, work=work, p50_us=50, p99_us=80) for name in ("udprelay", "c-sendto")]
    text = report.table(both)
    assert "p50 1.00" in text.splitlines()[-2]
    assert text.splitlines()[-1].split() == ["p99", "1.00"]


def test_a_relay_that_fails_in_all_rounds_is_shown_as_failed() -> None:
    assert "failed" in report.table([case("ncat", None)])


def test_the_metrics_depend_on_the_work() -> None:
    by_name = {work.name: work.metrics for work in WORKS}
    assert by_name["fan-10"] == by_name["overload-10"] == (RATE,)
    assert by_name["light-20"] == by_name["pair-20000"] == (P50,)
    assert by_name["latency"][0] == P50
    assert by_name["out-10"] == ()


@pytest.mark.parametrize(
    ("highest", "top"), [(1, 1), (812_345, 1_000_000), (1_260_000, 1_500_000)]
)
def test_the_scale_ends_at_a_round_number(highest: float, top: float) -> None:
    assert plot.nice_top(highest) == top


def test_the_chart_has_a_bar_for_each_case() -> None:
    cases = [case("udprelay", 600_000, 500_000), case("c-sendto", 120_000), case("ncat", None)]
    root = ElementTree.fromstring(plot.chart(cases, "a < b"))
    bars = [e for e in root.iter("{http://www.w3.org/2000/svg}rect") if len(e)]
    assert [bar[0].text for bar in bars] == [
        "udprelay, 1 → 10: 550 k",
        "c-sendto, 1 → 10: 120 k",
    ]


def test_every_relay_has_a_colour() -> None:
    earlier = relays.before(Path(), "HEAD")
    assert {relay.name for relay in (*RELAYS, *earlier)} == set(plot.COLOURS)
