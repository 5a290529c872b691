"""
The codec of the session protocol: any bytes are rejected, or decoded to an encodable datagram.

``python -m fuzz.codec``; see ``fuzz/README.rst``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from fuzz.mutation import OneInput, run

CORPUS = Path(__file__).parent / "corpus" / "codec"
VECTORS = Path(__file__).parents[1] / "tests" / "vectors" / "datagrams.json"


def load() -> OneInput:
    """Import the codec; return the target."""
    from udprelay.protocol.wire import WireError, decode_from_client, decode_from_relay

    def one_input(data: bytes) -> None:
        for decode in (decode_from_client, decode_from_relay):
            try:
                datagram = decode(data)
            except WireError:
                continue
            encoded = datagram.encode()
            assert decode(encoded) == datagram, "decoding the encoded datagram gives another one"
            assert decode(encoded).encode() == encoded, "encoding is not stable"
            assert len(encoded) <= len(data), "the encoded datagram is larger"

    return one_input


def corpus_files() -> dict[str, bytes]:
    """Return the files of the corpus by name: the vectors."""
    return {
        re.sub(r"\W+", "-", f"{vector['from']} {vector['name']}") + ".bin": bytes.fromhex(
            vector["hex"]
        )
        for vector in json.loads(VECTORS.read_text())
    }


def write_corpus() -> None:
    """Replace the files of the corpus by the vectors."""
    CORPUS.mkdir(parents=True, exist_ok=True)
    for path in CORPUS.glob("*.bin"):
        path.unlink()
    for name, data in corpus_files().items():
        (CORPUS / name).write_bytes(data)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write-corpus"]:
        write_corpus()
    else:
        run(load, CORPUS, sys.argv[1:])
