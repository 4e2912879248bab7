"""What all mutations have in common: scopes, sizes, user errors, idempotency keys and the journal."""

from collections.abc import Callable, Sequence
from typing import Any

from graphql import GraphQLError, get_directive_values

from daemon.sandbox.shopify.access import check_access
from daemon.sandbox.shopify.common_fields import Resolver
from daemon.sandbox.shopify.context import Info
from daemon.sandbox.shopify.idempotency import IdempotencyRefusedError, Payload
from daemon.sandbox.shopify.values import user_error
from daemon.sandbox.shopify.writes import AppliedWrite, Subject, WrittenValue

MAX_INPUT_SIZE = 250  # Shopify: "Input arguments that accept an array have a maximum size of 250"

_WRITE_ACCESS = {"Customer": ("write_customers",), "Product": ("write_products",)}

KeyedExecution = Callable[[Info, str, dict[str, Any]], Payload]


def check_size(argument: str, rows: Sequence[object]) -> None:
    """Raise the GraphQLError for an array that is too large."""
    if len(rows) > MAX_INPUT_SIZE:
        raise GraphQLError(
            f"The input array size of {len(rows)} is greater than the maximum allowed of {MAX_INPUT_SIZE}.",
            extensions={"code": "MAX_INPUT_SIZE_EXCEEDED", "argument": argument},
        )


def check_write_access(info: Info, kind: str) -> None:
    """Raise the GraphQLError of somebody who may not change records of this kind."""
    check_access(info.field_name, _WRITE_ACCESS.get(kind, ()), info.context.scopes)


def journal(info: Info, key: str | None, subject: Subject, before: WrittenValue, after: WrittenValue) -> None:
    """Enter a value that was set."""
    context = info.context
    context.writes.append(AppliedWrite(context.now(), info.field_name, key, subject, before, after))


def with_key(execute: KeyedExecution) -> Resolver:
    """The resolver of a mutation that needs `@idempotent`. What it raises is not remembered, what it returns is."""

    def resolve(_: object, info: Info, **arguments: Any) -> Payload:
        key = _idempotency_key(info)
        try:
            return info.context.idempotency.answer(
                key, info.field_name, arguments, lambda: execute(info, key, arguments)
            )
        except IdempotencyRefusedError as refused:
            return {"userErrors": [user_error(None, refused.problem.message, refused.problem.value)]}

    return resolve


def _idempotency_key(info: Info) -> str:
    """The key of the call; the schema leaves the directive out of the required, the API does not."""
    directive = info.schema.get_directive("idempotent")
    values = directive and get_directive_values(directive, info.field_nodes[0], info.variable_values)
    if not values:
        raise _bad_key("The @idempotent directive is required for this mutation but was not provided.")
    key: str = values["key"]
    if not key.strip():
        raise _bad_key("The idempotency key cannot be an empty string or whitespace only.")
    return key


def _bad_key(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": "BAD_REQUEST"})
