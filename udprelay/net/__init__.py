"""The relay's sockets, look-ups and clock."""
