"""What a batched port needs of its protocol and of the groups that it sends to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from twisted.internet.protocol import DatagramProtocol

from udprelay.segments import Source, SourceRun

# A flood must not delay timers and other sockets.
MAX_BATCH = 64
"""Messages read at once."""
MAX_TURN = 256
"""Datagrams after which aggregates that were read together have to wait for the next turn."""

MAX_PAYLOAD = 65_507
"""Bytes in the largest payload of a UDP datagram over IPv4 (RFC 768, RFC 791)."""

SocketAddress = tuple[Any, ...]
"""``(host, port)`` of an IPv4 socket, ``(host, port, flow, scope)`` of an IPv6 one."""


class BatchProtocol(DatagramProtocol, ABC):
    """A protocol that receives whole batches, and errors with their addresses."""

    @abstractmethod
    def batch_received(self, batch: list[SourceRun], too_long: int) -> None:
        """
        Receive the datagrams of one turn of the reactor.

        :param batch: in order of arrival.
        :param too_long: number of messages that were dropped because they had more than
            :data:`MAX_PAYLOAD` bytes, or their datagrams cannot be told apart.
        """

    def errors_received(self, errors: list[tuple[Source, int]]) -> None:
        """Receive ICMP errors: the destination of the datagram that caused each, and the errno."""

    def knows(self, peer: Hashable) -> bool:
        """Return whether something may be remembered of a destination: it may be forged."""
        return True

    def trouble_began(self, peer: Hashable, code: int) -> None:
        """
        Note that a destination is in trouble: it may get less, and the others get all of theirs.

        :param peer: the destination (:meth:`~udprelay.batch_udp.port.DatagramPort.peer_of`).
        :param code: the errno for what it does not get; ``EAGAIN`` if its datagrams stay in the
            send buffer.
        """

    def trouble_ended(self, peer: Hashable, seconds: float) -> None:
        """Note that a trouble is over, and how long it has lasted."""

    def segments_refused(self, destination: Source | None, code: int) -> None:
        """
        Note that a destination cannot be sent messages of many datagrams.

        Their datagrams have been sent one by one, and will be.

        :param destination: None if no destination can.
        :param code: the errno of the system call.
        """


class Recipient(Protocol):
    """A sender and receiver of payloads."""

    @property
    def source(self) -> Source:
        """Its address, in the form that the port reports for its datagrams."""

    @property
    def group(self) -> object:
        """The group that it belongs to."""

    @property
    def slot(self) -> int:
        """Its index in the group's ``members``; negative after it has left."""


class RecipientGroup(Protocol):
    """
    Recipients that get the same payloads through one port.

    :ivar deliveries: the port adds the datagrams that it sends, those that fail included.
    :ivar changed: slots whose member is new since the last delivery; the port clears it.
    :ivar prepared: for the port alone, at first None.
    """

    deliveries: int
    changed: set[int]
    prepared: object

    @property
    def members(self) -> Sequence[Recipient]:
        """Its members by slot."""
