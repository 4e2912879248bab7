"""Says of one variant why something is not pushed, to follow "Not pushed:"."""

from collections.abc import Sequence
from datetime import tzinfo

from asyncpg import Record

from daemon.api.sales import CampaignState
from daemon.config import ProductSyncSettings
from daemon.money import amount_text
from daemon.sales.items import Holder
from daemon.sources.shopify.models import PricePair
from daemon.sync.explanation.verdicts import moment
from daemon.sync.matching.variant_mappings import VariantMapping, describe
from daemon.sync.products.obstacles import TEXTS, Obstacle

SECTION = "[stores.….product_sync]"


class ObstacleWords:
    """Puts the obstacles of a variant into words.

    Args:
        product: at Nhanh.vn, whether it is gone or not; None where it has not been pulled.
        holder: the sale that has the variant's prices.
        zone: of the times in sentences.
    """

    def __init__(
        self,
        variant: Record,
        mapping: VariantMapping,
        product: Record | None,
        holder: Holder | None,
        settings: ProductSyncSettings | None,
        zone: tzinfo,
    ) -> None:
        self._variant = variant
        self._mapping = mapping
        self._product = product
        self._holder = holder
        self._settings = settings
        self._zone = zone

    def say(self, obstacle: Obstacle, hidden_depots: Sequence[int] = ()) -> str:
        """What is in the way."""
        match obstacle:
            case Obstacle.VARIANT_DELETED:
                noticed = moment(self._variant["deleted_at"], self._zone)
                return f"the variant no longer exists in Shopify, noticed {noticed}"
            case Obstacle.NOT_CONFIGURED:
                return f"the configuration has no {SECTION} for this store"
            case Obstacle.UNMAPPED | Obstacle.EXCLUDED:
                return describe(self._mapping, self._zone)
            case Obstacle.PRODUCT_DELETED:
                return self._product_deleted()
            case Obstacle.LOCATION_NOT_CONFIGURED:
                return f"{SECTION} does not name this location, so its stock is left alone"
            case Obstacle.DEPOT_HIDDEN:
                depots = ", ".join(map(str, hidden_depots))
                return f"the access token of Nhanh.vn can't see depot {depots}, or was not asked yet"
            case Obstacle.ON_SALE:
                return self._on_sale()
            case Obstacle.NO_PRICE:
                price = self._settings.price if self._settings is not None else None
                return f"Nhanh.vn has no {price} price for it, so its prices are left alone"
            case _:
                return TEXTS[obstacle]

    def _product_deleted(self) -> str:
        if self._product is None or self._product["deleted_at"] is None:
            return "its product at Nhanh.vn has not been pulled: dongbo pull nhanh-products --full"
        return f"its product no longer exists at Nhanh.vn, noticed {moment(self._product['deleted_at'], self._zone)}"

    def _on_sale(self) -> str:
        holder = self._holder
        if holder is None:
            raise AssertionError("the plan says that a sale holds the variant, and no sale does")
        if holder.state is CampaignState.NEEDS_ATTENTION:
            return (
                f"the sale {holder.name} is over, and a person must decide about the price that it found or could not "
                f"restore: dongbo sale resume {holder.name}. Restored, it goes back to {_both(holder.base)}"
            )
        until = (
            f"until {moment(holder.ends_at, self._zone)}" if holder.ends_at is not None else "until a person ends it"
        )
        return f"the sale {holder.name} has its prices {until}; then the price goes back to {_both(holder.base)}"


def _both(prices: PricePair) -> str:
    compare_at = "" if prices.compare_at is None else f" (compare-at price {amount_text(prices.compare_at)})"
    return amount_text(prices.price) + compare_at
