"""A room's deliveries of one batch."""

from __future__ import annotations

from collections.abc import Sequence

from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.relay.room import Group, Listener, Member, Rendering, Room
from udprelay.relay.rules import Label


class FanOut:
    """
    A room's deliveries of one batch: every payload to every member but its sender.

    Valid until the hub is called again: members are not copied.

    :ivar payloads: bare, in order of arrival.
    :ivar senders: the sender of each payload.
    :ivar groups: the groups to deliver to, each with the number of its first members that were
        in the room when these payloads were received.
    """

    __slots__ = ("_labelled", "groups", "payloads", "room", "senders")

    def __init__(self, room: Room) -> None:
        self.room = room
        self.payloads: list[bytes] = []
        self.senders: list[Member] = []
        self.groups: list[tuple[Group, int]] = []
        self._labelled: tuple[list[bytes], list[Member]] | None = None

    def add(self, payloads: Sequence[bytes], sender: Member) -> None:
        """Add payloads of a member that is not a session member."""
        self.payloads += payloads
        self.senders += [sender] * len(payloads)

    def seal(self, listener: Listener | None, now: float) -> int:
        """
        Fix the receivers to those in the room now, and count the deliveries.

        :param listener: which has received the payloads.
        :return: how many payloads are too long with a label.
        """
        payloads = self.payloads
        return self._count(listener, len(payloads), sum(map(len, payloads)), uniform=True)

    def _count(self, listener: Listener | None, count: int, size: int, uniform: bool) -> int:
        """
        Fix the receivers, and count.

        :param count: number of payloads, with ``size`` bytes in all.
        :param uniform: whether these payloads are all that is delivered, without entries.
        """
        room = self.room
        room.datagrams += count
        room.bytes += size
        if listener is not None:
            listener.datagrams += count
            listener.bytes += size
        self.groups = groups = [(g, len(g.members)) for g in room.groups.values() if g.members]
        if room.rules.label is Label.NICK:
            self._labelled = _labelled(self.payloads, self.senders)
        elif uniform and len(groups) == 1:
            group, members = groups[0]
            self._count_deliveries(group, (members - 1) * count)
            return 0
        for group, members in groups:
            payloads, senders = self.for_group(group)
            own = sum(sender.group is group for sender in senders)
            self._count_deliveries(group, members * len(payloads) - own)
        return 0 if self._labelled is None else len(self.payloads) - len(self._labelled[0])

    def _count_deliveries(self, group: Group, number: int) -> None:
        self.room.deliveries += number
        if isinstance(group.transport, Listener):
            group.transport.deliveries += number

    def for_group(self, group: Group) -> tuple[Sequence[bytes], Sequence[Member]]:
        """Return payloads and senders in the rendering of ``group``."""
        if group.rendering is Rendering.LABELLED and self._labelled is not None:
            return self._labelled
        return self.payloads, self.senders


def _labelled(
    payloads: Sequence[bytes], senders: Sequence[Member]
) -> tuple[list[bytes], list[Member]]:
    labelled = [
        (b"".join((f"{sender.name}: ".encode(), payload)), sender)
        for payload, sender in zip(payloads, senders, strict=True)
    ]
    fitting = [(payload, sender) for payload, sender in labelled if len(payload) <= MAX_PAYLOAD]
    return [payload for payload, _ in fitting], [sender for _, sender in fitting]
