"""Who has sent a delivery."""

import base64
import hashlib
import hmac

import pytest

from daemon.ids import StoreName
from daemon.inbox.streams import StreamId
from daemon.jobs.types import Source
from daemon.webhooks.verification import OLD_KEY_COUNTS, Verifier, sign
from tests.support.clock import Clock

MAIN, OTHER = StoreName("main"), StoreName("other")
NHANH, SHOPIFY = StreamId(MAIN, Source.NHANH), StreamId(MAIN, Source.SHOPIFY)
TOKEN, SECRET = "0123456789abcdef", "hush"
BODY = b'{"id": 1}'


@pytest.fixture
def clock() -> Clock:
    """It stands still."""
    return Clock(0.0)


@pytest.fixture
def verifier(clock: Clock) -> Verifier:
    """Knows both sides of one store."""
    made = Verifier(clock)
    made.use({NHANH: TOKEN.encode(), SHOPIFY: SECRET.encode()})
    return made


def signature(body: bytes, secret: str = SECRET) -> str:
    """As Shopify documents it, written out."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def test_a_signature_holds_for_exactly_its_body(verifier: Verifier) -> None:
    """A byte more, another secret, another store, or none: a forgery."""
    assert sign(BODY, SECRET.encode()).decode() == signature(BODY)
    assert verifier.is_of_shopify(MAIN, signature(BODY), BODY)
    assert not verifier.is_of_shopify(MAIN, signature(BODY), BODY + b" ")
    assert not verifier.is_of_shopify(MAIN, signature(BODY, "other"), BODY)
    assert not verifier.is_of_shopify(OTHER, signature(BODY), BODY)
    assert not verifier.is_of_shopify(MAIN, "", BODY)
    assert not verifier.is_of_shopify(MAIN, "\udcff", BODY)


def test_the_header_s_token_counts_before_the_body_s(verifier: Verifier) -> None:
    """The documentation of Nhanh.vn says both; whoever shows neither is refused."""
    inside = f'{{"event": "orderAdd", "webhooksVerifyToken": "{TOKEN}", "data": "x"}}'.encode()
    assert verifier.is_of_nhanh(MAIN, TOKEN)
    assert verifier.is_of_nhanh(MAIN, None, inside)
    assert not verifier.is_of_nhanh(MAIN, "x" * 16, inside)
    assert not verifier.is_of_nhanh(MAIN, "", inside)
    assert not verifier.is_of_nhanh(MAIN, None, BODY)
    assert not verifier.is_of_nhanh(MAIN, None)
    assert not verifier.is_of_nhanh(OTHER, TOKEN)


@pytest.mark.parametrize("store", [MAIN, OTHER])
def test_nothing_is_known_by_the_decoy(verifier: Verifier, store: StoreName) -> None:
    """What a stranger's store is compared with opens nothing."""
    decoy = verifier._decoy.decode()
    assert not verifier.is_of_nhanh(store, decoy)
    assert not verifier.is_of_shopify(store, signature(BODY, decoy), BODY)


def test_a_replaced_secret_counts_for_an_hour_more(verifier: Verifier, clock: Clock) -> None:
    """Shopify goes on signing by it for so long, and Nhanh.vn's token may not be changed there yet."""
    verifier.use({NHANH: b"f" * 16, SHOPIFY: b"new"})
    clock.now = OLD_KEY_COUNTS - 1
    verifier.use({NHANH: b"f" * 16, SHOPIFY: b"new"})  # nothing new: the hour goes on
    assert verifier.is_of_nhanh(MAIN, TOKEN)
    assert verifier.is_of_nhanh(MAIN, "f" * 16)
    assert verifier.is_of_shopify(MAIN, signature(BODY), BODY)
    assert verifier.is_of_shopify(MAIN, signature(BODY, "new"), BODY)
    clock.now = OLD_KEY_COUNTS
    assert not verifier.is_of_nhanh(MAIN, TOKEN)
    assert not verifier.is_of_shopify(MAIN, signature(BODY), BODY)
    assert verifier.is_of_shopify(MAIN, signature(BODY, "new"), BODY)


def test_a_stream_that_is_taken_out_is_a_stranger_s(verifier: Verifier) -> None:
    """At once."""
    verifier.use({SHOPIFY: SECRET.encode()})
    assert verifier.streams == [SHOPIFY]
    assert not verifier.is_of_nhanh(MAIN, TOKEN)
