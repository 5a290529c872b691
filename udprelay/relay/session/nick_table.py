"""Whose nicks are whose in a room."""

from __future__ import annotations

from udprelay.protocol.nick import comparable


class NickTable:
    """The nicks of a room's members by the form in which they are compared (RFC 8266, 2.4)."""

    __slots__ = ("_forms", "_numbers")

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._forms: dict[int, str] = {}

    def holder(self, nick: str) -> int | None:
        """
        Return the number of the member that has ``nick``, or one that compares as equal.

        :param nick: as :func:`~udprelay.protocol.nick.normalise` returned it.
        """
        return self._numbers.get(comparable(nick))

    def claim(self, nick: str, number: int) -> bool:
        """
        Give ``nick`` to a member, in place of the one it has, unless somebody else has it.

        :param nick: as :func:`~udprelay.protocol.nick.normalise` returned it.
        :return: whether the member has it now.
        """
        form = comparable(nick)
        if self._numbers.get(form, number) != number:
            return False
        self.release(number)
        self._numbers[form] = number
        self._forms[number] = form
        return True

    def release(self, number: int) -> None:
        """Free the nick of a member, if it has one."""
        form = self._forms.pop(number, None)
        if form is not None:
            del self._numbers[form]
