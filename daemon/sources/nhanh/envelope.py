"""The form that every answer of the API has."""

import msgspec

from daemon.sources.decode import split_list


class Envelope(msgspec.Struct, rename="camel"):
    """Every answer of the API, with its parts left as they came."""

    code: int | str | None = None
    data: msgspec.Raw = msgspec.Raw()
    paginator: msgspec.Raw = msgspec.Raw()
    error_code: str | int | None = None
    messages: msgspec.Raw = msgspec.Raw()
    message: msgspec.Raw = msgspec.Raw()  # ERR_429 has this one
    warning: msgspec.Raw = msgspec.Raw()

    @property
    def succeeded(self) -> bool:
        """Whether the call did what was asked."""
        return str(self.code) == "1"


_decode = msgspec.json.Decoder(Envelope).decode


def read_envelope(body: bytes) -> tuple[Envelope, bool]:
    """The parts of an answer, all missing where it can't be read, and whether its rows are sound (see `split_list`)."""
    try:
        return split_list(body, _decode)
    except (msgspec.DecodeError, RecursionError):
        return Envelope(), False
