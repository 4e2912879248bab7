"""`dongbo explain`: why does Shopify say 7?"""

from datetime import tzinfo
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from daemon.api.explanation import ExplainedPush, ExplainedValue, ExplainedVariant, Explanation
from daemon.cli.client.stores import only_store
from daemon.cli.context import CommandContext, Commands
from daemon.cli.options import StoreOption
from daemon.cli.render import output, values
from daemon.cli.render.output import plain
from daemon.i18n import gettext as _
from daemon.jobs.types import JobType

SHOWN_PUSHES = 3  # of each value; --json has more

app = Commands()


@app.command()
async def explain(
    context: CommandContext,
    sku: Annotated[
        str,
        typer.Argument(
            metavar="SKU",
            help="An SKU or barcode; an id in Shopify (also gid://…) or Nhanh.vn; an address from Shopify's admin.",
        ),
    ],
    store: StoreOption = None,
) -> None:
    """Explain why Shopify has the stock and prices that it has.

    The exit code is 1 where no variant was found.
    """
    async with context.daemon() as client:
        # A store that syncs nothing is explained, too: that is why.
        wanted = store or await only_store(client, JobType.SYNC_PRODUCTS, JobType.PULL_SHOPIFY_PRODUCTS)
        found = await client.explain(wanted, sku)
    if context.as_json:
        output.write_json(found)
    else:
        write_explanation(found, context.zone)
    if not found.variants:
        raise typer.Exit(1)


def write_explanation(explanation: Explanation, zone: tzinfo) -> None:
    """Write it; times in the pushes are in `zone`."""
    console = output.data_console()
    if explanation.verdict:
        console.print(plain(explanation.verdict), soft_wrap=True)
    for variant in explanation.variants:
        _write_variant(console, variant, zone)
    complete = [
        " ".join([stream.stream, values.ago(stream.complete_to) if stream.complete_to else _("never")])
        for stream in explanation.freshness
    ]
    output.say(_("Last complete pull: {streams}.").format(streams=", ".join(complete)))


def _write_variant(console: Console, variant: ExplainedVariant, zone: tzinfo) -> None:
    names = [_("SKU {sku}").format(sku=plain(variant.sku)) if variant.sku else _("no SKU")]
    names += [_("barcode {barcode}").format(barcode=plain(variant.barcode))] if variant.barcode else []
    console.print(
        Text.assemble((plain(variant.title) or _("A variant"), "bold"), f"  ({', '.join(names)})"), soft_wrap=True
    )
    ids = _("Shopify variant {id} of product {product}").format(id=variant.variant_id, product=variant.product_id)
    console.print(f"  {ids}", soft_wrap=True)
    product = variant.product
    if product is not None:
        named = " ".join(filter(None, [product.code and f"({plain(product.code)})", plain(product.name or "")]))
        called = _("Nhanh.vn product {id} {name}").format(id=product.id, name=named)
        console.print(f"  {called}".rstrip(), soft_wrap=True)
    console.print(f"  {plain(variant.mapping.text)}", soft_wrap=True)
    for value in variant.values:
        _write_value(console, value, zone)


def _write_value(console: Console, value: ExplainedValue, zone: tzinfo) -> None:
    is_right = value.obstacle is None and (value.shopify or "0") == (value.desired or "0")
    console.print(Text.assemble(("  • ", "green" if is_right else "yellow"), plain(value.verdict)), soft_wrap=True)
    for push in value.pushes[:SHOWN_PUSHES]:
        console.print(_push(push, zone), soft_wrap=True)


def _push(push: ExplainedPush, zone: tzinfo) -> Text:
    when = values.moment(push.settled_at or push.intended_at, zone)
    change = f"{values.value(push.old_value)} → {values.value(push.new_value)}"
    return Text.assemble(
        (f"      {when}  {change}  ", "dim"),
        (push.result, values.RESULT_STYLES.get(push.result, "")),
        ("  " + _("job {id}").format(id=push.job_id), "dim"),
    )
