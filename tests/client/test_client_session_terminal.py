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


def say(process: Bob, text: str) -> None:
    assert process.stdin
    process.stdin.write(text.encode())


def heard(process: Bob) -> str:
    assert process.stdout
    return process.stdout.readline().decode().rstrip("\n")


class Ada:
    """Somebody in the room, on a terminal."""

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


def test_it_says_where_one_is_and_with_whom(ada: Ada, relay: RelayProcess, room: str) -> None:
    assert ada.terminal.screen.lines == [
        f"-- in {room} as ada, with bob",
        f"-- talking to {relay.address}; /help for help",
        ada.prompt,
    ]


def test_lines_pass_both_ways_with_names(ada: Ada, bob: Bob) -> None:
    ada.type("hello wörld 日本\r")
    assert heard(bob) == "ada: hello wörld 日本"
    ada.see(f"{ada.prompt} hello wörld 日本")
    ada.type("half a 日本 ")
    ada.see(typed="half a 日本")
    say(bob, "wide 日本語\n")
    ada.see(f"{ada.prompt} hello wörld 日本", "bob: wide 日本語", typed="half a 日本")
    assert ada.terminal.screen.cursor[1] == len(ada.prompt) + len(" half a ") + 5
    ada.type("line\r")
    assert heard(bob) == "ada: half a 日本 line"


def test_control_characters_are_shown_as_escapes(ada: Ada, bob: Bob) -> None:
    say(bob, "\x1b[2J\x07end\n")
    ada.see(r"bob: \x1b[2J\x07end")


def test_who_comes_and_goes_is_told(
    ada: Ada, relay: RelayProcess, room: str, start_client: StartClient
) -> None:
    carol = start_client("-n", "carol", "-r", room, relay.address)
    ada.see("-- carol has joined")
    carol.terminate()
    ada.see("-- carol has left")


def test_who_is_there_can_be_asked(ada: Ada) -> None:
    ada.type("/who\r")
    ada.see(f"{ada.prompt} /who", "-- ada (you)", "-- bob")


def test_one_can_be_spoken_to_alone_and_speak_back(
    ada: Ada, relay: RelayProcess, room: str, start_client: StartClient
) -> None:
    carol = start_client("--json", "-n", "carol", "-r", room, relay.address)
    ada.see("-- carol has joined")
    ada.type("/msg carol psst\r")
    assert carol.stdout
    while b'"psst"' not in (line := carol.stdout.readline()):
        pass
    assert b'"private": true' in line
    say(carol, '{"text": "what?", "to": "ada"}\n')
    ada.see("carol (private): what?")


def test_what_can_not_be_said_stays_to_be_edited(ada: Ada) -> None:
    ada.type("/msg dave hello\r")
    ada.see("-- not sent: nobody here is called dave", typed="/msg dave hello")
    ada.type("\x15/msg\r")
    ada.see("-- to whom, and what? /msg NICK TEXT", typed="/msg")


def test_a_new_nick_is_taken_and_told(ada: Ada, bob: Bob) -> None:
    ada.type("/nick countess\r")
    ada.see("-- you are now countess")
    ada.type("hello\r")
    assert heard(bob) == "countess: hello"
    ada.see(f"{ada.prompt} hello")
    ada.type("/nick bob\r")
    ada.see("-- no new nick: Somebody else has this nick")
    ada.type("/nick\r")
    ada.see("-- you are countess; for another nick, /nick NICK")


def test_another_room_is_joined_and_the_prompt_says_so(ada: Ada, room: str) -> None:
    ada.type(f"/join {room}.other\r")
    ada.prompt = f"{room}.other>"
    ada.see(f"-- in {room}.other as ada, alone", f"-- left {room}")
    ada.type(f"/join {room}.other\r")
    ada.see(f"-- you are in {room}.other")
    ada.type("/join no room\r")
    told = "-- rooms have 1 to 64 letters, digits, '-', '_' and '.': /join ROOM"
    ada.see(told, typed="/join no room")


def test_a_room_that_does_not_admit_one_is_no_reason_to_leave(ada: Ada) -> None:
    ada.type("/join sealed\r")
    ada.terminal.wait_until(
        lambda lines: (
            any("not admitted to sealed" in line for line in lines) and lines[-1] == ada.prompt
        )
    )


def test_the_relay_can_be_asked_how_far_it_is(ada: Ada, relay: RelayProcess) -> None:
    ada.type("/ping\r")
    answer = re.compile(
        rf"-- {relay.address} answered in \d+\.\d ms; datagrams lost: 0, asked for again: 0,"
    )
    ada.terminal.wait_until(lambda lines: any(map(answer.match, lines)))


def test_commands_rooms_and_nicks_are_completed(ada: Ada, bob: Bob, room: str) -> None:
    ada.type("bo\t")
    ada.see(typed="bob:")
    ada.type("hi\r")
    assert heard(bob) == "ada: bob: hi"
    ada.see()
    ada.type("/ms\t")
    ada.see(typed="/msg")
    ada.type("b\t")
    ada.see(typed="/msg bob")
    ada.type("psst\r")
    assert heard(bob) == "ada (private): psst"
    ada.see()
    ada.type("/jo\t")
    ada.see(typed="/join")
    ada.type("ro\t")
    ada.see(typed=f"/join {room}")


def test_nicks_have_colours_and_notices_are_dim(ada: Ada, bob: Bob) -> None:
    say(bob, "hello\n")
    ada.see("bob: hello")
    assert ada.terminal.screen.colours != set()


def test_no_colours_where_they_are_not_wanted(
    start_terminal: StartTerminal, relay: RelayProcess, bob: Bob, room: str
) -> None:
    terminal = start_terminal("-n", "ada", "-r", room, relay.address, NO_COLOR="1")
    terminal.wait_for(f"{room}>")
    say(bob, "hello\n")
    terminal.wait_for("bob: hello", f"{room}>")
    assert terminal.screen.colours == set()


@pytest.mark.parametrize("keys", ["last words\r/quit\r", "last words\r\x04"])
def test_what_was_said_just_before_leaving_arrives(ada: Ada, bob: Bob, keys: str) -> None:
    ada.type(keys)
    assert ada.terminal.status() == 0
    assert ada.terminal.modes_restored()
    assert heard(bob) == "ada: last words"


def test_being_refused_is_told_and_is_status_3(
    start_terminal: StartTerminal, relay: RelayProcess, bob: Bob, room: str
) -> None:
    terminal = start_terminal("-n", "bob", "-r", room, relay.address)
    assert terminal.status() == 3
    assert "".join(terminal.screen.lines) == (
        f"-- not admitted to {room}: Somebody else has this nick; choose another with --nick"
    )


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
    terminal.wait_for("Passphrase of the room:")
    terminal.type("secret\n")
    terminal.wait_for("Passphrase of the room:", "The same again:")
    terminal.type("secret\n")
    assert terminal.status() == 0
    assert terminal.modes_restored()
    assert "secret" not in "".join(terminal.screen.lines)
    assert re.match("access_key = [0-9a-f]{32}:[0-9a-f]{64}", "".join(terminal.screen.lines[2:]))


def test_it_goes_on_trying_and_says_so_until_the_relay_is_there(
    start_terminal: StartTerminal, tmp_path: Path
) -> None:
    port = free_port()
    terminal = start_terminal("-n", "ada", f"127.0.0.1:{port}")
    terminal.wait_for(f"-- connecting to 127.0.0.1:{port} ...")
    with closing(RelayProcess(tmp_path, port)):
        terminal.wait_for("lobby>")
        terminal.type("/quit\r")
        assert terminal.status() == 0


def test_it_can_be_stopped_while_it_tries(start_terminal: StartTerminal) -> None:
    terminal = start_terminal("-n", "ada", f"127.0.0.1:{free_port()}")
    terminal.wait_until(lambda lines: lines)
    terminal.type("\x03")
    assert terminal.status() == 130
    assert terminal.modes_restored()


@pytest.fixture
def own_relay(tmp_path: Path) -> Iterator[RelayProcess]:
    with closing(RelayProcess(tmp_path)) as process:
        yield process


def test_a_relay_that_starts_anew_is_found_again_and_what_was_typed_arrives(
    start_terminal: StartTerminal, start_client: StartClient, own_relay: RelayProcess
) -> None:
    bob = start_client("-n", "bob", own_relay.address)
    own_relay.wait_for("member.joined")
    terminal = start_terminal("-n", "ada", own_relay.address)
    terminal.wait_for("lobby>")
    own_relay.stop()
    lost = f"-- no contact with {own_relay.address}: it stops; trying to find it again"
    terminal.wait_for(lost, "lobby>")
    terminal.type("meanwhile\r")
    own_relay.start()
    found = f"-- in contact with {own_relay.address} again"
    terminal.wait_for(lost, "lobby> meanwhile", found, "lobby>")
    assert heard(bob) == "ada: meanwhile"


def test_whoever_leaves_waits_for_what_is_under_way_but_not_with_control_c(
    start_terminal: StartTerminal, own_relay: RelayProcess
) -> None:
    terminal = start_terminal("-n", "ada", own_relay.address)
    terminal.wait_for("lobby>")
    own_relay.stop()
    terminal.wait_until(lambda lines: any("no contact" in line for line in lines))
    terminal.type("lost\r/quit\r")
    terminal.wait_for("-- leaving as soon as 1 message has arrived")
    terminal.type("\x03")
    assert terminal.status() == 130
    assert terminal.screen.lines[-1] == "^C-- left without knowing whether 1 message arrived"
    assert terminal.modes_restored()
