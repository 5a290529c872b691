"""Where each value has been set, and all that is wrong with the values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from udprelay.config.ini import Section
from udprelay.config.problems import Problem, is_secret, quotable

ALL_ROOMS = "room:*"
"""The section that other rooms inherit from."""


@frozen
class Item:
    """
    A value, or an item of a list, as it was set.

    :param flag: the name of its flag; empty if it is from the file.
    """

    value: Any
    text: str
    line: int
    flag: str = ""


At = tuple[str, str]
"""A section and an option in it."""


@frozen
class Report:
    """
    Mistakes, which refuse a configuration, and warnings, each at the place of its cause.

    :ivar given: the items of each option that the file or a flag sets.
    """

    file: str
    sections: Mapping[str, Section]
    problems: list[Problem]
    warnings: list[Problem] = field(factory=list)
    given: dict[At, Sequence[Item]] = field(factory=dict)
    _invalid: set[At] = field(factory=set)

    def add(self, line: int, what: str, why: str) -> None:
        """Add a mistake at a line."""
        self.problems.append(Problem(self.file, line, what, why))

    def invalid(self, at: At, item: Item, why: str) -> None:
        """Add a mistake in the text of a value."""
        self._invalid.add(at)
        if not is_secret(at[1]):
            # Messages about a secret do not quote it; those about others may contain one.
            why = quotable(why)
        self.problems.append(self._problem(at, [item], why))

    def valid(self, *options: At) -> bool:
        """Return whether none of these options was set, or inherited, with an invalid value."""
        inherited = {_inherited(at) for at in options if at not in self.given}
        return self._invalid.isdisjoint(inherited.union(options))

    def is_set(self, at: At) -> bool:
        """Return whether an option is set for this section itself."""
        return at in self.given

    def by_flag(self, at: At) -> bool:
        """Return whether a flag sets an option."""
        return any(item.flag for item in self.given.get(at, ()))

    def error(
        self, why: str, *options: At, of: Sequence[At] | None = None, item: object = None
    ) -> None:
        """
        Add that options cannot work together, unless one of them is invalid itself.

        :param options: the first that is set, if need be for all rooms, is the place.
        :param of: what it depends on; by default ``options``.
        :param item: the value in a list that is the cause; the others do not matter.
        """
        self._add(self.problems, why, options, of, item)

    def warn(
        self, why: str, *options: At, of: Sequence[At] | None = None, item: object = None
    ) -> None:
        """Add that options may not work, or have no effect; otherwise like :meth:`error`."""
        self._add(self.warnings, why, options, of, item)

    def _add(
        self,
        found: list[Problem],
        why: str,
        options: Sequence[At],
        of: Sequence[At] | None,
        item: object,
    ) -> None:
        depends = options if of is None and item is None else of or ()
        problem = self._place(options, item, why)
        # Rooms share what is wrong with the defaults of all rooms.
        if self.valid(*depends) and problem not in found:
            found.append(problem)

    def _place(self, options: Sequence[At], value: object, why: str) -> Problem:
        for at in (*options, *map(_inherited, options)):
            if items := self.given.get(at):
                found = [one for one in items if one.value == value]
                return self._problem(at, found or items, why)
        section = options[0][0]
        line = self.sections[section].line if section in self.sections else 0
        return Problem(self.file, line, f"[{section}]", why)

    def _problem(self, at: At, items: Sequence[Item], why: str) -> Problem:
        text = quotable(", ".join(item.text for item in items))
        if items[0].flag:
            return Problem("", 0, f"--{items[0].flag} {text}", why)
        value = "" if is_secret(at[1]) else f" = {text}"
        return Problem(self.file, items[0].line, f"[{at[0]}] {at[1]}{value}", why)


def _inherited(at: At) -> At:
    return (ALL_ROOMS, at[1]) if at[0].startswith("room:") else at
