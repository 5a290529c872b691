"""From what members send to the deliveries of one batch, a fan-out for each room."""

from __future__ import annotations

from collections.abc import Sequence

from udprelay.protocol.endpoint import MAX_PAYLOAD
from udprelay.protocol.text import is_one_line, printable_payload, with_label
from udprelay.protocol.wire.header import RELIABLE, RESUBMITTED
from udprelay.relay import events
from udprelay.relay.drops import DropReason
from udprelay.relay.loops import Loops
from udprelay.relay.output import Output
from udprelay.relay.room import Group, Listener, Member, Rendering, Room
from udprelay.relay.rules import Label
from udprelay.segments import Run, Segments


class FanOut:
    """
    A room's deliveries of one batch: every payload to every member but its sender.

    Valid until the hub is called again: members are not copied.

    :ivar runs: what members have sent, as it was received, in order.
    :ivar framed: the runs as session members get them, entries included.
    :ivar groups: the groups to deliver to, each with the number of its first members that were
        in the room when the runs were received.
    """

    __slots__ = ("_bare", "_labelled", "framed", "groups", "room", "runs")

    def __init__(self, room: Room, framed: Sequence[Run] | None = None) -> None:
        self.room = room
        self.runs: list[Run] = []
        self.framed = framed
        self.groups: Sequence[tuple[Group, int]] = ()
        self._bare: Sequence[Run] | None = None
        self._labelled: Sequence[Run] | None = None

    def seal(self, listener: Listener | None, now: float) -> int:
        """
        Fix the receivers to those in the room now, and count what was received.

        :param listener: which has received the payloads.
        :return: how many payloads are too long with a label.
        """
        room, count, size = self.room, 0, 0
        for _, segments, _ in self.runs:
            count += segments.count
            size += len(segments.data)
        if room.log is None:
            self._bare = self.runs
        else:
            size -= sum([segments.count * sender.overhead for sender, segments, _ in self.runs])
            if self.framed is None:
                self.framed = room.log.frame(self.runs, now)
        room.datagrams += count
        room.bytes += size
        if listener is not None:
            listener.datagrams += count
            listener.bytes += size
        self.groups = [(g, len(g.members)) for g in room.groups.values() if g.members]
        if room.rules.label is not Label.NICK:
            return 0
        return _count(self.rendered(Rendering.BARE)) - _count(self.rendered(Rendering.LABELLED))

    def rendered(self, rendering: Rendering) -> Sequence[Run]:
        """Return the runs in the form in which some members get them."""
        if rendering is Rendering.FRAMED:
            return self.framed or ()
        if self._bare is None:
            self._bare = _bare(self.runs)
        if rendering is Rendering.BARE:
            return self._bare
        if self._labelled is None:
            self._labelled = _labelled(self._bare)
        return self._labelled


def _count(runs: Sequence[Run]) -> int:
    return sum([segments.count for _, segments, _ in runs])


def _bare(runs: Sequence[Run]) -> list[Run]:
    """Return payloads alone, without what may have been delivered already."""
    return [
        (sender, segments.with_prefix(b"", sender.overhead), flags)
        for sender, segments, flags in runs
        if not flags & RESUBMITTED
    ]


def _labelled(runs: Sequence[Run]) -> list[Run]:
    """Return texts behind the names of their senders, without those that become too long."""
    labelled: list[Run] = []
    for sender, segments, flags in runs:
        label = f"{sender.name}: ".encode()
        fits = segments.size + len(label) <= MAX_PAYLOAD
        if fits and is_one_line(segments.data, segments.size):
            labelled.append((sender, segments.with_prefix(label, 0), flags))
            continue
        for payload in segments:
            text = with_label(payload, label, MAX_PAYLOAD)
            if text is not None:
                labelled.append((sender, Segments(text, len(text)), flags))
    return labelled


class FanOutBatch:
    """
    Collects what a batch has for each room in one fan-out, and seals them at its end.

    :param log_payloads: whether each payload has an event.
    :ivar collected: the fan-outs of this batch, sealed or not.
    """

    def __init__(self, output: Output, loops: Loops, log_payloads: bool) -> None:
        self._output = output
        self._loops, self._watch = loops, loops.watch
        self._log_payloads = log_payloads
        self._opened: dict[Room, FanOut] = {}
        self.collected: list[FanOut] = []

    def open(self, room: Room) -> FanOut:
        """Return the fan-out of this batch for a room."""
        fan_out = self._opened.get(room)
        if fan_out is None:
            fan_out = self._opened[room] = FanOut(room)
            self.collected.append(fan_out)
        return fan_out

    def add(self, sender: Member, segments: Segments, flags: int = RELIABLE) -> None:
        """Add what a member has sent, as it was received."""
        fan_out = self._opened.get(sender.room) or self.open(sender.room)
        fan_out.runs.append((sender, segments, flags))

    def seal_room(self, room: Room, listener: Listener, now: float) -> None:
        """Seal the fan-out of a room, if there is one: a member is about to join."""
        fan_out = self._opened.pop(room, None)
        if fan_out is not None:
            if self._loops.trial is not None:
                self._loops.look({room: fan_out}, now)
            self._report(fan_out, listener, fan_out.seal(listener, now), now)

    def add_late(self, runs: list[Run], now: float) -> None:
        """Add what members of one room have sent, and what was held back until now."""
        fan_out = FanOut(runs[0][0].room)
        fan_out.runs = runs
        self.collected.append(fan_out)
        for sender, segments, _ in runs:
            listener = sender.listener
            if listener is not None:
                listener.datagrams += segments.count
                listener.bytes += len(segments.data) - segments.count * sender.overhead
        self._report(fan_out, None, fan_out.seal(None, now), now)

    def finish(
        self, listener: Listener | None, now: float, with_entries: Sequence[Room] = ()
    ) -> list[FanOut]:
        """
        Seal and return the fan-outs of this batch.

        :param with_entries: rooms that have something for their session members alone.
        """
        watch = self._watch
        if watch.skipped:
            watch.skipped -= 1
        elif self._opened:
            self._loops.look(self._opened, now)
        for room in with_entries:
            if room.log is not None and room.log.entries:
                self.open(room)
        opened, fan_outs = self._opened, self.collected
        self._opened, self.collected = {}, []
        for fan_out in opened.values():
            too_long = fan_out.seal(listener, now)
            if too_long or self._log_payloads:
                self._report(fan_out, listener, too_long, now)
        return fan_outs

    def _report(
        self, fan_out: FanOut, listener: Listener | None, too_long: int, now: float
    ) -> None:
        if too_long:
            name = listener.name if listener is not None else ""
            self._output.drop(name, fan_out.room.name, DropReason.TOO_LONG, now, too_long)
        if not self._log_payloads:
            return
        for sender, segments, _ in fan_out.rendered(Rendering.BARE):
            for payload in segments:
                self._output.emit(
                    events.DatagramRelayed(
                        room=fan_out.room.name,
                        member=sender.name,
                        address=sender.address,
                        bytes=len(payload),
                        payload=printable_payload(payload),
                    )
                )
