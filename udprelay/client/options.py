"""The command line of ``udprelay-client``."""

from __future__ import annotations

import math
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import NoReturn

from attrs import frozen

from udprelay import __version__
from udprelay.core.endpoint import parse_host_port

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 6000
SHORTEST_KEEPALIVE = 0.1

_EPILOG = """\
On a terminal there is a prompt: /help shows its commands. In a pipe one line is
one message each way; notices go to standard error.

exit status:
  0    done
  1    usage, or standard output could not be written
  2    the peer is unreachable: its name is unknown, there is no way to it, or
       nobody listened there when last heard of (the latter not on a terminal)
  70   a mistake in this program
  130  interrupted (SIGINT); 143: terminated (SIGTERM); 129: hung up (SIGHUP)

examples:
  echo hello | udprelay-client --plain 192.0.2.7
  udprelay-client --plain --newline '[::1]:6000'
  udprelay-client --plain --keepalive 60 --wait inf < /dev/null > heard.txt
"""


class UsageError(Exception):
    """The command line says something that can't be done; the text says what."""


@frozen
class Options:
    """
    What the command line asks for.

    :param host: a name or an address of the peer; not looked up yet.
    :param wait: seconds to stay after the end of standard input; may be infinite.
    :param count: messages to receive before leaving; ``None``: any number.
    :param newline: whether each message sent ends with ``\\n``.
    :param keepalive: seconds between empty datagrams; ``None``: none are sent.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    wait: float = 1.0
    count: int | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    newline: bool = False
    keepalive: float | None = None


def parse(arguments: Sequence[str]) -> Options:
    """
    Read a command line (without the program's name).

    :raises UsageError: if it is wrong.
    :raises SystemExit: after ``--help`` or ``--version``.
    """
    values = vars(_parser().parse_args(arguments))
    if not values.pop("plain"):
        raise UsageError("the session protocol is not supported yet: use --plain")
    host, port = values.pop("peer")
    return Options(host=host, port=port, **values)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))


def _parser() -> ArgumentParser:
    parser = _Parser(
        prog="udprelay-client",
        # Written out, as argparse trips over the brackets in HOST[:PORT].
        usage="udprelay-client --plain [options] [HOST[:PORT]]",
        description="Talk to a UDP relay, or with any UDP peer, from a terminal or a pipe.",
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "peer",
        metavar="HOST[:PORT]",
        nargs="?",
        type=_peer,
        default=(DEFAULT_HOST, DEFAULT_PORT),
        help=f"whom to talk to (default: {DEFAULT_HOST}:{DEFAULT_PORT}; IPv6: [::1]:6000)",
    )
    _add_sending(parser)
    _add_leaving(parser)
    _add_output(parser)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _add_sending(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--plain",
        action="store_true",
        help="raw datagrams, no session: works with any UDP peer, such as nc -lu",
    )
    parser.add_argument(
        "--newline",
        action="store_true",
        help="end each message sent with a newline, for peers that print raw bytes",
    )
    parser.add_argument(
        "--keepalive",
        metavar="SECONDS",
        type=_interval,
        help="send an empty datagram at once and every SECONDS, to be and stay a member of"
        " the relay's room while saying nothing (an empty datagram ends some programs,"
        " such as OpenBSD's nc -lu)",
    )


def _add_leaving(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-w",
        "--wait",
        metavar="SECONDS",
        type=_wait,
        default=1.0,
        help="after the end of standard input stay, and print what arrives, for so long"
        " (default: 1; inf: until interrupted)",
    )
    parser.add_argument(
        "-c", "--count", metavar="N", type=_count, help="leave after N received messages"
    )


def _add_output(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--json",
        action="store_true",
        help='one JSON object a line, in ({"text": ...} or {"base64": ...}) and out',
    )
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("-q", "--quiet", action="store_true", help="no notices, only errors")
    volume.add_argument("-v", "--verbose", action="store_true", help="more notices")


def _peer(text: str) -> tuple[str, int]:
    try:
        return parse_host_port(text, DEFAULT_PORT)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _wait(text: str) -> float:
    seconds = _number(text)
    if not seconds >= 0:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds (0 or more)")
    return seconds


def _interval(text: str) -> float:
    seconds = _number(text)
    if not SHORTEST_KEEPALIVE <= seconds < math.inf:
        raise ArgumentTypeError(
            f"{text!r} is not a number of seconds ({SHORTEST_KEEPALIVE} or more)"
        )
    return seconds


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a number of messages (1 or more)")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
