"""A monotonic clock that a test advances."""

from __future__ import annotations

from twisted.internet.task import Clock
from zope.interface import implementer

from udprelay.clock import IMonotonicTime


@implementer(IMonotonicTime)
class ManualClock(Clock):
    """Twisted's clock for tests, in the place of a reactor or its clock."""
