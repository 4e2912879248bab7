"""Reads the JSON of the API into its records, and thereby checks it."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


class UnexpectedShape(ValueError):
    """The JSON is not that of the record; the text names the member, such as `$.jobs[0].status`."""


def decode(record: type[T], content: bytes | str) -> T:
    """The record that an answer holds. Members that it does not know are left out: a newer daemon may send more. Values
    that it does not know, such as a new type of job, are refused: nothing is shown as what it is not.

    Raises:
        UnexpectedShape: it is JSON, and does not fit.
        ValueError: it is not JSON.
    """
    try:
        return msgspec.json.decode(content, type=record)
    except msgspec.ValidationError as error:
        raise UnexpectedShape(str(error)) from None
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
