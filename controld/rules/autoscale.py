"""How many replicas a policy calls for, by what those that are healthy use of their limits."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from controld.model.fleet import NodeFacts
from controld.model.replica import PlacedReplica
from controld.model.service import AutoscalePolicy
from controld.rules.placement import NO_LOAD, Load, Need, explain_shortage, place
from wire.agent.metrics import ReplicaMetrics
from wire.link import ReplicaState
from wire.spec import Wanted

_MICROSECOND: Final = dt.timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """What a healthy replica uses, in per cent of its limits; None is what could not be read."""

    cpu_percent: int | None
    memory_percent: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas should run from now on."""

    count: int
    low_since: float | None = None
    """Since when, on the clock that was handed in, fewer would do; None: they would not, or that is unknown."""
    why: str = ""
    """What calls for another count than before."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What each further replica needs, and what is promised on each node so far."""

    need: Need
    loads: Mapping[str, Load]


def clamp_count(policy: AutoscalePolicy, count: int) -> int:
    """The count held within the policy's bounds, and one at least."""
    return max(1, policy.min_replicas, min(count, policy.max_replicas))


def hold_scale(policy: AutoscalePolicy | None, scaled_to: int | None) -> int | None:
    """What is left of an earlier policy's decision under this one; what sleeps goes on where it may."""
    if policy is None or scaled_to is None:
        return None
    return 0 if scaled_to == policy.min_replicas == 0 else clamp_count(policy, scaled_to)


def compute_cpu_percent(
    before: ReplicaMetrics | None, after: ReplicaMetrics | None, *, limit_millis: int
) -> int | None:
    """CPU between two readings of a replica in per cent of its limit, 100 at the most, as the limit is enforced.

    None when either is missing, no time passed between them, or the replica was started anew.
    """
    if before is None or after is None or before.cpu_usage_usec is None or after.cpu_usage_usec is None:
        return None
    used, passed = (
        after.cpu_usage_usec - before.cpu_usage_usec,
        (after.recorded_at - before.recorded_at) // _MICROSECOND,
    )
    if used < 0 or passed <= 0 or limit_millis <= 0:
        return None
    return min(100, used * 100_000 // (passed * limit_millis))


def compute_memory_percent(reading: ReplicaMetrics | None, *, limit_bytes: int) -> int | None:
    """The memory of a reading in per cent of the limit."""
    if reading is None or reading.memory_current_bytes is None or limit_bytes <= 0:
        return None
    return reading.memory_current_bytes * 100 // limit_bytes


def decide_count(
    policy: AutoscalePolicy, uses: Sequence[Use], *, current: int, low_since: float | None, now: float
) -> Decision:
    """The count for a service of which `current` replicas are wanted, and whose healthy ones use that much.

    Up at once, by CPU or memory, whichever asks for more. Down by CPU alone, once `scale_down_cooldown_s` have passed
    since the first of the decisions in a row (`low_since`, seconds) that found fewer enough. A use that is unknown
    counts as nothing where more are asked for and rules fewer out, so that what is not read is never idle.
    """
    if not uses:
        return Decision(current)
    cpu = _average([use.cpu_percent for use in uses])
    by_cpu = _divide_up(len(uses) * cpu, policy.target_cpu_pct)
    needed, why = by_cpu, f"cpu at {cpu} %, {policy.target_cpu_pct} % is aimed at"
    if policy.target_mem_pct is not None:
        memory = _average([use.memory_percent for use in uses])
        by_memory = _divide_up(len(uses) * memory, policy.target_mem_pct)
        if by_memory > needed:
            needed, why = by_memory, f"memory at {memory} %, {policy.target_mem_pct} % is aimed at"
    if clamp_count(policy, needed) > current:
        return Decision(clamp_count(policy, needed), why=why)
    # Whole per cents are rounded down: each replica may use almost one more, which the fewer must bear without growing.
    used = sum(use.cpu_percent + 1 for use in uses if use.cpu_percent is not None)
    fewer = clamp_count(policy, _divide_up(used, policy.target_cpu_pct))
    if needed > current or fewer >= current or not _is_all_known(policy, uses):
        return Decision(current)
    low_since = now if low_since is None else low_since
    if now - low_since < policy.scale_down_cooldown_s:
        return Decision(current, low_since)
    return Decision(fewer, why=why)


def may_sleep(policy: AutoscalePolicy, uses: Sequence[Use], *, idle_seconds: float | None) -> bool:
    """Whether a service that was asked for nothing for so long (None: that is not known) should scale to nothing.

    What is busy without being asked goes on, and so does what is not read.
    """
    if policy.min_replicas or idle_seconds is None or idle_seconds <= policy.idle_timeout_s:
        return False
    known = [use.cpu_percent for use in uses if use.cpu_percent is not None]
    return len(known) == len(uses) > 0 and _average(known) < policy.target_cpu_pct


def is_serving(replica: PlacedReplica, node: NodeFacts | None) -> bool:
    """Whether the replica is to run, and new requests reach it by the newest word of its node."""
    report = None if node is None or replica.wanted is not Wanted.RUNNING else node.replicas.get(replica.id)
    return report is not None and report.state is ReplicaState.HEALTHY and report.serving


def fit_count(
    wanted: int, nodes: Sequence[NodeFacts], *, ledgers: Sequence[Ledger], taken: Sequence[str]
) -> tuple[int, str | None]:
    """How many of the wanted replicas there is room for by every ledger, and why not for all; `taken` names a node for
    each replica that has its place already, and those are never put in question.
    """
    room, shortage = max(0, wanted - len(taken)), None
    for ledger in ledgers:
        chosen = place(room, nodes, need=ledger.need, loads=ledger.loads, taken=taken)
        if len(chosen) < room:
            loads = _add_loads(ledger, chosen)
            shortage = explain_shortage(nodes, need=ledger.need, loads=loads, taken=[*taken, *chosen])
            room = len(chosen)
    return len(taken) + room, shortage


def _add_loads(ledger: Ledger, chosen: Iterable[str]) -> Mapping[str, Load]:
    loads = dict(ledger.loads)
    for node_id in chosen:
        loads[node_id] = loads.get(node_id, NO_LOAD).plus(ledger.need.limits)
    return loads


def _average(percents: Sequence[int | None]) -> int:
    return sum(percent or 0 for percent in percents) // len(percents)


def _divide_up(amount: int, share: int) -> int:
    return -(-amount // share)


def _is_all_known(policy: AutoscalePolicy, uses: Iterable[Use]) -> bool:
    return all(
        use.cpu_percent is not None and (policy.target_mem_pct is None or use.memory_percent is not None)
        for use in uses
    )
