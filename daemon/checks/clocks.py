"""Whether the clock of a source agrees with this machine's."""

from daemon.api.findings import Finding, ok, warning
from daemon.i18n import gettext as _
from daemon.i18n import number_text

SOURCE_CLOCK_TOLERANCE = 5.0  # seconds


def judge_offset(subject: str, seconds: float) -> Finding:
    """Whether the clock of a source is within a few seconds of a machine's."""
    if abs(seconds) <= SOURCE_CLOCK_TOLERANCE:
        return ok(subject, _("its clock agrees with this machine's"))
    detail = (
        _("its clock is {n} s ahead of this machine's")
        if seconds > 0
        else _("its clock is {n} s behind this machine's")
    )
    advice = _("nothing is lost, but times differ: let this machine set its clock by NTP: timedatectl set-ntp true")
    return warning(subject, detail.format(n=number_text(round(abs(seconds)))), advice)
