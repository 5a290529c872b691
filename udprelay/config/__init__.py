"""From an INI file and command-line flags to one frozen :class:`Config`."""

from udprelay.config.config import Config, console_room
from udprelay.config.loader import load
from udprelay.config.machine_checks import log_file_problem
from udprelay.config.options import LogFormat, LogRules
from udprelay.config.problems import ConfigError, Problem

__all__ = [
    "Config",
    "ConfigError",
    "LogFormat",
    "LogRules",
    "Problem",
    "console_room",
    "load",
    "log_file_problem",
]
