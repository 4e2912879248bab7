"""Whether the clock of a source agrees with this machine's."""

from daemon.api.findings import Finding, ok, warning

SOURCE_CLOCK_TOLERANCE = 5.0  # seconds


def judge_offset(subject: str, seconds: float) -> Finding:
    """Whether the clock of a source is within a few seconds of a machine's."""
    if abs(seconds) <= SOURCE_CLOCK_TOLERANCE:
        return ok(subject, "its clock agrees with this machine's")
    side = "ahead of" if seconds > 0 else "behind"
    detail = f"its clock is {abs(seconds):,.0f} s {side} this machine's"
    advice = "nothing is lost, but times differ: let this machine set its clock by NTP: timedatectl set-ntp true"
    return warning(subject, detail, advice)
