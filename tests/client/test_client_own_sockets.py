"""Which addresses of a program are the bridge itself, or the relay."""

from __future__ import annotations

import pytest

from udprelay.client.own_sockets import is_own, is_relay
from udprelay.protocol.endpoint import endpoint

FAR = "192.0.2.7"


@pytest.mark.parametrize(
    ("program", "bound", "own"),
    [
        (("127.0.0.1", 7000), ("127.0.0.1", 7000), True),
        (("127.0.0.1", 7001), ("127.0.0.1", 7000), False),
        (("127.0.0.2", 7000), ("127.0.0.1", 7000), False),
        (("0.0.0.0", 7000), ("127.0.0.1", 7000), True),
        (("::", 7000), ("::1", 7000), True),
        (("127.0.0.1", 7000), ("0.0.0.0", 7000), True),
        (("0.0.0.0", 7000), ("0.0.0.0", 7000), True),
        (("::1", 7000), ("::", 7000), True),
        (("::ffff:127.0.0.1", 7000), ("127.0.0.1", 7000), True),
        ((FAR, 7000), ("0.0.0.0", 7000), False),
        ((FAR, 7000), ("127.0.0.1", 7000), False),
    ],
)
def test_a_bridge_has_the_addresses_that_it_is_bound_to(
    program: tuple[str, int], bound: tuple[str, int], own: bool
) -> None:
    assert is_own(endpoint(*program), endpoint(*bound)) is own


@pytest.mark.parametrize(
    ("program", "relay", "same"),
    [
        (("127.0.0.1", 6000), ("127.0.0.1", 6000), True),
        (("127.0.0.1", 6001), ("127.0.0.1", 6000), False),
        (("::1", 6000), ("127.0.0.1", 6000), True),
        (("0.0.0.0", 6000), ("127.0.0.1", 6000), True),
        (("127.0.0.1", 6000), ("0.0.0.0", 6000), True),
        (("::ffff:127.0.0.1", 6000), ("127.0.0.1", 6000), True),
        ((FAR, 6000), (FAR, 6000), True),
        (("127.0.0.1", 6000), (FAR, 6000), False),
        ((FAR, 6000), ("127.0.0.1", 6000), False),
    ],
)
def test_a_relay_here_has_all_addresses_of_the_machine(
    program: tuple[str, int], relay: tuple[str, int], same: bool
) -> None:
    assert is_relay(endpoint(*program), endpoint(*relay)) is same
