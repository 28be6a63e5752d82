"""The pictures of README.md are those of the search that is kept."""

import re

import pytest

from rlnas.cli.results import read_result
from rlnas.search.journal import read_journal
from tests.documents import ROOT
from tests.experiments import script

KEPT = ROOT / 'experiments' / 'gallery'
IMAGES = ROOT / 'docs' / 'images'


def texts(path):
  """What a picture says, as text or as a comment beside the outlines of its letters."""
  return re.findall(r'<text[^>]*>([^<]+)<|<!-- (.+) -->', path.read_text())


def test_the_kept_search_is_small_and_whole():
  assert sum(path.stat().st_size for path in KEPT.iterdir()) < 500_000
  _, trials = read_journal(KEPT / 'journal.jsonl')
  result = read_result(KEPT, trials)
  assert len(trials) == 40
  assert result.finalists()[0].candidate.trial == result.best['trial']


@pytest.mark.nightly
def test_the_pictures_are_those_of_the_kept_search(tmp_path):
  done = script.run('gallery.py', f'--out={tmp_path}')
  assert done.code == 0, done.stderr
  drawn = {path.name: texts(path) for path in tmp_path.iterdir()}
  assert drawn.keys() == {'rewards.svg', 'front.svg', 'network.svg'}
  assert all(drawn.values())
  assert drawn == {name: texts(IMAGES / name) for name in drawn}
