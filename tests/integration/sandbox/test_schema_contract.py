"""The sandbox's schema against Shopify's official one: nothing in ours may be made up."""

import gzip
import os
from importlib import resources
from pathlib import Path
from typing import Any

import orjson
import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_client_schema,
    build_schema,
)

from daemon.sandbox.shopify.access import FIELD_ACCESS, TYPE_ACCESS

pytestmark = pytest.mark.contract

BESIDE_THE_REPOSITORY = Path(__file__).parents[3].parent / "shared" / "shopify" / "admin_2026-10.json.gz"


@pytest.fixture(scope="module")
def official_document() -> dict[str, Any]:
    """Shopify's introspection result, where there is one."""
    path = Path(os.environ.get("DONGBO_SHOPIFY_SCHEMA", BESIDE_THE_REPOSITORY))
    if not path.is_file():
        pytest.skip(f"Shopify's official schema is not at {path}: set DONGBO_SHOPIFY_SCHEMA to run the contract test")
    document: dict[str, Any] = orjson.loads(gzip.decompress(path.read_bytes()))
    return document


@pytest.fixture(scope="module")
def official(official_document: dict[str, Any]) -> GraphQLSchema:
    """Shopify's schema; taken as valid because argument defaults are missing from it."""
    return build_client_schema(official_document["data"], assume_valid=True)


@pytest.fixture(scope="module")
def ours() -> GraphQLSchema:
    """The sandbox's schema."""
    package = resources.files("daemon.sandbox.shopify")
    return build_schema(package.joinpath("schema.graphql").read_text(encoding="utf-8"))


def own_types(schema: GraphQLSchema) -> list[Any]:
    """The types that the file defines."""
    return [definition for name, definition in schema.type_map.items() if not name.startswith("__")]


def test_types(ours: GraphQLSchema, official: GraphQLSchema) -> None:
    """Every type exists, is of the same kind, and implements no interface that it does not implement at Shopify."""
    for definition in own_types(ours):
        theirs = official.type_map.get(definition.name)
        assert type(theirs) is type(definition), definition.name
        if isinstance(definition, GraphQLObjectType | GraphQLInterfaceType):
            assert isinstance(theirs, GraphQLObjectType | GraphQLInterfaceType)
            missing = {i.name for i in definition.interfaces} - {i.name for i in theirs.interfaces}
            assert not missing, f"{definition.name} does not implement {missing}"


def test_fields(ours: GraphQLSchema, official: GraphQLSchema) -> None:
    """Every field exists and returns the same type, nullability and lists included, and is as deprecated."""
    for definition in own_types(ours):
        if not isinstance(definition, GraphQLObjectType | GraphQLInterfaceType):
            continue
        their_fields = official.type_map[definition.name].fields  # type: ignore[union-attr]
        for name, field in definition.fields.items():
            where = f"{definition.name}.{name}"
            assert name in their_fields, where
            assert str(field.type) == str(their_fields[name].type), where
            assert field.deprecation_reason == their_fields[name].deprecation_reason, where


def test_arguments(ours: GraphQLSchema, official: GraphQLSchema) -> None:
    """Every argument exists with its type, or nullable where its default is missing; no required one is left out."""
    for definition in own_types(ours):
        if not isinstance(definition, GraphQLObjectType | GraphQLInterfaceType):
            continue
        for name, field in definition.fields.items():
            theirs = official.type_map[definition.name].fields[name].args  # type: ignore[union-attr]
            required = {argument for argument, described in theirs.items() if str(described.type).endswith("!")}
            assert required <= set(field.args), f"{definition.name}.{name}"
            for argument, described in field.args.items():
                where = f"{definition.name}.{name}({argument}:)"
                assert argument in theirs, where
                assert str(theirs[argument].type) in {str(described.type), f"{described.type}!"}, where


def test_input_fields(ours: GraphQLSchema, official: GraphQLSchema) -> None:
    """Every field of an input object exists with its type; no required one is left out."""
    inputs = [definition for definition in own_types(ours) if isinstance(definition, GraphQLInputObjectType)]
    assert inputs
    for definition in inputs:
        theirs = official.type_map[definition.name].fields  # type: ignore[union-attr]
        required = {name for name, field in theirs.items() if str(field.type).endswith("!")}
        assert required <= set(definition.fields), definition.name
        for name, field in definition.fields.items():
            assert str(field.type) == str(theirs[name].type), f"{definition.name}.{name}"


def test_directives(ours: GraphQLSchema, official: GraphQLSchema) -> None:
    """The directives of the file are Shopify's, with their arguments, in the same places."""
    for name in ("idempotent",):
        mine, theirs = ours.get_directive(name), official.get_directive(name)
        assert mine is not None
        assert theirs is not None
        assert mine.locations == theirs.locations
        assert {a: str(each.type) for a, each in mine.args.items()} == {
            a: str(each.type) for a, each in theirs.args.items()
        }


def test_argument_defaults(official_document: dict[str, Any], ours: GraphQLSchema) -> None:
    """A default that Shopify publishes is ours too."""
    types = {each["name"]: each for each in official_document["data"]["__schema"]["types"]}
    for definition in own_types(ours):
        if not isinstance(definition, GraphQLObjectType):
            continue
        for described in types[definition.name]["fields"]:
            if described["name"] not in definition.fields:
                continue
            node = definition.fields[described["name"]].ast_node
            assert node is not None
            defaults = {a.name.value: a.default_value for a in node.arguments or ()}
            for argument in described["args"]:
                if argument["name"] in defaults and argument["defaultValue"] is not None:
                    default = defaults[argument["name"]]
                    written = str(getattr(default, "value", None))
                    assert written.lower() == argument["defaultValue"].lower(), f"{definition.name}.{described['name']}"


def test_enum_values(ours: GraphQLSchema, official: GraphQLSchema) -> None:
    """Every value of an enum exists."""
    for definition in own_types(ours):
        if isinstance(definition, GraphQLEnumType):
            theirs = official.type_map[definition.name]
            assert isinstance(theirs, GraphQLEnumType)
            assert set(definition.values) <= set(theirs.values), definition.name


def test_required_scopes(official_document: dict[str, Any]) -> None:
    """The scopes that open a type or field are those that Shopify publishes."""
    published = official_document.get("offline_scopes", {}).get("items", [])
    types = {item["typeName"]: item["offlineScopes"] for item in published if item["type"] == "type"}
    fields = {(i["typeName"], i["fieldName"]): i["offlineScopes"] for i in published if i["type"] == "field"}
    if not published:
        pytest.skip("this copy of the schema does not hold the scopes")
    for name, scopes in TYPE_ACCESS.items():
        assert set(scopes) == set(types[name]), name
    for place, scopes in FIELD_ACCESS.items():
        assert set(scopes) == set(fields[place]), place
