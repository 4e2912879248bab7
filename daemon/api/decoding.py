"""Reads the JSON of the API into its records, and thereby checks it."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


def decode(record: type[T], content: bytes) -> T:
    """The record that an answer holds. Members that it does not know are left out: a newer daemon may send more.

    Raises:
        ValueError: the answer is not JSON, or does not fit; the text names the member, such as `$.jobs[0].status`.
    """
    try:
        return msgspec.json.decode(content, type=record)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
