"""What a soak tells whoever looks on, and the table at its end."""

from tests.soak.life import Soaked


def report(soaked: Soaked) -> None:
    """The table."""
    say("\n| at | quiet after | memory | files | tasks | pool | connections of both |\n|---|---|---|---|---|---|---|")
    for quiet in soaked.quiet:
        needs = quiet.steady
        say(
            f"| {quiet.at:.0f} s | {quiet.took:.1f} s | {needs.memory:.1f} MB | {needs.files} | {needs.tasks} "
            f"| {needs.pool} | {quiet.connections} |"
        )
    say("\n| rule | found |\n|---|---|")
    for name, finding in soaked.findings.items():
        say(f"| {name} | {finding} |")
    for problem in soaked.problems:
        say(f"\nBROKEN (seed {soaked.seed}): {problem}")


def say(text: str) -> None:
    """Print it at once."""
    print(text, flush=True)  # noqa: T201 - for whoever looks on
