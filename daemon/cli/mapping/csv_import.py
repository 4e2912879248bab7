"""Decisions about variants out of a file: all of them are looked up and checked before the first is sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

from daemon.cli.client.daemon import DaemonClient
from daemon.cli.client.documents_sync import ProductDocument, VariantDocument
from daemon.cli.mapping.csv_file import CsvDecision, MappingFileError, read_decisions
from daemon.cli.render.output import plain
from daemon.mirror.keys import why_no_key

T = TypeVar("T")

BATCH = 500  # decisions in one request; more are refused
BATCH_BYTES = 20_000  # of texts to look up in one request, on either side
SHOWN_CHOICES = 5


@dataclass(slots=True)
class ImportPlan:
    """What a file comes to.

    Args:
        decisions: {variant: product or None for none}, only those that change something.
        unchanged: lines that say what holds already.
        empty: lines that decide nothing.
    """

    decisions: dict[int, int | None] = field(default_factory=dict)
    unchanged: int = 0
    empty: int = 0

    @property
    def excluded(self) -> int:
        """Variants that are said to have no counterpart."""
        return sum(product is None for product in self.decisions.values())

    @property
    def mapped(self) -> int:
        """Variants that get a product."""
        return len(self.decisions) - self.excluded


async def plan_import(client: DaemonClient, store: str, path: Path) -> ImportPlan:
    """Look up and check every line. Raises MappingFileError with all that is wrong, each with its line."""
    decisions, empty = read_decisions(path)
    plan = ImportPlan(empty=empty)
    problems: list[str] = []
    first_lines: dict[int, int] = {}
    for batch in _portions(decisions):
        products = [decision.product for decision in batch if decision.product is not None]
        answer = await client.resolve(store, [decision.variant for decision in batch], products)
        product_choices = {meanings["text"]: meanings["choices"] for meanings in answer["products"]}
        for decision, meanings in zip(batch, answer["variants"], strict=True):
            try:
                variant = _only_variant(decision.variant, meanings["choices"])
                product = None
                if decision.product is not None:
                    product = _only_product(decision.product, product_choices[decision.product])["nhanh_id"]
                earlier = first_lines.setdefault(variant["variant_id"], decision.line)
                if earlier != decision.line:
                    raise ValueError(f"variant {variant['variant_id']} stands in line {earlier} already")
            except ValueError as error:
                problems.append(f"{path}:{decision.line}: {error}")
                continue
            if _holds_already(variant, product):
                plan.unchanged += 1
            else:
                plan.decisions[variant["variant_id"]] = product
    if problems:
        raise MappingFileError("\n".join(problems))
    return plan


async def carry_out(client: DaemonClient, store: str, plan: ImportPlan, note: str) -> int:
    """Send the decisions; how many automatic mappings of other variants gave way."""
    overruled = 0
    remaining = iter(plan.decisions.items())
    while batch := dict(islice(remaining, BATCH)):
        overruled += len((await client.set_mappings(store, batch, note))["overruled"])
    return overruled


def _portions(decisions: Sequence[CsvDecision]) -> Iterator[list[CsvDecision]]:
    """In the order of the file, as many at once as a request may hold."""
    portion: list[CsvDecision] = []
    size = 0
    for decision in decisions:
        length = max(len(decision.variant.encode()), len((decision.product or "").encode())) + 4
        if portion and (len(portion) == BATCH or size + length > BATCH_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(decision)
        size += length
    if portion:
        yield portion


def _holds_already(variant: VariantDocument, product: int | None) -> bool:
    if product is None:
        return variant["state"] == "excluded"
    return variant["state"] == "mapped" and variant["nhanh_id"] == product


def _only_variant(text: str, choices: Sequence[VariantDocument]) -> VariantDocument:
    return only(text, "variant of Shopify", choices, [describe_variant(choice) for choice in choices])


def _only_product(text: str, choices: Sequence[ProductDocument]) -> ProductDocument:
    return only(text, "product of Nhanh.vn", choices, [describe_product(choice) for choice in choices])


def only(text: str, what: str, choices: Sequence[T], descriptions: Sequence[str]) -> T:
    """The one thing that a text means; raises ValueError with what it may mean instead."""
    if len(choices) == 1:
        return choices[0]
    if not choices and (reason := why_no_key(text.removeprefix("sku:"))) is not None:
        raise ValueError(f"{plain(text.removeprefix('sku:'))} {reason}, so it names no {what}: name it by its id")
    if not choices:
        raise ValueError(f"there is no {what} {_said(text)}: is it right, and was it pulled?")
    listed = "; ".join(descriptions[:SHOWN_CHOICES])
    more = f"; and {len(choices) - SHOWN_CHOICES} more" if len(choices) > SHOWN_CHOICES else ""
    raise ValueError(f"more than one {what} {_said(text)}: name one by its id: {listed}{more}")


def describe_variant(variant: VariantDocument) -> str:
    """A variant that a person may choose."""
    return f"{variant['variant_id']} ({plain(variant['title'] or variant['sku'] or '')})"


def describe_product(product: ProductDocument) -> str:
    """A product that a person may choose."""
    return f"{product['nhanh_id']} ({plain(product['name'] or product['code'] or '')})"


def _said(text: str) -> str:
    kind, _, rest = text.partition(":")
    match kind:
        case "id":
            return f"with the id {plain(rest)}"
        case "sku":
            return f"with the SKU {plain(rest)}"
        case _:
            return plain(text)
