"""What the calls of one job cost, so that a person can see why it is slow."""

from dataclasses import dataclass


@dataclass(slots=True)
class CallMeter:
    """Counts over all calls made on behalf of one job; every call of a source client adds to the one it is given.

    `is_urgent` calls go before those of all other jobs where the source's rate limit makes them wait: Shopify's bucket.
    """

    api_calls: int = 0  # requests sent, repeated ones included
    retries: int = 0
    rate_limit_wait_seconds: float = 0.0  # waited for a free place under the source's rate limit
    retry_wait_seconds: float = 0.0  # waited between attempts after failures
    rate_limited: int = 0  # answers ERR_429, THROTTLED or HTTP 429
    bytes_received: int = 0  # of answers, decompressed
    waits_for_rate_limit: bool = False  # at this moment
    retry_budget: int = 100  # retries after failures that the whole job has left
    is_urgent: bool = False  # a sale that starts or ends must not wait behind a pull
