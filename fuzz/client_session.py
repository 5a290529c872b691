"""What the client of the target ``client`` knows of its session."""

from __future__ import annotations

from udprelay.protocol.wire import WireError, decode_from_relay
from udprelay.protocol.wire.from_relay import Ack, Heartbeat, Members, Pong
from udprelay.protocol.wire.joining import Welcome
from udprelay.protocol.wire.sequenced import Data, Entry, Notice, Private
from udprelay.session_client.incoming import MAX_AHEAD
from udprelay.session_client.roster import MAX_PAGES
from udprelay.session_client.settings import State


class SessionKnowledge:
    """
    Follows the datagrams that a client receives, and what it settles.

    :ivar session_id: of its last session.
    :ivar tag: of its last room.
    :ivar newest: the newest numbers that it knows, of the room sequence and the private one.
    :ivar settled: the room sequence that it has settled, according to its last PING or JOIN.
    :ivar needs_roster: so many sessions have begun, and nothing was settled, that it has dropped
        a page of the roster; no ROSTER has followed.
    """

    def __init__(self) -> None:
        self.session_id = self.tag = b""
        self.newest = [0, 0]
        self.settled = 0
        self.needs_roster = False
        # The room sequences of the WELCOMEs that were not settled before the last one.
        self._pages: list[int] = []

    def settle(self, settled: int) -> None:
        """Note what the client reports as settled."""
        assert settled >= self.settled, "a settled sequence is no longer settled"
        self.settled = settled

    def receive(self, datagram: bytes, state: State, nonce: bytes) -> None:
        """
        Note a datagram before the client receives it.

        :param state: the client's.
        :param nonce: of the client's last JOIN.
        """
        try:
            decoded = decode_from_relay(datagram)
        except WireError:
            return
        if isinstance(decoded, Welcome):
            if state is State.JOINING and decoded.nonce == nonce:
                self._start_session(decoded)
        elif state is not State.JOINED:
            return
        elif isinstance(decoded, (Data, Entry, Heartbeat)) and decoded.tag == self.tag:
            newest = decoded.newest if isinstance(decoded, Heartbeat) else decoded.sequence
            # The client does not believe what other members could have forged.
            if newest <= self.newest[0] + MAX_AHEAD:
                self.note_newest(newest)
        elif getattr(decoded, "session_id", b"") == self.session_id:
            self._receive_confirmed(decoded)

    def note_newest(self, newest: int, newest_private: int = 0) -> None:
        """Note the newest numbers that a datagram reports."""
        self.newest = [max(self.newest[0], newest), max(self.newest[1], newest_private)]

    def _receive_confirmed(self, datagram: object) -> None:
        match datagram:
            case Private() | Notice():
                self.note_newest(0, datagram.sequence)
            case Pong():
                self.note_newest(datagram.newest, datagram.newest_private)
            case Members():
                self.note_newest(datagram.newest)
            case Ack():
                self.note_newest(max((first + n - 1 for first, n in datagram.ranges), default=0))

    def _start_session(self, welcome: Welcome) -> None:
        if welcome.tag != self.tag:
            self.newest[0] = self.settled = 0
            self._pages.clear()
            self.needs_roster = False
        if welcome.session_id != self.session_id:
            self.newest[1] = 0
        self.tag, self.session_id = welcome.tag, welcome.session_id
        self.note_newest(max(welcome.newest, welcome.first - 1), welcome.newest_private)
        # JOIN has reported what is settled; the pages up to there are applied.
        self._pages = [newest for newest in self._pages if newest > self.settled]
        self._pages.append(welcome.newest)
        if len(self._pages) > MAX_PAGES + 1:
            self.needs_roster = True
