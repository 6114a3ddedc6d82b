"""A replica that was placed on a node, with the configuration it was launched with."""

from __future__ import annotations

import dataclasses
import datetime as dt

from wire.spec import Replica as ReplicaConfig
from wire.spec import Wanted


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlacedReplica:
    """One replica; `config` stays as it was frozen at launch, `wanted` says what holds now."""

    id: str
    service_id: str
    deployment_id: str
    node_id: str
    index: int
    config: ReplicaConfig
    wanted: Wanted
    created_at: dt.datetime
    draining_at: dt.datetime | None = None
