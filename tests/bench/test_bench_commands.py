"""The command lines and configurations of the benchmark."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench import __main__ as main
from bench import veth
from bench.relays import NO_LIMITS, OURS, RELAYS, before, configuration
from bench.run import opened_ports
from bench.works import WORKS, Work

BY_NAME = {relay.name: relay for relay in RELAYS}
PROGRAMS = Path("/programs")


def command(relay: str, work: Work, place: Path) -> list[str]:
    return BY_NAME[relay].launch(work, place, PROGRAMS).command


def test_udprelay_is_started_by_twistd(tmp_path: Path) -> None:
    line = command("udprelay", Work("", "", 11), tmp_path)
    assert line[0] == sys.executable
    ini = tmp_path / "udprelay.ini"
    options = ["--log-format", "json", "--config", str(ini), "--port", "0"]
    assert line[-7:] == ["udprelay", *options]
    assert ini.read_text() == NO_LIMITS


def test_an_earlier_udprelay_is_not_told_limits_that_it_does_not_know(tmp_path: Path) -> None:
    plain, _ = before(tmp_path, "1a2b3c")
    assert "--config" not in plain.launch(Work("", "", 11), tmp_path, PROGRAMS).command
    module = tmp_path / "udprelay" / "relay" / "allowance.py"
    module.parent.mkdir(parents=True)
    module.touch()
    assert "--config" in plain.launch(Work("", "", 11), tmp_path, PROGRAMS).command


def test_the_stock_port_is_an_option_of_the_listener(tmp_path: Path) -> None:
    line = command("udprelay-stock", Work("", "", 11), tmp_path)
    ini = tmp_path / "udprelay.ini"
    assert str(ini) in line
    assert ini.read_text() == f"{NO_LIMITS}[listener:main]\nbatch = no\n"


def test_large_rooms_are_allowed() -> None:
    assert configuration(Work("", "", 1001), True, "") == (
        "[udprelay]\nmax_members = 1001\n[room:lobby]\nmax_members = 1001\n"
    )


def test_many_rooms_have_a_listener_each(tmp_path: Path) -> None:
    work = Work("", "", 2, rooms=2)
    assert "--port" not in command("udprelay", work, tmp_path)
    text = (tmp_path / "udprelay.ini").read_text()
    assert "[listener:port1]\nport = 0\nroom = room1\n" in text
    assert text.endswith("[room:room0]\n[room:room1]\n")


def test_peers_get_the_address_and_the_number_of_rooms(tmp_path: Path) -> None:
    work = Work("", "", 2, rooms=25, host="::1")
    line = ["/programs/c_sendto", "--host", "::1", "--ports", "25"]
    assert command("c-sendto", work, tmp_path) == line
    assert command("twisted", work, tmp_path)[2:] == line[1:]


def test_the_load_gets_all_settings_of_a_work() -> None:
    arguments = Work("", "", 11, size=0, rate=5).load_arguments()
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert given["--size"] == "mixed"
    assert (given["--members"], given["--rate"], given["--echo"]) == ("11", "5", "0")


def test_out_of_a_veth_the_load_counts_what_the_device_has_sent() -> None:
    arguments = Work("", "", 11, host=veth.RELAY, veth=veth.Veth(True, True)).load_arguments()
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert (given["--device"], given["--source"]) == (veth.DEVICE, veth.MEMBERS)


def test_a_work_may_name_its_peers() -> None:
    work = Work("", "", 2, peers=("twisted",))
    names = {relay.name for relay in RELAYS if relay.runs(work)}
    assert names == {"udprelay", "udprelay-session", "twisted"}


def test_sessions_need_receivers_and_ncat_has_one_room() -> None:
    out = Work("", "", 2, veth=veth.Veth(True, True))
    assert not BY_NAME["udprelay-session"].runs(out)
    assert not BY_NAME["ncat"].runs(Work("", "", 2, rooms=25))
    assert BY_NAME["ncat"].runs(Work("", "", 2))


def test_an_earlier_commit_runs_in_its_own_directory(tmp_path: Path) -> None:
    checkout = Path(__file__).parents[2]
    plain, _ = before(checkout, "HEAD~1")
    launch = plain.launch(Work("", "", 2), tmp_path, PROGRAMS)
    assert launch.checkout == checkout
    assert launch.command == command("udprelay", Work("", "", 2), tmp_path)


def test_an_earlier_commit_has_the_members_of_the_chosen_relays() -> None:
    options = main.parse(["--work", "fan-10", "--relay", "udprelay", "--against", "HEAD"])
    _, relays, _ = main.selected(options, before(Path(), "HEAD"))
    assert [relay.name for relay in relays] == ["udprelay", "before"]


def test_works_out_of_a_veth_are_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    works, _, missing = main.selected(main.parse([]))
    assert not any(work.veth for work in works)
    assert missing["out of a veth"] == "needs root"


def test_an_unknown_commit_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--against", "no-such-commit"]) == 1
    assert "no-such-commit" in capsys.readouterr().err


def test_ports_are_read_from_whole_lines_of_the_log() -> None:
    log = (
        '{"event":"relay.started","version":"1"}\n'
        '{"event":"listener.opened","interface":"::","port":4711}\n'
        '{"event":"listener.opened","interface":"::","po'
    )
    assert opened_ports(log) == [4711]


def test_each_round_starts_with_another_relay() -> None:
    names = [[relay.name for relay in main.rotated(RELAYS[:3], n)] for n in range(4)]
    assert names[1] == [names[0][1], names[0][2], names[0][0]]
    assert names[3] == names[0]


def test_quick_changes_defaults_only() -> None:
    options = main.parse(["--quick", "--rounds", "7"])
    assert (options.rounds, options.seconds) == (7, 0.5)


def test_quick_runs_a_few_works_with_the_relays_of_the_goals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(veth, "missing", lambda: "")
    works, relays, _ = main.selected(main.parse(["--quick"]))
    assert [work.name for work in works] == [work.name for work in WORKS if work.quick]
    assert {relay.name for relay in relays} == {OURS, "twisted", "c-sendto", "c-mmsg-gso"}


def test_works_and_relays_can_be_selected() -> None:
    works, relays, _ = main.selected(main.parse(["--work", "latency", "--relay", "udprelay"]))
    assert ([w.name for w in works], [r.name for r in relays]) == (["latency"], ["udprelay"])


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.name)
def test_goals_name_existing_relays(work: Work) -> None:
    assert {goal.peer for goal in work.goals} <= set(BY_NAME)
