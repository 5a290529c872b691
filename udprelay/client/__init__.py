"""``udprelay-client``: the command-line member of a room."""
