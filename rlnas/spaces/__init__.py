"""Search spaces: one file a space, each a callable that starts a walk of decisions.

`rlnas.spaces.decision` is the language that they are written in, `rlnas.spaces.table` its compiler.
"""

from rlnas.spaces.blockqnn import BlockQNN
from rlnas.spaces.chain import Chain
from rlnas.spaces.joint import Joint
from rlnas.spaces.multibranch import MultiBranch
from rlnas.spaces.nasnet import NASNet
from rlnas.spaces.recurrent import Recurrent

__all__ = ['BlockQNN', 'Chain', 'Joint', 'MultiBranch', 'NASNet', 'Recurrent']
