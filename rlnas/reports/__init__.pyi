from .graph_drawing import draw
from .html import Page, to_html, to_markdown, write_page
from .model_report import Origin, model_page, write_bundle
from .notebook import Progress
from .pareto_figure import plot_pareto
from .progress_bar import ProgressBar
from .search_report import search_page
from .tensorboard import TensorBoard

__all__ = [
  'Origin',
  'Page',
  'Progress',
  'ProgressBar',
  'TensorBoard',
  'draw',
  'model_page',
  'plot_pareto',
  'search_page',
  'to_html',
  'to_markdown',
  'write_bundle',
  'write_page',
]
