"""The fields of bulk operations, and the mutations that begin and cancel them."""

from dataclasses import replace
from typing import Any

from graphql import ExecutionResult, execute_sync, parse

from daemon.sandbox.shopify.bulk import ENDED, PATH, BulkOperation, BulkTrouble
from daemon.sandbox.shopify.common_fields import Resolver
from daemon.sandbox.shopify.context import Info
from daemon.sandbox.shopify.idempotency import Payload
from daemon.sandbox.shopify.paging import bad_request
from daemon.sandbox.shopify.values import gid, parse_gid, written_time


def _number(text: str) -> int:
    kind, number = parse_gid(text)
    if kind != "BulkOperation":
        raise bad_request(f"Invalid id: {text}")
    return number


def bulk_operation(_: object, info: Info, **arguments: str) -> BulkOperation | None:
    """The operation of an id."""
    return info.context.bulk.find(_number(arguments["id"]))


def _run(_: object, info: Info, **arguments: Any) -> Payload:
    context = replace(info.context, in_bulk=True, searches=[])

    def execute(query: str) -> ExecutionResult:
        return execute_sync(info.schema, parse(query), context_value=context)

    return info.context.bulk.run(info.schema, arguments["query"], execute, grouped=arguments["groupObjects"])


def _cancel(_: object, info: Info, **arguments: str) -> Payload:
    return info.context.bulk.cancel(_number(arguments["id"]))


def _url(operation: BulkOperation, info: Info) -> str | None:
    return _address(operation, info) if operation.status == "COMPLETED" and operation.lines else None


def _partial_url(operation: BulkOperation, info: Info) -> str | None:
    has_part = operation.status == "FAILED" and operation.trouble is BulkTrouble.FAILS_IN_PART
    return _address(operation, info) if has_part and operation.file else None


def _address(operation: BulkOperation, info: Info) -> str:
    return f"{info.context.origin}{PATH.format(number=operation.id, signature=operation.signature)}"


def _progress(operation: BulkOperation, info: Info, whole: int) -> str:
    if operation.status == "CREATED":
        return "0"
    if operation.status in ENDED:
        return str(whole)
    return str(info.context.bulk.so_far(operation, whole))


BULK_OPERATION: dict[str, Resolver] = {
    "id": lambda operation, _: gid("BulkOperation", operation.id),
    "completedAt": lambda operation, _: written_time(operation.completed_at),
    "createdAt": lambda operation, _: written_time(operation.created_at),
    "errorCode": lambda operation, _: operation.error_code if operation.status == "FAILED" else None,
    "fileSize": lambda operation, info: str(len(operation.file)) if _url(operation, info) else None,
    "objectCount": lambda operation, info: _progress(operation, info, len(operation.lines)),
    "partialDataUrl": _partial_url,
    "rootObjectCount": lambda operation, info: _progress(operation, info, operation.roots),
    "type": lambda _operation, _: "QUERY",
    "url": _url,
}
BULK_MUTATIONS: dict[str, Resolver] = {"bulkOperationCancel": _cancel, "bulkOperationRunQuery": _run}
