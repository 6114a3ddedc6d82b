"""Repositories cloned on this node, by the git that is installed here."""
