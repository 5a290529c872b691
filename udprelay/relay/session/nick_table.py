"""The members of a room by nick."""

from __future__ import annotations

from udprelay.protocol.nick import comparable


class NickTable:
    """
    The nicks of a room's members in the form in which they are compared (RFC 8266, 2.4).

    Nicks are passed as :func:`~udprelay.protocol.nick.normalise` returns them.
    """

    __slots__ = ("_forms", "_numbers")

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._forms: dict[int, str] = {}

    def holder(self, nick: str) -> int | None:
        """Return the number of the member with this nick, or with one that compares equal."""
        return self._numbers.get(comparable(nick))

    def claim(self, nick: str, number: int) -> None:
        """Give ``nick`` to a member, instead of the one it has, unless another member has it."""
        form = comparable(nick)
        if self._numbers.get(form, number) != number:
            return
        self.release(number)
        self._numbers[form] = number
        self._forms[number] = form

    def release(self, number: int) -> None:
        """Free the nick of a member, if it has one."""
        form = self._forms.pop(number, None)
        if form is not None:
            del self._numbers[form]
