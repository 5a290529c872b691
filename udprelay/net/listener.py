"""The protocol of one listener: hands each batch and each ICMP error to the hub."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from twisted.internet.protocol import DatagramProtocol

from udprelay.core.drops import DropReason
from udprelay.core.listener import Listener
from udprelay.net.port import REASONS, RelayPort, SocketAddress

if TYPE_CHECKING:
    from udprelay.net.relay import Relay


class ListenerProtocol(DatagramProtocol):
    """
    Between one port and the hub.

    :ivar listener: what the hub knows of the socket.
    """

    noisy = False
    listener: Listener

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    @property
    def port(self) -> RelayPort:
        """The bound port."""
        return cast(RelayPort, self.transport)

    def batch_received(self, batch: list[tuple[SocketAddress, bytes]], too_long: int) -> None:
        """Relay what was read in one turn."""
        relay, listener = self._relay, self.listener
        now = relay.now()
        if too_long:
            room = listener.rules.room
            relay.hub.drop(listener.name, room, DropReason.TOO_LONG, now, too_long)
        relay.carry_out(relay.hub.receive(listener, batch, now))

    def errors_received(self, errors: list[tuple[SocketAddress, int]]) -> None:
        """Count ICMP errors; a member that can't be reached now may be in a moment."""
        relay = self._relay
        now = relay.now()
        for address, code in errors:
            reason = REASONS.get(code, DropReason.UNREACHABLE)
            relay.hub.unreachable(self.listener, address, reason, os.strerror(code), now)
        relay.settle()
