"""A conversation in a room, by the session protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from udprelay.client import room_notices
from udprelay.client.member import Member
from udprelay.client.notices import RejectedError, too_long
from udprelay.client.room_events import refusal
from udprelay.client.room_news import RoomNews
from udprelay.client.talk import (
    DONE,
    FAILED,
    REFUSED,
    UNREACHABLE,
    Listening,
    Said,
    named,
    same_nick,
)
from udprelay.protocol.endpoint import host_port
from udprelay.protocol.nick import NickError, normalise
from udprelay.session_client.events import (
    Closed,
    Delivered,
    Event,
    Failed,
    Missed,
    NickChanged,
    NoAnswer,
    Refused,
)
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.sending import LARGEST_MESSAGE, MessageError
from udprelay.session_client.settings import Settings

# Datagrams that may wait before no more should be said.
MOST_BACKLOG = 64


@frozen
class Wanted:
    """
    Which room to join, and as whom.

    :param other_nicks: whether a nick like the wanted one will do if that is taken.
    :param recover: whether what gets lost is asked for, and waited for.
    """

    room: str
    nick: str
    other_nicks: bool = False
    passphrase: str | None = field(default=None, repr=False)
    recover: bool = True


class RoomTalk:
    """
    Talks in one room at a time.

    :param patience: seconds in which the relay has to admit one at first; ``None``: any time.
    :param company_changed: is called when others are, or may be, in the room that one is in.
    :ivar rooms: those that one has been in.
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        owner: Listening,
        wanted: Wanted,
        patience: float | None,
        company_changed: Callable[[Member], object] | None = None,
    ) -> None:
        self.rooms: set[str] = {wanted.room}
        self._reactor = reactor
        self._host = host
        self._port = port
        self._owner = owner
        self._wanted = wanted
        self._nick = wanted.nick
        self._patience = patience
        # In the room; about to be in one; out of it but for the last words.
        self._member: Member | None = None
        self._entering: Member | None = None
        self._joining: Deferred[Member] | None = None
        self._retired: list[Member] = []
        self._made: list[Member] = []
        self._news = RoomNews(reactor, owner, company_changed)
        self._paused = False
        self._closing = False

    @property
    def peer(self) -> str:
        return self._member.relay if self._member else host_port(self._host, self._port)

    @property
    def busy(self) -> bool:
        return self._member is not None and self._member.backlog > MOST_BACKLOG

    @property
    def pending(self) -> int:
        return sum(member.outstanding for member in self._present)

    @property
    def resolving(self) -> bool:
        return any(member.resolving for member in self._made)

    @property
    def room(self) -> str:
        """The room that one is in, or is about to be in."""
        return self._member.room if self._member else self._wanted.room

    @property
    def others(self) -> list[KnownMember]:
        """Who else is in the room, in the order in which they came."""
        if self._member is None:
            return []
        found = self._member.members
        return [found[number] for number in sorted(found) if number != self._member.number]

    @property
    def nicks(self) -> list[str]:
        """The nicks of the others, as far as somebody vouches for them."""
        return [member.nick for member in self.others if member.trusted]

    @property
    def own_nick(self) -> str:
        return self._member.nick if self._member else self._nick

    async def open(self) -> None:
        self.enter(self._wanted.room)

    def enter(self, room: str) -> None:
        """
        Join a room, and then leave the one that one is in; or just stay there.

        :raises ValueError: if no room can have this name.
        """
        wanted = self._wanted
        settings = Settings(
            room, self._nick, wanted.passphrase is not None, wanted.recover, wanted.other_nicks
        )
        before, self._entering = self._entering, None
        if before is not None:
            self._news.stop_waiting()
            self._retire(before)
        if self._member is not None and self._member.room == room:
            return
        member = Member(
            self._reactor, self._host, self._port, settings, wanted.passphrase, self._told
        )
        self._entering = member
        self._made.append(member)
        self._news.connecting(host_port(self._host, self._port), room)
        joining = self._joining = member.join()
        if self._patience is not None and self._member is None:
            joining.addTimeout(self._patience, self._reactor)
        joining.addCallbacks(self._entered, self._not_entered, errbackArgs=(member,))

    def say(self, said: Said) -> None:
        payload = said.payload
        if self._member is None:
            raise RejectedError("invalid", "not in a room yet", len(payload))
        if not payload:
            raise RejectedError("empty", "an empty line is no message", 0)
        if len(payload) > LARGEST_MESSAGE:
            raise too_long(len(payload), LARGEST_MESSAGE)
        try:
            if said.to is None:
                given = self._member.send(payload, said.reliable)
            else:
                number = self._number_of(said)
                given = self._member.send_private(number, payload, said.reliable)
        except MessageError as error:
            raise RejectedError("invalid", str(error), len(payload)) from None
        # Told as an event, too.
        given.addErrback(lambda _: None)

    def throw(self, payload: bytes, number: int | None = None) -> str | None:
        return "no-contact" if self._member is None else self._member.throw(payload, number)

    def change_nick(self, nick: str) -> None:
        """Take another nick, in this room and in those to come."""
        try:
            normalised = normalise(nick)
        except NickError as error:
            self._owner.notice(room_notices.nick_refused("nick-invalid", str(error)))
            return
        if self._member is not None:
            self._member.change_nick(normalised)

    def ping(self) -> None:
        """Ask how far away the relay is."""
        if self._member is not None:
            self._member.ping()

    def outcome(self) -> int:
        if self._member is None or not self._member.joined:
            return UNREACHABLE
        return FAILED if self._news.failed else DONE

    def pause(self) -> None:
        self._paused = True
        for member in self._members:
            member.pause()

    def resume(self) -> None:
        self._paused = False
        for member in self._members:
            member.resume()

    def close(self) -> Deferred[None]:
        self._news.stop_waiting()
        if self.pending and not self._closing:
            self._owner.notice(room_notices.messages_abandoned(self.pending))
        self._closing = True
        left = gatherResults([member.leave() for member in self._members])
        return left.addCallback(lambda _: None)

    @property
    def _present(self) -> list[Member]:
        return [*self._retired, *([self._member] if self._member else [])]

    @property
    def _members(self) -> list[Member]:
        return [*self._present, *([self._entering] if self._entering else [])]

    def _number_of(self, said: Said) -> int:
        for member in self.others:
            if member.trusted and same_nick(member.nick, said.to or ""):
                return member.number
        raise RejectedError("absent", f"nobody here is called {said.to}", len(said.payload))

    def _entered(self, member: Member) -> None:
        before, self._member, self._entering = self._member, member, None
        self.rooms.add(member.room)
        self._news.entered(member, [named(one.shown, one.number) for one in self.others])
        if self._paused:
            member.pause()
        if before is None:
            self._owner.opened()
        else:
            self._owner.notice(room_notices.left(before.room))
            self._retire(before)

    def _not_entered(self, failure: Failure, member: Member) -> None:
        if self._closing or member is not self._entering:
            return
        self._news.stop_waiting()
        self._entering = None
        notice, status = refusal(failure, member, self._host, self._patience or 0.0)
        self._owner.notice(notice)
        if self._member is None:
            self._owner.ended(status)

    def _retire(self, member: Member) -> None:
        """Leave as soon as what was said there has arrived."""
        self._retired.append(member)

        def forget(reason: object) -> object:
            self._retired.remove(member)
            return reason

        member.over.addCallback(forget)
        if not member.outstanding:
            member.leave()

    def _told_on_the_way(self, member: Member, event: Event) -> None:
        # Whoever has only so much patience hears of it when that has run out, or is vain.
        if self._patience is None or not isinstance(event, NoAnswer):
            self._news.on_the_way(member, event)
        elif member.nobody_listens and self._joining and self._member is None:
            self._joining.cancel()

    def _told(self, member: Member, event: Event) -> None:
        if self._closing:
            return
        if member is self._entering:
            self._told_on_the_way(member, event)
        elif member is self._member:
            if isinstance(event, NickChanged) and event.own and event.nick is not None:
                self._nick = event.nick
            self._news.here(member, event)
        elif isinstance(event, Failed | Missed):
            self._news.tell(member, event)
        if isinstance(event, Delivered | Failed):
            self._owner.progressed()
            if member in self._retired and not member.outstanding:
                member.leave()
        if isinstance(event, Refused | Closed) and member is self._member:
            self._owner.ended(REFUSED)
