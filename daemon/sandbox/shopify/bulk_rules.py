"""What a query must be like to be run in bulk.

Sources: shopify.dev, "Perform bulk operations with the GraphQL Admin API" (one top-level field, but neither `node` nor
`nodes`; at most five connections, nested at most two levels below the first; connections by `edges` and `node`); the
API's own messages, of which those about `edges`, parents' ids, lists and missing connections have been seen. That it
takes no variables follows from there being no argument for them. How it reacts to `pageInfo`, which it could not fill,
is not known: it is refused here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    parse,
    validate,
)

MAX_CONNECTIONS = 5
DEEPEST = 2  # levels of connections below the first one

_Fields = GraphQLObjectType | GraphQLInterfaceType


@dataclass
class _Found:
    """What a query asks for that the rules are about."""

    connections: int = 0
    deepest: int = 0
    by_nodes: list[str] = field(default_factory=list)
    paged: list[str] = field(default_factory=list)
    without_parent_id: list[str] = field(default_factory=list)
    within_list: bool = False


def problems(schema: GraphQLSchema, text: str) -> list[str]:
    """Why a query can't be run in bulk, a sentence each; none where it can."""
    try:
        document = parse(text)
        errors = validate(schema, document)
    except GraphQLError as error:
        return [f"Invalid bulk query: {error.message}"]
    if errors:
        return [f"Invalid bulk query: {error.message}" for error in errors]
    operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    if len(operations) != 1 or operations[0].operation is not OperationType.QUERY or schema.query_type is None:
        return ["Invalid operation type. Only `query` operations are supported."]
    if operations[0].variable_definitions:
        return ["Invalid bulk query: variables are not supported."]
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    walk = _Walk(schema, fragments)
    top = [field.name.value for field in walk.fields(operations[0].selection_set)]
    if len(top) != 1:
        return ["Bulk queries must contain exactly one top-level field."]
    walk.look(schema.query_type, operations[0].selection_set, depth=-1, parent_has_id=True, in_list=False)
    return list(_sentences(top[0], walk.found))


def connection_of(document: DocumentNode) -> str:
    """The one top-level field of a query without problems, as it is called in the answer."""
    (operation,) = (each for each in document.definitions if isinstance(each, OperationDefinitionNode))
    (field,) = (each for each in operation.selection_set.selections if isinstance(each, FieldNode))
    return (field.alias or field.name).value


def _sentences(top: str, found: _Found) -> Iterator[str]:
    if found.by_nodes:
        names = "', '".join(found.by_nodes)
        yield (
            "All connection fields in a bulk query must select their contents using 'edges' > 'node', e.g: "
            f"'{found.by_nodes[0]} {{ edges {{ node {{'. Selecting via 'nodes' is not supported. Invalid connection "
            f"fields: '{names}'."
        )
    if found.paged:
        yield f"Bulk queries cannot select 'pageInfo'. Invalid connection fields: '{', '.join(found.paged)}'."
    if top in ("node", "nodes"):
        yield "Bulk queries cannot contain a top level `node` field."
    if found.deepest > DEEPEST:
        yield f"Bulk queries cannot contain connections with a nesting depth greater than {DEEPEST}."
    if found.connections > MAX_CONNECTIONS:
        yield f"Bulk queries cannot contain more than {MAX_CONNECTIONS} connections."
    if found.without_parent_id:
        yield (
            "The parent 'node' field for a nested connection must select the 'id' field without an alias and must be "
            f"of 'ID' return type. Connection fields without 'id': {', '.join(found.without_parent_id)}."
        )
    if found.within_list:
        yield "Queries that contain a connection field within a list field are not currently supported."
    if not found.connections:
        yield "Bulk queries must contain at least one connection."


class _Walk:
    def __init__(self, schema: GraphQLSchema, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self.found = _Found()
        self._schema = schema
        self._fragments = fragments

    def fields(self, selection: SelectionSetNode) -> Iterator[FieldNode]:
        """The fields of a selection, those of its fragments included."""
        for node in selection.selections:
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                yield from self.fields(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                yield from self.fields(self._fragments[node.name.value].selection_set)

    def look(
        self, parent: _Fields, selection: SelectionSetNode, *, depth: int, parent_has_id: bool, in_list: bool
    ) -> None:
        """Note what is asked for of a type; `depth` is that of the connection around it."""
        for node in self.fields(selection):
            definition = parent.fields.get(node.name.value)
            if definition is None or node.selection_set is None:
                continue
            returned = get_named_type(definition.type)
            if not isinstance(returned, _Fields):
                continue
            if returned.name.endswith("Connection"):
                self._look_into(returned, node, depth=depth + 1, parent_has_id=parent_has_id, in_list=in_list)
            else:
                within = in_list or _is_list(definition.type)
                self.look(returned, node.selection_set, depth=depth, parent_has_id=parent_has_id, in_list=within)

    def _look_into(
        self, connection: _Fields, node: FieldNode, *, depth: int, parent_has_id: bool, in_list: bool
    ) -> None:
        found, name, selection = self.found, node.name.value, node.selection_set
        if selection is None:
            return
        found.connections += 1
        found.deepest = max(found.deepest, depth)
        found.within_list |= in_list
        if not parent_has_id:
            found.without_parent_id.append(name)
        edges: list[FieldNode] = []
        for each in self.fields(selection):
            match each.name.value:
                case "edges":
                    edges.append(each)
                case "nodes":
                    found.by_nodes.append(name)
                case "pageInfo":
                    found.paged.append(name)
        for inner in (row for edge in edges if edge.selection_set for row in self.fields(edge.selection_set)):
            if inner.name.value == "node" and inner.selection_set is not None:
                self.look(
                    _row_type(connection),
                    inner.selection_set,
                    depth=depth,
                    parent_has_id=_has_id(self.fields(inner.selection_set)),
                    in_list=False,
                )


def _has_id(fields: Iterable[FieldNode]) -> bool:
    return any(field.name.value == "id" and field.alias is None for field in fields)


def _row_type(connection: _Fields) -> _Fields:
    edge = get_named_type(connection.fields["edges"].type)
    row = get_named_type(edge.fields["node"].type) if isinstance(edge, GraphQLObjectType) else None
    if not isinstance(row, _Fields):
        raise TypeError(f"{connection.name} has no rows.")
    return row


def _is_list(kind: object) -> bool:
    return isinstance(kind.of_type if isinstance(kind, GraphQLNonNull) else kind, GraphQLList)
