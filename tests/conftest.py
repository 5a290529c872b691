import os
import sys

from hypothesis import HealthCheck, settings

from left_behind import handle_ignored_signals, logged_errors, nothing_left_behind
from time_of_day import jump, set_time_of_day

# No test depends on the speed of the machine.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")
handle_ignored_signals()
# Without bytecode, each of the hundreds of processes would compile all modules again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

__all__ = ["jump", "logged_errors", "nothing_left_behind", "set_time_of_day"]
