"""Names in any script are drawn, and matplotlib says nothing of what its font lacks."""

import io
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure

from rlnas.architecture import Graph, TaskShape
from rlnas.budget import Budget
from rlnas.reports.classification_metrics import assess
from rlnas.reports.graph_drawing import drawings, pixels
from rlnas.reports.model_figures import confusion_matrix, style
from rlnas.reports.pareto_figure import pareto_figure
from rlnas.reports.rendering import encoded, pixels_of
from rlnas.reports.search_figures import preference, preference_figure

NAMES = ('犬', '🐶 собака', 'größe')


def network():
  graph = Graph()
  return graph.finish(graph.classify(graph.input))


def titled() -> Figure:
  return pareto_figure([], Budget(flash_bytes=1, sram_bytes=1), title=' '.join(NAMES))


DRAWN = {
  'confusion matrix': lambda: confusion_matrix(assess(np.eye(3), np.arange(3)), NAMES),
  'choices': lambda: preference(np.full((3, 2), 0.5), NAMES, [0, 1, 2]),
  'network, file': lambda: drawings(
    network(), ['.svg', '.png'], task=TaskShape((4, 4, 1), 3), title=NAMES[0]
  ),
  'network, pixels': lambda: pixels(network(), task=TaskShape((4, 4, 1), 3), title=NAMES[1]),
  'title, file': lambda: encoded(titled(), '.png', dpi=50),
  'title, pixels': lambda: pixels_of(titled(), dpi=50),
}


@pytest.mark.parametrize('suffix', ['.svg', '.png'])
def test_a_file_has_the_bytes_of_savefig(suffix):
  theirs, metadata = io.BytesIO(), {'Date': None} if suffix == '.svg' else None
  with style():
    figure, other = (preference_figure(np.eye(3), ('a', 'b', 'c'), range(4)) for _ in range(2))
    other.savefig(theirs, format=suffix[1:], dpi=90, metadata=metadata)
    assert encoded(figure, suffix, dpi=90) == theirs.getvalue()


def test_the_font_lacks_some_of_the_names():
  with pytest.warns(UserWarning, match='Glyph .* missing from'):
    titled().savefig('/dev/null', format='png')


@pytest.mark.parametrize('picture', DRAWN)
def test_names_in_any_script_are_drawn_in_silence(picture, capfd):
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    assert len(DRAWN[picture]()) > 0
  assert capfd.readouterr() == ('', '')
