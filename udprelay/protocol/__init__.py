"""Shared by both halves of the session protocol: codec, keys, seals, nicks, texts, endpoints."""
