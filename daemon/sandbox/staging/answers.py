"""Situations of the network and of the API: statuses, errors, versions, cursors, and calls that come late or twice."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from daemon.sandbox.faults import OneIn
from daemon.sandbox.shopify.troubles import Answer, Edit
from daemon.sandbox.shopify.values import gid
from daemon.sandbox.staging.goods import many_variants
from daemon.sandbox.staging.stage import Stage

Context = Callable[[Stage], AbstractContextManager[None]]

NOW_AND_THEN = 5  # one call in so many
ODD_STATUSES = (430, 408, 425, *range(520, 531))
GRAPHQL = "graphql.json"
SMALL_PAGE = 20
CHANGE_LOG = "https://shopify.dev/changelog/sandbox-retires-this-field"


def statuses(*numbers: int, path: str = "", every: int = NOW_AND_THEN) -> Context:
    """HTTP statuses in turn, at one call in `every`."""

    @contextmanager
    def answering(stage: Stage) -> Iterator[None]:
        with stage.faults.answering(*numbers, path=path, every=every):
            yield

    return answering


def answers(edit: Edit, *, operation: str = "", every: int = NOW_AND_THEN) -> Context:
    """Answers of Shopify that `edit` makes something else of, one in `every`."""

    @contextmanager
    def editing(stage: Stage) -> Iterator[None]:
        with stage.shopify.troubles.editing(edit, operation=operation, every=every):
            yield

    return editing


def without_code(_: Answer) -> Answer:
    """An error that says nothing but that there was one."""
    return {"errors": [{"message": "Something went wrong"}]}


def as_text(_: Answer) -> Answer:
    """As some gateways write it."""
    return {"errors": "Something went wrong"}


def nothing(answer: Answer) -> Answer:
    """The answer with null in place of everything that was asked for."""
    return answer | {"data": dict.fromkeys(answer.get("data") or ())}


@contextmanager
def large_pages_fail(stage: Stage) -> Iterator[None]:
    with stage.changed(stage.shopify.troubles, largest_page=SMALL_PAGE):
        yield


@contextmanager
def unreadable_row(stage: Stage) -> Iterator[None]:
    troubles = stage.shopify.troubles
    with (
        stage.goods(1) as [pair],
        stage.changed(troubles, broken=troubles.broken | {gid("Product", pair.product.id): "variants"}),
    ):
        yield


@contextmanager
def poisonous_row(stage: Stage) -> Iterator[None]:
    troubles = stage.shopify.troubles
    with (
        stage.goods(1) as [pair],
        stage.added(troubles.poisonous, [gid("Product", pair.product.id)]),
    ):
        yield


@contextmanager
def unreadable_variants(stage: Stage) -> Iterator[None]:
    """A product of many variants, of which only the first page can be had."""
    with (
        stage.goods(1) as [pair],
        many_variants(stage, pair),
        stage.shopify.troubles.editing(nothing, operation="ProductVariants"),
    ):
        yield


@contextmanager
def refused_cursors(stage: Stage) -> Iterator[None]:
    stage.nhanh.void_cursors()
    with stage.changed(stage.shopify.troubles, refused_cursors=1):
        yield


def version(served: str) -> Context:
    """Answers that say they are from a version other than the one asked for."""

    @contextmanager
    def serving(stage: Stage) -> Iterator[None]:
        with stage.changed(stage.shopify.troubles, served_version=served):
            yield

    return serving


@contextmanager
def deprecated_calls(stage: Stage) -> Iterator[None]:
    with stage.changed(stage.shopify.troubles, deprecated_reason=CHANGE_LOG):
        yield


@contextmanager
def late_writes(stage: Stage) -> Iterator[None]:
    with stage.changed(stage.shopify.deliveries, late=OneIn(NOW_AND_THEN)):
        yield


@contextmanager
def lost_answers(stage: Stage) -> Iterator[None]:
    with stage.changed(stage.shopify.deliveries, lost=OneIn(NOW_AND_THEN)):
        yield


@contextmanager
def forgotten_keys(stage: Stage) -> Iterator[None]:
    with stage.changed(stage.shopify.idempotency, replays=False):
        yield
