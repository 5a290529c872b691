"""udprelay: the relay that makes a group of UDP programs, and its client."""

__version__ = "0.1.0"
