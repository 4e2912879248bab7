"""Nhanh's `next`: opaque, of another shape from page to page, and to be sent back exactly as it came."""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson


class InvalidCursorError(Exception):
    """The `next` is not one that this server gave out for this query."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a reader stands: the last id it was given (None: none yet), and how many pages it has had."""

    last_id: int | None
    page: int


class Cursors:
    """Turns positions into `next` values and back. It keeps nothing, so a cursor outlives a restart of the server.

    Args:
        seed: servers with the same seed understand each other's cursors.
    """

    def __init__(self, seed: int) -> None:
        self._key = str(seed).encode()

    def encode(self, position: Position, query: bytes) -> Any:
        """The `next` value, as JSON: an object, an array or a string in turn.

        Args:
            position: where the reader continues.
            query: the canonical text of resource, filters and sort, to which the cursor is bound.
        """
        last_id = position.last_id or 0
        digest = hashlib.blake2b(b"%d/%d/" % (last_id, position.page) + query, key=self._key, digest_size=6)
        check = digest.hexdigest()
        match position.page % 3:
            case 1:
                return {"id": str(last_id), "page": position.page, "check": {"+/=é": check}}
            case 2:
                return [last_id, position.page, None, check]
            case _:
                return f"{last_id}|{position.page}|{check}=="

    def decode(self, sent: Any, query: bytes) -> Position:
        """The position that a `next` stands for.

        Raises:
            InvalidCursorError: it was altered, or belongs to another query.
        """
        try:
            match sent:
                case {"id": str(last_id), "page": int(page)}:
                    position = Position(int(last_id) or None, page)
                case [int(last_id), int(page), None, str()]:
                    position = Position(last_id or None, page)
                case str():
                    last, number, _ = sent.split("|")
                    position = Position(int(last) or None, int(number))
                case _:
                    raise InvalidCursorError
            same = _canonical(self.encode(position, query)) == _canonical(sent)
        except (ValueError, TypeError) as error:  # not numbers, or numbers beyond 64 bits
            raise InvalidCursorError from error
        if not same:
            raise InvalidCursorError
        return position


def _canonical(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
