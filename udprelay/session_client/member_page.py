"""A part of the roster, as the relay has told it."""

from __future__ import annotations

from attrs import frozen

from udprelay.session_client.known_member import KnownMember


@frozen
class Page:
    """
    The members with numbers from ``first`` on, as it was at one room sequence.

    :param newest: that room sequence.
    :param members: by number, with the last reliable own sequence of each.
    :param more_from: the number from which on it tells nothing; None if there is none.
    :param first_round: nothing was known of most of them.
    """

    first: int
    newest: int
    members: dict[int, tuple[KnownMember, int]]
    more_from: int | None
    first_round: bool

    def lacks(self, number: int) -> bool:
        """Return whether a member with this number would be in it, and there is none."""
        ends = self.more_from is not None and number >= self.more_from
        return self.first <= number and not ends and number not in self.members
