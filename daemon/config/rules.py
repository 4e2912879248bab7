"""What a rule may say of products: on which it bears, and what a sync does otherwise with them."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from daemon.config.fields import Section
from daemon.config.sales import Amount, Id, Word

MOST_RULES = 100  # of a store: each is looked at for each variant
MOST_NAMED = 1_000  # vendors, tags … of one condition
LARGEST_STOCK = 1_000_000_000  # Shopify documentation, inventorySetQuantities: the most that an item may have
RULE_NAME_PATTERN = r"^[^\s,;]([^,;\n]{0,61}[^\s,;])?$"  # it stands in lists, and in the push log

Quantity = Annotated[int, Field(ge=0, le=LARGEST_STOCK)]


def _listed(value: object) -> object:
    """A single value stands for a list of one."""
    if isinstance(value, list | tuple) and not value:
        raise ValueError("names none: leave it out")
    return value if isinstance(value, list | tuple) else [value]


def _one_or_several(element: dict[str, Any]) -> WithJsonSchema:
    several = {"type": "array", "items": element, "minItems": 1, "maxItems": MOST_NAMED}
    return WithJsonSchema({"anyOf": [element, several]})


_SEVERAL = Field(strict=False, max_length=MOST_NAMED)
AnyWord = Annotated[
    tuple[Word, ...],
    _SEVERAL,
    BeforeValidator(_listed),
    _one_or_several({"type": "string", "minLength": 1, "maxLength": 255}),
]
AnyId = Annotated[
    tuple[Id, ...],
    _SEVERAL,
    BeforeValidator(_listed),
    _one_or_several({"type": "integer", "minimum": 1, "maximum": 2**63 - 1}),
]


class RangeSettings(Section):
    """From what to what a figure is meant, both included."""

    lowest: Amount | None = Field(default=None, alias="from", description="The least; without it, any.")
    highest: Amount | None = Field(default=None, alias="to", description="The most; without it, any.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.lowest is None and self.highest is None:
            raise ValueError("says nothing: add from, to or both")
        if self.lowest is not None and self.highest is not None and self.lowest > self.highest:
            raise ValueError(f"no figure is from {self.lowest} to {self.highest}: from lies above to")
        return self


class RuleConditions(Section):
    """On which variants a rule bears: all that is given must hold, of a list any."""

    vendor: AnyWord | None = Field(default=None, description="Vendors of the product at Shopify.")
    tag: AnyWord | None = Field(default=None, description="Tags of the product at Shopify.")
    type: AnyWord | None = Field(default=None, description="Types of the product at Shopify.")
    category: AnyId | None = Field(default=None, description="Categories at Nhanh.vn, by id.")
    brand: AnyId | None = Field(default=None, description="Brands at Nhanh.vn, by id.")
    price: RangeSettings | None = Field(
        default=None, description="The price that a sync would set, { from = …, to = … }, in the shop's currency."
    )
    stock: RangeSettings | None = Field(
        default=None, description="What the depots of a location hold together, { from = …, to = … }."
    )

    @model_validator(mode="after")
    def _require_one(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"says nothing: name at least one of {', '.join(RuleConditions.model_fields)}")
        return self


class RuleSettings(Section):
    """A rule: what a sync does otherwise where its conditions hold. Of each effect the first rule that has it decides.

    An effect that is false keeps the rules below from having it: an exception to them.
    """

    name: str = Field(pattern=RULE_NAME_PATTERN, description="Its name, unique in the store; shown with what it does.")
    when: RuleConditions = Field(description="On what it bears.")
    skip: bool | None = Field(default=None, description="The variant is left alone: neither stock nor prices.")
    ask: bool | None = Field(default=None, description="A sync asks a person before any change.")
    reserve: Quantity | None = Field(default=None, description="Pieces held back at each location.")
    maximum: Quantity | None = Field(default=None, description="The most that a location gets.")
    hold_price: bool | None = Field(default=None, description="Price and compare-at price are left alone.")

    @field_validator("name")
    @classmethod
    def _can_be_shown(cls, name: str) -> str:
        if not name.isprintable():
            raise ValueError("has characters that can't be seen")
        return name

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        effects = self.effects
        if not effects:
            raise ValueError(f"does nothing: add at least one of {', '.join(EFFECTS)}")
        if self.skip and len(effects) > 1:
            others = ", ".join(name for name in effects if name != "skip")
            raise ValueError(
                f"skip leaves the whole variant alone, so that {others} would do nothing: keep one of them"
            )
        whole = [name for name in WHOLE_VARIANT if name in effects]
        if self.when.stock is not None and whole:
            raise ValueError(
                f"{whole[0]} is about the whole variant, which has a stock at each location: leave out when.stock, or"
                " say ask, reserve or maximum"
            )
        return self

    @property
    def effects(self) -> dict[str, bool | int]:
        """What it does, by the name of the key."""
        return {name: effect for name in EFFECTS if (effect := getattr(self, name)) is not None}


EFFECTS = ("skip", "ask", "reserve", "maximum", "hold_price")
WHOLE_VARIANT = ("skip", "hold_price")
