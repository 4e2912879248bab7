"""Decisions about variants from a file: all of them are looked up and checked before the first is sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from daemon.api.mappings import VariantMeaning
from daemon.cli.client.daemon import DaemonClient
from daemon.cli.mapping.choices import only_product, only_variant
from daemon.cli.mapping.csv_file import CsvDecision, MappingFileError, read_decisions

BATCH = 500  # decisions in one request; more are refused
BATCH_BYTES = 20_000  # of texts to look up in one request, on either side


@dataclass(slots=True)
class ImportPlan:
    """What a file amounts to.

    Args:
        decisions: {variant: product or None for none}, only those that change something.
        unchanged: lines that say what already holds.
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
        product_choices = {meanings.text: meanings.choices for meanings in answer.products}
        for decision, meanings in zip(batch, answer.variants, strict=True):
            try:
                variant = only_variant(decision.variant, meanings.choices)
                product = None
                if decision.product is not None:
                    product = only_product(decision.product, product_choices[decision.product]).nhanh_id
                earlier = first_lines.setdefault(variant.variant_id, decision.line)
                if earlier != decision.line:
                    raise ValueError(f"variant {variant.variant_id} is already in line {earlier}")
            except ValueError as error:
                problems.append(f"{path}:{decision.line}: {error}")
                continue
            if _holds_already(variant, product):
                plan.unchanged += 1
            else:
                plan.decisions[variant.variant_id] = product
    if problems:
        raise MappingFileError("\n".join(problems))
    return plan


async def carry_out(client: DaemonClient, store: str, plan: ImportPlan, note: str) -> int:
    """Send the decisions; how many automatic mappings of other variants gave way."""
    overruled = 0
    remaining = iter(plan.decisions.items())
    while batch := dict(islice(remaining, BATCH)):
        overruled += len((await client.set_mappings(store, batch, note)).overruled)
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


def _holds_already(variant: VariantMeaning, product: int | None) -> bool:
    if product is None:
        return variant.state == "excluded"
    return variant.state == "mapped" and variant.nhanh_id == product
