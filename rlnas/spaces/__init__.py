"""Search spaces: one file a space, each a callable that starts a walk (see `rlnas.decision`)."""

from rlnas.spaces.chain import Chain
from rlnas.spaces.multibranch import MultiBranch
from rlnas.spaces.nasnet import NASNet

__all__ = ['Chain', 'MultiBranch', 'NASNet']
