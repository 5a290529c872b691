"""Datagrams for single addresses, many of them in one system call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from udprelay.batch_udp.mmsg import HALVES, IOV, IOV_LENGTH, NAME, NAME_LENGTH, WORDS, Memory

MOST = 64
"""Datagrams in one call."""

_SLOT = 1280
# What is longer goes alone: of what a relay says to one address, little is.


class Unicast:
    """
    One ``struct mmsghdr`` for each of up to :data:`MOST` datagrams, with a place for its payload.

    :param name_size: bytes of a socket address of this family.
    :ivar headers: the array, for ``sendmmsg``.
    """

    __slots__ = ("_iov", "_memory", "_name_size", "_names", "_payloads", "headers")

    def __init__(self, name_size: int) -> None:
        self._name_size = name_size
        self._names = Memory(name_size * MOST)
        self._payloads = Memory(_SLOT * MOST)
        self._iov = Memory(16 * MOST)
        self._memory = Memory(8 * WORDS * MOST)
        words, halves = self._memory.words, self._memory.halves
        for i in range(MOST):
            self._iov.words[2 * i] = self._payloads.address + _SLOT * i
            words[WORDS * i + NAME] = self._names.address + name_size * i
            words[WORDS * i + IOV] = self._iov.address + 16 * i
            words[WORDS * i + IOV_LENGTH] = 1
            halves[HALVES * i + NAME_LENGTH] = name_size
        self.headers: Any = self._memory.headers()

    def fill(self, datagrams: Sequence[tuple[bytes, bytes]], start: int) -> int:
        """
        Write headers for datagrams from the one with index ``start`` on.

        :param datagrams: raw socket addresses and payloads.
        :return: how many there are, up to the first that is too long.
        """
        names, payloads, lengths = self._names.view, self._payloads.view, self._iov.words
        size, count = self._name_size, 0
        for name, payload in datagrams[start : start + MOST]:
            length = len(payload)
            if length > _SLOT:
                break
            names[count * size : (count + 1) * size] = name
            payloads[count * _SLOT : count * _SLOT + length] = payload
            lengths[2 * count + 1] = length
            count += 1
        return count
