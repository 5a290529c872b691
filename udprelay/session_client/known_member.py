"""Members of the room, as far as the client knows and believes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from udprelay.protocol.wire.members import MemberKind
from udprelay.session_client.suspicions import BADGE, Suspicions

if TYPE_CHECKING:
    from udprelay.protocol.wire.entries import JoinEntry
    from udprelay.protocol.wire.members import MemberRecord

Vouches = Callable[[bytes, str, bytes], bool]
"""Returns whether a badge is right for an identity and a nick."""


@frozen
class KnownMember:
    """
    A member of the room, as far as the client knows.

    :param number: never another's while the room is open.
    :param nick: as the relay tells it.
    :param identity: 16 bytes of a session member, or none.
    :param trusted: the badge is right; without a passphrase nobody needs one.
    """

    number: int
    nick: str
    kind: MemberKind
    identity: bytes
    trusted: bool

    @property
    def shown(self) -> str | None:
        """The nick, if there is reason to believe it."""
        return self.nick if self.trusted else None


class Badges:
    """
    Checks who may be shown with a nick.

    :param suspicions: is told of wrong badges.
    :ivar vouches: checks a badge; None without a passphrase.
    """

    def __init__(self, suspicions: Suspicions) -> None:
        self.vouches: Vouches | None = None
        self._suspicions = suspicions

    def member(self, number: int, said: MemberRecord | JoinEntry, now: float) -> KnownMember:
        """Return the member that the relay tells of."""
        member = KnownMember(number, said.nick, said.kind, said.identity, trusted=True)
        return self.renamed(member, said.nick, said.badge, now)

    def renamed(self, member: KnownMember, nick: str, badge: bytes, now: float) -> KnownMember:
        """Return a member with another nick."""
        return evolve(member, nick=nick, trusted=self._trusts(member, nick, badge, now))

    def _trusts(self, member: KnownMember, nick: str, badge: bytes, now: float) -> bool:
        if self.vouches is None:
            return True
        if member.kind != MemberKind.SESSION:
            # The relay itself has chosen the nick; that is no reason to accuse anybody.
            return False
        trusted = self.vouches(member.identity, nick, badge)
        if not trusted:
            self._suspicions.note(BADGE, member.number, None, now)
        return trusted
