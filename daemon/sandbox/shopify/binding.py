"""The sandbox's schema: the SDL file with a resolver on every field."""

import re
from collections.abc import Callable
from functools import cache
from importlib import resources
from operator import attrgetter
from typing import Any

from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
)

from daemon.sandbox.shopify.access import check_access, required_scopes
from daemon.sandbox.shopify.common_fields import Resolver
from daemon.sandbox.shopify.context import Info
from daemon.sandbox.shopify.fields import KINDS, RESOLVERS


@cache
def executable_schema() -> GraphQLSchema:
    """The schema, ready to execute with a `Context`."""
    schema = build_schema(resources.files(__package__).joinpath("schema.graphql").read_text(encoding="utf-8"))
    for definition in schema.type_map.values():
        if isinstance(definition, GraphQLInterfaceType):
            definition.resolve_type = _kind_of
        elif isinstance(definition, GraphQLObjectType) and not definition.name.startswith("__"):
            _bind(definition)
    return schema


def _bind(definition: GraphQLObjectType) -> None:
    for name, described in definition.fields.items():
        resolver = RESOLVERS.get(definition.name, {}).get(name) or _attribute(name)
        scopes = required_scopes(definition.name, name, get_named_type(described.type))
        described.resolve = _guarded(resolver, name, scopes) if scopes else resolver


def _attribute(name: str) -> Resolver:
    get: Callable[[Any], Any] = attrgetter(re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name))
    return lambda source, _info: source.get(name) if isinstance(source, dict) else get(source)


def _guarded(resolver: Resolver, name: str, scopes: tuple[str, ...]) -> Resolver:
    def resolve(source: Any, info: Info, **arguments: Any) -> Any:
        check_access(name, scopes, info.context.scopes)
        return resolver(source, info, **arguments)

    return resolve


def _kind_of(record: object, _info: Info, _abstract: object) -> str:
    return KINDS[type(record)]
