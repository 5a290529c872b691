"""How fast the relay is, beside others that do the same: ``python -m bench``."""
