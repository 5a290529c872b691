"""The log: the relay's events, and warnings and errors of others, as text or as JSON."""

from udprelay.logs.log import EventLog, Log, open_log, open_twistd_log

__all__ = ["EventLog", "Log", "open_log", "open_twistd_log"]
