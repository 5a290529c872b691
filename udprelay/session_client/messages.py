"""What members have said: opened, once, put together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from udprelay.protocol.seal import PRIVATE, RELIABLE, UNRELIABLE, UNRELIABLE_PRIVATE, SealError
from udprelay.protocol.wire import header
from udprelay.protocol.wire.sequenced import Data, Private
from udprelay.session_client.assembly import Assembly
from udprelay.session_client.events import Event, Received
from udprelay.session_client.identities import Identities, Verdict
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.losses import Losses
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.suspicions import REPEATED, SEAL, UNSEALED, WITHHELD, Suspicions

RESUMPTION = 120.0
"""Seconds after its joining in which a member may repeat what it has said before."""

_PRIVATE = b"private"


class Messages:
    """
    Makes messages of the datagrams of senders that are known.

    It knows nothing of rooms and sessions: what a sender has said counts once, in all of them.

    :param ordered: what is reliable comes in its sender's order.
    :param sealing: opens payloads; None without a passphrase.
    :param losses: is told what has not come.
    :param suspicions: is told what can't be right.
    :param tell: takes events.
    :ivar received: messages.
    :ivar repeated: datagrams that had come before, or are too old to tell.
    """

    def __init__(
        self,
        ordered: bool,
        sealing: Sealing | None,
        losses: Losses,
        suspicions: Suspicions,
        tell: Callable[[Event], None],
    ) -> None:
        self.received = 0
        self.repeated = 0
        self._ordered = ordered
        self._sealing = sealing
        self._losses = losses
        self._suspicions = suspicions
        self._tell = tell
        self._identities = Identities(ordered)
        self._assembly = Assembly[KnownMember | None]()

    @property
    def deadline(self) -> float | None:
        """When :meth:`expire` should be called next."""
        return self._assembly.deadline

    def take(
        self,
        said: Data | Private,
        member: KnownMember | None,
        identity: bytes,
        since: float,
        now: float,
    ) -> None:
        """
        Take a datagram.

        :param member: the sender; None if nothing tells who it is.
        :param identity: what its own sequences are kept by.
        :param since: when it became a member, as far as is known.
        """
        nick = None if member is None else member.shown
        payload = self._opened(said, member, nick, now)
        if payload is None:
            return
        stream = _stream(said)
        whole: bytes | None = payload
        if said.own:
            if stream == RELIABLE and self._ordered:
                self._note_gap(said, member, identity, now)
            if not self._is_new(said, stream, identity, nick, since, now):
                return
            if said.flags & header.RELIABLE:
                key = identity + _PRIVATE if stream == PRIVATE else identity
                whole = self._assembly.take(key, said.own, said.flags, payload, now, member)
                self._note_lost()
        if whole is not None:
            self.received += 1
            reliable, sealed = (bool(said.flags & f) for f in (header.RELIABLE, header.SEALED))
            private = isinstance(said, Private)
            self._tell(Received(said.number, nick, whole, reliable, private, sealed))

    def account(self, member: KnownMember, last: int) -> None:
        """Note that all a member has said in the room, up to ``last``, has had its turn."""
        if self._ordered and member.identity:
            self._gap(member.identity, last, member)

    def gone(self, member: KnownMember) -> None:
        """Note that a member has left for good: what it has begun to say is lost."""
        for stream in (member.identity, member.identity + _PRIVATE):
            if self._assembly.broken(stream):
                self._losses.tell(1, member.shown)

    def resume(self, now: float) -> None:
        """Wait again for the rest of messages: nothing could come for some time."""
        self._assembly.resume(now)

    def expire(self, now: float) -> None:
        """Give up messages whose rest does not come."""
        self._assembly.expire(now)
        self._note_lost()

    def _opened(
        self, said: Data | Private, member: KnownMember | None, nick: str | None, now: float
    ) -> bytes | None:
        sealed = bool(said.flags & header.SEALED)
        if member is None and (said.flags & header.AGAIN or (sealed and self._sealing)):
            # Without the sender's identity nobody can tell whether it has come before, or who
            # should have sealed it.
            self._losses.tell(1, None)
            return None
        if self._sealing is None and not sealed:
            return said.payload
        if not sealed:
            self._suspicions.note(UNSEALED, said.number, nick, now)
            return None
        if self._sealing is not None and member is not None and member.identity:
            with suppress(SealError):
                return self._sealing.open(
                    member.identity, _stream(said), said.own, said.flags, said.payload
                )
        self._suspicions.note(SEAL, said.number, nick, now)
        return None

    def _is_new(
        self,
        said: Data | Private,
        stream: int,
        identity: bytes,
        nick: str | None,
        since: float,
        now: float,
    ) -> bool:
        identities = self._identities
        if stream == RELIABLE:
            verdict = identities.reliable(identity, said.own)
        elif stream == UNRELIABLE:
            verdict = identities.unreliable(identity, said.own)
        else:
            verdict = identities.private(identity, said.own, reliable=stream == PRIVATE)
        if verdict is Verdict.NEW:
            return True
        self.repeated += 1
        if (
            self._sealing is not None
            and verdict is Verdict.REPEATED
            and said.flags & header.RELIABLE
            and not said.flags & header.AGAIN
            and now - since >= RESUMPTION
        ):
            self._suspicions.note(REPEATED, said.number, nick, now)
        return False

    def _note_gap(
        self, said: Data | Private, member: KnownMember | None, identity: bytes, now: float
    ) -> None:
        withheld = self._gap(identity, said.own - 1, member)
        if withheld and self._sealing is not None:
            nick = None if member is None else member.shown
            self._suspicions.note(WITHHELD, said.number, nick, now, withheld)

    def _gap(self, identity: bytes, last: int, member: KnownMember | None) -> int:
        """Note that all up to ``last`` has had its turn; return what no hole explains."""
        missing = self._identities.skipped(identity, last)
        if not missing:
            return 0
        self._assembly.broken(identity)
        if member is None:
            return self._losses.gap(missing, None)
        self._losses.reports.add(member, last, missing)
        return self._losses.gap(missing, member.shown)

    def _note_lost(self) -> None:
        for member in self._assembly.take_lost():
            self._losses.tell(1, None if member is None else member.shown)
        for stream, member, own in self._assembly.take_given_up():
            # Of private messages there are no reports.
            if member is not None and stream == member.identity:
                self._losses.reports.add(member, own, 1)


def _stream(said: Data | Private) -> int:
    """Return which of a sender's sequences it is in, as seals number them."""
    reliable = said.flags & header.RELIABLE
    if isinstance(said, Private):
        return PRIVATE if reliable else UNRELIABLE_PRIVATE
    return RELIABLE if reliable else UNRELIABLE
