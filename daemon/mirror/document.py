"""Taking a part out of a JSON document without decoding the rest, which stays as the source wrote it."""

import msgspec

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def without(document: bytes, key: str) -> bytes:
    """The document, which is a JSON object, without one of its keys."""
    members = _decode(document)
    members.pop(key, None)
    return _encode(members)
