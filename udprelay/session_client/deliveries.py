"""What is deliverable, passed on: entries to the roster, messages to whoever reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf

from udprelay.protocol.wire.entries import FailedNotice, JoinEntry, MissedNotice
from udprelay.protocol.wire.from_client import Missed, RosterRequest
from udprelay.protocol.wire.from_relay import Members
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.sequenced import Data, Entry, Notice, Private
from udprelay.session_client.events import Event
from udprelay.session_client.known_member import KnownMember
from udprelay.session_client.losses import Losses
from udprelay.session_client.messages import Messages
from udprelay.session_client.roster import Roster
from udprelay.session_client.sealing import Sealing
from udprelay.session_client.suspicions import Suspicions
from udprelay.session_client.unknown_senders import Strangers

SILENCE = 1.0
"""Seconds for which a relay that is there may well say nothing."""
ABSENCE = 15.0
"""Seconds for which it does not: it answers PINGs. The client may have slept, too."""

_FOR_GOOD = frozenset(("left", "kicked"))


class Deliveries:
    """
    Takes what comes in the order in which it is to count.

    :param recover: see :class:`~udprelay.session_client.settings.Settings`.
    :param sealing: opens and checks; None in a room without a passphrase.
    :param tell: takes events.
    :ivar roster: who is in the room.
    :ivar messages: what they have said.
    :ivar losses: what of it has not come.
    :ivar notices: what the relay has told of the client's own messages.
    """

    def __init__(
        self, recover: bool, sealing: Sealing | None, tell: Callable[[Event], None]
    ) -> None:
        self._sealing = sealing
        self._suspicions = Suspicions(tell)
        self.losses = Losses(tell)
        self.messages = Messages(recover, sealing, self.losses, self._suspicions, tell)
        self.roster = Roster(self._suspicions, tell)
        self.notices: list[MissedNotice | FailedNotice] = []
        self._strangers = Strangers()
        self._heard = 0.0
        self._tag = b""

    def leave_room(self) -> None:
        """Begin with another room sequence: what is reliable in the last one comes again."""
        self._strangers.clear()
        self.losses.forget()

    def welcome(self, welcome: Welcome, new_room: bool, identity: bytes, now: float) -> None:
        """Begin a session; parameters as for :meth:`Roster.welcome`."""
        self._tag = welcome.tag
        self.messages.resume(now)
        vouches = None if self._sealing is None else self._sealing.vouches
        self.roster.welcome(welcome, new_room, identity, vouches, now)
        self._release(self._strangers.numbers, now)

    def hear(self, now: float) -> None:
        """Note that something has come from the relay."""
        silent = now - self._heard
        if silent > SILENCE:
            # For so long nobody was there to tell who somebody is.
            self._strangers.postpone(silent - SILENCE)
        if silent > ABSENCE:
            self.messages.resume(now)
        self._heard = now
        self.losses.reports.hear()

    def hole(self, first: int, count: int, now: float) -> None:
        """Note what is lost of the room; what comes behind it shows whose messages they were."""
        self.losses.hole(count, now)
        self.roster.questions.ask_all(first + count - 1, now)

    def take(self, items: Iterable[Data | Entry | Private | Notice], now: float) -> None:
        """Take what is deliverable."""
        for item in items:
            if isinstance(item, Entry):
                self._change(item, now)
            elif isinstance(item, Notice):
                if item.body is not None:
                    self.notices.append(item.body)
            else:
                self._say(item, now)

    def page(self, members: Members, now: float) -> None:
        """Take a page of the roster."""
        self.roster.page(members, now)
        # What they have said comes before what the relay says that they have said.
        self._release(self._strangers.numbers, now)

    def settled(self, sequence: int, now: float) -> None:
        """Do what waited for the room to be settled up to here, or for its time."""
        for number in self._strangers.due(min(now, self._heard + SILENCE)):
            self._pass_all_on(number, now)
        if self.roster.settled(sequence, now):
            self.losses.explain(self.roster.take_found())
            for member, own in self.roster.take_owns():
                self._account(member, own)
            self._bury()
            self._release(self._strangers.numbers, now)
        if not self.roster.in_doubt:
            self.losses.close()

    def ask(self, session_id: bytes, now: float) -> Iterable[RosterRequest | Missed]:
        """Yield what to send to the relay now."""
        number = self.roster.ask(now)
        if number is not None:
            yield RosterRequest(session_id, number)
        report = self.losses.reports.take(self.roster.members, now, self.roster.in_doubt)
        if report is not None:
            yield Missed(session_id, *report)

    def deadlines(self, in_session: bool) -> Iterable[float | None]:
        """Yield when to call :meth:`expire`, and :meth:`ask` if in a session."""
        yield self._suspicions.deadline
        yield self.roster.deadline
        yield self.losses.deadline
        stranger = self._strangers.deadline
        if stranger is not None and stranger <= self._heard + SILENCE:
            yield stranger
        partial = self.messages.deadline
        if in_session and partial is not None and partial <= self._heard + ABSENCE:
            yield partial
        if in_session:
            yield self.roster.next_question
            yield self.losses.reports.deadline

    def expire(self, now: float, in_session: bool) -> None:
        """Do what is due; while nothing can come, nothing is too late."""
        if in_session:
            self.messages.expire(min(now, self._heard + ABSENCE))
        self.roster.expire(now)
        self._bury()
        self._suspicions.expire(now)
        self.losses.expire(now)

    def _change(self, entry: Entry, now: float) -> None:
        self.roster.entry(entry, now)
        self._bury()
        if isinstance(entry.body, JoinEntry):
            self._account(self.roster.find(entry.number), entry.body.own)
        if entry.number in self._strangers:
            self._release([entry.number], now)

    def _say(self, said: Data | Private, now: float) -> None:
        if said.number in self._strangers or not self._is_known(said):
            self._strangers.keep(said, now)
            self.roster.questions.want(said.number)
        else:
            self._pass_on(said, now)

    def _is_known(self, said: Data | Private) -> bool:
        # A private message can overtake the entry of its sender's joining.
        sequence = said.sequence if isinstance(said, Data) else inf
        known = self.roster.find(said.number) is not None
        return known or self.roster.is_hopeless(said.number, sequence)

    def _pass_on(self, said: Data | Private, now: float) -> None:
        number = said.number
        member = self.roster.find(number)
        if member is not None and self.roster.is_self(member):
            # From an earlier session, in which the relay knew that it was the client's own.
            return
        identity = b"" if member is None else member.identity
        if not identity:
            identity = self._tag + number.to_bytes(4, "big")
        self.messages.take(said, member, identity, self.roster.since(number), now)

    def _release(self, numbers: Iterable[int], now: float) -> None:
        """Pass on what was kept of those who are known now, or never will be."""
        for number in numbers:
            if self._is_known(self._strangers.first(number)):
                self._pass_all_on(number, now)

    def _pass_all_on(self, number: int, now: float) -> None:
        self.roster.questions.unwant(number)
        for said in self._strangers.take(number):
            self._pass_on(said, now)

    def _account(self, member: KnownMember | None, own: int) -> None:
        if member is not None and not self.roster.is_self(member):
            self.messages.account(member, own)

    def _bury(self) -> None:
        for member, reason in self.roster.take_gone():
            # Anybody else may come back and go on where it was.
            if reason in _FOR_GOOD:
                self.messages.gone(member)
