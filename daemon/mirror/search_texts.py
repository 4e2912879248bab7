"""What people search by: `dongbo.item_texts` and `dongbo.customer_texts`, a folded text for each row of the mirrors.

The database keeps those of items itself (migration 0014); those of customers `daemon.mirror.text_upkeep` notes soon
after they were read to be matched. A `|` stands before each field, and the codes before the name, without case,
accents, blanks and what nobody sees. What is sought is folded by the same function, so that both agree.
"""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from daemon.database.pool import Connection
from daemon.texts import visible

ITEM_TEXTS: Final = "item_texts"
CUSTOMER_TEXTS: Final = "customer_texts"

MOST_WORDS = 8  # of what is sought; the rest of a longer text tells little more
LONGEST_WORD = 100  # characters

FOLD = "SELECT dongbo.folded(word) FROM unnest($1::text[]) WITH ORDINALITY AS asked (word, place) ORDER BY place"

# A plan for any words would not know that some are too short for the index; and a scan that begins where another one
# happens to be finds the same rows in another order.
PLAN_FOR_WORDS = "SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL synchronize_seqscans = off"

HAS_INDEX = "SELECT to_regclass('dongbo.item_texts_by_part') IS NOT NULL"

_WILDCARD = re.compile(r"([\\%_])")
_LEADING = re.compile(r"^(?:84|0)(?=[0-9]{5,})")
_NUMBER = re.compile(r"[+(]*[0-9][0-9().\-]*")
_NOT_DIGITS = re.compile(r"[^0-9]+")


@dataclass(frozen=True, slots=True)
class Sought:
    """What is sought, folded.

    Args:
        phrase: the whole text.
        words: those of it that none of the others holds, the longest first; at least one.
    """

    phrase: str
    words: Sequence[str]

    @property
    def beginning(self) -> str:
        """A LIKE pattern of texts with a field that begins with the whole."""
        return f"%|{_literally(self.phrase)}%"

    @property
    def whole(self) -> str:
        """A LIKE pattern of texts that hold the whole."""
        return f"%{_literally(self.phrase)}%"

    @property
    def parts(self) -> list[str]:
        """LIKE patterns, one for each word, of texts that hold it."""
        return [f"%{_literally(word)}%" for word in self.words]

    @property
    def with_bare_numbers(self) -> "Sought":
        """The same with phone numbers as all ways of writing one end: without 0 or +84, and nothing but digits."""
        if _NUMBER.fullmatch(self.phrase):
            return Sought(_bare(self.phrase), [_bare(self.phrase)])
        return Sought(self.phrase, [_bare(word) if _NUMBER.fullmatch(word) else word for word in self.words])


async def fold(connection: Connection, texts: Sequence[str]) -> list[str]:
    """The texts as they stand in the tables."""
    return [row[0] for row in await connection.fetch(FOLD, texts)]


async def read_sought(connection: Connection, text: str) -> Sought | None:
    """What a text asks for; None where nothing of it can be seen."""
    plain = visible(text)
    words = [word[:LONGEST_WORD] for word in plain.split()[:MOST_WORDS]]
    whole, *folded = await fold(connection, ["".join(words), *words])
    distinct = sorted({word for word in folded if word}, key=lambda word: (-len(word), word))
    telling = [word for place, word in enumerate(distinct) if not any(word in longer for longer in distinct[:place])]
    return Sought(whole, telling) if telling else None


def holds(words: int, first: int) -> str:
    """The condition that `text` holds all words, whose patterns are parameters from `first` on."""
    return " AND ".join(f"text LIKE ${number}" for number in range(first, first + words))


@asynccontextmanager
async def searching(connection: Connection) -> AsyncIterator[None]:
    """A transaction in which statements are planned for the very words that are sought."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(PLAN_FOR_WORDS)
        yield


async def has_index(connection: Connection) -> bool:
    """Whether parts of texts are found without reading all of them: PostgreSQL's pg_trgm was to be had."""
    found: bool = await connection.fetchval(HAS_INDEX)
    return found


def _literally(text: str) -> str:
    return _WILDCARD.sub(r"\\\1", text)


def _bare(number: str) -> str:
    return _LEADING.sub("", _NOT_DIGITS.sub("", number))
