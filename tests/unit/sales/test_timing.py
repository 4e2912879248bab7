"""When something is to happen to a campaign, and for how long it should have happened already."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from asyncpg import Range
from hypothesis import given
from hypothesis import strategies as st

from daemon.api.sales import ENDED, RUNNING, CampaignState
from daemon.config import SaleSettings
from daemon.ids import CampaignId, SaleName, StoreName
from daemon.sales.model import TRANSITIONS, Campaign
from daemon.sales.planning import period
from daemon.sales.preparation import LEAD, LEAD_PER_VARIANT, lead
from daemon.sales.timing import NEWCOMERS_INTERVAL, edges, has_been_missed, is_to_begin, is_to_end, is_to_prepare

START = datetime(2027, 1, 28, 13, tzinfo=UTC)
END = START + timedelta(hours=2)
SECOND = timedelta(seconds=1)
INSTANT = timedelta(microseconds=1)

DEFINITION = SaleSettings.model_validate({"name": "tet", "store": "main", "percent": 20, "targets": {"all": True}})
CAMPAIGN = Campaign(
    id=CampaignId(UUID(int=1)),
    store=StoreName("main"),
    name=SaleName("tet"),
    origin="file",
    state=CampaignState.SCHEDULED,
    definition=DEFINITION,
    starts_at=START,
    ends_at=END,
    is_cancelled=False,
    notice=None,
    variants=0,
    prepared_at=None,
    started_at=None,
    ended_at=None,
    closed_at=None,
    created_at=START - timedelta(days=1),
    changed_at=START - timedelta(days=1),
)

WAITING = (CampaignState.DRAFT, CampaignState.SCHEDULED)
ON = (CampaignState.APPLYING, CampaignState.ACTIVE)

moments = st.integers(-5 * 3600, 5 * 3600).map(lambda seconds: START + timedelta(seconds=seconds))


@st.composite
def campaigns(draw: st.DrawFn) -> Campaign:
    """Any campaign in any state."""
    starts_at, ends_at = draw(st.none() | moments), draw(st.none() | moments)
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        starts_at, ends_at = ends_at, starts_at + SECOND
    return replace(
        CAMPAIGN,
        state=draw(st.sampled_from(CampaignState)),
        starts_at=starts_at,
        ends_at=ends_at,
        variants=draw(st.integers(0, 100_000)),
        prepared_at=draw(st.none() | moments),
        definition=DEFINITION.model_copy(update={"newcomers": draw(st.sampled_from(["join", "ignore"]))}),
    )


def of(state: CampaignState, **keys: Any) -> Campaign:
    """The campaign in another state."""
    return replace(CAMPAIGN, state=state, **keys)


class TestBeginning:
    """The start."""

    def test_at_the_very_moment(self) -> None:
        """It begins at its start and not an instant before."""
        assert not is_to_begin(CAMPAIGN, START - INSTANT)
        assert is_to_begin(CAMPAIGN, START)
        assert is_to_begin(CAMPAIGN, END - INSTANT)

    def test_not_when_its_end_has_come(self) -> None:
        """A campaign whose start and end fell into an outage is not put on sale for a moment."""
        assert not is_to_begin(CAMPAIGN, END)
        assert has_been_missed(CAMPAIGN, END)
        assert not has_been_missed(CAMPAIGN, END - INSTANT)

    @pytest.mark.parametrize("state", sorted(set(CampaignState) - {CampaignState.SCHEDULED}))
    def test_only_of_what_is_scheduled(self, state: CampaignState) -> None:
        """What runs or is over does not begin again, and a draft waits for a person."""
        assert not is_to_begin(of(state), START)

    def test_without_an_end(self) -> None:
        """A campaign without an end begins however late, and is never missed."""
        endless = replace(CAMPAIGN, ends_at=None)
        assert is_to_begin(endless, START + timedelta(days=365))
        assert not has_been_missed(endless, START + timedelta(days=365))

    def test_without_a_start(self) -> None:
        """Nothing is due of a campaign that waits for the person who starts it."""
        assert not is_to_begin(replace(CAMPAIGN, starts_at=None), END - INSTANT)
        assert list(edges(replace(CAMPAIGN, starts_at=None))) == []


class TestEnding:
    """The end."""

    @pytest.mark.parametrize("state", ON)
    def test_at_the_very_moment(self, state: CampaignState) -> None:
        """It ends at its end and not an instant before, also if it is still being applied."""
        assert not is_to_end(of(state), END - INSTANT)
        assert is_to_end(of(state), END)
        assert is_to_end(of(state), END + timedelta(days=365))

    @pytest.mark.parametrize("state", sorted(set(CampaignState) - set(ON)))
    def test_only_of_what_is_on(self, state: CampaignState) -> None:
        """What has not begun has nothing to take back, and what is being taken back is already."""
        assert not is_to_end(of(state), END)

    @pytest.mark.parametrize("state", ON)
    def test_never_without_an_end(self, state: CampaignState) -> None:
        """A campaign without an end goes on until a person ends it."""
        assert not is_to_end(of(state, ends_at=None), END + timedelta(days=365))

    @pytest.mark.parametrize("state", sorted(set(CampaignState) - set(WAITING)))
    def test_only_what_waits_can_be_missed(self, state: CampaignState) -> None:
        """A campaign that has begun was not missed."""
        assert not has_been_missed(of(state), END)


class TestPreparing:
    """What is read ahead of the start, and while variants may join."""

    @pytest.mark.parametrize("variants", [0, 1, 20_000])
    def test_ahead_of_the_start(self, variants: int) -> None:
        """The more variants, the earlier, so that at the start only the writes remain."""
        campaign = replace(CAMPAIGN, variants=variants)
        begins = START - LEAD - variants * LEAD_PER_VARIANT
        assert lead(variants) == START - begins
        assert not is_to_prepare(campaign, begins - INSTANT)
        assert is_to_prepare(campaign, begins)
        assert list(edges(campaign)) == [begins, START]

    def test_once(self) -> None:
        """What has been prepared since then is not again; what was prepared before it is."""
        begins = START - lead(0)
        assert is_to_prepare(replace(CAMPAIGN, prepared_at=begins - INSTANT), START - SECOND)
        assert not is_to_prepare(replace(CAMPAIGN, prepared_at=begins), START - SECOND)

    def test_again_and_again_while_variants_may_join(self) -> None:
        """A running campaign that newcomers join is looked at every ten minutes."""
        active = of(CampaignState.ACTIVE, prepared_at=START)
        assert not is_to_prepare(active, START + NEWCOMERS_INTERVAL)
        assert is_to_prepare(active, START + NEWCOMERS_INTERVAL + INSTANT)
        assert is_to_prepare(replace(active, prepared_at=None), START)

    def test_never_while_they_may_not(self) -> None:
        """A campaign that ignores newcomers stays as it began."""
        ignoring = DEFINITION.model_copy(update={"newcomers": "ignore"})
        assert not is_to_prepare(of(CampaignState.ACTIVE, definition=ignoring), END)

    @pytest.mark.parametrize("state", sorted(set(CampaignState) - {CampaignState.SCHEDULED, CampaignState.ACTIVE}))
    def test_nothing_else(self, state: CampaignState) -> None:
        """There is nothing to prepare of what is being applied, taken back, or over."""
        assert not is_to_prepare(of(state), START)


class TestWhatIsDue:
    """What holds of any campaign at any time."""

    @given(campaigns(), moments)
    def test_is_one_thing(self, campaign: Campaign, now: datetime) -> None:
        """A campaign begins, ends or has been missed: at most one of them at a time."""
        assert is_to_begin(campaign, now) + is_to_end(campaign, now) + has_been_missed(campaign, now) <= 1

    @given(campaigns(), moments, moments)
    def test_becomes_due_at_an_edge(self, campaign: Campaign, one: datetime, other: datetime) -> None:
        """The timer is set to the edges alone: what was not due before and is now has an edge between."""
        before, after = sorted((one, other))
        between = [edge for edge in edges(campaign) if before < edge <= after]
        scheduled = campaign.state is CampaignState.SCHEDULED
        for is_due in (is_to_begin, is_to_end, is_to_prepare) if scheduled else (is_to_begin, is_to_end):
            if is_due(campaign, after) and not is_due(campaign, before):
                assert between

    @given(campaigns(), moments)
    def test_stays_due_until_it_happens(self, campaign: Campaign, now: datetime) -> None:
        """Nobody has to look at the right moment: a start stays due until its end, an end for good."""
        later = now + timedelta(days=30)
        if is_to_begin(campaign, now):
            assert is_to_begin(campaign, later) or has_been_missed(campaign, later)
        assert is_to_end(campaign, later) or not is_to_end(campaign, now)

    @given(campaigns(), moments)
    def test_is_nothing_for_what_has_ended(self, campaign: Campaign, now: datetime) -> None:
        """A campaign that is over, or waits for a person, has neither edges nor anything due."""
        over = [replace(campaign, state=state) for state in (*ENDED, CampaignState.NEEDS_ATTENTION)]
        for ended in over:
            assert list(edges(ended)) == []
            assert not any(due(ended, now) for due in (is_to_prepare, is_to_begin, is_to_end, has_been_missed))

    @given(campaigns(), moments)
    def test_is_late_from_the_moment_it_is_due(self, campaign: Campaign, now: datetime) -> None:
        """A start that is due is overdue by the time since its start, an end by the time since its end."""
        if is_to_begin(campaign, now):
            assert campaign.starts_at is not None
            assert campaign.overdue_start(now) == (now - campaign.starts_at).total_seconds()
        if is_to_end(campaign, now):
            assert campaign.ends_at is not None
            assert campaign.overdue_end(now) == (now - campaign.ends_at).total_seconds()


class TestOverdue:
    """What is measured, shown and alerted."""

    @pytest.mark.parametrize("state", WAITING)
    def test_start(self, state: CampaignState) -> None:
        """Seconds since the start that a campaign has not made; none before it."""
        assert of(state).overdue_start(START - SECOND) == 0
        assert of(state).overdue_start(START) == 0
        assert of(state).overdue_start(START + timedelta(seconds=2.5)) == 2.5
        assert of(state, starts_at=None).overdue_start(END) == 0

    @pytest.mark.parametrize("state", sorted(set(CampaignState) - {*WAITING, CampaignState.APPLYING}))
    def test_start_that_was_made(self, state: CampaignState) -> None:
        """A campaign that has begun is not late any more."""
        assert of(state).overdue_start(START + timedelta(hours=1)) == 0

    def test_work_that_takes_longer_than_the_limits_need(self) -> None:
        """Putting on sale and taking back are late only beyond what Shopify's limits need for so many variants."""
        applying = of(CampaignState.APPLYING, started_at=START, variants=100)
        reverting = of(CampaignState.REVERTING, ended_at=END, variants=100)
        for seconds, late in ((0, 0), (26, 0), (36, 10)):
            assert applying.overdue_start(START + timedelta(seconds=seconds)) == late
            assert reverting.overdue_end(END + timedelta(seconds=seconds)) == late

    def test_decision_long_after_the_end(self) -> None:
        """What a person has decided days later to take back is not late by days."""
        decided = END + timedelta(days=2)
        reverting = of(CampaignState.REVERTING, ended_at=END, changed_at=decided)
        assert reverting.overdue_end(decided + SECOND) == 0

    @pytest.mark.parametrize("state", sorted({CampaignState.APPLYING, CampaignState.ACTIVE}))
    def test_end(self, state: CampaignState) -> None:
        """Seconds since the end of a campaign that has not begun to go back."""
        assert of(state).overdue_end(END - SECOND) == 0
        assert of(state).overdue_end(END) == 0
        assert of(state).overdue_end(END + timedelta(minutes=1)) == 60
        assert of(state, ends_at=None).overdue_end(END + timedelta(days=1)) == 0

    @pytest.mark.parametrize("state", sorted(set(CampaignState) - RUNNING))
    def test_end_of_what_is_not_on(self, state: CampaignState) -> None:
        """A campaign that has not begun, is over or waits for a person's decision does not end late."""
        assert of(state).overdue_end(END + timedelta(days=1)) == 0

    @given(campaigns(), moments)
    def test_never_negative(self, campaign: Campaign, now: datetime) -> None:
        """Early is not late."""
        assert campaign.overdue_start(now) >= 0
        assert campaign.overdue_end(now) >= 0


class TestPeriod:
    """The time for which a campaign holds its variants."""

    def test_from_start_to_end(self) -> None:
        """The end is not in it, so that another campaign may start at that very moment."""
        held = period(START, END, START - SECOND)
        assert held == Range(START, END, lower_inc=True, upper_inc=False)

    def test_from_now_on(self) -> None:
        """Where the start has passed, or there is none, from now."""
        now = START + SECOND
        assert period(START, END, now).lower == now
        assert period(None, END, now) == Range(now, END)

    def test_without_an_end(self) -> None:
        """For good."""
        held = period(START, None, START)
        assert (held.lower, held.upper, held.isempty) == (START, None, False)

    @pytest.mark.parametrize("now", [END, END + SECOND])
    def test_over(self, now: datetime) -> None:
        """A campaign whose end has passed holds nothing, whatever else overlaps."""
        assert period(START, END, now).isempty
        assert period(None, END, now).isempty


class TestStates:
    """The states and the ways between them."""

    def test_every_state_has_its_ways(self) -> None:
        """The table of transitions is complete, and out of an end leads only what takes back a call that came late."""
        assert TRANSITIONS.keys() == set(CampaignState)
        assert all(TRANSITIONS[state] for state in set(CampaignState) - ENDED)
        late = {CampaignState.REVERTING, CampaignState.NEEDS_ATTENTION}
        assert all(TRANSITIONS[state] <= late for state in ENDED)

    def test_every_state_can_be_reached_and_left(self) -> None:
        """From a draft there is a way to every state, and from every state one to an end."""
        assert _reachable(CampaignState.DRAFT) == set(CampaignState)
        assert all(_reachable(state) & ENDED for state in CampaignState)

    def test_prices_are_given_back_before_the_end(self) -> None:
        """What is on sale ends only by being taken back."""
        assert {state for state in CampaignState if TRANSITIONS[state] & {CampaignState.COMPLETED}} == {
            CampaignState.REVERTING
        }
        assert TRANSITIONS[CampaignState.ACTIVE] == {CampaignState.REVERTING}

    @pytest.mark.parametrize("state", CampaignState)
    def test_flags(self, state: CampaignState) -> None:
        """A campaign runs, is over, or neither, never both."""
        assert state.has_ended == (state in ENDED)
        assert state.is_running == (state in RUNNING)
        assert not (state.has_ended and state.is_running)


def _reachable(state: CampaignState) -> set[CampaignState]:
    found, open_states = {state}, [state]
    while open_states:
        new = TRANSITIONS[open_states.pop()] - found
        found |= new
        open_states += new
    return found
