"""The arithmetic of a bucket of points that several processes draw on, without clock or waiting."""

from dataclasses import dataclass

# What a process claims at a time: points for about so many seconds, and the seconds within which it may spend them.
# Both are what a process that is killed takes with it at most.
LUMP_SECONDS = 2.0
CLAIM_SECONDS = 5.0
LOOK_SECONDS = 1.0  # between two looks, for a process that waits for points
SHORTEST_LOOK = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class OtherPoints:
    """What all processes have been told of a bucket, and what the others hold of it.

    Args:
        free: points that nobody had claimed; None: nobody has said.
        age: how many seconds ago that was.
        is_ours: whether this process said it: nobody has claimed any since.
        held: points that others may spend, and those of their calls under way.
        ahead: points for which others wait who go first.
        processes: how many others draw on it at present.
    """

    free: float | None = None
    age: float = 0.0
    is_ours: bool = False
    held: float = 0.0
    ahead: float = 0.0
    processes: int = 0


@dataclass(frozen=True, slots=True)
class OwnPoints:
    """What a process knows of a bucket from the answers to its own calls.

    Args:
        points: what can be in it at most, less those set aside for calls under way.
        known_at: when the last answer came, in the seconds of `SharedPoints.claim`; None: none has.
        set_aside: for calls under way.
        maximum: what it can hold.
        rate: points restored a second.
    """

    points: float
    known_at: float | None
    set_aside: float
    maximum: float
    rate: float


@dataclass(frozen=True, slots=True)
class ToldPoints:
    """What a process tells all others: points that are free, those that it holds, and those that it waits for."""

    free: float
    held: float
    wanted: float


class SharedPoints:
    """What one process may spend of a bucket that others draw on, too.

    Why nothing is throttled: each point that the bucket restores is free until one process claims it, and is then that
    process's alone. What is free and what all hold is together never more than the bucket holds, for what is spent
    leaves both, and what a call turns out not to cost goes back to both. A process that dies takes what it held with
    it, so that there is more in the bucket than is thought of, until one that is alone goes by the bucket itself again.

    Why nobody starves: a process whose call can't be covered says how much it waits for and since when, and others
    leave that much, unless their call is of a lower rank or has waited longer.
    """

    def __init__(self) -> None:
        self._claimed = 0.0
        self._claimed_until = float("-inf")
        self._alone_since: float | None = None
        self._look_at = float("-inf")

    def covers(self, cost: float, now: float) -> bool:
        """Whether a call may be made without a further claim."""
        return self._claimed >= cost and now < self._claimed_until

    @property
    def look_at(self) -> float:
        """When to claim at the earliest: there is too little before."""
        return self._look_at

    def take(self, cost: float) -> None:
        """Spend points: `covers` said that they are there."""
        self._claimed -= cost

    def give_back(self, points: float, now: float) -> None:
        """A call has cost so many points less than were taken for it."""
        if now < self._claimed_until:
            self._claimed += points

    def claim(self, cost: float, now: float, own: OwnPoints, others: OtherPoints) -> ToldPoints:
        """Claim what a call costs, and some more for the next ones.

        What is returned must be known to all before the first of these calls.
        """
        free = self._free(now, own, others)
        usable = free - others.ahead
        claimed, wanted = 0.0, cost
        if usable >= cost:
            share = usable / (1 + others.processes)
            claimed, wanted = max(cost, min(own.rate * LUMP_SECONDS, share)), 0.0
        self._claimed, self._claimed_until = claimed, now + CLAIM_SECONDS
        wait = min(max((cost - usable) / own.rate, SHORTEST_LOOK), LOOK_SECONDS)
        self._look_at = now + wait if wanted else float("-inf")
        return ToldPoints(free - claimed, claimed + own.set_aside, wanted)

    def is_too_much(self, now: float, rate: float) -> bool:
        """Whether calls have cost so much less than was claimed for them that others should have the rest."""
        return self._claimed > rate * LUMP_SECONDS and now < self._claimed_until

    def release(self, now: float, own: OwnPoints, others: OtherPoints) -> ToldPoints:
        """Keep nothing of what was claimed; what all are to know."""
        free = self._free(now, own, others)
        self.disclaim()
        return ToldPoints(free, own.set_aside, 0.0)

    def disclaim(self) -> None:
        """Spend nothing before the next claim."""
        self._claimed = 0.0

    def claim_unseen(self, now: float, cost: float) -> None:
        """Claim what a call costs without knowing of others: what all know of can't be asked now."""
        self._claimed, self._claimed_until, self._look_at = cost, now + CLAIM_SECONDS, float("-inf")

    def _free(self, now: float, own: OwnPoints, others: OtherPoints) -> float:
        """Points that nobody has claimed; what this process had claimed and not spent is among them."""
        if others.processes or not others.is_ours or self._alone_since is None:
            self._alone_since = None if others.processes else now
        if self._alone_since is not None and own.known_at is not None and own.known_at >= self._alone_since:
            return max(own.points, 0.0)  # nobody else has drawn on it since that answer
        # Of what the answers say, others may have spent some since.
        most = own.points - others.held
        if others.free is not None:
            left = self._claimed if now < self._claimed_until else 0.0
            room = own.maximum - others.held - own.set_aside
            most = min(most, room, others.free + own.rate * others.age + left)
        return max(most, 0.0)
