"""Which products of Nhanh.vn a variant without one may be: by its keys, else by its name."""

import re
from collections.abc import Mapping, Sequence

from daemon.api.mappings import ProductChoice
from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.mirror.search_texts import Sought, fold, holds, read_sought

MOST_BY_KEY = 20
MOST_BY_NAME = 5
SHORTEST_NAME = 3  # characters: fewer tell nothing
LOOKED_AT = 200  # products that have a name, or the rarest words of it: a short one stands in thousands

CHOICES = """
SELECT id AS nhanh_id, code, barcode, name FROM dongbo.nhanh_products WHERE store = $1 AND id = ANY ($2)
"""

_BETWEEN_WORDS = re.compile(r"[^\w]+")

# What nobody is mapped to comes first, then what says little else than the variant does.
BY_WORDS = """
SELECT product.id AS nhanh_id, product.code, product.barcode, product.name
FROM (
    SELECT id, text FROM dongbo.item_texts WHERE store = $1 AND side = 'nhanh' AND {holds} LIMIT {looked_at}
) AS found JOIN dongbo.nhanh_products AS product ON product.store = $1 AND product.id = found.id
WHERE product.deleted_at IS NULL AND product.parent_id IS DISTINCT FROM -2
ORDER BY EXISTS (
    SELECT FROM dongbo.product_mappings AS mapping
    WHERE mapping.store = $1 AND mapping.nhanh_id = product.id AND mapping.retired_at IS NULL
), (SELECT count(*) FROM unnest($2::text[]) AS word WHERE found.text LIKE word) DESC, length(found.text), product.id
LIMIT {most}
"""


# The name of a variant begins with that of its product; what comes after the last stroke is an option.
NAMESAKES = f"""
SELECT asked.variant_id, product.id AS nhanh_id, product.code, product.barcode, product.name
FROM unnest($2::bigint[], $3::text[]) AS asked (variant_id, pattern) CROSS JOIN LATERAL (
    SELECT id FROM (
        SELECT id, text FROM dongbo.item_texts
        WHERE store = $1 AND side = 'nhanh' AND text LIKE asked.pattern LIMIT {LOOKED_AT}
    ) AS named ORDER BY length(text), id LIMIT {MOST_BY_NAME}
) AS found JOIN dongbo.nhanh_products AS product ON product.store = $1 AND product.id = found.id
WHERE product.deleted_at IS NULL AND product.parent_id IS DISTINCT FROM -2
"""


async def namesakes(
    connection: Connection, store: StoreName, titles: Mapping[int, str]
) -> dict[int, list[ProductChoice]]:
    """Products whose names hold those of these products, {variant: title}, in a transaction of
    `search_texts.searching`."""
    names = await fold(connection, [title.partition(" / ")[0] for title in titles.values()])
    asked = {variant: name for variant, name in zip(titles, names, strict=True) if len(name) >= SHORTEST_NAME}
    patterns = [Sought(name, ()).whole for name in asked.values()]
    found: dict[int, list[ProductChoice]] = {}
    for row in await connection.fetch(NAMESAKES, store, list(asked), patterns):
        choice = ProductChoice(row["nhanh_id"], row["code"], row["barcode"], row["name"])
        found.setdefault(row["variant_id"], []).append(choice)
    return found


async def choices(
    connection: Connection, store: StoreName, nhanh_ids: Mapping[int, Sequence[int]]
) -> dict[int, list[ProductChoice]]:
    """The products of these ids, {anything: ids}, in their order, as far as they are mirrored."""
    wanted = {number for numbers in nhanh_ids.values() for number in numbers[:MOST_BY_KEY]}
    rows = await connection.fetch(CHOICES, store, list(wanted)) if wanted else ()
    known = {row["nhanh_id"]: ProductChoice(**dict(row)) for row in rows}
    return {
        key: [known[number] for number in numbers[:MOST_BY_KEY] if number in known]
        for key, numbers in nhanh_ids.items()
    }


async def by_name(connection: Connection, store: StoreName, title: str) -> list[ProductChoice]:
    """Products whose names have the words of a variant's, in a transaction of `search_texts.searching`.

    Where none has all words, the shortest are left out one after the other, for they tell the least, down to two.
    """
    sought = await read_sought(connection, _BETWEEN_WORDS.sub(" ", title))
    words = [word for word in sought.words if len(word) > 1] if sought is not None else []
    for count in range(len(words), min(len(words), 2) - 1, -1):
        found = await _with_words(connection, store, words[:count], words) if count else []
        if found:
            return found
    return []


async def _with_words(
    connection: Connection, store: StoreName, required: Sequence[str], words: Sequence[str]
) -> list[ProductChoice]:
    statement = BY_WORDS.format(holds=holds(len(required), first=3), looked_at=LOOKED_AT, most=MOST_BY_NAME)
    patterns = Sought("", required).parts
    rows = await connection.fetch(statement, store, Sought("", words).parts, *patterns)
    return [ProductChoice(**dict(row)) for row in rows]
