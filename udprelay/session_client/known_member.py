"""Members of the room, and whether their nicks are authenticated."""

from __future__ import annotations

from attrs import evolve, frozen

from udprelay.protocol.wire.entries import JoinEntry
from udprelay.protocol.wire.members import MemberKind, MemberRecord
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.suspicions import Suspicions


@frozen
class KnownMember:
    """
    A member of the room, as the relay reports it.

    :param number: unique while the room is open.
    :param nick: as the relay reports it.
    :param identity: 16 bytes of a session member; empty for others.
    :param trusted: the badge is right, or the room has no passphrase.
    """

    number: int
    nick: str
    kind: MemberKind
    identity: bytes
    trusted: bool

    @property
    def trusted_nick(self) -> str | None:
        """The nick if it is trusted."""
        return self.nick if self.trusted else None


class Badges:
    """
    Makes members from what the relay reports, and checks their badges.

    :param sealing: verifies badges; None in a room without a passphrase.
    :param suspicions: receives wrong badges.
    """

    def __init__(self, sealing: Sealing | None, suspicions: Suspicions) -> None:
        self._sealing = sealing
        self._suspicions = suspicions

    def member(self, number: int, record: MemberRecord | JoinEntry, now: float) -> KnownMember:
        """Return the member of a record or an entry."""
        member = KnownMember(number, record.nick, record.kind, record.identity, trusted=True)
        return self.rename(member, record.nick, record.badge, now)

    def rename(self, member: KnownMember, nick: str, badge: bytes, now: float) -> KnownMember:
        """Return the member with another nick."""
        return evolve(member, nick=nick, trusted=self._trusts(member, nick, badge, now))

    def _trusts(self, member: KnownMember, nick: str, badge: bytes, now: float) -> bool:
        if self._sealing is None:
            return True
        if member.kind != MemberKind.SESSION:
            # The relay has chosen this nick, so a missing badge is not suspicious.
            return False
        trusted = self._sealing.verify_badge(member.identity, nick, badge)
        if not trusted:
            self._suspicions.add("badge", member.number, None, now)
        return trusted
