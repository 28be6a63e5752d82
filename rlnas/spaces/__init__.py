"""Search spaces: one file a space, each a callable that starts a walk (see `rlnas.decision`)."""

from rlnas.spaces.chain import Chain

__all__ = ['Chain']
