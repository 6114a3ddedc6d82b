"""The labels that make an object of the container engine ours."""

from __future__ import annotations

from typing import Final

NODE: Final = "moorage.node"
"""The node's id: on every container, network and image of ours."""
REPLICA: Final = "moorage.replica"
INDEX: Final = "moorage.index"
"""The replica's number among those of its deployment."""
SERVICE: Final = "moorage.service"
DEPLOYMENT: Final = "moorage.deployment"
JOB: Final = "moorage.job"
JOB_RUN: Final = "moorage.job-run"
"""The key of the attempt that the container is."""
PROJECT: Final = "moorage.project"
SPEC: Final = "moorage.spec"
"""Digest of what the container was made from; another digest means that the container has to be made anew."""
