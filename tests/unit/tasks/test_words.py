"""What forms say of jobs and their parameters."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from daemon.jobs.types import JobType
from daemon.tasks import params_schemas
from daemon.tasks.words import TITLES, description_of, params_in_words


def names_in(schema: Mapping[str, Any]) -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        yield name
        yield from names_in(inner)


@pytest.mark.parametrize("job_type", JobType)
def test_every_type_and_parameter_has_words(job_type: JobType) -> None:
    """A form has a sentence for the job, and a label and a sentence for each parameter."""
    assert description_of(job_type).endswith(".")
    schema = params_in_words(params_schemas()[job_type])
    for name, said in schema["properties"].items():
        assert said["title"] == TITLES[name]
        assert said["description"]


def test_no_words_are_kept_for_what_is_not_there() -> None:
    """A parameter that has gone takes its title with it."""
    assert {name for schema in params_schemas().values() for name in names_in(schema)} == TITLES.keys()


def test_the_schema_that_programs_read_stays_as_it_is() -> None:
    """Words are added to a copy."""
    schema = params_schemas()[JobType.PULL_NHANH_CUSTOMERS]
    params_in_words(schema)
    assert "title" not in schema["properties"]["full"]
