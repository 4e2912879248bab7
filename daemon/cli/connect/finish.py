"""How connecting ends: the secret in its place, the keys in the file, and what is left to do."""

from collections.abc import Sequence
from typing import Any

from daemon.cli.connect.config_file import ConfigFile, Edit
from daemon.cli.connect.secret_places import SecretPlace
from daemon.cli.render import output


def keep(file: ConfigFile, edit: Edit, secrets: Sequence[tuple[SecretPlace, str]]) -> dict[str, Any]:
    """Store the secrets, then write the file: what it names exists by then. Says what was done; returns it as JSON."""
    stored = [place.store(secret) for place, secret in secrets]
    changes_file = edit.text != file.text
    is_written = file.write(edit)
    for (place, _), kept in zip(secrets, stored, strict=True):
        if kept.place is not None:
            output.tell(f"Stored in {kept.place}.")
        else:
            output.tell(f"Not stored: this command can't set {place.describe()}.")
    to_do = [line for kept in stored for line in kept.to_do]
    if not is_written:
        to_do.insert(0, f"add to {file.path}:\n{edit.lines}")
    elif changes_file:
        output.tell(f"{file.path} now contains:")
        output.say("\n".join(f"  {line}" for line in edit.lines.splitlines()))
    if all(kept.taken_over for kept in stored):
        if changes_file:
            to_do.append(
                "if a daemon is running, make it read its configuration again: systemctl reload dongbo, or kill -HUP"
            )
        else:
            output.tell("A running daemon picks it up by itself within seconds.")
    for line in dict.fromkeys(to_do):
        output.tell(f"To do: {line}")
    return {
        "configuration": str(file.path),
        "configuration_written": is_written,
        "lines": edit.lines,
        "stored": [kept.place for kept in stored],
        "to_do": list(dict.fromkeys(to_do)),
    }
