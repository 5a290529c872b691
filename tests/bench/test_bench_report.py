"""The arithmetic of the benchmark and its table."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from bench import plot, report
from bench.relays import RELAYS
from bench.report import Case, Spread
from bench.run import derive
from bench.works import CPU, P50, RATE, WORKS, Goal, Work

WORK = Work("fan", "1 → 10", 11, goals=(Goal("twisted", RATE, 6, least=True),), plotted=True)
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


def case(relay_name, *rates, work=WORK, **fields):
    relay = next(relay for relay in RELAYS if relay.name == relay_name)
    common = derive(work, COUNTED) | fields
    return Case(work, relay, [r if r is None else common | {"rate": r} for r in rates])


def test_the_spread_is_median_least_and_most():
    assert report.spread([5, 1, 3]) == Spread(3, 1, 5)
    assert report.spread([4, 1]) == Spread(2.5, 1, 4)
    assert report.spread([]) is None


def test_a_spread_without_range_is_shown_as_one_figure():
    assert Spread(2.0, 2.001, 2.0).show(lambda v: f"{v:.1f}") == "2.0"
    assert Spread(2.0, 1.0, 3.0).show(lambda v: f"{v:.1f}") == "2.0 (1.0…3.0)"


def test_ratios_are_formed_within_each_round():
    ours, other = case("udprelay", 10, 40, 90), case("twisted", 10, 20, 30)
    assert report.ratios(ours, other, "rate") == Spread(2, 1, 3)


def test_failed_rounds_have_no_ratio():
    ours, other = case("udprelay", 10, None, 90), case("twisted", None, 20, 30)
    assert report.ratios(ours, other, "rate") == Spread(3, 3, 3)
    assert report.ratios(case("udprelay", None), other, "rate") is None


def test_what_a_receivers_buffer_drops_is_delivered_and_not_lost():
    result = derive(WORK, COUNTED)
    assert result["deliveries"] == 1000
    assert result["rate"] == 500
    assert result["loss"] == pytest.approx(100 / 1100)


def test_cpu_counts_the_kernel_thread_on_the_relays_core():
    assert derive(WORK, COUNTED)["cpu_us"] == pytest.approx(2000)


def test_under_overload_all_that_is_not_delivered_is_lost():
    work = Work("overload", "", 11, rate=150_000)
    assert derive(work, COUNTED | {"sent": 1000})["loss"] == pytest.approx(0.9)


def test_a_core_taken_by_others_is_told_from_an_idle_one():
    result = derive(WORK, COUNTED | {"relay_cpu": 0.9})
    assert (result["disturbed"], result["unsaturated"]) == (pytest.approx(0.5), False)
    result = derive(WORK, COUNTED | {"relay_cpu": 0.9, "core_idle": 1.0})
    assert (result["disturbed"], result["unsaturated"]) == (0, True)


def test_mistakes_are_added_up():
    assert derive(WORK, COUNTED | {"echoed": 1, "disorder": 2})["mistakes"] == 3
    assert "3 WRONG DATAGRAMS" in report.notes(case("udprelay", 1, mistakes=3))


@pytest.mark.parametrize(
    ("least", "ratio", "met"), [(True, 6, True), (True, 5.9, False), (False, 5.9, True)]
)
def test_goals(least, ratio, met):
    assert Goal("twisted", RATE, 6, least).met(ratio) is met


def test_the_table_has_ratio_and_goal():
    text = report.table([case("udprelay", 600_000), case("twisted", 120_000)])
    ours, twisted = text.splitlines()[2:]
    assert ours.split()[:4] == ["fan", "udprelay", "600", "k"]
    assert "5.00" in twisted
    assert "≥ 6 MISSED" in twisted


def test_two_metrics_take_two_lines():
    work = Work("latency", "", 2, rate=1000, echo=True)
    both = [case(name, 1000, work=work, p50_us=50, p99_us=80) for name in ("udprelay", "c-sendto")]
    text = report.table(both)
    assert "p50 1.00" in text.splitlines()[-2]
    assert text.splitlines()[-1].split() == ["p99", "1.00"]


def test_a_relay_that_failed_in_each_round_is_shown_as_failed():
    assert "failed" in report.table([case("ncat", None)])


def test_the_figures_compared_depend_on_the_work():
    by_name = {work.name: work.metrics for work in WORKS}
    assert by_name["fan-10"] == by_name["overload-10"] == (RATE,)
    assert by_name["light-20"] == (CPU,)
    assert by_name["latency"][0] == P50


@pytest.mark.parametrize(("most", "top"), [(1, 1), (812_345, 1_000_000), (1_260_000, 1_500_000)])
def test_the_scale_ends_at_a_round_number(most, top):
    assert plot.nice_top(most) == top


def test_the_chart_is_svg_with_a_bar_for_each_case():
    cases = [case("udprelay", 600_000, 500_000), case("c-sendto", 120_000), case("ncat", None)]
    root = ElementTree.fromstring(plot.chart(cases, "a < b"))
    bars = [e for e in root.iter("{http://www.w3.org/2000/svg}rect") if len(e)]
    assert [bar[0].text for bar in bars] == [
        "udprelay, 1 → 10: 550 k",
        "c-sendto, 1 → 10: 120 k",
    ]


def test_every_relay_has_a_colour():
    assert {relay.name for relay in RELAYS} == set(plot.COLOURS)
