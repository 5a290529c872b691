"""Twisted's look-up of names, in threads that a stopping process does not wait for."""

from __future__ import annotations

from threading import Thread
from typing import Any

from twisted.internet._resolver import GAIResolver
from twisted.python.threadpool import ThreadPool


class _LookUp(Thread):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, daemon=True)


class _LookUps(ThreadPool):
    threadFactory = _LookUp


def let_look_ups_hang(reactor: Any) -> None:
    """
    Give the reactor a name resolver with threads of its own.

    The C library's look-up can't be cancelled and may take half a minute. The reactor's own
    threads are joined when it stops; these are left behind.
    """
    pool = _LookUps(minthreads=0, maxthreads=4, name="look-ups")
    pool.start()
    reactor.installNameResolver(GAIResolver(reactor, lambda: pool))
