"""``udprelay-client`` on a terminal, in rooms of a relay."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from client_relay_process import PASSPHRASE, RelayProcess
from client_terminal import TerminalProcess

from free_port import free_port

StartTerminal = Callable[..., TerminalProcess]
StartClient = Callable[..., "subprocess.Popen[bytes]"]
Bob = subprocess.Popen[bytes]


def send(process: Bob, text: str) -> None:
    assert process.stdin
    process.stdin.write(text.encode())


def received(process: Bob) -> str:
    assert process.stdout
    return process.stdout.readline().decode().rstrip("\n")


class Ada:
    """A member on a terminal."""

    def __init__(self, terminal: TerminalProcess, room: str) -> None:
        self.terminal = terminal
        self.prompt = f"{room}>"
        self.type = terminal.type

    def see(self, *lines: str, typed: str | None = None) -> None:
        """Wait for the screen's last lines, and then the prompt, with what has been typed."""
        prompt = self.prompt if typed is None else f"{self.prompt} {typed}"
        self.terminal.wait_for(*lines, prompt)


@pytest.fixture
def ada(start_terminal: StartTerminal, relay: RelayProcess, bob: Bob, room: str) -> Iterator[Ada]:
    found = Ada(start_terminal("-n", "ada", "-r", room, relay.address), room)
    found.see()
    yield found
    # Killed, it would stay in the room for a while.
    if found.terminal.process.poll() is None:
        found.type("\x03")
        found.terminal.status()


def test_the_room_and_its_members_are_shown_first(
    ada: Ada, relay: RelayProcess, room: str
) -> None:
    assert ada.terminal.screen.lines == [
        f"-- in {room} as ada, with bob",
        f"-- talking to {relay.address}; /help for help",
        ada.prompt,
    ]


def test_lines_pass_in_both_directions_with_nicks(ada: Ada, bob: Bob) -> None:
    ada.type("hello wörld 日本\r")
    assert received(bob) == "ada: hello wörld 日本"
    ada.see(f"{ada.prompt} hello wörld 日本")
    ada.type("half a 日本 ")
    ada.see(typed="half a 日本")
    send(bob, "wide 日本語\n")
    ada.see(f"{ada.prompt} hello wörld 日本", "bob: wide 日本語", typed="half a 日本")
    assert ada.terminal.screen.cursor[1] == len(ada.prompt) + len(" half a ") + 5
    ada.type("line\r")
    assert received(bob) == "ada: half a 日本 line"


def test_control_characters_are_shown_as_escapes(ada: Ada, bob: Bob) -> None:
    send(bob, "\x1b[2J\x07end\n")
    ada.see(r"bob: \x1b[2J\x07end")


def test_members_that_join_and_leave_are_reported(
    ada: Ada, relay: RelayProcess, room: str, start_client: StartClient
) -> None:
    carol = start_client("-n", "carol", "-r", room, relay.address)
    ada.see("-- carol has joined")
    carol.terminate()
    ada.see("-- carol has left")


def test_who_lists_the_members(ada: Ada) -> None:
    ada.type("/who\r")
    ada.see(f"{ada.prompt} /who", "-- ada (you)", "-- bob")


def test_private_messages_pass_in_both_directions(
    ada: Ada, relay: RelayProcess, room: str, start_client: StartClient
) -> None:
    carol = start_client("--json", "-n", "carol", "-r", room, relay.address)
    ada.see("-- carol has joined")
    ada.type("/msg carol psst\r")
    assert carol.stdout
    while b'"psst"' not in (line := carol.stdout.readline()):
        pass
    assert b'"private": true' in line
    send(carol, '{"text": "what?", "to": "ada"}\n')
    ada.see("carol (private): what?")


def test_a_rejected_line_stays_to_be_edited(ada: Ada) -> None:
    ada.type("/msg dave hello\r")
    ada.see("-- not sent: no member has the nick dave", typed="/msg dave hello")
    ada.type("\x15/msg\r")
    ada.see("-- usage: /msg NICK TEXT", typed="/msg")


def test_nick_changes_the_nick(ada: Ada, bob: Bob) -> None:
    ada.type("/nick countess\r")
    ada.see("-- you are now countess")
    ada.type("hello\r")
    assert received(bob) == "countess: hello"
    ada.see(f"{ada.prompt} hello")
    ada.type("/nick duchess\r")
    ada.terminal.wait_until(
        lambda lines: (
            lines[-1] == ada.prompt
            and lines[-2].startswith("-- nick not changed: You can change your nick again in ")
        )
    )
    ada.type("/nick\r")
    ada.see("-- you are countess; to change it: /nick NICK")


def test_join_changes_the_room_and_the_prompt(ada: Ada, room: str) -> None:
    ada.type(f"/join {room}.other\r")
    ada.prompt = f"{room}.other>"
    ada.see(f"-- in {room}.other as ada, alone", f"-- left {room}")
    ada.type(f"/join {room}.other\r")
    ada.see(f"-- already in {room}.other")
    ada.type("/join no room\r")
    error = "-- invalid room name: use 1 to 64 letters, digits, '-', '_' and '.'"
    ada.see(error, typed="/join no room")


def test_a_refusal_of_another_room_does_not_end_the_client(ada: Ada) -> None:
    ada.type("/join sealed\r")
    ada.terminal.wait_until(
        lambda lines: (
            any("not admitted to sealed" in line for line in lines) and lines[-1] == ada.prompt
        )
    )


def test_ping_shows_the_round_trip_time(ada: Ada, relay: RelayProcess) -> None:
    ada.type("/ping\r")
    answer = re.compile(
        rf"-- {relay.address} answered in \d+\.\d ms; datagrams lost: 0, recovered: 0,"
    )
    ada.terminal.wait_until(lambda lines: any(map(answer.match, lines)))


def test_commands_rooms_and_nicks_are_completed(ada: Ada, bob: Bob, room: str) -> None:
    ada.type("bo\t")
    ada.see(typed="bob:")
    ada.type("hi\r")
    assert received(bob) == "ada: bob: hi"
    ada.see()
    ada.type("/ms\t")
    ada.see(typed="/msg")
    ada.type("b\t")
    ada.see(typed="/msg bob")
    ada.type("psst\r")
    assert received(bob) == "ada (private): psst"
    ada.see()
    ada.type("/jo\t")
    ada.see(typed="/join")
    ada.type("ro\t")
    ada.see(typed=f"/join {room}")


def test_nicks_have_colours_and_notices_are_dim(ada: Ada, bob: Bob) -> None:
    send(bob, "hello\n")
    ada.see("bob: hello")
    assert ada.terminal.screen.colours != set()


def test_no_color_switches_colours_off(
    start_terminal: StartTerminal, relay: RelayProcess, bob: Bob, room: str
) -> None:
    terminal = start_terminal("-n", "ada", "-r", room, relay.address, NO_COLOR="1")
    terminal.wait_for(f"{room}>")
    send(bob, "hello\n")
    terminal.wait_for("bob: hello", f"{room}>")
    assert terminal.screen.colours == set()


@pytest.mark.parametrize("keys", ["last words\r/quit\r", "last words\r\x04"])
def test_lines_typed_just_before_leaving_are_delivered(ada: Ada, bob: Bob, keys: str) -> None:
    ada.type(keys)
    assert ada.terminal.status() == 0
    assert ada.terminal.modes_restored()
    assert received(bob) == "ada: last words"


def test_a_refusal_is_reported_and_is_status_3(
    start_terminal: StartTerminal, relay: RelayProcess, bob: Bob, room: str
) -> None:
    terminal = start_terminal("-n", "bob", "-r", room, relay.address)
    assert terminal.status() == 3
    shown = "".join(terminal.screen.lines)
    assert shown.startswith(f"-- not admitted to {room}: ")
    assert shown.endswith("; choose another with --nick")


def test_a_room_with_a_passphrase_can_be_joined(
    start_terminal: StartTerminal, relay: RelayProcess
) -> None:
    terminal = start_terminal(
        "-n", "ada", "-r", "sealed", relay.address, UDPRELAY_PASSPHRASE=PASSPHRASE
    )
    terminal.wait_for("sealed>")
    terminal.type("/quit\r")
    assert terminal.status() == 0


def test_the_access_key_is_asked_for_twice_without_being_shown(
    start_terminal: StartTerminal,
) -> None:
    terminal = start_terminal("--access-key")
    terminal.wait_for("Room passphrase:")
    terminal.type("secret\n")
    terminal.wait_for("Room passphrase:", "Repeat the passphrase:")
    terminal.type("secret\n")
    assert terminal.status() == 0
    assert terminal.modes_restored()
    assert "secret" not in "".join(terminal.screen.lines)
    assert re.match("access_key = [0-9a-f]{32}:[0-9a-f]{64}", "".join(terminal.screen.lines[2:]))


def test_it_retries_until_the_relay_answers(start_terminal: StartTerminal, tmp_path: Path) -> None:
    port = free_port()
    terminal = start_terminal("-n", "ada", f"127.0.0.1:{port}")
    terminal.wait_for(f"-- connecting to 127.0.0.1:{port} ...")
    with closing(RelayProcess(tmp_path, port)):
        terminal.wait_for("lobby>")
        terminal.type("/quit\r")
        assert terminal.status() == 0


def test_it_can_be_interrupted_while_it_retries(start_terminal: StartTerminal) -> None:
    terminal = start_terminal("-n", "ada", f"127.0.0.1:{free_port()}")
    terminal.wait_until(lambda lines: lines)
    terminal.type("\x03")
    assert terminal.status() == 130
    assert terminal.modes_restored()


@pytest.fixture
def own_relay(tmp_path: Path) -> Iterator[RelayProcess]:
    with closing(RelayProcess(tmp_path)) as process:
        yield process


def test_it_reconnects_to_a_restarted_relay_and_sends_what_was_typed(
    start_terminal: StartTerminal, start_client: StartClient, own_relay: RelayProcess
) -> None:
    bob = start_client("-n", "bob", own_relay.address)
    own_relay.wait_for("member.joined")
    terminal = start_terminal("-n", "ada", own_relay.address)
    terminal.wait_for("lobby>")
    own_relay.stop()
    lost = f"-- lost contact with {own_relay.address}: it is stopping; reconnecting"
    terminal.wait_for(lost, "lobby>")
    terminal.type("meanwhile\r")
    own_relay.start()
    found = f"-- reconnected to {own_relay.address}"
    # Until the relay has started, that no program listens there.
    waiting = f"-- no program listens at {own_relay.address}; still trying"
    expected = [lost, "lobby> meanwhile", found, "lobby>"]
    terminal.wait_until(lambda lines: [line for line in lines if line != waiting][-4:] == expected)
    assert received(bob) == "ada: meanwhile"


def test_quit_waits_for_pending_messages_and_control_c_does_not(
    start_terminal: StartTerminal, own_relay: RelayProcess
) -> None:
    terminal = start_terminal("-n", "ada", own_relay.address)
    terminal.wait_for("lobby>")
    own_relay.stop()
    terminal.wait_until(lambda lines: any("lost contact" in line for line in lines))
    terminal.type("lost\r/quit\r")
    terminal.wait_for("-- leaving when 1 message is delivered")
    terminal.type("\x03")
    assert terminal.status() == 130
    assert terminal.screen.lines[-1] == "^C-- left before 1 message was acknowledged"
    assert terminal.modes_restored()
