"""What a client with a passphrase does to payloads and nicks; without one, nothing."""

from __future__ import annotations

from collections import OrderedDict
from hmac import compare_digest

from udprelay.protocol.keys import RoomKeys, badge, identity
from udprelay.protocol.seal import PRIVATE, UNRELIABLE_PRIVATE, Seal

_SENDERS = 1024


class Sealing:
    """
    Seals what the client sends, opens what it receives, makes and checks badges.

    :ivar identity: the client's own.
    :ivar keys: the room's; None as long as they are not known, or there is no passphrase.
    """

    def __init__(self, room: str, secret: bytes) -> None:
        self.identity = identity(secret)
        self.keys: RoomKeys | None = None
        self._room = room
        # Deriving a sender's key costs more than opening; the table stays small all the same.
        self._seals: OrderedDict[bytes, Seal] = OrderedDict()

    def become(self, secret: bytes) -> None:
        """Have another identity from now on: the one of this resume secret."""
        self.identity = identity(secret)

    def use(self, keys: RoomKeys) -> None:
        """Seal and open with these keys from now on."""
        if keys != self.keys:
            self.keys = keys
            self._seals.clear()

    def seal(self, stream: int, own: int, flags: int, payload: bytes, receiver: bytes) -> bytes:
        """Return the payload sealed as the client's own; parameters as for :class:`Seal`."""
        return self._of(self.identity).seal(stream, own, flags, payload, receiver)

    def open(self, sender: bytes, stream: int, own: int, flags: int, payload: bytes) -> bytes:
        """
        Return what the member with the identity ``sender`` sealed for the room, or for us.

        :raises SealError: if it did not seal this so.
        """
        receiver = self.identity if stream in (PRIVATE, UNRELIABLE_PRIVATE) else b""
        return self._of(sender).open(stream, own, flags, payload, receiver)

    def badge(self, nick: str) -> bytes | None:
        """Return the client's badge for a nick; None without keys."""
        return None if self.keys is None else badge(self._content, self._room, self.identity, nick)

    def vouches(self, sender: bytes, nick: str, shown: bytes) -> bool:
        """Return whether ``shown`` proves that ``sender`` has chosen the nick."""
        return compare_digest(shown, badge(self._content, self._room, sender, nick))

    @property
    def _content(self) -> bytes:
        if self.keys is None:
            raise RuntimeError("there are no keys yet")
        return self.keys.content

    def _of(self, sender: bytes) -> Seal:
        seal = self._seals.get(sender)
        if seal is None:
            seal = self._seals[sender] = Seal(self._content, sender, self._room)
            if len(self._seals) > _SENDERS:
                self._seals.popitem(last=False)
        else:
            self._seals.move_to_end(sender)
        return seal
