"""From datagrams of known senders to messages: opened, without duplicates, reassembled."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from udprelay.protocol.seal import PRIVATE, RELIABLE, UNRELIABLE, UNRELIABLE_PRIVATE, SealError
from udprelay.protocol.wire import header
from udprelay.protocol.wire.sequenced import Data, Private
from udprelay.session_client.events import Event, Received
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.losses import Losses
from udprelay.session_client.reassembly import Reassembly
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.sender_sequences import SenderSequences, Verdict
from udprelay.session_client.settings import Statistics
from udprelay.session_client.suspicions import Suspicions

RESUMPTION_PERIOD = 120.0
"""Seconds after its join in which a member may resubmit datagrams of its last session."""

_PRIVATE_SUFFIX = b"private"


class Messages:
    """
    The messages of known senders, in all rooms and sessions of the client.

    :param ordered: reliable datagrams come in their sender's order.
    :param sealing: opens payloads; None without a passphrase.
    :param losses: receives what is missing.
    :param suspicions: receives what contradicts the passphrase.
    :param emit: receives events.
    :param statistics: counts messages and duplicates.
    """

    def __init__(
        self,
        ordered: bool,
        sealing: Sealing | None,
        losses: Losses,
        suspicions: Suspicions,
        emit: Callable[[Event], None],
        statistics: Statistics,
    ) -> None:
        self._ordered = ordered
        self._sealing = sealing
        self._losses = losses
        self._suspicions = suspicions
        self._emit = emit
        self._statistics = statistics
        self._sequences = SenderSequences(ordered)
        self._reassembly = Reassembly()

    @property
    def deadline(self) -> float:
        """When :meth:`expire` should be called next."""
        return self._reassembly.deadline

    def receive(
        self,
        data: Data | Private,
        member: KnownMember | None,
        identity: bytes,
        since: float,
        now: float,
    ) -> None:
        """
        Receive a datagram.

        :param member: the sender; None if it can't be known.
        :param identity: the key of its own sequences.
        :param since: when it became a member, as far as is known.
        """
        nick = None if member is None else member.trusted_nick
        payload = self._open(data, member, nick, now)
        if payload is None:
            return
        stream = _stream(data)
        message: bytes | None = payload
        if data.own:
            if stream == RELIABLE and self._ordered:
                withheld = self._advance(identity, data.own - 1, member)
                if withheld and self._sealing is not None:
                    self._suspicions.add("withheld", data.number, nick, now, withheld)
            if not self._is_new(data, stream, identity, nick, since, now):
                return
            if data.flags & header.RELIABLE:
                key = identity + _PRIVATE_SUFFIX if stream == PRIVATE else identity
                message = self._reassembly.add(key, data.own, data.flags, payload, now, member)
                self._note_lost()
        if message is not None:
            self._statistics.received += 1
            reliable, sealed = (bool(data.flags & f) for f in (header.RELIABLE, header.SEALED))
            private = isinstance(data, Private)
            self._emit(Received(data.number, nick, message, reliable, private, sealed))

    def settle(self, member: KnownMember, last: int) -> None:
        """Note that no reliable datagram of a member up to ``last`` will come any more."""
        if self._ordered and member.identity:
            self._advance(member.identity, last, member)

    def member_left(self, member: KnownMember) -> None:
        """Lose the incomplete messages of a member that will not come back."""
        for stream in (member.identity, member.identity + _PRIVATE_SUFFIX):
            if self._reassembly.discard(stream):
                self._losses.report(1, member.trusted_nick)

    def restart_timeouts(self, now: float) -> None:
        """Start the timeouts of incomplete messages again, after an outage."""
        self._reassembly.restart_timeouts(now)

    def expire(self, now: float) -> None:
        """Lose the incomplete messages that have timed out."""
        self._reassembly.expire(now)
        self._note_lost()

    def _open(
        self, data: Data | Private, member: KnownMember | None, nick: str | None, now: float
    ) -> bytes | None:
        sealed = bool(data.flags & header.SEALED)
        if member is None and (data.flags & header.RESUBMITTED or (sealed and self._sealing)):
            # Duplicates and seals can't be checked without the sender's identity.
            self._losses.report(1, None)
            return None
        if self._sealing is None and not sealed:
            return data.payload
        if not sealed:
            self._suspicions.add("unsealed", data.number, nick, now)
            return None
        if self._sealing is not None and member is not None and member.identity:
            with suppress(SealError):
                return self._sealing.open(
                    member.identity, _stream(data), data.own, data.flags, data.payload
                )
        self._suspicions.add("seal", data.number, nick, now)
        return None

    def _is_new(
        self,
        data: Data | Private,
        stream: int,
        identity: bytes,
        nick: str | None,
        since: float,
        now: float,
    ) -> bool:
        verdict = self._sequences.add(identity, stream, data.own)
        if verdict is Verdict.NEW:
            return True
        self._statistics.duplicates += 1
        if (
            self._sealing is not None
            and verdict is Verdict.DUPLICATE
            and data.flags & header.RELIABLE
            and not data.flags & header.RESUBMITTED
            and now - since >= RESUMPTION_PERIOD
        ):
            self._suspicions.add("repeated", data.number, nick, now)
        return False

    def _advance(self, identity: bytes, last: int, member: KnownMember | None) -> int:
        """Settle all up to ``last``; return what no loss in the room sequence explains."""
        missing = self._sequences.advance(identity, last)
        if not missing:
            return 0
        self._reassembly.discard(identity)
        if member is None:
            return self._losses.attribute(missing, None)
        if member.identity:
            # A member without an identity has no own sequences to report.
            self._losses.reports.add(member, last, missing)
        return self._losses.attribute(missing, member.trusted_nick)

    def _note_lost(self) -> None:
        for member, stream, own in self._reassembly.lost:
            self._losses.report(1, None if member is None else member.trusted_nick)
            # MISSED does not exist for private messages.
            if own and member is not None and stream == member.identity:
                self._losses.reports.add(member, own, 1)
        self._reassembly.lost.clear()


def _stream(data: Data | Private) -> int:
    """Return which of its sender's sequences a datagram is in, as seals number them."""
    reliable = data.flags & header.RELIABLE
    if isinstance(data, Private):
        return PRIVATE if reliable else UNRELIABLE_PRIVATE
    return RELIABLE if reliable else UNRELIABLE
