from .bundle import export_model, write_c_files
from .c_files import Deployment, Vectors
from .deployment import DeploymentInfo, Port, Reserve, inspect, reserve

__all__ = [
  'Deployment',
  'DeploymentInfo',
  'Port',
  'Reserve',
  'Vectors',
  'export_model',
  'inspect',
  'reserve',
  'write_c_files',
]
