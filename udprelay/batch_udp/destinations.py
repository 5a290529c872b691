"""Message headers for the members of a group: written when members change, used for each send."""

from __future__ import annotations

from array import array

from udprelay.batch_udp.interfaces import Recipient, RecipientGroup
from udprelay.batch_udp.mmsg import CONTROL, CONTROL_LENGTH, IOV, IOV_LENGTH, NAME, WORDS, Headers


class Destinations:
    """
    One ``struct mmsghdr`` for each member of a group, in slot order.

    All headers point at one shared payload. The header of a member that must get other data is
    patched before a send and restored after it.

    :param name_size: bytes of a socket address of this family.
    :param iov: the address of the shared ``struct iovec``.
    :param control: the address of the shared control message.
    :ivar name_pointers: the address field of each header, by slot.
    :ivar control_length: bytes of the control message of every header; 0 is none.
    :ivar unsegmented: members that cannot be sent messages of many datagrams.
    """

    def __init__(self, name_size: int, iov: int, control: int) -> None:
        self._name_size = name_size
        self._iov = iov
        self._control = control
        self.unsegmented: set[Recipient] = set()
        self._allocate(8)

    def _allocate(self, capacity: int) -> None:
        self._capacity = capacity
        self._memory = Headers(capacity, self._name_size)
        self._memory.fill(IOV, [self._iov] * capacity)
        self._memory.fill(CONTROL, [self._control] * capacity)
        self.headers = self._memory.array
        self.name_pointers = self._memory.words[NAME::WORDS]
        self.control_length = 0

    def update(self, group: RecipientGroup) -> None:
        """Write the addresses of the members in changed slots."""
        members, size = group.members, self._name_size
        if len(members) > self._capacity:
            self._allocate(max(len(members), 2 * self._capacity))
            group.changed.update(range(len(members)))
        view = self._memory.names.view
        for slot in group.changed:
            if slot < len(members):
                view[slot * size : (slot + 1) * size] = members[slot].source
        group.changed.clear()
        self.unsegmented = {member for member in self.unsegmented if member.group is group}

    def set_control_length(self, length: int) -> None:
        """Attach ``length`` bytes of the shared control message to every header."""
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
