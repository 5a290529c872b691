"""The command line of ``udprelay-client``."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import NoReturn

from attrs import frozen

from udprelay import __version__
from udprelay.client import option_values
from udprelay.client.option_values import DEFAULT_PORT, Address

DEFAULT_HOST = "127.0.0.1"
DEFAULT_ROOM = "lobby"

_EPILOG = """\
On a terminal there is a prompt: /help shows its commands. In a pipe one line is
one message each way; notices go to standard error.

The passphrase of a room is in a file, or in the environment variable
UDPRELAY_PASSPHRASE. It is never on the command line, where others could see it.

exit status:
  0    done
  1    usage, standard output could not be written, or a message was not delivered
  2    the relay is unreachable, or was when last heard of; with --plain, the peer
  3    the relay has refused or ended the membership; the reason is told
  70   a mistake in this program
  130  interrupted (SIGINT); 143: terminated (SIGTERM); 129: hung up (SIGHUP)

examples:
  echo hello | udprelay-client relay.example
  udprelay-client --room games --nick ada relay.example
  udprelay-client --wait inf < /dev/null > heard.txt
  udprelay-client --plain --newline '[::1]:6000'
  udprelay-client --bridge 127.0.0.1:7000 --room games relay.example
"""

# Those that mean nothing without a session, and those that mean nothing with one.
_OF_SESSIONS = ("room", "nick", "passphrase_file", "access_key", "bridge_per_member")
_OF_PLAIN = ("newline", "keepalive")


class UsageError(Exception):
    """The command line says something that can't be done; the text says what."""


@frozen
class Options:
    """
    What the command line asks for.

    :param host: a name or an address of the relay, or peer; not looked up yet.
    :param plain: whether to talk in plain datagrams instead of a session.
    :param room: which room to join.
    :param nick: the wanted nick, normalised; ``None``: any, like the login name.
    :param passphrase_file: where the room's passphrase is.
    :param access_key: whether only to make an access key.
    :param wait: seconds to stay after the end of standard input; may be infinite.
    :param count: messages to receive before leaving; ``None``: any number.
    :param newline: whether each message sent ends with ``\\n``.
    :param keepalive: seconds between empty datagrams; ``None``: none are sent.
    :param bridge: where to be for a program that only knows a UDP peer; port 0 is any.
    :param bridge_to: where that program is; ``None``: wherever it sends from.
    :param bridge_per_member: whether each other member is at a port of its own.
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
    Read a command line (without the program's name).

    :raises UsageError: if it is wrong.
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
    if "bridge" in given and given["newline"]:
        raise UsageError("--newline is not for a bridge, which alters nothing")
    return Options(host=host, port=port, **given)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))


def _parser() -> ArgumentParser:
    parser = _Parser(
        prog="udprelay-client",
        # Written out, as argparse trips over the brackets in HOST[:PORT].
        usage="udprelay-client [options] [HOST[:PORT]]",
        description="Talk in a room of a UDP relay, or with any UDP peer, from a terminal or a"
        " pipe.",
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "peer",
        metavar="HOST[:PORT]",
        nargs="?",
        type=option_values.peer,
        default=(DEFAULT_HOST, DEFAULT_PORT),
        help=f"whom to talk to (default: {DEFAULT_HOST}:{DEFAULT_PORT}; IPv6: [::1]:6000)",
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
        type=option_values.room,
        help=f"join this room (default: {DEFAULT_ROOM})",
    )
    parser.add_argument(
        "-n",
        "--nick",
        metavar="NICK",
        type=option_values.nick,
        help="take this name, or none (default: the login name, with a number if it is taken)",
    )
    parser.add_argument(
        "--passphrase-file",
        metavar="FILE",
        help="prove to know the room's passphrase, which is in FILE, and encrypt what is"
        " said (default: $UDPRELAY_PASSPHRASE)",
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
        help="raw datagrams, no session: works with any UDP peer, such as nc -lu",
    )
    parser.add_argument(
        "--newline",
        action="store_true",
        help="with --plain: end each message sent with a newline, for peers that print raw bytes",
    )
    parser.add_argument(
        "--keepalive",
        metavar="SECONDS",
        type=option_values.interval,
        help="with --plain: send an empty datagram at once and every SECONDS, to be and stay a"
        " member of the relay's room while saying nothing (an empty datagram ends some"
        " programs, such as OpenBSD's nc -lu)",
    )


def _add_bridge(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--bridge",
        metavar="HOST:PORT",
        type=option_values.local,
        help="be a UDP peer at this local address for a program that knows nothing of rooms:"
        " what it sends goes to the room, what the room says goes to it (port 0: any)",
    )
    parser.add_argument(
        "--bridge-to",
        metavar="HOST:PORT",
        type=option_values.program,
        help="with --bridge: where the program is (default: where it sends from)",
    )
    parser.add_argument(
        "--bridge-per-member",
        action="store_true",
        help="with --bridge: each other member is a peer at a port of its own, too",
    )


def _add_leaving(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-w",
        "--wait",
        metavar="SECONDS",
        type=option_values.wait,
        default=1.0,
        help="after the end of standard input stay, and print what arrives, for so long"
        " (default: 1; inf: until interrupted)",
    )
    parser.add_argument(
        "-c",
        "--count",
        metavar="N",
        type=option_values.count,
        help="leave after N received messages",
    )


def _add_output(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--json",
        action="store_true",
        help='one JSON object a line, in ({"text": ..., "to": NICK}) and out',
    )
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("-q", "--quiet", action="store_true", help="no notices, only errors")
    volume.add_argument("-v", "--verbose", action="store_true", help="more notices")
