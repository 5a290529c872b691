from __future__ import annotations

import pytest

from udprelay.config.overlap import overlaps
from udprelay.relay.rules import ListenerRules


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("::", "::", True),
        ("::", "0.0.0.0", True),
        ("::", "127.0.0.1", True),
        ("::", "::1", True),
        ("0.0.0.0", "0.0.0.0", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("0.0.0.0", "::1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "::1", False),
        ("::1", "2001:db8::1", False),
    ],
)
def test_two_interfaces_on_one_port(first: str, second: str, shared: bool) -> None:
    for a, b in ((first, second), (second, first)):
        listeners = {"a": ListenerRules(interface=a), "b": ListenerRules(interface=b)}
        assert [names[:2] for names in overlaps(listeners)] == [("a", "b")] * shared


def test_different_ports_never_overlap() -> None:
    assert not [*overlaps({"a": ListenerRules(port=1), "b": ListenerRules(port=2)})]


def test_any_free_port_is_always_another_one() -> None:
    assert not [*overlaps({"a": ListenerRules(port=0), "b": ListenerRules(port=0)})]


def test_each_pair_is_named() -> None:
    listeners = {name: ListenerRules() for name in "abc"}
    pairs = [(a, b) for a, b, _ in overlaps(listeners)]
    assert pairs == [("a", "b"), ("a", "c"), ("b", "c")]
