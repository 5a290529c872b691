"""A UDP port for Twisted that moves many datagrams in one system call."""
