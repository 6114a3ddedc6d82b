"""How many replicas a load calls for: more at once, fewer only after a while, none by what is not known."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controld.model.service import AutoscalePolicy
from controld.rules.autoscale import (
    Decision,
    Ledger,
    Use,
    clamp_count,
    compute_cpu_percent,
    compute_memory_percent,
    decide_count,
    fit_count,
    hold_scale,
    may_sleep,
)
from controld.rules.placement import Load, Need, Promise
from controld.rules.replica_config import wanted_count
from tests.controld.rules.test_deployment import ARTIFACT, LAUNCH, NOW, make_node
from wire.agent.metrics import ReplicaMetrics

POLICY = AutoscalePolicy(
    min_replicas=1, max_replicas=10, target_cpu_pct=50, scale_down_cooldown_s=60, idle_timeout_s=60
)
WITH_MEMORY = dataclasses.replace(POLICY, target_mem_pct=50)


def reading(seconds: float, cpu_usec: int | None, memory: int | None = 0) -> ReplicaMetrics:
    return ReplicaMetrics(
        replica_id="r",
        deployment_id="d",
        index=0,
        recorded_at=NOW + dt.timedelta(seconds=seconds),
        cpu_usage_usec=cpu_usec,
        memory_current_bytes=memory,
    )


def decide(
    *cpu: int | None, current: int, policy: AutoscalePolicy = POLICY, low_since: float | None = None, now: float = 0
) -> Decision:
    uses = [Use(percent) for percent in cpu]
    return decide_count(policy, uses, current=current, low_since=low_since, now=now)


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [
        (reading(0, 0), reading(10, 2_500_000), 50),
        (reading(0, 0), reading(10, 2_499_999), 49),
        (reading(0, 0), reading(10, 9_000_000), 100),
        (reading(0, 7), reading(10, 7), 0),
        (None, reading(10, 0), None),
        (reading(0, 0), None, None),
        (reading(0, None), reading(10, 0), None),
        (reading(0, 0), reading(10, None), None),
        (reading(0, 8), reading(10, 7), None),
        (reading(10, 0), reading(10, 7), None),
        (reading(10, 0), reading(0, 7), None),
    ],
)
def test_cpu_is_what_was_used_between_two_readings_of_the_limit(
    before: ReplicaMetrics | None, after: ReplicaMetrics | None, percent: int | None
) -> None:
    assert compute_cpu_percent(before, after, limit_millis=500) == percent


def test_memory_is_told_by_one_reading() -> None:
    assert compute_memory_percent(reading(0, 0, 299), limit_bytes=1000) == 29
    assert compute_memory_percent(reading(0, 0, None), limit_bytes=1000) is None
    assert compute_memory_percent(None, limit_bytes=1000) is None


def test_more_run_at_once_when_the_average_is_above_the_target() -> None:
    made = decide(90, 71, current=2)
    assert (made.count, made.low_since) == (4, None)
    assert made.why == "cpu at 80 %, 50 % is aimed at"
    assert decide(100, current=1).count == 2
    assert decide(100, 100, 100, 100, 100, 100, current=6).count == 10, "the policy's most is kept"


def test_memory_asks_for_more_where_it_is_the_scarcer_one() -> None:
    made = decide_count(WITH_MEMORY, [Use(60, 90)] * 2, current=2, low_since=None, now=0)
    assert (made.count, made.why) == (4, "memory at 90 %, 50 % is aimed at")
    made = decide_count(POLICY, [Use(10, 90)] * 2, current=2, low_since=None, now=0)
    assert made.count == 2, "without a target memory says nothing"


def test_replicas_that_start_are_not_asked_for_twice() -> None:
    assert decide(100, 100, current=4) == Decision(4)


def test_fewer_run_only_after_the_cooldown_since_the_first_such_decision() -> None:
    first = decide(10, 10, 10, current=3, now=100)
    assert first == Decision(3, 100)
    assert decide(10, 10, 10, current=3, low_since=100, now=159) == Decision(3, 100)
    assert decide(10, 10, 10, current=3, low_since=100, now=160).count == 1
    assert decide(50, 50, 50, current=3, low_since=100, now=159) == Decision(3), "a busy moment ends the wait"
    at_once = dataclasses.replace(POLICY, scale_down_cooldown_s=0)
    assert decide(10, 10, 10, current=3, policy=at_once).count == 1


def test_memory_above_its_target_keeps_what_runs() -> None:
    policy = dataclasses.replace(WITH_MEMORY, max_replicas=3)
    uses = [Use(0, 90)] * 3
    assert decide_count(policy, uses, current=3, low_since=0, now=1e6) == Decision(3)


def test_what_is_not_read_is_never_idle() -> None:
    assert decide(current=3, low_since=0, now=1e6) == Decision(3), "nothing is healthy"
    assert decide(None, None, None, current=3, low_since=0, now=1e6) == Decision(3)
    assert decide(0, 0, None, current=3, low_since=0, now=1e6) == Decision(3)
    uses = [Use(0, 10), Use(0, None)]
    assert decide_count(WITH_MEMORY, uses, current=2, low_since=0, now=1e6) == Decision(2)
    assert decide_count(POLICY, uses, current=2, low_since=0, now=1e6).count == 1


def test_what_is_read_suffices_to_ask_for_more() -> None:
    assert decide(100, 100, None, current=3).count == 4


def test_an_earlier_decision_is_held_within_a_new_policy() -> None:
    assert hold_scale(POLICY, 99) == 10
    assert hold_scale(dataclasses.replace(POLICY, min_replicas=4), 2) == 4
    assert hold_scale(POLICY, None) is hold_scale(None, 7) is None


def test_what_sleeps_goes_on_under_a_policy_that_lets_it() -> None:
    lets = dataclasses.replace(POLICY, min_replicas=0)
    assert hold_scale(lets, 0) == 0
    assert hold_scale(POLICY, 0) == 1
    assert hold_scale(None, 0) is None
    assert [wanted_count(7, lets, scaled_to=count) for count in (None, 0, 3)] == [1, 0, 3]
    assert [wanted_count(7, POLICY, scaled_to=count) for count in (None, 0, 3)] == [1, 1, 3]
    assert wanted_count(7, None, scaled_to=0) == 7


@pytest.mark.parametrize(
    ("uses", "idle_seconds", "sleeps"),
    [
        ([Use(49)], 61, True),
        ([Use(49)], 60, False),
        ([Use(50)], 61, False),
        ([Use(0)], None, False),
        ([Use(0), Use(None)], 61, False),
        ([], 61, False),
    ],
)
def test_a_service_sleeps_when_it_is_known_to_be_idle(
    uses: list[Use], idle_seconds: float | None, sleeps: bool
) -> None:
    lets = dataclasses.replace(POLICY, min_replicas=0)
    assert may_sleep(lets, uses, idle_seconds=idle_seconds) is sleeps
    assert not may_sleep(POLICY, uses, idle_seconds=idle_seconds)


percents = st.one_of(st.none(), st.integers(0, 100))
policies = st.builds(
    AutoscalePolicy,
    min_replicas=st.integers(0, 20),
    max_replicas=st.integers(20, 60),
    target_cpu_pct=st.integers(1, 100),
    target_mem_pct=st.one_of(st.none(), st.integers(1, 100)),
    scale_down_cooldown_s=st.integers(0, 300),
    idle_timeout_s=st.just(300),
)


@given(
    policies,
    st.lists(st.builds(Use, percents, percents), max_size=12),
    st.integers(1, 60),
    st.one_of(st.none(), st.floats(0, 500)),
    st.floats(500, 1000),
)
def test_a_decision_keeps_the_bounds_the_cooldown_and_what_is_unknown(
    policy: AutoscalePolicy, uses: list[Use], current: int, low_since: float | None, now: float
) -> None:
    current = clamp_count(policy, current)
    made = decide_count(policy, uses, current=current, low_since=low_since, now=now)
    assert max(1, policy.min_replicas) <= made.count <= policy.max_replicas
    if made.count < current:
        assert uses
        assert all(use.cpu_percent is not None for use in uses)
        assert policy.target_mem_pct is None or all(use.memory_percent is not None for use in uses)
        assert now - (now if low_since is None else low_since) >= policy.scale_down_cooldown_s
    assert made.low_since in {None, now, low_since}
    assert bool(made.why) == (made.count != current)


@given(policies, st.lists(st.integers(0, 100), min_size=1, max_size=12), st.integers(0, 11), st.integers(1, 60))
def test_more_load_never_calls_for_fewer(policy: AutoscalePolicy, cpu: list[int], which: int, current: int) -> None:
    policy = dataclasses.replace(policy, scale_down_cooldown_s=0)
    current = clamp_count(policy, current)
    busier = [*cpu]
    busier[which % len(cpu)] = 100
    assert decide(*busier, current=current, policy=policy).count >= decide(*cpu, current=current, policy=policy).count


@given(policies, st.integers(0, 8000))
@example(dataclasses.replace(POLICY, max_replicas=20, target_cpu_pct=5, scale_down_cooldown_s=0), 74)
@example(dataclasses.replace(POLICY, max_replicas=60, target_cpu_pct=8, scale_down_cooldown_s=0), 407)
def test_a_steady_load_comes_to_rest_and_is_carried(policy: AutoscalePolicy, load: int) -> None:
    policy = dataclasses.replace(policy, target_mem_pct=None)
    count, low_since = clamp_count(policy, 1), None
    counts = []
    for now in range(0, 3000, 15):
        made = decide(*[min(100, load // count)] * count, current=count, policy=policy, low_since=low_since, now=now)
        count, low_since = made.count, made.low_since
        counts.append(count)
    assert len(set(counts[-50:])) == 1, counts[-6:]
    saturated = policy.target_cpu_pct == 100  # no replica passes its limit, so that nothing shows that more are needed
    assert saturated or count == policy.max_replicas or load // count <= policy.target_cpu_pct


def ledger(*, cpu_millis: int = 0, **promised: Load) -> Ledger:
    promise = Promise(headroom_cpu_millis=cpu_millis, cpu_percent=100, memory_percent=100)
    need = Need(artifact=ARTIFACT, limits=LAUNCH.limits, promise=promise)
    return Ledger(need=need, loads=promised)


def test_as_many_fit_as_every_ledger_has_room_for() -> None:
    limits = LAUNCH.limits
    assert limits.cpu_millis == 500
    node = dataclasses.replace(make_node("n1"), cpu_count=1, memory_bytes=100 * limits.memory_bytes)
    wide, narrow = ledger(), ledger(cpu_millis=500)
    assert fit_count(3, [node], ledgers=[wide], taken=["n1"]) == (3, None)
    count, shortage = fit_count(9, [node], ledgers=[wide, narrow], taken=["n1"])
    assert count == 2
    assert shortage == "node n1 has 0 of 500 millicores left and 500 are needed"
    full = ledger(n1=Load(1, 1000, 0))
    assert fit_count(3, [node], ledgers=[full], taken=["n1", "n1"])[0] == 2, "what runs is kept"
    assert fit_count(1, [], ledgers=[wide], taken=[]) == (0, "no node is enrolled")
