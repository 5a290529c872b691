"""A bridge: the front end for a program that knows nothing but a UDP peer."""

from __future__ import annotations

from errno import EAFNOSUPPORT, ENOENT
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred, succeed

from udprelay.client.bridge_forwarder import BridgeForwarder
from udprelay.client.channel import Channel, IncomingMessage
from udprelay.client.client import Client
from udprelay.client.descriptors import STDERR, STDOUT, write_unless_full
from udprelay.client.formats import Format
from udprelay.client.member import Member
from udprelay.client.notices import Notice, reason_of
from udprelay.client.option_values import Address
from udprelay.client.pipe import leave_without_output
from udprelay.client.sockets import SocketAddress, format_address, socket_address
from udprelay.look_up import look_up_name
from udprelay.protocol.endpoint import host_port


class Bridge:
    """
    Forwards datagrams between a room and a program, and writes notices.

    :param form: the format of notices.
    :param address: the bridge's local address; port 0 is any.
    :param program: the program's address; ``None``: the source of the first datagram.
    :param per_member: whether each other member has a port of its own, besides the room's.
    :ivar resolving: whether a name is being looked up, in a thread.
    """

    shows_presence = True

    def __init__(
        self,
        reactor: Any,
        form: Format,
        address: Address,
        program: Address | None = None,
        per_member: bool = False,
    ) -> None:
        self.resolving = False
        self._reactor = reactor
        self._format = form
        self._address = address
        self._program = program
        self._per_member = per_member
        self._client: Client | None = None
        self._forwarder: BridgeForwarder | None = None
        self._output_lost = False
        self._closed = False

    async def open(self, client: Client) -> bool:
        """Open the room's socket; if that fails, notify the client and return ``False``."""
        self._client = client
        try:
            self.resolving = True
            found = await _look_up(self._reactor.nameResolver, self._address, self._program)
            self.resolving = False
            if not self._closed:
                self._open(client, *found)
        except OSError as error:
            self.resolving = False
            address = error.filename or host_port(*self._address)
            client.notice(Notice.of("bridge.unusable", local=address, **reason_of(error)))
        return self._forwarder is not None

    def _open(self, client: Client, local: SocketAddress, program: SocketAddress | None) -> None:
        forwarder = BridgeForwarder(self._reactor, local, program, self._per_member, client.notice)
        self._forwarder = forwarder
        at = None if program is None else format_address(program)
        where = "" if at is None else f", the program is at {at}"
        client.notice(Notice.of("bridge.opened", local=forwarder.address, program=at, where=where))
        if not ip_address(local[0].partition("%")[0]).is_loopback:
            client.notice(Notice.of("bridge.exposed", local=forwarder.address))

    def begin(self, client: Client, channel: Channel) -> None:
        if self._forwarder is not None:
            self._forwarder.start(channel)

    def roster_changed(self, member: Member) -> None:
        """:param member: the client's own membership, which has the roster."""
        if self._forwarder is not None:
            self._forwarder.roster_changed(member)

    def show(self, message: IncomingMessage) -> None:
        if self._forwarder is not None:
            self._forwarder.to_program(message)

    def notice(self, notice: Notice) -> None:
        if notice.id == "messages.lost" and self._forwarder is not None:
            # Losses are usual for unreliable messages: counted, not reported one by one.
            self._forwarder.counters.drop("lost", int(notice.fields["count"] or 0))
            return
        line = self._format.notice(notice)
        if not self._format.notices_in_output:
            write_unless_full(STDERR, line)
        elif not write_unless_full(STDOUT, line) and not self._output_lost:
            self._output_lost = True
            if self._client is not None:
                leave_without_output(self._client)

    def resume_input(self) -> None:
        """Do nothing: a bridge does not pause its input."""

    def close(self) -> Deferred[None]:
        self._closed = True
        if self._forwarder is not None:
            self._forwarder.close()
            self._forwarder = None
        return succeed(None)


async def _look_up(
    resolver: Any, local: Address, program: Address | None
) -> tuple[SocketAddress, SocketAddress | None]:
    """
    Return the addresses of the bridge and of its program, both of the same IP version.

    IPv4 is preferred: most programs mean ``127.0.0.1`` by ``localhost``.

    :raises OSError: if there are none; its ``filename`` is the address.
    """
    local_addresses = await _addresses(resolver, local)
    if program is None:
        return local_addresses[0], None
    program_addresses = await _addresses(resolver, program)
    for bound in local_addresses:
        for other in program_addresses:
            if len(bound) == len(other):
                return bound, other
    other_version = f"{local[0]} has another IP version"
    raise OSError(EAFNOSUPPORT, other_version, host_port(*program))


async def _addresses(resolver: Any, address: Address) -> list[SocketAddress]:
    host, port = address
    hosts = await look_up_name(resolver, host)
    if not hosts:
        raise OSError(ENOENT, "unknown host name", host_port(*address))
    return sorted((socket_address(numeric, port) for numeric in hosts), key=len)
