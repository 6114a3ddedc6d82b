"""What git and ssh say when they fail is understood."""

from __future__ import annotations

import pytest

from agent.rules.git_complaints import Complaint, choose_sentence, decide_complaint


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("No ED25519 host key is known for h and you have requested strict checking.", Complaint.KEY_UNKNOWN),
        ("@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @", Complaint.KEY_CHANGED),
        ("git@github.com: Permission denied (publickey).", Complaint.DENIED),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", Complaint.DENIED),
        ("fatal: Authentication failed for 'https://h/a/'", Complaint.DENIED),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 403", Complaint.DENIED),
        ("fatal: repository 'https://h/a/' not found", Complaint.MISSING),
        ("ERROR: Repository not found.", Complaint.MISSING),
        ("fatal: '/x' does not appear to be a git repository", Complaint.MISSING),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 301", Complaint.REDIRECTED),
        ("fatal: dumb http transport does not support shallow capabilities", Complaint.NOT_SHALLOW),
        ("fatal: remote error: upload-pack: not our ref 0123", Complaint.NOT_SHALLOW),
        ("error: Server does not allow request for unadvertised object 0123", Complaint.NOT_SHALLOW),
        ("fatal: write error: No space left on device", Complaint.FULL),
        ("error: index-pack died of signal 25", Complaint.FULL),
        ("fatal: the remote end hung up unexpectedly", Complaint.OTHER),
    ],
)
def test_a_complaint_means_one_thing(line: str, complaint: Complaint) -> None:
    assert decide_complaint(["remote: hello", line]) is complaint


def test_the_sentence_is_the_first_that_is_fatal_in_printable_letters() -> None:
    lines = ["remote: hi", "fatal: it broke \x1b[31m", "fatal: again"]
    assert choose_sentence(lines) == "it broke  [31m"
    assert choose_sentence(["error: x"]) == "x"
    assert choose_sentence([]) == "it said nothing"
    assert len(choose_sentence(["x" * 5000])) == 300
