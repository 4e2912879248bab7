"""A soak: a shop at work, whatever happens to it, for as long as one likes; then all rules are checked.

    soaked = await soak(directory, seed=7, seconds=600, say=print)
    assert not soaked.problems, soaked.problems

It goes by rounds. In each, people trade, jobs and sales run, and faults of all kinds happen, chosen by the seed; then
everything must become quiet by itself, and what the daemons hold in that moment must not grow from round to round.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.daemons import WATCHDOG_SECONDS, Instance, Needs
from tests.soak.faults import let_happen
from tests.soak.people import OPEN_SALES, Readers, ask_for_jobs, hold_sales, trade
from tests.soak.rules import RULES
from tests.soak.world import Say, World, world
from tests.support.site import eventually

ROUND_SECONDS = 60.0
QUIET_SECONDS = 90.0  # for what is under way to end
RECOVERY_SECONDS = 30.0  # for what was wrong to be over
EVERYTHING = ("PULL_NHANH_CUSTOMERS", "PULL_SHOPIFY_CUSTOMERS", "PULL_NHANH_PRODUCTS", "PULL_SHOPIFY_PRODUCTS")
MORE_MEMORY = 1.25  # as much as in the first quiet moment …
MEMORY_MARGIN = 15.0  # … and so many MB
MORE_FILES = 20  # connections to the sources, and of readers, are kept for a while
MORE_TASKS = 8
POOL = 16  # as the configuration has it

STATUSES = "SELECT id::text, status FROM dongbo.background_jobs"
LIVE = "SELECT id::text, type, status, error FROM dongbo.background_jobs WHERE status IN ('PENDING', 'RUNNING')"
CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dongbo' AND datname = current_database()
"""


@dataclass(frozen=True)
class Quiet:
    """A quiet moment.

    Args:
        at: seconds from the beginning.
        took: seconds until it was quiet and nothing was wrong any more.
        steady: what the daemon holds that is never ended.
        connections: to the database, of both daemons.
    """

    at: float
    took: float
    steady: Needs
    connections: int


@dataclass
class Soaked:
    """What came of a soak. `findings` has a row a rule: what it found, or what is wrong."""

    seed: int
    quiet: list[Quiet] = field(default_factory=list)
    findings: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


async def soak(directory: Path, seed: int, seconds: float, say: Say, round_seconds: float = ROUND_SECONDS) -> Soaked:
    """Let a shop live through `seconds` of work and faults.

    Args:
        directory: an empty one.
        seed: of all that is chosen at random; how far things have come when it happens is not in its hands.
        seconds: from the first fault to the last; what is under way then takes its time.
        say: is told what happens.
        round_seconds: of work and faults, from one quiet moment to the next.

    Raises:
        AssertionError: something is wrong that goes on can't be without; else it is among the problems.
    """
    soaked = Soaked(seed)
    try:
        async with world(directory, seed, say) as opened:
            readers = [Readers(opened, instance) for instance in opened.instances]
            async with _reading(readers):
                end = opened.seconds() + seconds
                while opened.seconds() < end:
                    await _live(opened, min(opened.seconds() + round_seconds, end))
                    soaked.quiet.append(await _become_quiet(opened))
                await opened.schedule([])
                await _come_to_rest(opened)
                await _write_nothing_more(opened)
            for instance in opened.instances:
                await instance.stop()
            await _judge(opened, soaked, readers)
    except Exception as error:
        error.add_note(f"to repeat it: python -m tests.soak --seed {seed} --seconds {seconds:.0f}")
        raise
    return soaked


@asynccontextmanager
async def _reading(readers: Sequence[Readers]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        looking = [
            tasks.create_task(act(), name=f"reader-{number}-{act.__name__}")
            for number, reader in enumerate(readers)
            for act in (reader.look, reader.follow)
        ]
        yield
        for task in looking:
            task.cancel()


async def _live(opened: World, until: float) -> None:
    async with asyncio.TaskGroup() as tasks:
        for act in (let_happen, trade, ask_for_jobs, hold_sales):
            tasks.create_task(act(opened, until), name=act.__name__)


async def _become_quiet(opened: World) -> Quiet:
    """Everything ends that is under way, each stream runs once more, and nothing is wrong; all of it without help."""
    began = opened.seconds()
    await _come_to_rest(opened)
    for job_type in EVERYTHING:
        await _run(opened, job_type, full=True)
    await _run(opened, "PRODUCT_CHAIN")
    for instance in opened.instances:
        await _recover(instance)
    took = opened.seconds() - began
    ((connections,),) = await opened.fetch(CONNECTIONS)
    quiet = Quiet(opened.seconds(), took, await opened.steady.needs(), connections)
    opened.say(f"quiet after {took:.1f} s: {quiet.steady}, {connections} connections")
    return quiet


async def _come_to_rest(opened: World) -> None:
    """What is under way ends."""

    async def is_at_rest() -> bool:
        return not await opened.fetch(LIVE) and not await opened.fetch(OPEN_SALES)

    try:
        await eventually(is_at_rest, QUIET_SECONDS, 0.1)
    except AssertionError:
        left = [dict(row) for query in (LIVE, OPEN_SALES) for row in await opened.fetch(query)]
        raise AssertionError(f"still under way {QUIET_SECONDS:.0f} s after the last fault: {left}") from None


async def _recover(instance: Instance) -> None:
    complaints: set[str] = set()

    async def is_well() -> bool:
        nonlocal complaints
        complaints = await instance.complaints()
        return not complaints

    try:
        await eventually(is_well, RECOVERY_SECONDS, 0.2)
    except AssertionError:
        raise AssertionError(f"{instance.name} still complains after {RECOVERY_SECONDS:.0f} s: {complaints}") from None


async def _run(opened: World, job_type: str, **params: object) -> None:
    """Let a job of a type run to its end; one of a schedule that is live already does as well."""
    api = opened.steady.api
    assert api is not None
    async with api.session.post("/api/jobs", json={"type": job_type, "store": "main", "params": params}) as response:
        answer = await response.json(content_type=None)
        assert response.status in (202, 409), answer
    await api.completed(answer["id"] if response.status == 202 else answer["job_id"])


async def _write_nothing_more(opened: World) -> None:
    """What is in step stays as it is."""
    await _run(opened, "PRODUCT_CHAIN")
    written = len(opened.shop.memory.journal)
    await _run(opened, "PRODUCT_CHAIN")
    assert opened.shop.memory.journal[written:] == [], opened.shop.memory.journal[written:]


async def _judge(opened: World, soaked: Soaked, readers: Sequence[Readers]) -> None:
    """Check every rule, also when another one is broken."""
    for name, rule in RULES.items():
        try:
            soaked.findings[name] = await rule(opened)
        except AssertionError as error:
            soaked.findings[name] = "BROKEN"
            soaked.problems.append(f"{name}: {error}")
    ended = {row["id"]: row["status"] for row in await opened.fetch(STATUSES)}
    told = {number: status for reader in readers for number, status in reader.told.items()}
    wrong = {number: status for number, status in told.items() if ended[number] != status}
    soaked.findings["event streams"] = f"told of {len(told)} ends"
    if wrong:
        soaked.problems.append(f"event streams: told {wrong}")
    soaked.findings["answers"] = ", ".join(f"{status}: {times}" for status, times in sorted(opened.answers.items()))
    soaked.findings["faults"] = f"{opened.happened.total()} of {len(opened.happened)} kinds"
    for instance in opened.instances:
        _judge_instance(instance, opened, soaked)
    _judge_needs(soaked)


def _judge_instance(instance: Instance, opened: World, soaked: Soaked) -> None:
    silence = instance.longest_silence()
    lines, loudest = instance.lines.total(), instance.lines.most_common(4)
    soaked.findings[f"{instance.name} daemon"] = (
        f"{instance.starts} starts, {lines / opened.seconds() * 60:.0f} lines of log a minute, "
        f"longest silence towards systemd {silence:.1f} s; loudest: {', '.join(f'{n} {e}' for e, n in loudest)}"
    )
    soaked.problems += [f"{instance.name} daemon: {problem}" for problem in instance.problems]
    if silence >= WATCHDOG_SECONDS:
        soaked.problems.append(f"systemd would have killed the {instance.name} daemon: silent for {silence:.1f} s")


def _judge_needs(soaked: Soaked) -> None:
    """What the steady daemon holds at the end is what it held after the first round."""
    first, last = soaked.quiet[0], soaked.quiet[-1]
    for what, before, after, most in (
        ("MB", first.steady.memory, last.steady.memory, first.steady.memory * MORE_MEMORY + MEMORY_MARGIN),
        ("files", first.steady.files, last.steady.files, first.steady.files + MORE_FILES),
        ("tasks", first.steady.tasks, last.steady.tasks, first.steady.tasks + MORE_TASKS),
    ):
        if after > most:
            soaked.problems.append(f"{what}: {before} became {after}")
    for quiet in soaked.quiet:
        if quiet.steady.pool > POOL or quiet.connections > 2 * POOL:
            soaked.problems.append(f"connections: {quiet}")
