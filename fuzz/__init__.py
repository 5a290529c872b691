"""Inputs that nobody would send, for the parts that strangers can reach."""
