"""What a query costs, before it runs (requested) and after (actual).

Shopify documents that scalars and enums are free, an object costs 1, a mutation 10, an interface as much as its dearest
type, and that a connection is "sized by its first and last arguments" (https://shopify.dev/docs/api/usage/limits). The
size is not linear: Shopify's engineers gave `2 + children x floor(2 ln(size))` and named value objects that are free
(https://community.shopify.dev/t/how-to-calculate-graphql-cost-estimates/24364), which agrees with costs that people
measured: 3 for the titles of `products(first: 1)`, 25 for the inventory items of a product's `variants(first: 250)`.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    BooleanValueNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
)

MAX_QUERY_COST = 1000
MUTATION_COST = 10
CONNECTION_COST = 2
FREE_FIELDS = frozenset({"address", "billingAddress", "currencyFormats", "measurement", "unitCost", "pageInfo"})


@dataclass(frozen=True, slots=True)
class CostedField:
    """A field that costs something, with what it may hold: one set of fields for each type that it may return."""

    key: str  # under which it is in the answer
    cost: int
    size: int | None  # of a connection's page
    count: int  # how many objects a list of ids asks for
    alternatives: tuple[tuple["CostedField", ...], ...]


def plan(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> tuple[CostedField, ...]:
    """The fields of a valid `operation` that cost something.

    Args:
        schema: which `document` was validated against.
        document: holds the operation and its fragments.
        operation: the one to run.
        variables: as sent; defaults come from the operation.
    """
    root = schema.get_root_type(operation.operation)
    if root is None:
        return ()
    return _Planner(schema, document, operation, variables).fields(root, [operation.selection_set])


def requested(fields: Iterable[CostedField]) -> int:
    """What the fields cost if every page comes back full."""
    return sum(_requested(field) for field in fields)


def actual(fields: Iterable[CostedField], data: Mapping[str, Any] | None) -> int:
    """What the fields cost with the `data` that came back: never more than was requested."""
    return sum(_actual(field, data.get(field.key) if data else None) for field in fields)


def _requested(field: CostedField) -> int:
    children = max((requested(fields) for fields in field.alternatives), default=0)
    if field.size is not None:
        return CONNECTION_COST + children * _page_factor(field.size)
    return (field.cost + children) * field.count


def _actual(field: CostedField, value: Any) -> int:
    if field.size is not None:
        return CONNECTION_COST + _actual_page(field, value)
    if isinstance(value, list):
        children = [_actual_children(field, item) for item in value]
        if field.count > 1:
            return field.cost * field.count + sum(children)
        return field.cost + max(children, default=0)
    return field.cost + _actual_children(field, value)


def _actual_page(field: CostedField, page: Any) -> int:
    """A page's objects cost what they hold on average, by the factor for as many as there are."""
    items = [item for fields in field.alternatives for container in fields for item in _page_items(container, page)]
    if not items:
        return 0
    size = max(len(page.get(container.key) or ()) for fields in field.alternatives for container in fields)
    return math.ceil(sum(items) / size * _page_factor(size))


def _page_items(container: CostedField, page: Any) -> Iterator[int]:
    for item in (page or {}).get(container.key) or ():
        yield container.cost + _actual_children(container, item)


def _actual_children(field: CostedField, value: Any) -> int:
    if not isinstance(value, dict):
        return 0
    return max((actual(fields, value) for fields in field.alternatives), default=0)


def _page_factor(size: int) -> int:
    return math.floor(2 * math.log(max(2, min(size, 250)))) if size > 0 else 0


class _Planner:
    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> None:
        self._schema = schema
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._variables = {
            definition.variable.name.value: _literal(definition.default_value)
            for definition in operation.variable_definitions or ()
            if definition.default_value is not None
        } | dict(variables)

    def fields(self, parent: GraphQLObjectType, selections: Iterable[SelectionSetNode]) -> tuple[CostedField, ...]:
        found: dict[str, list[FieldNode]] = {}
        for selection in selections:
            self._collect(parent, selection, found)
        costed = (self._field(parent, key, nodes) for key, nodes in found.items())
        return tuple(field for field in costed if field is not None)

    def _field(self, parent: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> CostedField | None:
        name = nodes[0].name.value
        definition = parent.fields.get(name)
        selections = [node.selection_set for node in nodes if node.selection_set]
        if definition is None or not selections or name in FREE_FIELDS:
            return None
        returned = get_named_type(definition.type)
        if isinstance(returned, GraphQLInterfaceType | GraphQLUnionType):
            alternatives = tuple(
                self.fields(possible, selections) for possible in self._schema.get_possible_types(returned)
            )
        elif isinstance(returned, GraphQLObjectType):
            alternatives = (self.fields(returned, selections),)
        else:
            return None
        arguments = {argument.name.value: self._value(argument.value) for argument in nodes[0].arguments or ()}
        if returned.name.endswith("Connection"):
            sizes = [size for size in (arguments.get("first"), arguments.get("last")) if isinstance(size, int)]
            return CostedField(key, 0, max(sizes, default=0), 1, alternatives)
        if parent is self._schema.mutation_type:
            return CostedField(key, MUTATION_COST, None, 1, ())
        ids = arguments.get("ids")
        cost = 0 if returned.name.endswith("Edge") else 1
        return CostedField(key, cost, None, len(ids) if isinstance(ids, list) else 1, alternatives)

    def _collect(
        self, parent: GraphQLObjectType, selection: SelectionSetNode, found: dict[str, list[FieldNode]]
    ) -> None:
        for node in selection.selections:
            if self._left_out(node):
                continue
            if isinstance(node, FieldNode):
                found.setdefault((node.alias or node.name).value, []).append(node)
            elif isinstance(node, InlineFragmentNode):
                if node.type_condition is None or self._applies(parent, node.type_condition.name.value):
                    self._collect(parent, node.selection_set, found)
            elif isinstance(node, FragmentSpreadNode):
                fragment = self._fragments[node.name.value]
                if self._applies(parent, fragment.type_condition.name.value):
                    self._collect(parent, fragment.selection_set, found)

    def _left_out(self, node: SelectionNode) -> bool:
        for directive in node.directives or ():
            condition = next((self._value(a.value) for a in directive.arguments or () if a.name.value == "if"), None)
            if (directive.name.value, bool(condition)) in {("skip", True), ("include", False)}:
                return True
        return False

    def _applies(self, parent: GraphQLObjectType, condition: str) -> bool:
        return parent.name == condition or any(interface.name == condition for interface in parent.interfaces)

    def _value(self, node: ValueNode) -> Any:
        return self._variables.get(node.name.value) if isinstance(node, VariableNode) else _literal(node)


def _literal(node: ValueNode) -> Any:
    match node:
        case IntValueNode():
            return int(node.value)
        case BooleanValueNode():
            return node.value
        case ListValueNode():
            return list(node.values)
        case _:
            return None
