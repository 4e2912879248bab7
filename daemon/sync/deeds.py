"""What people decided about a variant or a customer, in words: newest first."""

from daemon.api.items import Deed
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.ids import StoreName
from daemon.jobs import actions
from daemon.jobs.action_words import way_text
from daemon.jobs.actions import Action, ActionKind, SubjectKind

SHOWN = 20

DECISIONS = {
    ActionKind.MAP: mark("mapped by hand to {nhanh_id} of Nhanh.vn"),
    ActionKind.EXCLUDE: mark("said to have no counterpart at Nhanh.vn"),
    ActionKind.UNMAP: mark("the decision was taken back"),
}


async def list_deeds(connection: Connection, store: StoreName, kind: SubjectKind, subject: int) -> list[Deed]:
    """The last decisions about a variant or a customer."""
    found = await actions.list_of(connection, store, kind, subject, limit=SHOWN)
    return [_deed(action) for action in found if action.kind in DECISIONS]


def _deed(action: Action) -> Deed:
    said = _(DECISIONS[action.kind]).format(nhanh_id=action.detail.get("nhanh_id"))
    return Deed(action.at, f"{said} ({way_text(action.way, action.who)})", action.detail.get("note"))
