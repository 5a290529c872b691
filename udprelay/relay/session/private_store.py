"""The private datagrams of all sessions, which are stored until they have arrived."""

from __future__ import annotations

from collections.abc import Callable

from udprelay.relay.memory import Memory, Pool
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.sequences import MAX_DATAGRAMS, Sender
from udprelay.relay.sizes import PRIVATE_SIZE


class PrivateStore:
    """
    Counts the private datagrams that are stored, and removes those that nobody will ask for.

    Without space in the memory, the oldest of the same session make way.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        # Bytes of those that have any.
        self._sizes: dict[SessionMember, int] = {}

    def append(
        self,
        session: SessionMember,
        make: Callable[[int], bytes],
        now: float,
        sender: Sender | None = None,
    ) -> bytes:
        """Return the next datagram of a session; see :meth:`PrivateStream.append`."""
        stream, memory = session.private, self._memory
        if len(stream) == MAX_DATAGRAMS:
            self._remove(session, stream.first + 1)
        datagram = stream.append(make, now, sender)
        size = PRIVATE_SIZE + len(datagram)
        while not memory.has_share(Pool.PRIVATE, self._sizes.get(session, 0), size, now):
            if len(stream) == 1:
                # Delivered, but not stored.
                stream.remove_before(stream.newest + 1)
                return datagram
            self._remove(session, stream.first + 1)
        self._count(session, size)
        return datagram

    def settle(self, session: SessionMember, settled: int) -> None:
        """Remove what a session has received, up to a private sequence."""
        self._remove(session, settled + 1)

    def expire(self, now: float) -> None:
        """Remove what is as old as the history of its room may be."""
        for session in list(self._sizes):
            since = now - session.room.rules.history_age
            self._remove(session, session.private.first_after(since))

    def forget(self, session: SessionMember) -> None:
        """Forget a session that leaves."""
        self._remove(session, session.private.newest + 1)

    def _remove(self, session: SessionMember, sequence: int) -> None:
        removed = session.private.remove_before(sequence)
        if removed:
            self._count(session, -sum(PRIVATE_SIZE + len(datagram) for datagram in removed))

    def _count(self, session: SessionMember, size: int) -> None:
        self._memory.change(Pool.PRIVATE, size)
        total = self._sizes.pop(session, 0) + size
        if total:
            self._sizes[session] = total
