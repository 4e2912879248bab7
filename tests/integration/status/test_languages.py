"""A request is answered in its own language; without one, in that of the configuration."""

from collections.abc import Iterator
from typing import Any

import pytest

from daemon.i18n import Language, configure

ENGLISH, VIETNAMESE = "There is no such job: its id is not a UUID", "Không có tác vụ này: ID không phải UUID"


@pytest.fixture(autouse=True)
def english_afterwards() -> Iterator[None]:
    """What is configured is the process's."""
    yield
    configure(Language.ENGLISH)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("vi", VIETNAMESE),
        ("vi-VN,vi;q=0.9,en;q=0.8", VIETNAMESE),
        ("fr-FR, VI;q=0.5", VIETNAMESE),
        ("en-GB,vi;q=0.5", ENGLISH),
        ("fr", ENGLISH),
        ("", ENGLISH),
    ],
)
async def test_a_request_is_answered_in_its_language(endpoint: Any, asked: str, answered: str) -> None:
    """In the first one of Accept-Language that the daemon speaks."""
    problem = await endpoint.get("/api/jobs/no-uuid", 404, headers={"Accept-Language": asked})
    assert problem["detail"] == answered


async def test_who_asks_for_none_is_answered_in_the_configured_one(endpoint: Any) -> None:
    """As commands and probes do."""
    configure(Language.VIETNAMESE)
    assert (await endpoint.get("/api/jobs/no-uuid", 404))["detail"] == VIETNAMESE


@pytest.mark.parametrize("language", Language)
async def test_the_page_gets_its_words(endpoint: Any, language: Language) -> None:
    """By language; English is as written in the scripts."""
    words = await endpoint.get(f"/page/words.{language}.json")
    assert words == {} if language is Language.ENGLISH else words["Retry"] == "Thử lại"
