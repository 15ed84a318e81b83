"""A profile for a folder that nobody has described: what its files show, each value with its reason."""

from maskfold.checks.draft.make import Drafted, draft_profile

__all__ = ["Drafted", "draft_profile"]
