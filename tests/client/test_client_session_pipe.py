"""``udprelay-client`` in a pipe, in rooms of a relay."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from client_programs import CLIENT, ENVIRONMENT, TIMEOUT, Peer, client
from client_relay_process import PASSPHRASE, TWISTD, RelayProcess

from free_port import free_port
from udprelay.session_client.pieces import MAX_MESSAGE

StartClient = Callable[..., "subprocess.Popen[bytes]"]


def lines(process: subprocess.Popen[bytes], count: int = 1) -> list[bytes]:
    assert process.stdout
    return [process.stdout.readline() for _ in range(count)]


def events(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_a_line_is_a_message_each_way(
    bob: subprocess.Popen[bytes], relay: RelayProcess, room: str
) -> None:
    assert bob.stdin
    arguments = ("-n", "ada", "-r", room, "-c1", "-w9", relay.address)
    with subprocess.Popen(
        [*CLIENT, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as ada:
        relay.wait_for("member.joined", room=room, member="ada")
        assert ada.stdin
        ada.stdin.write(b"hello\r\n \xff\x00\xe9\nlast")
        ada.stdin.close()
        assert lines(bob, 3) == [b"ada: hello\n", b"ada:  \xff\x00\xe9\n", b"ada: last\n"]
        bob.stdin.write(b"hi\n")
        assert ada.stdout
        assert ada.stderr
        assert (ada.stdout.read(), ada.stderr.read()) == (b"bob: hi\n", b"")
        assert ada.wait(TIMEOUT) == 0


def test_all_lines_are_delivered_in_order_before_the_client_leaves(
    bob: subprocess.Popen[bytes], relay: RelayProcess, room: str
) -> None:
    sent = b"".join(b"line %d\n" % number for number in range(3000))
    assert client("-n", "ada", "-r", room, "-w0", relay.address, stdin=sent) == (0, b"", b"")
    assert b"".join(lines(bob, 3000)) == sent.replace(b"line", b"ada: line")


def test_a_line_of_64_kib_is_delivered_and_a_longer_one_is_reported(
    bob: subprocess.Popen[bytes], relay: RelayProcess, room: str
) -> None:
    longest = b"x" * MAX_MESSAGE
    sent = b"one\n\n" + longest + b"x\n" + longest + b"\nlast\n"
    assert client("-n", "ada", "-r", room, "-w0", relay.address, stdin=sent) == (
        0,
        b"",
        (
            b"udprelay-client: line 2 not sent: the line is empty\n"
            b"udprelay-client: line 3 not sent: a line of 65537 bytes (at most 65536)\n"
        ),
    )
    assert lines(bob, 3) == [b"ada: one\n", b"ada: " + longest + b"\n", b"ada: last\n"]


def test_verbose_reports_members_that_join_and_leave(
    bob: subprocess.Popen[bytes], relay: RelayProcess, room: str, start_client: StartClient
) -> None:
    ada = start_client("-v", "-n", "ada", "-r", room, relay.address)
    assert ada.stderr
    notices = [ada.stderr.readline()]
    bob.send_signal(signal.SIGTERM)
    assert bob.wait(TIMEOUT) == 143
    notices.append(ada.stderr.readline())
    assert notices == [
        f"udprelay-client: in {room} as ada, with bob\n".encode(),
        b"udprelay-client: bob has left\n",
    ]


def test_a_nick_that_is_taken_is_status_3(
    bob: subprocess.Popen[bytes], relay: RelayProcess, room: str
) -> None:
    assert client("-q", "-n", "Bob", "-r", room, relay.address) == (
        3,
        b"",
        f"udprelay-client: not admitted to {room}: This nick is in use;"
        " choose another with --nick\n".encode(),
    )


def test_without_the_option_a_similar_nick_is_used(relay: RelayProcess, room: str) -> None:
    program = (
        "import getpass, sys\n"
        "getpass.getuser = lambda: 'bob'\n"
        "from udprelay.client.main import main\n"
        f"sys.exit(main(['-v', '-r', '{room}', '-w0', '{relay.address}']))\n"
    )
    with subprocess.Popen(
        [*CLIENT, "-n", "bob", "-r", room, relay.address],
        stdin=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as bob:
        relay.wait_for("member.joined", room=room)
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            timeout=TIMEOUT,
            check=False,
        )
        bob.kill()
    assert done.returncode == 0
    assert done.stderr == f"udprelay-client: in {room} as bob-2, with bob\n".encode()


def test_a_passphrase_from_a_file_or_the_environment_admits_to_the_room(
    relay: RelayProcess, start_client: StartClient, tmp_path: Path
) -> None:
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE + "\n")
    file.chmod(0o600)
    options = ("-r", "sealed", relay.address)
    bob = start_client("--json", "-n", "bob", "--passphrase-file", str(file), *options)
    relay.wait_for("member.joined", room="sealed", member="bob")
    with_it = {**ENVIRONMENT, "UDPRELAY_PASSPHRASE": PASSPHRASE}
    ada = [*CLIENT, "-n", "ada", "-w0", *options]
    assert subprocess.run(ada, input=b"hello", env=with_it, timeout=TIMEOUT, check=True)
    messages = (json.loads(line) for line in iter(bob.stdout.readline, b""))  # type: ignore[union-attr]
    message = next(event for event in messages if event["event"] == "message")
    assert (message["text"], message["sealed"]) == ("hello", True)
    status, _, errors = client("-n", "eve", *options)
    assert (status, errors) == (
        3,
        (
            b"udprelay-client: not admitted to sealed: This room needs a passphrase;"
            b" give --passphrase-file or UDPRELAY_PASSPHRASE\n"
        ),
    )


def test_a_readable_passphrase_file_is_a_warning_and_a_wrong_passphrase_is_refused(
    relay: RelayProcess, tmp_path: Path
) -> None:
    file = tmp_path / "passphrase"
    file.write_text("wrong")
    file.chmod(0o644)
    status, _, errors = client("-r", "sealed", "--passphrase-file", str(file), relay.address)
    # A slow relay is reported between the two.
    warning, *_, refusal = errors.decode().splitlines()
    assert status == 3
    assert warning == (
        f"udprelay-client: other users can read the passphrase in {file}; run: chmod go= {file}"
    )
    assert refusal.startswith("udprelay-client: not admitted to sealed: ")


def test_a_missing_passphrase_file_is_status_1(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert client("--passphrase-file", str(missing)) == (
        1,
        b"",
        f"udprelay-client: --passphrase-file: '{missing}': No such file or directory\n".encode(),
    )


def test_the_access_key_is_a_line_for_the_relays_configuration(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE)
    status, line, errors = client("--access-key", "--passphrase-file", str(file))
    assert (status, errors) == (0, b"")
    config = tmp_path / "udprelay.ini"
    config.write_bytes(b"[room:sealed]\n" + line)
    config.chmod(0o600)
    check = (*TWISTD, "-n", "udprelay", "--config", str(config), "--check")
    subprocess.run(check, cwd=tmp_path, env=ENVIRONMENT, timeout=TIMEOUT, check=True)


def test_the_passphrase_for_an_access_key_is_prompted_for_on_a_terminal_only() -> None:
    done = subprocess.run(
        [*CLIENT, "--access-key"],
        input=b"secret\nsecret\n",
        capture_output=True,
        env=ENVIRONMENT,
        timeout=TIMEOUT,
        check=False,
        # Without a controlling terminal.
        start_new_session=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        b"",
        (
            b"udprelay-client: no passphrase: give --passphrase-file or UDPRELAY_PASSPHRASE,"
            b" or use a terminal\n"
        ),
    )


def test_json_messages_have_receivers_and_properties(
    relay: RelayProcess, room: str, start_client: StartClient
) -> None:
    bob = start_client("--json", "-n", "bob", "-r", room, relay.address)
    sent = (
        b'{"text": "psst", "to": "BOB"}\n{"text": "now", "reliable": false}\n'
        b'{"base64": "/w=="}\n{"text": "to nobody", "to": "carol"}\n'
    )
    relay.wait_for("member.joined", room=room)
    status, output, errors = client(
        "--json", "-n", "ada", "-r", room, "-w0", relay.address, stdin=sent
    )
    assert (status, errors) == (0, b"")
    own = events(output)
    assert [event["event"] for event in own] == ["session.joined", "line.rejected"]
    assert own[1]["detail"] == "line 4 not sent: no member has the nick carol"
    bob.send_signal(signal.SIGTERM)
    received = events(bob.communicate(timeout=TIMEOUT)[0])
    assert {"session.joined", "member.joined", "message", "member.left"} == {
        event["event"] for event in received
    }
    messages = {event["text"]: event for event in received if event["event"] == "message"}
    assert messages.keys() == {"psst", "now", "\\xff"}
    for event in messages.values():
        assert (event["nick"], event["room"], event["sealed"]) == ("ada", room, False)
    assert messages["psst"]["private"]
    assert not messages["now"]["reliable"]
    assert (messages["\\xff"]["base64"], messages["\\xff"]["private"]) == ("/w==", False)


def test_no_answer_is_status_2() -> None:
    address = f"127.0.0.1:{free_port()}"
    status, output, errors = client("-q", address, stdin=b"hello\n")
    assert (status, output) == (2, b"")
    assert errors == f"udprelay-client: no program listens at {address}\n".encode()


def test_an_unknown_name_is_status_2() -> None:
    errors = b"udprelay-client: unknown host name name.invalid\n"
    assert client("-q", "name.invalid", stdin=b"hello\n") == (2, b"", errors)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_client_and_the_relay_knows(
    bob: subprocess.Popen[bytes], relay: RelayProcess, room: str, number: signal.Signals
) -> None:
    bob.send_signal(number)
    assert bob.wait(TIMEOUT) == 128 + number
    assert relay.wait_for("member.left", room=room)["reason"] == "left"


def test_a_reader_that_is_slow_loses_nothing(
    relay: RelayProcess, room: str, start_client: StartClient
) -> None:
    count = 3000
    bob = start_client("-n", "bob", "-r", room, f"-c{count}", relay.address)
    relay.wait_for("member.joined", room=room)
    sent = b"".join(b"%05d" % number + b"x" * 200 + b"\n" for number in range(count))
    # More than a pipe holds (64 KiB), and the test does not read it yet.
    assert client("-n", "ada", "-r", room, "-w0", relay.address, stdin=sent)[0] == 0
    output, errors = bob.communicate(timeout=TIMEOUT)
    assert output == b"".join(b"ada: " + line + b"\n" for line in sent.splitlines())
    assert (bob.returncode, errors) == (0, b"")


def test_clients_and_their_messages_outlive_a_restart_of_the_relay(
    tmp_path: Path, start_client: StartClient
) -> None:
    relay = RelayProcess(tmp_path)
    ada, bob = (start_client("-n", nick, relay.address) for nick in ("ada", "bob"))
    for _ in range(2):
        relay.wait_for("member.joined")
    assert ada.stdin
    assert ada.stderr
    assert bob.stderr
    ada.stdin.write(b"before\n")
    assert lines(bob) == [b"ada: before\n"]
    relay.stop()
    stops = "it is stopping; reconnecting"
    lost = f"udprelay-client: lost contact with {relay.address}: {stops}\n"
    assert [ada.stderr.readline(), bob.stderr.readline()] == [lost.encode()] * 2
    ada.stdin.write(b"meanwhile\n")
    relay.start()
    assert lines(bob) == [b"ada: meanwhile\n"]
    found = f"udprelay-client: reconnected to {relay.address}\n".encode()
    assert [ada.stderr.readline(), bob.stderr.readline()] == [found] * 2
    ada.stdin.close()
    assert ada.wait(TIMEOUT) == 0
    relay.stop()


def test_a_signal_ends_the_wait_for_a_relay_that_has_stopped(
    tmp_path: Path, start_client: StartClient
) -> None:
    relay = RelayProcess(tmp_path)
    ada = start_client("-n", "ada", relay.address)
    relay.wait_for("member.joined")
    relay.stop()
    assert ada.stderr
    ada.stderr.readline()
    assert ada.stdin
    ada.stdin.write(b"lost\n")
    ada.stdin.close()
    assert ada.stderr.readline() == (b"udprelay-client: leaving when 1 message is delivered\n")
    os.kill(ada.pid, signal.SIGINT)
    assert ada.wait(TIMEOUT) == 130
    assert ada.stderr.read() == (b"udprelay-client: left before 1 message was acknowledged\n")


@pytest.mark.parametrize("options", [(), ("--newline",)])
def test_a_session_can_send_lines_for_programs_that_print_raw_bytes(
    start_client: StartClient, relay: RelayProcess, options: tuple[str, ...]
) -> None:
    with closing(Peer()) as nc:
        nc.set_destination(("127.0.0.1", relay.port))
        nc.send(b"hello\n")
        relay.wait_for("member.joined", kind="plain")
        bob = start_client("-n", "bob", "-c", "1", relay.address)
        relay.wait_for("member.joined", member="bob")
        status, _, _ = client("-n", "ada", *options, relay.address, stdin=b"hi all\n")
        assert status == 0
        assert nc.receive() == (b"hi all\n" if options else b"hi all")
        assert bob.stdout is not None
        assert bob.stdout.read() == b"ada: hi all\n"
