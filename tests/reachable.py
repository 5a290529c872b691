"""The memory that can be reached from an object, whatever its attributes are called."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from enum import Enum
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    ModuleType,
)
from typing import Any, NamedTuple

from udprelay.protocol.token_bucket import TokenBucket

_CODE = (
    type,
    ModuleType,
    FunctionType,
    BuiltinFunctionType,
    CodeType,
    FrameType,
    GetSetDescriptorType,
    MemberDescriptorType,
    Enum,
    property,
    staticmethod,
    classmethod,
)
# They have a constant size: a table of them that grows is seen by the size of its container.
# Without them, a table of fixed length has the same footprint empty and full.
_SCALARS = (int, float, bool, type(None), TokenBucket)
_PURE = ("udprelay.relay", "udprelay.protocol", "udprelay.segments")


class Footprint(NamedTuple):
    """
    The memory of all objects that are reachable.

    :param objects: their number, without scalars, classes, functions and modules.
    :param size: their bytes.
    """

    objects: int
    size: int


def footprint(*roots: object, without: Sequence[object] = ()) -> Footprint:
    """Return the memory that is reachable from some objects, but not through others."""
    found = _reachable(*roots, without=without)
    return Footprint(len(found), sum(map(sys.getsizeof, found)))


def instances(kinds: type | tuple[type, ...], *roots: object) -> list[Any]:
    """Return the objects of some classes that are reachable from others."""
    return [one for one in _reachable(*roots) if isinstance(one, kinds)]


def _reachable(*roots: object, without: Sequence[object] = ()) -> list[Any]:
    pending: list[Any] = [*roots]
    # The objects themselves: their ids are unique only while they exist.
    found: dict[int, Any] = {id(one): one for one in (pending, *without)}
    passed = len(found)
    while pending:
        one = pending.pop()
        if isinstance(one, (*_SCALARS, *_CODE)) or id(one) in found:
            continue
        found[id(one)] = one
        pending += gc.get_referents(one)
    return list(found.values())[passed:]


def module_state() -> list[object]:
    """Return the values in the modules and classes of the pure layers."""
    state: list[object] = []
    for name, module in sys.modules.items():
        if name.startswith(_PURE):
            for value in vars(module).values():
                is_own_class = isinstance(value, type) and value.__module__ == name
                state += vars(value).values() if is_own_class else [value]
    return state


def growth(before: Footprint, after: Footprint) -> Footprint:
    """Return how much more memory there is."""
    return Footprint(after.objects - before.objects, after.size - before.size)
