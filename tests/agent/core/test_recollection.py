"""What the engine did not answer stays known until the engine did what was asked."""

from __future__ import annotations

from agent.core.faults import EngineUnavailable
from agent.core.recollection import Recollection
from agent.model.plan import CreateContainer, PullImage
from tests.agent.rules.world import make_replica
from tests.fakes.clock import FakeClock


def test_an_image_that_is_there_is_no_answer_to_what_was_asked_of_it() -> None:
    recollection = Recollection(FakeClock())
    create = CreateContainer(replica=make_replica("r1"), reference="sha256:aa")
    recollection.end(create, EngineUnavailable("no answer within 3 s"), replica_ids=["r1"])
    recollection.end(PullImage(replica_id="r1", reference="sha256:aa", hosted=False), None, replica_ids=["r1"])
    assert recollection.memory.of("r1").unanswered == "no answer within 3 s"
    recollection.end(create, None, replica_ids=["r1"])
    assert recollection.memory.of("r1").unanswered is None
