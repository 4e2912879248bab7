"""When something is due for a campaign: nothing but comparisons of times."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from daemon.api.sales import CampaignState
from daemon.sales.clocks import MOST_APART
from daemon.sales.model import Campaign
from daemon.sales.preparation import lead

NEWCOMERS_INTERVAL = timedelta(minutes=10)  # between two looks for variants that join a running campaign


def is_to_prepare(campaign: Campaign, now: datetime) -> bool:
    """Whether targets and prices are to be read for a campaign: ahead of its start, and while variants may join it."""
    match campaign.state:
        case CampaignState.SCHEDULED if campaign.starts_at is not None:
            begins = campaign.starts_at - lead(campaign.variants)
            return begins <= now and (campaign.prepared_at is None or campaign.prepared_at < begins)
        case CampaignState.ACTIVE if campaign.definition.newcomers == "join":
            return campaign.prepared_at is None or now - campaign.prepared_at > NEWCOMERS_INTERVAL
        case _:
            return False


def is_to_begin(campaign: Campaign, now: datetime) -> bool:
    """Whether a planned campaign's start has come."""
    return (
        campaign.state is CampaignState.SCHEDULED
        and campaign.starts_at is not None
        and campaign.starts_at <= now
        and not has_been_missed(campaign, now)
    )


def is_to_end(campaign: Campaign, now: datetime) -> bool:
    """Whether a running campaign's end has come."""
    is_on = campaign.state in (CampaignState.APPLYING, CampaignState.ACTIVE)
    return is_on and campaign.ends_at is not None and campaign.ends_at <= now


def has_begun_early(campaign: Campaign, now: datetime) -> bool:
    """Whether a campaign runs before its start: the clock that started it was wrong."""
    is_on = campaign.state in (CampaignState.APPLYING, CampaignState.ACTIVE)
    return is_on and campaign.starts_at is not None and campaign.starts_at > now + MOST_APART


def has_been_missed(campaign: Campaign, now: datetime) -> bool:
    """Whether a campaign's end has come before it started."""
    return campaign.starts_by_itself and campaign.ends_at is not None and campaign.ends_at <= now


def edges(campaign: Campaign) -> Iterator[datetime]:
    """The times at which something is due for a campaign in its present state."""
    match campaign.state:
        case CampaignState.SCHEDULED if campaign.starts_at is not None:
            yield campaign.starts_at - lead(campaign.variants)
            yield campaign.starts_at
        case CampaignState.APPLYING | CampaignState.ACTIVE if campaign.ends_at is not None:
            yield campaign.ends_at
        case _:
            return
