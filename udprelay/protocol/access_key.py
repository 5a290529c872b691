"""The access key of a room in the configuration."""

from __future__ import annotations

import re

from attrs import field, frozen

from udprelay.protocol.keys import derive

_FORM = re.compile(r"([0-9a-f]{32}):([0-9a-f]{64})", re.IGNORECASE)


@frozen
class AccessKey:
    """
    The part of a room's keys that the relay has: it verifies proofs, but opens no seals.

    :param salt: 16 bytes, public.
    :param key: 32 bytes, secret.
    """

    salt: bytes = field(repr=False)
    key: bytes = field(repr=False)

    @classmethod
    def make(cls, passphrase: str, salt: bytes) -> AccessKey:
        """
        Derive the access key from a passphrase; as slow as :func:`~udprelay.protocol.keys.derive`.

        :raises PassphraseError: if the passphrase is invalid.
        """
        return cls(salt, derive(passphrase, salt).access)

    @classmethod
    def parse(cls, text: str) -> AccessKey:
        """
        Read ``SALT:KEY``, both in hexadecimal.

        :raises ValueError: if ``text`` is anything else; the message does not quote it.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(
                "must be SALT:KEY, 32 and 64 hexadecimal digits, "
                "as udprelay-client --access-key prints it"
            )
        return cls(bytes.fromhex(match[1]), bytes.fromhex(match[2]))

    def __str__(self) -> str:
        """Return ``SALT:KEY``, the secret, for the configuration alone."""
        return f"{self.salt.hex()}:{self.key.hex()}"
