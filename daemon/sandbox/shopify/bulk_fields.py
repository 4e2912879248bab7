"""The fields of bulk operations, and the mutations that begin and cancel them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from graphql import ExecutionResult, execute_sync, parse

from daemon.sandbox.shopify.bulk import ENDED, BulkOperation, BulkTrouble
from daemon.sandbox.shopify.common_fields import Resolver, page_of
from daemon.sandbox.shopify.context import Info
from daemon.sandbox.shopify.filters import bulk_operation_filters
from daemon.sandbox.shopify.idempotency import Payload
from daemon.sandbox.shopify.listings import SortValue, sortable, sorted_listing
from daemon.sandbox.shopify.paging import BulkWindow, ConnectionPage, bad_request
from daemon.sandbox.shopify.search import compile_query
from daemon.sandbox.shopify.values import gid, parse_gid, written_time


def _number(text: str) -> int:
    kind, number = parse_gid(text)
    if kind != "BulkOperation":
        raise bad_request(f"Invalid id: {text}")
    return number


def bulk_operation(_: object, info: Info, **arguments: str) -> BulkOperation | None:
    """The operation of an id."""
    return info.context.bulk.find(_number(arguments["id"]))


def bulk_operations(_: object, info: Info, **arguments: Any) -> ConnectionPage[BulkOperation]:
    """The app's recent operations, the newest first."""
    rows: Iterable[BulkOperation] = info.context.bulk.operations
    if arguments.get("query"):
        search = compile_query(arguments["query"], bulk_operation_filters(ZoneInfo(info.context.profile.zone)))
        rows = rows if search.matches is None else filter(search.matches, rows)
    listing = sorted_listing(rows, _SORT_VALUES[arguments["sortKey"]], reverse=not arguments["reverse"])
    return page_of(info, listing, arguments)


def _run(_: object, info: Info, **arguments: Any) -> Payload:
    bulk = info.context.bulk

    def pieces(query: str) -> Iterator[ExecutionResult]:
        window = BulkWindow(bulk.roots_at_once)
        context, document = replace(info.context, window=window, searches=[]), parse(query)
        yield execute_sync(info.schema, document, context_value=context)
        while window.has_more:
            yield execute_sync(info.schema, document, context_value=context)

    return bulk.run(info.schema, arguments["query"], pieces, grouped=arguments["groupObjects"])


def _cancel(_: object, info: Info, **arguments: str) -> Payload:
    return info.context.bulk.cancel(_number(arguments["id"]))


def _url(operation: BulkOperation, info: Info) -> str | None:
    return _address(operation, info) if _has_file(operation) else None


def _partial_url(operation: BulkOperation, info: Info) -> str | None:
    has_part = operation.status == "FAILED" and operation.trouble is BulkTrouble.FAILS_IN_PART
    return _address(operation, info) if has_part and operation.file.size else None


def _has_file(operation: BulkOperation) -> bool:
    return operation.status == "COMPLETED" and operation.file.size > 0


def _address(operation: BulkOperation, info: Info) -> str:
    return f"{info.context.origin}{info.context.bulk.sign(operation)}"


def _progress(operation: BulkOperation, info: Info, found: int) -> str:
    if operation.status == "CREATED":
        return "0"
    if operation.status in ENDED:
        return str(found)
    return str(info.context.bulk.so_far(operation, found))


_SORT_VALUES: Mapping[str, SortValue] = {
    "COMPLETED_AT": lambda operation: sortable(operation.completed_at),
    "CREATED_AT": lambda operation: sortable(operation.created_at),
}

BULK_OPERATION: dict[str, Resolver] = {
    "id": lambda operation, _: gid("BulkOperation", operation.id),
    "completedAt": lambda operation, _: written_time(operation.completed_at),
    "createdAt": lambda operation, _: written_time(operation.created_at),
    "errorCode": lambda operation, _: operation.error_code if operation.status == "FAILED" else None,
    "fileSize": lambda operation, _: str(operation.file.size) if _has_file(operation) else None,
    "objectCount": lambda operation, info: _progress(operation, info, operation.objects),
    "partialDataUrl": _partial_url,
    "rootObjectCount": lambda operation, info: _progress(operation, info, operation.roots),
    "type": lambda _operation, _: "QUERY",
    "url": _url,
}
BULK_MUTATIONS: dict[str, Resolver] = {"bulkOperationCancel": _cancel, "bulkOperationRunQuery": _run}
