"""Says of one variant why something is not pushed, to follow "Not pushed:"."""

from collections.abc import Sequence
from datetime import tzinfo

from asyncpg import Record

from daemon.api.sales import CampaignState
from daemon.config import ProductSyncSettings
from daemon.i18n import gettext as _
from daemon.i18n import moment
from daemon.money import amount_text
from daemon.sales.items import Holder
from daemon.sources.shopify.models import PricePair
from daemon.sync.matching.variant_mappings import VariantMapping, describe
from daemon.sync.products.obstacles import TEXTS, Obstacle
from daemon.sync.products.rules import PRICES
from daemon.sync.products.ruling import AppliedRule, words

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

    def say(self, obstacle: Obstacle, *, hidden_depots: Sequence[int] = (), applied: Sequence[AppliedRule] = ()) -> str:
        """What is in the way; `applied`: what rules have decided about the value."""
        match obstacle:
            case Obstacle.VARIANT_DELETED:
                noticed = moment(self._variant["deleted_at"], self._zone)
                return _("the variant no longer exists in Shopify, noticed {noticed}").format(noticed=noticed)
            case Obstacle.NOT_CONFIGURED:
                return _("the configuration has no {section} for this store").format(section=SECTION)
            case Obstacle.UNMAPPED | Obstacle.EXCLUDED:
                return describe(self._mapping, self._zone)
            case Obstacle.PRODUCT_DELETED:
                return self._product_deleted()
            case Obstacle.LOCATION_NOT_CONFIGURED:
                return _("{section} does not name this location, so its stock is left alone").format(section=SECTION)
            case Obstacle.DEPOT_HIDDEN:
                depots = ", ".join(map(str, hidden_depots))
                return _("the access token of Nhanh.vn can't see depot {depots}, or was not asked yet").format(
                    depots=depots
                )
            case Obstacle.BY_RULE | Obstacle.PRICE_BY_RULE:
                effect = "skip" if obstacle is Obstacle.BY_RULE else "hold_price"
                return next(words(rule) for rule in applied if rule.effect == effect)
            case Obstacle.ON_SALE:
                return self._on_sale()
            case Obstacle.NO_PRICE:
                price = self._settings.price if self._settings is not None else None
                return _("Nhanh.vn has no {price} for it, so its prices are left alone").format(
                    price=_(PRICES[price]) if price is not None else _("price")
                )
            case _:
                return _(TEXTS[obstacle])

    def _product_deleted(self) -> str:
        if self._product is None or self._product["deleted_at"] is None:
            return _("its product at Nhanh.vn has not been pulled: dongbo pull nhanh-products --full")
        return _("its product no longer exists at Nhanh.vn, noticed {noticed}").format(
            noticed=moment(self._product["deleted_at"], self._zone)
        )

    def _on_sale(self) -> str:
        holder = self._holder
        if holder is None:
            raise AssertionError("the plan says that a sale holds the variant, and no sale does")
        if holder.state is CampaignState.NEEDS_ATTENTION:
            return _(
                "the sale {name} is over, and a person must decide about the price that it found or could not "
                "restore: dongbo sale resume {name}. Restored, it goes back to {base}"
            ).format(name=holder.name, base=_both(holder.base))
        until = (
            _("until {time}").format(time=moment(holder.ends_at, self._zone))
            if holder.ends_at is not None
            else _("until a person ends it")
        )
        return _("the sale {name} has its prices {until}; then the price goes back to {base}").format(
            name=holder.name, until=until, base=_both(holder.base)
        )


def _both(prices: PricePair) -> str:
    price = amount_text(prices.price)
    if prices.compare_at is None:
        return price
    return _("{price} (compare-at price {compare_at})").format(price=price, compare_at=amount_text(prices.compare_at))
