"""The command line of ``udprelay-client``."""

from __future__ import annotations

import math
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from attrs import frozen

from udprelay import __version__
from udprelay.protocol.endpoint import host_port, parse_host_port
from udprelay.protocol.nick import NickError, normalise
from udprelay.protocol.wire import fields

Address = tuple[str, int]
"""A host, by name or address, and a UDP port."""

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 6000
DEFAULT_ROOM = "lobby"
# Seconds of the shortest --keepalive.
_MIN_KEEPALIVE = 0.1

_EPILOG = """\
On a terminal there is a prompt; /help lists its commands. In a pipe, each line of
input and output is one message, and notices go to standard error.

The passphrase of a room comes from a file or from the environment variable
UDPRELAY_PASSPHRASE. It is not an option, as other users can see command lines.

exit status:
  0    done
  1    usage error, cannot write to standard output, or a message was not delivered
  2    the relay is unreachable; with --plain: the peer is
  3    the relay has refused or ended the membership; a notice gives the reason
  70   internal error
  130  interrupted (SIGINT); 143: terminated (SIGTERM); 129: hung up (SIGHUP)

examples:
  echo hello | udprelay-client relay.example
  udprelay-client --room games --nick ada relay.example
  udprelay-client --wait inf < /dev/null > received.txt
  udprelay-client --plain --newline '[::1]:6000'
  udprelay-client --bridge 127.0.0.1:7000 --room games relay.example
"""

# Options that need a session, and options that need plain datagrams.
_OF_SESSIONS = ("room", "nick", "passphrase_file", "access_key", "bridge_per_member")
_OF_PLAIN = ("keepalive",)


class UsageError(Exception):
    """The command line, or a value it refers to, is wrong; the text says how."""


@frozen
class Options:
    """
    The options of one run.

    :param host: the name or address of the relay or peer.
    :param plain: whether to send plain datagrams, without a session.
    :param nick: the nick, normalised; ``None``: the login name, or a similar nick.
    :param access_key: whether to print an access key and exit.
    :param wait: seconds to stay after the end of standard input; may be infinite.
    :param count: messages to receive before leaving; ``None``: no limit.
    :param newline: whether ``\\n`` is appended to each message.
    :param keepalive: seconds between empty datagrams; ``None``: none are sent.
    :param bridge: the bridge's local address; port 0 is any.
    :param bridge_to: the program's address; ``None``: the source of the first datagram.
    :param bridge_per_member: whether each other member has a local port of its own.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    plain: bool = False
    room: str = DEFAULT_ROOM
    nick: str | None = None
    passphrase_file: str | None = None
    access_key: bool = False
    wait: float = 1.0
    count: int | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    newline: bool = False
    keepalive: float | None = None
    bridge: Address | None = None
    bridge_to: Address | None = None
    bridge_per_member: bool = False


def parse(arguments: Sequence[str]) -> Options:
    """
    Parse a command line (without the program's name).

    :raises UsageError: if it is invalid.
    :raises SystemExit: after ``--help`` or ``--version``.
    """
    values = vars(_parser().parse_args(arguments))
    host, port = values.pop("peer")
    given = {name: value for name, value in values.items() if value is not None}
    plain = given["plain"]
    for name in _OF_SESSIONS if plain else _OF_PLAIN:
        if given.get(name):
            needed = "a session: leave out --plain" if plain else "--plain"
            raise UsageError(f"--{name.replace('_', '-')} needs {needed}")
    for name in ("bridge_to", "bridge_per_member"):
        if given.get(name) and "bridge" not in given:
            raise UsageError(f"--{name.replace('_', '-')} needs --bridge")
    for name, address in (("bridge", given.get("bridge")), ("relay", (host, port))):
        if address is not None and given.get("bridge_to") == address:
            raise UsageError(
                f"--bridge-to {host_port(*address)} is the {name} itself: give the address of the"
                " program"
            )
    if "bridge" in given and given["newline"]:
        raise UsageError("--newline cannot be used with --bridge: it does not change payloads")
    return Options(host=host, port=port, **given)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))


def _parser() -> ArgumentParser:
    parser = _Parser(
        prog="udprelay-client",
        # Spelt out, as argparse cannot wrap the brackets in HOST[:PORT].
        usage="udprelay-client [options] [HOST[:PORT]]",
        description="Send and receive messages in a room of a UDP relay, or with any UDP peer,"
        " on a terminal or in a pipe.",
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "peer",
        metavar="HOST[:PORT]",
        nargs="?",
        type=partial(_address, default_port=DEFAULT_PORT),
        default=(DEFAULT_HOST, DEFAULT_PORT),
        help=f"the relay, or the peer (default: {DEFAULT_HOST}:{DEFAULT_PORT}; IPv6: [::1]:6000)",
    )
    _add_session(parser)
    _add_bridge(parser)
    _add_plain(parser)
    _add_leaving(parser)
    _add_output(parser)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _add_session(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-r",
        "--room",
        metavar="ROOM",
        type=_room,
        help=f"join this room (default: {DEFAULT_ROOM})",
    )
    parser.add_argument(
        "-n",
        "--nick",
        metavar="NICK",
        type=_nick,
        help="use this nick; fail if it is taken (default: the login name, with a number if"
        " it is taken)",
    )
    parser.add_argument(
        "--passphrase-file",
        metavar="FILE",
        help="encrypt messages with the room's passphrase, which is in FILE (default:"
        " $UDPRELAY_PASSPHRASE)",
    )
    parser.add_argument(
        "--access-key",
        action="store_true",
        help="print the access_key line for the relay's configuration, made from the"
        " passphrase, and exit",
    )


def _add_plain(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--plain",
        action="store_true",
        help="send plain datagrams, without a session: for any UDP peer, such as nc -lu",
    )
    parser.add_argument(
        "--keepalive",
        metavar="SECONDS",
        type=partial(_seconds, minimum=_MIN_KEEPALIVE),
        help="with --plain: send an empty datagram at once and every SECONDS, to join and stay"
        " in the relay's room without sending messages (it ends some peers, such as"
        " OpenBSD's nc -lu)",
    )


def _add_bridge(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--bridge",
        metavar="HOST:PORT",
        type=_local_address,
        help="open a UDP socket at this local address for a program that does not support"
        " rooms, and forward datagrams between it and the room (port 0: any)",
    )
    parser.add_argument(
        "--bridge-to",
        metavar="HOST:PORT",
        type=_address,
        help="with --bridge: the program's address (default: the source of its first datagram)",
    )
    parser.add_argument(
        "--bridge-per-member",
        action="store_true",
        help="with --bridge: open a port for each other member, too",
    )


def _add_leaving(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-w",
        "--wait",
        metavar="SECONDS",
        type=partial(_seconds, maximum=math.inf),
        help="after the end of standard input, print received messages for SECONDS"
        " (default: 1; inf: until interrupted)",
    )
    parser.add_argument(
        "-c",
        "--count",
        metavar="N",
        type=_count,
        help="leave after N received messages",
    )


def _add_output(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--newline",
        action="store_true",
        help="append a newline to each message, for programs that print raw bytes, such as nc",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help='one JSON object a line, in input ({"text": ..., "to": NICK}) and output',
    )
    level = parser.add_mutually_exclusive_group()
    level.add_argument("-q", "--quiet", action="store_true", help="show only errors")
    level.add_argument("-v", "--verbose", action="store_true", help="show more notices")


def _address(text: str, default_port: int | None = None) -> Address:
    try:
        return parse_host_port(text, default_port)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _local_address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if port == "0":
        # The parser rejects port 0, here any free port.
        return _address(f"{host}{colon}1")[0], 0
    return _address(text)


def _room(text: str) -> str:
    try:
        return fields.room(text)
    except ValueError:
        raise ArgumentTypeError(
            f"invalid room name {text!r} (1 to 64 letters, digits, '-', '_' and '.')"
        ) from None


def _nick(text: str) -> str:
    try:
        return normalise(text)
    except NickError as error:
        raise ArgumentTypeError(f"{text!r}: {error}") from None


def _seconds(text: str, minimum: float = 0, maximum: float = sys.float_info.max) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not minimum <= seconds <= maximum:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds ({minimum} or more)")
    return seconds


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a number of messages (1 or more)")
    return int(text)
