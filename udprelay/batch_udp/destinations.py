"""The message headers for a group's members: written when members change, used for each send."""

from __future__ import annotations

from array import array

from udprelay.batch_udp.mmsg import (
    CONTROL,
    CONTROL_LENGTH,
    HALVES,
    IOV,
    IOV_LENGTH,
    NAME,
    NAME_LENGTH,
    WORDS,
    Memory,
)
from udprelay.relay.room import Group, Member


class Destinations:
    """
    One ``struct mmsghdr`` for each member of a group, in slot order.

    All of them point at one shared payload; a member that must get something else is patched
    before a send and restored after it.

    :param name_size: bytes of a socket address of this family.
    :param iov: the address of the shared ``struct iovec``.
    :param control: the address of the shared control message.
    :ivar name_pointers: where the header of each slot has its address from.
    :ivar control_length: of every header now; 0 is none.
    :ivar unsegmented: members that messages of many datagrams can't be sent to.
    """

    __slots__ = (
        "_control",
        "_iov",
        "_name_size",
        "capacity",
        "control_length",
        "headers",
        "memory",
        "name_pointers",
        "names",
        "unsegmented",
    )

    def __init__(self, name_size: int, iov: int, control: int) -> None:
        self._name_size = name_size
        self._iov = iov
        self._control = control
        self.unsegmented: set[Member] = set()
        self._allocate(8)

    def _allocate(self, capacity: int) -> None:
        size = self._name_size
        self.capacity = capacity
        self.names = Memory(size * capacity)
        self.memory = Memory(8 * WORDS * capacity)
        self.headers = self.memory.headers()
        first = self.names.address
        names = array("Q", range(first, first + size * capacity, size))
        words = self.memory.words
        self.name_pointers = words[NAME::WORDS]
        self.name_pointers[:] = memoryview(names)
        words[IOV::WORDS] = memoryview(array("Q", [self._iov]) * capacity)
        words[IOV_LENGTH::WORDS] = memoryview(array("Q", [1]) * capacity)
        words[CONTROL::WORDS] = memoryview(array("Q", [self._control]) * capacity)
        self.memory.halves[NAME_LENGTH::HALVES] = memoryview(array("I", [size]) * capacity)
        self.control_length = 0

    def update(self, group: Group) -> None:
        """Write the addresses of the members that are new or have moved to another slot."""
        members, size = group.members, self._name_size
        if len(members) > self.capacity:
            self._allocate(max(len(members), 2 * self.capacity))
            group.changed.update(range(len(members)))
        view = self.names.view
        for slot in group.changed:
            if slot < len(members):
                view[slot * size : (slot + 1) * size] = members[slot].source
        group.changed.clear()
        self.unsegmented = {member for member in self.unsegmented if member.slot >= 0}

    def set_control_length(self, length: int) -> None:
        """Attach the shared control message to every header, or take it off."""
        if length != self.control_length:
            column = memoryview(array("Q", [length]) * self.capacity)
            self.memory.words[CONTROL_LENGTH::WORDS] = column
            self.control_length = length

    def patch(self, slot: int, iov: int, pieces: int, control_length: int) -> None:
        """Let one member's header point at its own pieces of the payload."""
        first = slot * WORDS
        words = self.memory.words
        words[first + IOV] = iov
        words[first + IOV_LENGTH] = pieces
        words[first + CONTROL_LENGTH] = control_length

    def restore(self, slot: int) -> None:
        """Let one member's header point at the shared payload again."""
        self.patch(slot, self._iov, 1, self.control_length)

    def unsegmented_slots(self, start: int, end: int) -> list[int]:
        """Return the slots in that range of members that can't be sent segments, in order."""
        return sorted(m.slot for m in self.unsegmented if start <= m.slot < end)
