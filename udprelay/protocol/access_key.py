"""The access key of a room, as the configuration has it."""

from __future__ import annotations

import re

from attrs import field, frozen

from udprelay.protocol.keys import derive

_FORM = re.compile(r"([0-9a-f]{32}):([0-9a-f]{64})", re.IGNORECASE)


@frozen
class AccessKey:
    """
    What the relay knows of a room's passphrase: enough to admit, too little to read.

    :param salt: 16 bytes, public.
    :param key: 32 bytes, secret.
    """

    salt: bytes = field(repr=False)
    key: bytes = field(repr=False)

    @classmethod
    def make(cls, passphrase: str, salt: bytes) -> AccessKey:
        """
        Return the access key that a passphrase gives; as slow as ``keys.derive``.

        :raises PassphraseError: if it can be no passphrase.
        """
        return cls(salt, derive(passphrase, salt).access)

    @classmethod
    def parse(cls, text: str) -> AccessKey:
        """
        Read ``SALT:KEY``, both in hexadecimal.

        :raises ValueError: if it is anything else; does not quote it.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(
                "must be SALT:KEY, 32 and 64 hexadecimal digits, "
                "as udprelay-client --access-key prints it"
            )
        return cls(bytes.fromhex(match[1]), bytes.fromhex(match[2]))

    def __str__(self) -> str:
        """Return ``SALT:KEY``; for the configuration alone, as it is the secret."""
        return f"{self.salt.hex()}:{self.key.hex()}"
