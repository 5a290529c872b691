"""The datagrams of the session protocol, as in ``docs/protocol.rst``."""
