"""Message headers for the members of a group: written when members change, used for each send."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from udprelay.batch_udp.apart import Apart
from udprelay.batch_udp.interfaces import Recipient, RecipientGroup
from udprelay.batch_udp.layout import Layout
from udprelay.batch_udp.mmsg import (
    CONTROL,
    CONTROL_LENGTH,
    IOV,
    IOV_LENGTH,
    NAME,
    WORDS,
    Headers,
    Memory,
)


class Destinations:
    """
    One ``struct mmsghdr`` for each member of a group, in slot order.

    All headers point at one shared payload. The header of a member that must get other data is
    patched before a send and restored after it. Members that have asked one local address share
    its control messages, so that a send costs no more than with one.

    :param iov: the address of the shared ``struct iovec``.
    :ivar name_pointers: the address field of each header, by slot.
    :ivar control_pointers: its field for control messages.
    :ivar several_locals: whether these fields may differ.
    :ivar checked: the local addresses that may be gone, by these fields.
    :ivar plain: bytes of the control messages of a single datagram.
    :ivar segmented: bytes of those with the size of segments.
    :ivar unsegmented: members that cannot be sent messages of many datagrams.
    :ivar apart: members that are not sent to like the others; None in fair weather.
    """

    def __init__(self, layout: Layout, iov: int) -> None:
        self._layout = layout
        self._iov = iov
        self.plain = layout.control_length
        self.segmented = len(layout.control)
        self.several_locals = False
        self.unsegmented: set[Recipient] = set()
        self.apart: Apart | None = None
        self._allocate(8)
        self._allocate_controls(2)

    def _allocate(self, capacity: int) -> None:
        self._capacity = capacity
        self._memory = Headers(capacity, self._layout.name_size)
        self._memory.fill(IOV, [self._iov] * capacity)
        self._memory.fill(CONTROL_LENGTH, [self.plain] * capacity)
        self.headers = self._memory.array
        self.name_pointers = self._memory.words[NAME::WORDS]
        self.control_pointers = self._memory.words[CONTROL::WORDS]
        self.control_length = self.plain

    def _allocate_controls(self, capacity: int) -> None:
        controls = self._controls = Memory(self.segmented * capacity)
        controls.view[:] = self._layout.control * capacity
        # The last 8 bytes of each begin with the size of segments (udp(7)).
        shorts = controls.view.cast("H")
        self._segment_sizes = shorts[self.segmented // 2 - 4 :: self.segmented // 2]
        self._control_of: dict[bytes, int] = {}
        self.checked: dict[int, bytes] = {}

    def update(self, group: RecipientGroup) -> None:
        """Write the addresses of the members in changed slots."""
        members, size, local_of = group.members, self._layout.name_size, self._layout.local_or_any
        if len(members) > self._capacity:
            self._allocate(max(len(members), 2 * self._capacity))
            group.changed.update(range(len(members)))
        view = self._memory.names.view
        for slot in group.changed:
            if slot < len(members):
                source = members[slot].source
                view[slot * size : (slot + 1) * size] = source[:size]
                local = local_of(source)
                if local not in self._control_of:
                    self._add_control(local, members)
                self.control_pointers[slot] = self._control_of[local]
        group.changed.clear()
        self.several_locals = len(self._control_of) > 1
        self.unsegmented = {member for member in self.unsegmented if member.group is group}

    def _add_control(self, local: bytes, members: Sequence[Recipient]) -> None:
        """Add control messages with a local address; forget those of members that have left."""
        if len(self._control_of) < len(self._segment_sizes):
            self._write_control(local)
            return
        every = [self._layout.local_or_any(member.source) for member in members]
        # So seldom that it costs each new address little, however many members there are.
        self._allocate_controls(max(2 * len(set(every)), len(members) // 8))
        for one in dict.fromkeys(every):
            self._write_control(one)
        pointers = array("Q", [self._control_of[one] for one in every])
        self.control_pointers[: len(members)] = memoryview(pointers)

    def _write_control(self, local: bytes) -> None:
        offset = self.segmented * len(self._control_of)
        self._control_of[local] = self._controls.address + offset
        self._set_local(self._controls.address + offset, local)

    def _set_local(self, pointer: int, local: bytes) -> None:
        offset, part = pointer - self._controls.address, self._layout.local
        self._controls.view[offset + part.start : offset + part.stop] = local

    def forget_local(self, slot: int) -> bool:
        """
        Let the kernel choose the local address for all members with that of one, if it is gone.

        :return: whether it is gone, and this was not known.
        """
        pointer = self.control_pointers[slot]
        if pointer in self.checked:
            return False
        local = next(one for one, at in self._control_of.items() if at == pointer)
        gone = not self._layout.is_assigned(local)
        self.checked[pointer] = local
        if gone:
            self._set_local(pointer, self._layout.any_like(local))
        return gone

    def restore_locals(self) -> None:
        """Send from all local addresses again: they may be back."""
        for pointer, local in self.checked.items():
            self._set_local(pointer, local)
        self.checked.clear()

    def request_segments(self, size: int) -> None:
        """Ask for datagrams of ``size`` bytes in every header."""
        self.set_control_length(self.segmented)
        sizes = self._segment_sizes
        if sizes[0] != size:
            sizes[:] = memoryview(array("H", [size]) * len(sizes))

    def set_control_length(self, length: int) -> None:
        """Attach ``length`` bytes of the control messages to every header."""
        if length != self.control_length:
            column = memoryview(array("Q", [length]) * self._capacity)
            self._memory.words[CONTROL_LENGTH::WORDS] = column
            self.control_length = length

    def patch(self, slot: int, iov: int, pieces: int, control_length: int) -> None:
        """Point one member's header at its own pieces of the payload."""
        first = slot * WORDS
        words = self._memory.words
        words[first + IOV] = iov
        words[first + IOV_LENGTH] = pieces
        words[first + CONTROL_LENGTH] = control_length

    def has_pieces(self, slot: int) -> bool:
        """Return whether one member's header points at anything."""
        return bool(self._memory.words[slot * WORDS + IOV_LENGTH])

    def restore(self, slot: int) -> None:
        """Point one member's header at the shared payload again."""
        self.patch(slot, self._iov, 1, self.control_length)

    def unsegmented_slots(self, start: int, end: int) -> list[int]:
        """Return the slots of unsegmented members in a range, in order."""
        return sorted(m.slot for m in self.unsegmented if start <= m.slot < end)
