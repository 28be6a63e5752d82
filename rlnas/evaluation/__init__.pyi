from .cached import Cached
from .executors import ExecutorError, InProcess, WorkerPool, default_workers
from .lookup import Lookup, NasBench201Data
from .ray_executor import RayCluster
from .screened import Screened, may_fit
from .trained import Stage, Trained
from .weight_sharing import WeightSharing

__all__ = [
  'Cached',
  'ExecutorError',
  'InProcess',
  'Lookup',
  'NasBench201Data',
  'RayCluster',
  'Screened',
  'Stage',
  'Trained',
  'WeightSharing',
  'WorkerPool',
  'default_workers',
  'may_fit',
]
