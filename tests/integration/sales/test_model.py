"""Sales under everything at once: after any history every variant has the price that the rules say, and the journal
explains it.

`DONGBO_TEST_EXAMPLES=300` tries so many histories, `DONGBO_TEST_SEED=7` others than the usual ones.
"""

import asyncio
import os
import sys
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from daemon.api.sales import CampaignState, Decision
from daemon.jobs.types import JobType
from daemon.sandbox.faults import Fault
from tests.support.postgres import TestServer
from tests.support.sale_history import Ambush, Stage, World, hook

EXAMPLES = int(os.environ.get("DONGBO_TEST_EXAMPLES", "4"))
STEPS = int(os.environ.get("DONGBO_TEST_STEPS", "22"))

COLLECTIONS = ("phu-kien", "nha-cua", "quan", "vay", "sale")
SKUS = ("QJ0001-TIM", "qj0001-nau", "MU0002-TIM-NHO", "VD0003-VANG-S", "GB0004-DEN")
VENDORS = ("Lụa Vạn Phúc", "mộc châu")
TYPES = ("Phụ kiện", "quần")
TAGS = ("Tết", "nam", "GIẢM GIÁ")

numbers = st.integers(0, 40)
daemons = st.integers(0, 1)
lists = st.fixed_dictionaries(
    {},
    optional={
        "collections": st.lists(st.sampled_from(COLLECTIONS), min_size=1, max_size=2, unique=True),
        "skus": st.lists(st.sampled_from(SKUS), min_size=1, max_size=3, unique=True),
        "vendors": st.lists(st.sampled_from(VENDORS), min_size=1, max_size=1),
        "product_types": st.lists(st.sampled_from(TYPES), min_size=1, max_size=1),
        "tags": st.lists(st.sampled_from(TAGS), min_size=1, max_size=1),
    },
)
discounts = st.one_of(
    st.sampled_from([{"percent": 20}, {"percent": 50}, {"percent": "33.33"}, {"percent": 5}]),
    st.sampled_from([{"amount": 50_000}, {"amount": 130_000}]),
)
roundings = st.sampled_from([{}, {"round_to": 1000}, {"round_to": 10_000, "ending": 9_000}, {"floor": 400_000}])
shapes = st.builds(
    lambda targets, excludes, discount, rounding, rest: (
        ({"targets": targets or {"all": True}} | ({"excludes": excludes} if excludes else {}))
        | discount
        | rounding
        | rest
    ),
    st.one_of(st.just({}), lists),
    st.one_of(st.just({}), lists),
    discounts,
    roundings,
    st.fixed_dictionaries(
        {
            "starts": st.sampled_from([None, None, None, -30, 1, 60, 300, 3600]),
            "lasts": st.sampled_from([None, 1, 300, 3600, 3600]),
        },
        optional={"newcomers": st.just("ignore"), "discount_from": st.just("price")},
    ),
)
places = st.sampled_from(
    [
        *[("set_prices",)] * 4,
        *[("present_prices",)] * 2,
        ("product_versions",),
        ("set_prices", "present_prices", "page"),
        ("present_prices", "set_prices"),
        ("collection_products", "page"),
        ("page",),
    ]
)
acts = st.sampled_from(
    [
        *("die", "die", "mislay", "mislay", "foreign", "foreign", "foreign", "deliver", "deliver", "slow", "slow"),
        *("slow", "delete", "fault", "end", "end", "start", "cancel", "clock", "sync", "pull", "refuse"),
    ]
)
# Within a transaction nothing can happen but its daemon's death.
ambushes = st.builds(
    lambda is_within, where, times, is_after, act, seed: (
        Ambush(("commit",), times, False, "die", seed) if is_within else Ambush(where, times, is_after, act, seed)
    ),
    st.sampled_from([False] * 5 + [True]),
    places,
    st.sampled_from([1, 1, 2, 3, 4]),
    st.booleans(),
    acts,
    numbers,
)


class Sales(RuleBasedStateMachine):
    """Whatever may happen to sales, step by step."""

    server: TestServer
    template: str
    stage: Stage

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.has_failed = False
        self.restores = True
        self.database = self.server.new_database(self.template)
        self.world = World(self.server.url(self.database.__enter__()))
        self.stage.world = self.world
        self.do(self.world.open())

    def do(self, step: Coroutine[Any, Any, None]) -> None:
        """Take a step in the example's own event loop."""
        try:
            self.runner.run(step)
        except BaseException:
            self.has_failed = True
            raise

    def teardown(self) -> None:
        """All comes to its end, and is judged."""
        try:
            if not self.has_failed:
                self.do(self.world.finish(restores=self.restores))
                self.do(self.world.check_end())
        finally:
            if self.has_failed:
                sys.stdout.write(f"sprung: {self.world.sprung}\nlog: {self.world.log}\n")
            self.runner.run(self.world.close())
            self.runner.close()
            self.stage.world = None
            self.database.__exit__(None, None, None)

    @initialize(restores=st.booleans(), shape=shapes)
    def begin(self, restores: bool, shape: dict[str, Any]) -> None:
        self.restores = restores
        self.do(self.world.create(0, self.world.define(**shape), is_draft=False))

    @rule(which=daemons, shape=shapes, is_draft=st.sampled_from([False, False, False, True]))
    def create(self, which: int, shape: dict[str, Any], is_draft: bool) -> None:
        self.do(self.world.create(which, self.world.define(**shape), is_draft=is_draft))

    @rule(which=daemons, shape=shapes, choice=numbers)
    def follow(self, which: int, shape: dict[str, Any], choice: int) -> None:
        """A campaign that begins at the very end of another one."""
        self.do(self._follow(which, shape, choice))

    async def _follow(self, which: int, shape: dict[str, Any], choice: int) -> None:
        ends = [one for one in await self.world.campaigns() if one.ends_at and one.ends_at > self.world.clock.now()]
        if ends:
            before = ends[choice % len(ends)]
            assert before.ends_at is not None
            starts = (before.ends_at - self.world.clock.now()).total_seconds()
            definition = self.world.define(**shape | {"starts": starts})
            length = (definition.ends - definition.starts) if definition.ends and definition.starts else None
            update = {"starts": before.ends_at, "ends": before.ends_at + length if length else None}
            await self.world.create(which, definition.model_copy(update=update), is_draft=False)

    @rule(which=daemons, choice=numbers, act=st.sampled_from(["start", "end", "end", "cancel"]))
    def command(self, which: int, choice: int, act: str) -> None:
        self.do(self._command(which, choice, act))

    async def _command(self, which: int, choice: int, act: str) -> None:
        open_ = [one for one in await self.world.campaigns() if not one.state.has_ended]
        if not open_:
            return
        await self.world.command(which, open_[choice % len(open_)], act)

    @rule(
        which=daemons,
        choice=numbers,
        decision=st.sampled_from([None, Decision.KEEP, Decision.RESTORE]),
        chosen=st.one_of(st.none(), numbers),
    )
    def resume(self, which: int, choice: int, decision: Decision | None, chosen: int | None) -> None:
        self.do(self._resume(which, choice, decision, chosen))

    async def _resume(self, which: int, choice: int, decision: Decision | None, chosen: int | None) -> None:
        asking = [one for one in await self.world.campaigns() if one.state is CampaignState.NEEDS_ATTENTION]
        if asking:
            await self.world.decide(which, asking[choice % len(asking)], decision, chosen)

    @rule(seconds=st.sampled_from([-60, 1, 60, 250, 700, 4000]))
    def move_clock(self, seconds: int) -> None:
        self.do(self.world.move_clock(seconds))

    @rule(which=daemons)
    def sweep(self, which: int) -> None:
        self.do(self.world.sweep(which))

    @rule()
    def settle(self) -> None:
        self.do(self.world.settle())

    @rule()
    def settle_and_check(self) -> None:
        self.world.calm()
        self.world.ambushes.clear()
        self.do(self.world.settle())
        self.do(self.world.check_quiet())

    @rule(choice=numbers, kind=st.integers(0, 3))
    def foreign(self, choice: int, kind: int) -> None:
        numbers_ = sorted(self.world.shopify.variants)
        self.world.foreign(numbers_[choice % len(numbers_)], kind=kind)

    @rule(choice=numbers, act=st.sampled_from(["delete", "add", "add"]))
    def change_variants(self, choice: int, act: str) -> None:
        numbers_ = sorted(self.world.shopify.variants)
        number = numbers_[choice % len(numbers_)]
        if act == "delete":
            self.world.delete(number)
        else:
            self.world.add_variant(number)

    @rule(collection=numbers, choice=numbers)
    def change_collection(self, collection: int, choice: int) -> None:
        shopify = self.world.shopify
        chosen = list(shopify.collections.values())[collection % len(shopify.collections)]
        product_id = sorted(shopify.products)[choice % len(shopify.products)]
        if product_id in chosen.product_ids:
            shopify.remove_from_collection(chosen.id, product_id)
        else:
            shopify.add_to_collection(chosen.id, product_id)

    @rule()
    def pull(self) -> None:
        self.do(self.world.pull())

    @rule(choice=numbers, percent=st.sampled_from([80, 90, 110, 130]), which=daemons, waits=st.booleans())
    def sync(self, choice: int, percent: int, which: int, waits: bool) -> None:
        self.do(self._sync(choice, percent, which, waits))

    async def _sync(self, choice: int, percent: int, which: int, waits: bool) -> None:
        variants = sorted(self.world.pairs)
        for number in range(3):
            self.world.change_nhanh(variants[(choice + number) % len(variants)], percent)
        await self.world.run_job(JobType.PULL_NHANH_PRODUCTS, full=False)
        await self.world.submit(JobType.SYNC_PRODUCTS, which)
        if waits:
            await self.world.wait_for_jobs()

    @rule(fault=st.sampled_from(list(Fault)), share=st.sampled_from([0.05, 0.2]))
    def faults(self, fault: Fault, share: float) -> None:
        setattr(self.world.sandbox.faults, fault.value, min(share, 0.05) if fault is Fault.RATE_LIMITED else share)

    @rule()
    def calm(self) -> None:
        self.world.calm()

    @rule(ambush=ambushes)
    def ambush(self, ambush: Ambush) -> None:
        self.world.ambushes.append(replace(ambush))

    @rule(prepared=st.lists(ambushes, min_size=2, max_size=5), which=daemons, choice=numbers, is_at_edge=st.booleans())
    def go_on(self, prepared: list[Ambush], which: int, choice: int, is_at_edge: bool) -> None:
        """The next start or end comes, and much happens meanwhile."""
        self.world.ambushes += [replace(ambush) for ambush in prepared]
        if is_at_edge:
            self.do(self.world.move_to_edge(choice))
        self.do(self.world.sweep(which))
        self.do(self.world.settle())

    @rule(choice=numbers, kind=st.integers(0, 3))
    def change_after_the_look(self, choice: int, kind: int) -> None:
        """The next start has been prepared when somebody changes prices."""
        self.do(self.world.move_to_edge(0, ahead=30))
        self.do(self.world.settle())
        variants = sorted(self.world.shopify.variants)
        for number in range(4):
            self.world.foreign(variants[(choice + 3 * number) % len(variants)], kind=kind)
        self.do(self.world.move_to_edge(0))
        self.do(self.world.settle())

    @rule(prepared=st.lists(ambushes, min_size=2, max_size=5), choice=numbers)
    def end_under_fire(self, prepared: list[Ambush], choice: int) -> None:
        """A person ends a campaign, and much happens meanwhile."""
        self.world.ambushes += [replace(ambush) for ambush in prepared]
        self.do(self._command(0, choice, "end"))
        self.do(self.world.settle())

    @rule(which=daemons)
    def kill(self, which: int) -> None:
        self.do(self._kill(which))

    async def _kill(self, which: int) -> None:
        self.world.machines[which].die()

    @rule()
    def deliver(self) -> None:
        self.do(self.world.deliver())

    @rule(which=daemons, shape=shapes, name=st.sampled_from(["file-1", "file-2"]))
    def write_file(self, which: int, shape: dict[str, Any], name: str) -> None:
        """The file says something new of a campaign."""
        self.world.file[name] = self.world.define(**shape).model_copy(update={"name": name})
        self.do(self.world.reload(which))

    @precondition(lambda self: self.world.file)
    @rule(which=daemons, choice=numbers, lasts=st.sampled_from([None, None, 60, 5000]))
    def change_file(self, which: int, choice: int, lasts: int | None) -> None:
        """A campaign goes out of the file, or gets another end."""
        name = sorted(self.world.file)[choice % len(self.world.file)]
        if lasts is None:
            del self.world.file[name]
        else:
            later = self.world.define(starts=None, lasts=lasts, percent=5, targets={"all": True}).ends
            known = self.world.file[name]
            if known.starts is None or later is None or later > known.starts:
                self.world.file[name] = known.model_copy(update={"ends": later})
        self.do(self.world.reload(which))

    def check_invariants(self, *arguments: Any, **keywords: Any) -> None:
        """After each step."""
        super().check_invariants(*arguments, **keywords)
        if not self.has_failed:
            self.do(self.world.check_always())


def test_prices_are_what_the_rules_say_after_any_history(
    postgres_server: TestServer, migrated_template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happens, each variant costs in the end what it should, and never was discounted twice."""
    stage = Stage()
    hook(monkeypatch, stage)
    machine = type("Sales", (Sales,), {"server": postgres_server, "template": migrated_template, "stage": stage})
    given_seed = os.environ.get("DONGBO_TEST_SEED")
    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        derandomize=given_seed is None,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    if given_seed is not None:
        machine = seed(int(given_seed))(machine)
    run_state_machine_as_test(machine, settings=chosen)
