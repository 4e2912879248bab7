"""GraphQL documents, parsed and validated, with the errors worded as Shopify words them."""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableDefinitionNode,
    parse,
    print_ast,
    validate,
)
from graphql.execution.values import get_variable_values

KEPT_DOCUMENTS = 128
LONGEST_KEPT = 50_000  # characters; longer texts are not likely to come again

_UNKNOWN_FIELD = re.compile(r"Cannot query field '(\w+)' on type '(\w+)'\.")


class RefusedError(Exception):
    """The document can't be executed; `errors` is what the answer says."""

    def __init__(self, *errors: dict[str, Any]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = list(errors)


@dataclass(frozen=True, slots=True)
class BoundOperation:
    """An operation that is valid in the schema, with variables that fit."""

    document: DocumentNode
    definition: OperationDefinitionNode
    variables: Mapping[str, Any]


class Documents:
    """Reads documents against one schema, and keeps the ones read lately."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._kept: OrderedDict[str, DocumentNode] = OrderedDict()

    def operation(self, text: str, name: str | None, variables: Mapping[str, Any]) -> BoundOperation:
        """The operation called `name` (the only one, when None) of the document `text`; raises RefusedError."""
        document = self._document(text)
        definition = _operation(document, name)
        coerced = get_variable_values(self._schema, definition.variable_definitions or (), dict(variables))
        if isinstance(coerced, list):
            raise RefusedError(*(_variable_error(error, variables) for error in coerced))
        return BoundOperation(document, definition, variables)

    def writes(self, text: str, name: str | None) -> bool:
        """Whether the operation called `name` is a mutation; one that would be refused is none."""
        try:
            return _operation(self._document(text), name).operation is OperationType.MUTATION
        except RefusedError:
            return False

    def _document(self, text: str) -> DocumentNode:
        document = self._kept.get(text)
        if document is None:
            document = self._read(text)
            if len(text) <= LONGEST_KEPT:
                self._kept[text] = document
            if len(self._kept) > KEPT_DOCUMENTS:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(text)
        return document

    def _read(self, text: str) -> DocumentNode:
        try:
            document = parse(text)
            errors = validate(self._schema, document)
        except GraphQLError as error:
            raise RefusedError({"message": error.message, "locations": _locations(error)}) from error
        except RecursionError:
            raise RefusedError({"message": "The query is nested too deeply.", "locations": []}) from None
        if errors:
            raise RefusedError(*map(_validation_error, errors))
        return document


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    if name is None and len(operations) > 1:
        raise RefusedError({"message": "An operation name is required"})
    for operation in operations:
        if name is None or (operation.name is not None and operation.name.value == name):
            return operation
    raise RefusedError({"message": f'No operation named "{name}"' if name else "No query string was present"})


def _validation_error(error: GraphQLError) -> dict[str, Any]:
    unknown_field = _UNKNOWN_FIELD.match(error.message)
    if unknown_field:
        field, type_name = unknown_field.groups()
        return {
            "message": f"Field '{field}' doesn't exist on type '{type_name}'",
            "locations": _locations(error),
            "path": ["query"],
            "extensions": {"code": "undefinedField", "typeName": type_name, "fieldName": field},
        }
    return {"message": error.message, "locations": _locations(error), "path": ["query"]}


def _variable_error(error: GraphQLError, variables: Mapping[str, Any]) -> dict[str, Any]:
    node = error.nodes[0] if error.nodes else None
    if not isinstance(node, VariableDefinitionNode):
        return {"message": error.message, "locations": _locations(error)}
    name = node.variable.name.value
    value = variables.get(name)
    explanation = "Expected value to not be null" if value is None else error.message
    return {
        "message": f"Variable ${name} of type {print_ast(node.type)} was provided invalid value",
        "locations": _locations(error),
        "extensions": {"value": value, "problems": [{"path": [], "explanation": explanation}]},
    }


def _locations(error: GraphQLError) -> list[dict[str, int]]:
    return [{"line": location.line, "column": location.column} for location in error.locations or ()]
