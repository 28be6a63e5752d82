"""A search in a cell of IPython, with the real display machinery."""

import subprocess
import sys

import pytest

CELL = """
from tests.synthetic import BUDGET, Synthetic
import rlnas
from rlnas.reports.notebook import Progress

trials = rlnas.run_search(
  rlnas.RandomSearch(rlnas.compile_table(rlnas.Chain(max_depth=3))),
  executor=rlnas.InProcess(Synthetic()), reward=rlnas.reward.linear_excess, budget=BUDGET,
  trials=12, batch=4, observers=[Progress(12, budget=BUDGET)])
"""
RUN = f"""
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.displaypub import CapturingDisplayPublisher

shell = InteractiveShell.instance()
shell.display_pub = CapturingDisplayPublisher()
shell.run_cell({CELL!r}).raise_error()
shown = shell.display_pub.outputs
texts = [s['data']['text/markdown'] for s in shown if 'text/markdown' in s['data']]
pictures = [s['data']['image/png'] for s in shown if 'image/png' in s['data']]
assert len(texts) == 3, texts
assert texts[-1].startswith('**12 of 12** trials: best int8 accuracy 0.'), texts
assert 1 <= len(pictures) <= 3
assert all(s['update'] for s in shown[2:]), 'a picture takes the place of the one before'
assert len({{s['transient']['display_id'] for s in shown}}) == 2
"""


@pytest.mark.slow
def test_a_cell_shows_progress_and_a_picture_that_is_updated(tmp_path):
  done = subprocess.run(
    [sys.executable, '-c', RUN],
    env={'IPYTHONDIR': str(tmp_path), 'HOME': str(tmp_path), 'PYTHONPATH': '.'},
    capture_output=True,
    text=True,
    check=False,
    timeout=300,
  )
  assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize('where', ['script', 'without IPython', 'terminal'])
def test_outside_a_notebook_it_is_a_line_of_text(where, monkeypatch, capsys):
  if where == 'without IPython':
    monkeypatch.setitem(sys.modules, 'IPython', None)
  if where == 'terminal':
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.terminal.interactiveshell import TerminalInteractiveShell

    # Not started: it would take over the terminal. Its formats are those of a terminal.
    shell = TerminalInteractiveShell(display_banner=False)
    monkeypatch.setattr(InteractiveShell, '_instance', shell)
  exec(CELL, {})  # noqa: S102
  shown = capsys.readouterr()
  assert shown.out == ''
  last = shown.err.replace('\r', '\n').strip().splitlines()[-1]
  assert '12/12' in last
  assert 'best 0.' in last
