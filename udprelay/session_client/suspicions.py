"""What a client with a passphrase distrusts, told seldom enough to be read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from attrs import define

from udprelay.session_client.events import Distrusted, Event

INTERVAL = 10.0
_MOST = 1024

UNSEALED = "unsealed"
SEAL = "seal"
REPEATED = "repeated"
BADGE = "badge"
WITHHELD = "withheld"


@define
class _Told:
    since: float
    nick: str | None
    untold: int = 0


class Suspicions:
    """
    Tells of each reason and member at once, and then every 10 s how often it was.

    :param tell: takes events.
    """

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        # In the order in which their intervals end.
        self._told: OrderedDict[tuple[str, int], _Told] = OrderedDict()

    def note(self, reason: str, number: int, nick: str | None, now: float, count: int = 1) -> None:
        """
        Note something.

        :param number: of the member that the relay calls the sender.
        :param nick: its nick; None if it is not known.
        """
        self.expire(now)
        told = self._told.get((reason, number))
        if told is not None:
            told.untold += count
            return
        if len(self._told) >= _MOST:
            self._end_first(now)
        self._begin(reason, number, nick, count, now)

    @property
    def deadline(self) -> float | None:
        """When :meth:`expire` should be called next."""
        for told in self._told.values():
            return told.since + INTERVAL
        return None

    def expire(self, now: float) -> None:
        """Tell what was noted since it was told last, if that is long enough ago."""
        while self._told and next(iter(self._told.values())).since + INTERVAL <= now:
            self._end_first(now)

    def _end_first(self, now: float) -> None:
        (reason, number), told = self._told.popitem(last=False)
        if told.untold:
            self._begin(reason, number, told.nick, told.untold, now)

    def _begin(self, reason: str, number: int, nick: str | None, count: int, now: float) -> None:
        self._tell(Distrusted(reason, number, nick, count))
        self._told[reason, number] = _Told(now, nick)
