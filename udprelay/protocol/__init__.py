"""What both halves of the session protocol share: codec, keys, seals, nicks, texts, endpoints."""
