"""The result of matching and syncing: figures, and the sample of a dry run or of what waits for approval."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from daemon.cli.render import output, values
from daemon.cli.render.output import plain
from daemon.i18n import gettext as _
from daemon.jobs.model import Job

# As the tasks put them into a job's metadata; the order in which they are shown.
FIGURES = (
    "topics",
    "mapped",
    "excluded",
    "ambiguous",
    "unmatched",
    "conflicts",
    "common_keys",
    "retired",
    "repaired",
    "restored",
    "stock_changes",
    "price_changes",
    "zeroed",
    "large_price_changes",
    "price_changes_by_vat",
    "asked_by_rule",
    "would_change",
    "tiers",
    "without_total",
    "metafields_not_read",
    "left_alone",
)
# JSON in the database does not keep the order of an object's members.
COLUMNS = (
    "variant_id",
    "shopify_id",
    "sku",
    "shopify_name",
    "kind",
    "key",
    "nhanh_rows",
    "shopify_rows",
    "location_id",
    "barcode",
    "nhanh_id",
    "nhanh_code",
    "nhanh_name",
    "phone",
    "source",
    "tier",
    "old",
    "new",
)


def figures(job: Job) -> str:
    """The figures in one line: `120 stock changes, 3 zeroed, left alone: 4 unmapped`; nothing for other jobs."""
    return ", ".join(_figures(job.metadata))


def write_plan(job: Job) -> None:
    """What a job would do, or asks to do: figures and sample; nothing for jobs that have neither."""
    said = figures(job)
    if said:
        output.write_text(said)
    for reason, names in (job.metadata.get("left_alone_examples") or {}).items():
        output.write_text(
            _("Left alone ({reason}): {names}").format(
                reason=plain(reason.replace("_", " ")), names=plain(", ".join(names))
            )
        )
    if question := job.metadata.get("would_ask"):
        output.write_text(_("It would ask first: {question}").format(question=plain(question)))
    sample = job.metadata.get("sample") or []
    groups: Mapping[str, Sequence[Mapping[str, Any]]] = sample if isinstance(sample, dict) else {"": sample}
    for kind, rows in groups.items():
        if not rows:
            continue
        output.write_text(f"\n{plain(kind)}:" if kind else "")
        _write_rows(rows)
    if (of := job.metadata.get("sample_of", 0)) > len(sample):
        output.write_text(_("\nShown: {n} of {of} changes.").format(n=values.number(len(sample)), of=values.number(of)))


def _figures(metadata: Mapping[str, Any]) -> Iterator[str]:
    for name in FIGURES:
        value, words = metadata.get(name), name.replace("_", " ")
        if isinstance(value, dict) and value:
            yield f"{words}: {', '.join(f'{_number(count)} {plain(key)}' for key, count in value.items())}"
        elif isinstance(value, int):
            yield f"{_number(value)} {words}"


def _number(value: object) -> str:
    return values.number(value) if isinstance(value, int | float) else plain(value)


def _write_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    columns = sorted(dict.fromkeys(name for row in rows for name in row), key=_place)
    output.write_table(
        [name.replace("_", " ") for name in columns], [[_cell(row.get(name)) for name in columns] for row in rows]
    )


def _place(column: str) -> int:
    if column == "reason":
        return len(COLUMNS) + 1
    return COLUMNS.index(column) if column in COLUMNS else len(COLUMNS)


def _cell(value: Any) -> Text:
    match value:
        case None:
            return Text("–")
        case dict() | list():
            return Text(plain(json.dumps(value, ensure_ascii=False)))
        case _:
            return Text(plain(value))
