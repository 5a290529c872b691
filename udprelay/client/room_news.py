"""What happens in rooms, told when people want to hear it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from udprelay.client import room_notices
from udprelay.client.member import Member
from udprelay.client.notices import Notice
from udprelay.client.room_events import heard, notice_of
from udprelay.client.talk import Listening
from udprelay.session_client import events
from udprelay.session_client.events import Event

# Seconds after which it is told what takes so long.
PROGRESS = 1.0
# Seconds between two NoAnswer events.
_SILENCE = 5
# What changes who is in the room, or which numbers they have.
_CHANGES = (events.Joined, events.MemberJoined, events.MemberLeft, events.NickChanged)


class RoomNews:
    """
    Tells the owner of a conversation what happens in its rooms.

    :param company_changed: is called when others are, or may be, in the room that one is in.
    :ivar failed: a message has not been delivered.
    """

    def __init__(
        self,
        reactor: Any,
        owner: Listening,
        company_changed: Callable[[Member], object] | None = None,
    ) -> None:
        self.failed = False
        self._company_changed = company_changed
        self._reactor = reactor
        self._owner = owner
        self._silences = 0
        self._waiting: IDelayedCall | None = None

    def connecting(self, peer: str, room: str) -> None:
        """Tell, if it takes long, that a relay is being looked for."""
        self._silences = 0
        self._later(room_notices.connecting(peer, room))

    def entered(self, member: Member, others: list[str]) -> None:
        """Tell that one is in a room, with these others."""
        self.stop_waiting()
        self._silences = 0
        self._owner.notice(
            room_notices.joined(
                member.relay, member.room, member.nick, member.number, others, member.sealed
            )
        )
        self._note_company(member)

    def stop_waiting(self) -> None:
        """It does not take long any more."""
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        self._waiting = None

    def on_the_way(self, member: Member, event: Event) -> None:
        """Take an event of a room that one is about to be in."""
        if isinstance(event, events.KeysNeeded):
            self._later(room_notices.deriving(member.room))
        elif isinstance(event, events.NoAnswer):
            self._silent(member)

    def here(self, member: Member, event: Event) -> None:
        """Take an event of the room that one is in."""
        match event:
            case events.Received():
                self._owner.heard(heard(member, event))
                return
            case events.NoAnswer():
                self._silent(member)
                return
            case events.Joined(resumed=False):
                # Told with who else is there.
                return
            case events.Joined():
                self._silences = 0
        self.tell(member, event)
        if isinstance(event, _CHANGES):
            self._note_company(member)

    def tell(self, member: Member, event: Event) -> None:
        """Tell an event as it is."""
        self.failed = self.failed or isinstance(event, events.Failed)
        notice = notice_of(member, event)
        if notice is not None:
            self._owner.notice(notice)

    def _note_company(self, member: Member) -> None:
        if self._company_changed is not None:
            self._company_changed(member)

    def _silent(self, member: Member) -> None:
        self._silences += 1
        # After 5, 10, 20, 40 ... seconds.
        if self._silences & (self._silences - 1) == 0:
            seconds, refused = _SILENCE * self._silences, member.nobody_listens
            self._owner.notice(room_notices.silent(member.relay, seconds, refused))

    def _later(self, notice: Notice) -> None:
        self.stop_waiting()
        self._waiting = self._reactor.callLater(PROGRESS, self._owner.notice, notice)
