import os
import sys

import pytest
from hypothesis import HealthCheck, settings

from left_behind import handle_ignored_signals, logged_errors, nothing_left_behind
from time_of_day import jump, set_time_of_day

# No test depends on the speed of the machine.
settings.register_profile(
    "any speed",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=int(os.environ.get("UDPRELAY_EXAMPLES", 100)),
)
settings.load_profile("any speed")
handle_ignored_signals()
# Without bytecode, each of the hundreds of processes would compile all modules again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

__all__ = ["jump", "logged_errors", "nothing_left_behind", "set_time_of_day"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Put the tests first that may take longest, by their markers: among them all system tests.

    A process gets its next test when it ends one, so that in the end none waits for a long one.
    While the first one installs the wheel, for which all system tests wait, the others simulate.
    """

    def rank(item: pytest.Item) -> tuple[bool, float]:
        marker = item.get_closest_marker("timeout")
        return "simulation" not in item.path.parts, -float(marker.args[0]) if marker else 0.0

    # Among equals, the shuffled order stays.
    items.sort(key=rank)
    first = next((item for item in items if item.get_closest_marker("timeout")), None)
    if first is not None:
        items.remove(first)
        items.insert(0, first)
