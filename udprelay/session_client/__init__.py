"""The client's half of the session protocol, without input and output."""
