from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from client_programs import TIMEOUT, Peer
from client_terminal import TerminalProcess

from free_port import free_port
from udprelay.protocol.endpoint import MAX_PAYLOAD

StartTerminal = Callable[..., TerminalProcess]


@pytest.fixture
def terminal(start_terminal: StartTerminal, peer: Peer) -> TerminalProcess:
    process = start_terminal("--plain", peer.address)
    process.ready()
    return process


def test_the_peer_and_the_help_command_are_shown_first(
    terminal: TerminalProcess, peer: Peer
) -> None:
    assert terminal.screen.lines == [f"-- talking to {peer.address}; /help for help", ">"]


def test_a_typed_line_is_sent(terminal: TerminalProcess, peer: Peer) -> None:
    terminal.type("hello wörld 日本\r")
    assert peer.receive() == "hello wörld 日本".encode()
    terminal.wait_for("> hello wörld 日本", ">")


def test_an_incoming_line_is_printed_above_the_prompt_and_typed_text_stays(
    terminal: TerminalProcess, peer: Peer
) -> None:
    terminal.type("first\r")
    peer.receive()
    terminal.type("half a 日本 ")
    terminal.wait_for("> first", "> half a 日本")
    peer.send("wide 日本語".encode(), b"two")
    terminal.wait_for("> first", "wide 日本語", "two", "> half a 日本")
    assert terminal.screen.cursor[1] == len("> half a ") + 5
    terminal.type("line\r")
    assert peer.receive() == "half a 日本 line".encode()


def test_a_terminal_that_is_stopped_holds_up_no_keepalive_and_shows_all_later(
    start_terminal: StartTerminal, peer: Peer
) -> None:
    terminal = start_terminal("--plain", "--keepalive", "0.5", peer.address)
    terminal.ready()
    assert peer.receive() == b""
    # Nobody reads what it draws, and its buffer has a few thousand bytes.
    lines = [f"{number:04} {'x' * 60}" for number in range(900)]
    for line in lines:
        peer.send(line.encode())
    for _ in range(6):
        assert peer.receive() == b""
    terminal.wait_for(*lines, ">")


def test_a_client_leaves_although_its_terminal_is_stopped(
    start_terminal: StartTerminal, peer: Peer
) -> None:
    terminal = start_terminal("--plain", "--keepalive", "0.5", peer.address)
    terminal.ready()
    assert peer.receive() == b""
    peer.send(*[b"x" * 1000] * 200)
    for _ in range(4):
        assert peer.receive() == b""
    terminal.signal(signal.SIGTERM)
    # Nobody reads what it draws.
    assert terminal.process.wait(TIMEOUT) == 143


def test_many_incoming_lines_at_once_all_appear_in_order(
    terminal: TerminalProcess, peer: Peer
) -> None:
    terminal.type("go\r")
    peer.receive()
    terminal.type("typed")
    peer.send(*(b"line %d" % number for number in range(200)))
    terminal.wait_for(*(f"line {number}" for number in range(200)), "> typed")


def test_control_characters_of_peers_are_shown_as_escapes(
    terminal: TerminalProcess, peer: Peer
) -> None:
    terminal.type("go\r")
    peer.receive()
    peer.send(b"\x1b[2J\x07\xff\r\nend\n")
    terminal.wait_for(r"\x1b[2J\x07\xff\r\nend", ">")


def test_a_resize_while_typing_loses_nothing(terminal: TerminalProcess, peer: Peer) -> None:
    typed = "a line that is rather longer than the window will be"
    terminal.type(typed)
    terminal.wait_for("> " + typed)
    terminal.resize(30)
    terminal.wait_for("> a line that is rather longer", " than the window will be")
    terminal.resize(100)
    terminal.wait_for("> " + typed)
    terminal.type("!\r")
    assert peer.receive() == typed.encode() + b"!"


def test_help_lists_the_commands(terminal: TerminalProcess) -> None:
    terminal.type("/help\r")
    terminal.wait_for(
        "> /help",
        "-- /help    list the commands",
        "-- /quit    leave (or press Ctrl-D or Ctrl-C)",
        "-- //text   send /text",
        ">",
    )


def test_an_unknown_command_is_not_sent_and_two_slashes_send_one(
    terminal: TerminalProcess, peer: Peer
) -> None:
    terminal.type("/etc/hosts is a file\r")
    terminal.wait_for(
        "> /etc/hosts is a file",
        "-- unknown command /etc/hosts (/help); to send it, type //etc/hosts",
        ">",
    )
    terminal.type("//etc/hosts is a file\r")
    assert peer.receive() == b"/etc/hosts is a file"
    assert not peer.is_readable()


@pytest.mark.parametrize("keys", ["/quit\r", "\x04", "half\x03"])
def test_quit_and_control_d_and_control_c_leave(terminal: TerminalProcess, keys: str) -> None:
    terminal.type(keys)
    assert terminal.status() == 0
    assert terminal.modes_restored()


def test_lines_typed_just_before_leaving_are_sent(terminal: TerminalProcess, peer: Peer) -> None:
    terminal.type("last words\r/quit\r")
    assert terminal.status() == 0
    assert peer.receive() == b"last words"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it_and_restores_the_terminal(
    terminal: TerminalProcess, number: signal.Signals, status: int
) -> None:
    terminal.type("half")
    terminal.wait_for("> half")
    terminal.signal(number)
    assert terminal.status() == status
    assert terminal.modes_restored()


def test_it_ends_when_its_terminal_is_closed(terminal: TerminalProcess) -> None:
    terminal.hang_up()
    assert terminal.process.wait(TIMEOUT) in (0, 129)


def test_each_pasted_line_is_a_message(terminal: TerminalProcess, peer: Peer) -> None:
    terminal.paste("one\ntwo\n\nthree")
    terminal.type("\r")
    assert [peer.receive() for _ in range(3)] == [b"one", b"two", b"three"]


def test_a_line_too_long_for_a_datagram_stays_to_be_edited(
    terminal: TerminalProcess, peer: Peer
) -> None:
    terminal.paste("x" * (MAX_PAYLOAD + 1))
    terminal.type("\r")
    shown = f"-- not sent: a message of {MAX_PAYLOAD + 1} bytes (at most {MAX_PAYLOAD})"
    # Between two prompts the line editor does not read keys.
    terminal.wait_until(lambda lines: shown in lines and lines[-1].startswith("xxx"))
    terminal.type("\x7f\r")
    assert peer.receive() == b"x" * MAX_PAYLOAD


def test_bytes_that_are_not_utf_8_are_sent_as_typed(terminal: TerminalProcess, peer: Peer) -> None:
    terminal.type("\udce9t\udce9\r")
    assert peer.receive() == b"\xe9t\xe9"


def test_an_unreachable_peer_and_its_return_are_reported_once(
    start_terminal: StartTerminal,
) -> None:
    port = free_port()
    terminal = start_terminal("--plain", f"127.0.0.1:{port}")
    terminal.ready()
    terminal.type("one\r")
    terminal.wait_for("> one", f"-- no program listens at 127.0.0.1:{port}", ">")
    terminal.type("two\r")
    terminal.wait_for("> two", ">")
    with closing(Peer(port=port)) as peer:
        terminal.type("three\r")
        while peer.receive() != b"three":
            pass  # "two" may arrive, too
        peer.send(b"here again")
        lines = terminal.wait_for(
            "> three", f"-- 127.0.0.1:{port} is reachable again", "here again", ">"
        )
    assert sum("no program" in line for line in lines) == 1
    terminal.type("/quit\r")
    assert terminal.status() == 0


def test_the_history_is_private_and_used_in_the_next_run(
    start_terminal: StartTerminal, peer: Peer, tmp_path: Path
) -> None:
    for keys in ("remember me\r", "\x1b[A\r"):
        terminal = start_terminal("--plain", peer.address)
        terminal.ready()
        terminal.type(keys)
        assert peer.receive() == b"remember me"
        terminal.type("\x04")
        assert terminal.status() == 0
    kept = tmp_path / "udprelay" / "history"
    assert oct(kept.stat().st_mode & 0o777) == "0o600"
    assert oct(kept.parent.stat().st_mode & 0o777) == "0o700"


def test_without_a_history_file_it_works_and_verbose_reports_it(
    start_terminal: StartTerminal, peer: Peer
) -> None:
    terminal = start_terminal("--plain", "-v", peer.address, XDG_STATE_HOME="/dev/null/state")
    terminal.ready()
    assert "-- cannot save the history in /dev/null/state/udprelay/history: Not a directory" in (
        terminal.screen.lines
    )
    terminal.type("hello\r")
    assert peer.receive() == b"hello"
    terminal.type("\x1b[A!\r")
    assert peer.receive() == b"hello!"


def test_no_color_switches_colours_off(start_terminal: StartTerminal, peer: Peer) -> None:
    terminal = start_terminal("--plain", peer.address, NO_COLOR="1")
    terminal.ready()
    terminal.type("/nothing\r/help\r\x03")
    assert terminal.status() == 0
    assert terminal.screen.colours == set()


def test_it_leaves_after_count_messages(start_terminal: StartTerminal, peer: Peer) -> None:
    terminal = start_terminal("--plain", "-c", "2", peer.address)
    terminal.ready()
    terminal.type("go\r")
    peer.receive()
    peer.send(b"one", b"two", b"three")
    assert terminal.status() == 0
    assert terminal.modes_restored()
    assert [line for line in terminal.screen.lines if line in ("one", "two", "three")] == [
        "one",
        "two",
    ]


def test_an_unknown_name_ends_it_before_the_prompt(start_terminal: StartTerminal) -> None:
    terminal = start_terminal("--plain", "-q", "name.invalid")
    assert terminal.status() == 2
    assert terminal.screen.lines == ["-- unknown host name name.invalid"]


def test_a_dumb_terminal_is_used_like_a_pipe(start_terminal: StartTerminal, peer: Peer) -> None:
    terminal = start_terminal("--plain", "-q", "-w", "0", peer.address, TERM="dumb")
    terminal.type("hello\n")
    assert peer.receive() == b"hello"
    peer.send(b"\x1b[2Jback\n")
    terminal.wait_for("hello", r"\x1b[2Jback")
    terminal.type("\x04")
    assert terminal.status() == 0
