from __future__ import annotations

from twisted.internet.task import Clock

from udprelay.client.outbox import BATCH, BATCH_BYTES, PAUSE, RETRY, Outbox


class Wire:
    def __init__(self) -> None:
        self.clock = Clock()
        self.sent: list[bytes] = []
        self.room = 1_000_000
        self.drained = 0
        self.outbox = Outbox(self.clock, self.transmit, self.note_drained)

    def transmit(self, payload: bytes) -> bool:
        if self.room == 0:
            return False
        self.room -= 1
        self.sent.append(payload)
        return True

    def note_drained(self) -> None:
        self.drained += 1


def test_a_few_are_sent_in_each_turn_in_order() -> None:
    wire = Wire()
    said = [b"%d" % number for number in range(2 * BATCH + 1)]
    for payload in said:
        wire.outbox.put(payload)
    assert wire.sent == []
    wire.clock.advance(0)
    assert wire.sent == said[:BATCH]
    wire.clock.advance(PAUSE)
    assert (wire.sent, wire.drained) == (said[: 2 * BATCH], 0)
    wire.clock.advance(PAUSE)
    assert (wire.sent, wire.drained) == (said, 1)
    assert not wire.outbox


def test_large_ones_are_fewer_in_a_turn() -> None:
    wire = Wire()
    for _ in range(5):
        wire.outbox.put(b"x" * (BATCH_BYTES // 2))
    wire.clock.advance(0)
    assert len(wire.sent) == 2


def test_what_the_kernel_has_no_room_for_is_sent_later_and_once() -> None:
    wire = Wire()
    wire.room = 1
    for payload in (b"one", b"two", b"three"):
        wire.outbox.put(payload)
    wire.clock.advance(0)
    assert wire.sent == [b"one"]
    wire.clock.advance(RETRY)
    assert wire.sent == [b"one"]
    wire.room = 5
    wire.clock.advance(RETRY)
    assert (wire.sent, wire.drained) == ([b"one", b"two", b"three"], 1)


def test_what_is_discarded_is_not_sent() -> None:
    wire = Wire()
    wire.outbox.put(b"one")
    wire.outbox.discard()
    assert wire.clock.getDelayedCalls() == []
    assert not wire.outbox
