"""Standard input cut into lines, in bounded memory."""

from __future__ import annotations

from attrs import frozen


@frozen
class Line:
    """
    One line of input.

    :param number: counted from 1.
    :param length: bytes, without the line break.
    :param content: the bytes, without the line break; ``None`` if there were too many.
    """

    number: int
    length: int
    content: bytes | None


class LineSplitter:
    """
    Cuts chunks into lines that end with ``\\n`` or ``\\r\\n``.

    A longer line than ``longest`` is counted and skipped; the lines after it are not harmed.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._number = 0
        self._held = bytearray()
        self._length = 0
        self._last = b""

    def feed(self, chunk: bytes) -> list[Line]:
        """Return the lines that end in this chunk."""
        *ended, rest = chunk.split(b"\n")
        lines = []
        for piece in ended:
            self._hold(piece)
            lines.append(self._take(1 if self._last == b"\r" else 0))
        self._hold(rest)
        return lines

    def end(self) -> list[Line]:
        """Return the last line if it had no line break."""
        return [self._take(0)] if self._length else []

    def _hold(self, piece: bytes) -> None:
        if not piece:
            return
        self._length += len(piece)
        self._last = piece[-1:]
        # One more byte than a line may have, for the \r that may be part of its end.
        if self._length <= self._longest + 1:
            self._held += piece
        else:
            self._held.clear()

    def _take(self, line_break: int) -> Line:
        self._number += 1
        length = self._length - line_break
        content = bytes(self._held[:length]) if length <= self._longest else None
        self._held.clear()
        self._length = 0
        self._last = b""
        return Line(self._number, length, content)
