"""A bridge: the front end for a program that knows nothing but a UDP peer."""

from __future__ import annotations

from collections.abc import Callable
from errno import EADDRINUSE, EAFNOSUPPORT, ENOENT
from functools import partial
from ipaddress import ip_address
from os import strerror
from typing import Any

from twisted.internet.defer import Deferred, succeed

from udprelay.client.bridge_counters import BridgeCounters
from udprelay.client.bridge_members import MemberSockets
from udprelay.client.bridge_socket import BridgeSocket
from udprelay.client.channel import FAILED, Channel, IncomingMessage
from udprelay.client.client import Client
from udprelay.client.descriptors import STDOUT, finish, open_writer, stderr
from udprelay.client.formats import Format
from udprelay.client.notices import Notice, reason_of
from udprelay.client.options import Address
from udprelay.client.own_sockets import is_own, is_relay
from udprelay.client.pipe import leave_without_output
from udprelay.client.room_channel import RoomChannel
from udprelay.client.sockets import SocketAddress, format_address, socket_address
from udprelay.clock import clock_of
from udprelay.look_up import look_up_name
from udprelay.machine import is_local
from udprelay.protocol.endpoint import Endpoint, endpoint, host_port, parse_host_port
from udprelay.session_client.known_member import KnownMember

# Seconds between two reads of the roster for datagrams to a member that has left.
_ROSTER_INTERVAL = 0.25
# Ports that the kernel chooses until one is free for us.
_MAX_ATTEMPTS = 8


class Bridge:
    """
    Forwards datagrams between a room and a program, and writes notices.

    Each payload is forwarded once, unchanged and at once, or dropped and counted.

    :param form: the format of notices.
    :param address: the bridge's local address; port 0 is any.
    :param program: the program's address; ``None``: the source of the first datagram.
    :param per_member: whether each other member has a port of its own, besides the room's.
    :param relay: the address of the relay or peer.
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
        relay: Address | None = None,
    ) -> None:
        self.resolving = False
        self._reactor = reactor
        self._clock = clock_of(reactor)
        self._format = form
        self._address = address
        self._program = program
        self._per_member = per_member
        self._relay = relay
        self._client: Client | None = None
        # Set with the socket.
        self._counters: BridgeCounters
        self._socket: BridgeSocket | None = None
        self._members: MemberSockets | None = None
        self._channel: Channel | None = None
        self._next_update = 0.0
        self._output_lost = False
        self._output = stderr()
        if form.notices_in_output:
            self._output = open_writer(STDOUT, self._lost_line, self._output_failed)
        self._closed = False

    async def open(self, client: Client) -> bool:
        """Open the room's socket; if that fails, notify the client and return ``False``."""
        self._client = client
        self.resolving = True
        try:
            resolver = self._reactor.nameResolver
            local, program = await _look_up(resolver, self._address, self._program)
            reason = None
            if self._program is not None and program is not None:
                reason = await self._loop(resolver, local, program)
                if reason is not None:
                    self._report_loop(client, self._program, reason)
            if reason is None and not self._closed:
                self._open(client, local, program)
        except OSError as error:
            address = error.filename or host_port(*self._address)
            client.notice(Notice.of("bridge.unusable", local=address, **reason_of(error)))
        self.resolving = False
        return self._socket is not None

    async def _loop(
        self, resolver: Any, local: SocketAddress, program: SocketAddress
    ) -> str | None:
        """Return what the program's address is instead: ``bridge``, ``relay``, or None."""
        address = _endpoint(program)
        if is_own(address, _endpoint(local)):
            return "bridge"
        host, port = self._relay or ("", 0)
        hosts = await look_up_name(resolver, host) if host else []
        return "relay" if any(is_relay(address, endpoint(one, port)) for one in hosts) else None

    def _open(self, client: Client, local: SocketAddress, program: SocketAddress | None) -> None:
        def open_socket(port: int, receive: Callable[[bytes], object]) -> BridgeSocket:
            at, rejected = (local[0], port, *local[2:]), partial(self._drop, "stranger")
            for _ in range(1 if port else _MAX_ATTEMPTS):
                opened = BridgeSocket(self._reactor, at, program, receive, rejected)
                if self._socket is None and port:
                    return opened
                if opened.address[1] not in self._reserved_ports(program):
                    return opened
                opened.close()
            raise OSError(EADDRINUSE, strerror(EADDRINUSE))

        self._socket = open_socket(local[1], self._send)
        self._counters = BridgeCounters(self._clock, client.notice)
        if self._per_member:
            self._members = MemberSockets(
                self._clock, self._socket, open_socket, self._send_to_member, client.notice
            )
        address = str(self._socket)
        to = None if program is None else format_address(program)
        where = "" if to is None else f", the program is at {to}"
        client.notice(Notice.of("bridge.opened", local=address, program=to, where=where))
        if not ip_address(local[0].partition("%")[0]).is_loopback:
            client.notice(Notice.of("bridge.exposed", local=address))

    def _reserved_ports(self, program: SocketAddress | None) -> set[int]:
        """Return the ports of the program and of a relay here, which may bind them later."""
        if program is None and self._socket is not None:
            program = self._socket.program
        reserved = set() if program is None else {program[1]}
        relay = self._peer()
        if relay is not None and is_local(relay.ip):
            reserved.add(relay.port)
        return reserved

    def _peer(self) -> Endpoint | None:
        """Return the address of the relay, once it is known."""
        if self._channel is None:
            return None
        try:
            return endpoint(*parse_host_port(self._channel.peer))
        except ValueError:
            return None

    @staticmethod
    def _report_loop(client: Client, program: Address, reason: str) -> None:
        client.notice(Notice.of("bridge.loop", program=host_port(*program), reason=reason))

    def begin(self, client: Client, channel: Channel) -> None:
        self._channel = channel
        if isinstance(channel, RoomChannel):
            channel.roster_changed = self._roster_changed
        self._check_peer()

    def _roster_changed(self) -> None:
        self._check_peer()
        self._update_sockets()

    def _check_peer(self) -> None:
        """Leave if the name of the relay has got the address of the program."""
        relay, room, client = self._peer(), self._socket, self._client
        if self._program is None or relay is None or room is None or client is None:
            return
        if room.program is not None and is_relay(_endpoint(room.program), relay):
            self._report_loop(client, self._program, "relay")
            client.leave(FAILED)

    def show(self, message: IncomingMessage) -> None:
        room = self._socket
        if room is None:
            return
        local = room
        if self._members is not None and message.sender is not None:
            local = self._socket_of(message.sender.number, self._members) or room
        # A program that has not sent to a member's socket may have sent to the room's.
        heard = local if local.program else room
        reason = local.send(message.payload, heard.program, heard.asked)
        if reason is None:
            self._counters.traffic["to_program"] += 1
        else:
            self._drop(reason)

    def notice(self, notice: Notice) -> None:
        if notice.id == "messages.lost" and self._socket is not None:
            # Losses are usual for unreliable messages: counted, not reported one by one.
            self._drop("lost", int(notice.fields["count"] or 0))
            return
        self._output.write(self._format.notice(notice) + b"\n")

    def _output_failed(self, error: OSError) -> None:
        """Leave; called in another thread."""
        self._reactor.callFromThread(self._leave_without_output)

    def _leave_without_output(self) -> None:
        if not self._output_lost:
            self._output_lost = True
            if self._client is not None:
                leave_without_output(self._client)

    def _lost_line(self, count: int) -> bytes:
        return self._format.notice(Notice.of("notices.lost", count=count))

    def flush(self) -> None:
        finish(self._output)

    def resume_input(self) -> None:
        """Do nothing: a bridge does not pause its input."""

    def close(self) -> Deferred[None]:
        self._closed = True
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            if self._members is not None:
                self._members.close()
                self._members = None
            self._counters.close()
        return succeed(None)

    def _send(self, payload: bytes, number: int | None = None) -> None:
        """Forward what the program sends."""
        reason = "no-contact" if self._channel is None else self._channel.send_now(payload, number)
        if reason is None:
            self._counters.traffic["to_room"] += 1
        else:
            self._drop(reason)

    def _send_to_member(self, payload: bytes, number: int | None) -> None:
        if number is not None:
            self._send(payload, number)
            return
        # After a restart of the relay, the member may be back under another number, and no
        # event says so.
        now = self._clock.seconds()
        if now >= self._next_update:
            self._next_update = now + _ROSTER_INTERVAL
            self._update_sockets()
        self._drop("absent")

    def _drop(self, reason: str, count: int = 1) -> None:
        self._counters.drop(reason, count)

    def _others(self) -> list[KnownMember]:
        return self._channel.others if isinstance(self._channel, RoomChannel) else []

    def _update_sockets(self) -> None:
        if self._members is not None:
            self._members.update(self._others())

    def _socket_of(self, number: int, members: MemberSockets) -> BridgeSocket | None:
        """Return the socket of a sender, opened if it has none yet; ``None``: the room's."""
        if members.get(number) is None:
            sender = next((one for one in self._others() if one.number == number), None)
            if sender is not None:
                self._update_sockets()
                if members.get(number) is None:
                    members.add(sender)
        return members.get(number)


def _endpoint(address: SocketAddress) -> Endpoint:
    return endpoint(address[0], address[1])


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
