"""`dongbo doctor`: "why don't I see my job?"."""

from typing import Annotated

import typer

from daemon.cli.options import ConfigOption, JsonOption, UrlOption


def doctor(
    credentials: Annotated[
        bool, typer.Option("--credentials/--no-credentials", help="Whether to try the credentials of all stores, too.")
    ] = True,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find out why a job is not seen.

    A job that does nothing is followed through all stations that a real one passes; then all parts are looked at.
    """
    import asyncio

    from daemon.cli.checks.findings import any_failed, to_json, write_findings
    from daemon.cli.client.target import find_target
    from daemon.cli.doctor.diagnosis import diagnose
    from daemon.cli.render import output
    from daemon.logging import configure_logging

    target = find_target(config, url)
    configure_logging("error", "console")  # what goes wrong becomes a finding
    findings = asyncio.run(diagnose(target, tries_credentials=credentials))
    is_well = not any_failed(findings)
    if as_json:
        output.write_json({"ok": is_well, "findings": to_json(findings)})
    else:
        write_findings(findings)
    if not is_well:
        raise typer.Exit(1)
