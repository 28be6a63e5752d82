"""Finalists with windows of their own: trained, taught, pruned, and tested on what they read."""

import numpy as np
import pytest

import rlnas
from rlnas.cost.preprocessing import preprocessing_memory, preprocessing_of, with_preprocessing
from rlnas.cost.window import Window
from rlnas.data.assembling import assemble
from rlnas.data.windowed import through
from rlnas.finishing.plan import Plan, Teaching
from rlnas.finishing.recipe import Recipe
from rlnas.finishing.winner import finish_best
from rlnas.spaces import Temporal
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, unrank
from rlnas.tflite.inference import int8_accuracy
from rlnas.trial import Measurement, Proposal, Status, Trial

WINDOWS = (Window(6, 2, (0, 1, 2)), Window(12, 1, (0,)), Window(6, 2, (0, 1, 2)))
BUDGET = rlnas.BOARDS['nucleo-l010rb'].budget


@pytest.fixture(scope='module')
def data():
  rng = np.random.default_rng(0)
  y = rng.integers(0, 2, 200)
  x = rng.normal(size=(200, 12, 3)) * (1, 50, 0.1)
  x[..., 0] += 3 * y[:, np.newaxis]
  return rlnas.data.as_row(assemble('moves', (x.astype(np.float32), y), source='made here'))


def trial(index, window):
  table = compile_table(Temporal(max_depth=1, filters=(8, 16)))
  architecture = with_preprocessing(decode(table.space, unrank(table, index)), window)
  measurement = Measurement(
    Status.COMPLETE,
    validation_accuracy=0.9,
    int8_validation_accuracy=0.9 - 0.1 * index,
    flash_bytes=3000,
    sram_bytes=4000,
    macs=1000,
  )
  return Trial(index, 0, 0, Proposal((index,), architecture), measurement, 0.9 - 0.1 * index)


@pytest.mark.slow
@pytest.mark.parametrize(
  'teaching',
  [None, *(pytest.param(t, marks=pytest.mark.nightly) for t in (Teaching.ENSEMBLE, Teaching.WIDE))],
)
def test_each_finalist_reads_through_its_window(data, teaching, tmp_path):
  trials = [trial(i, window) for i, window in enumerate(WINDOWS)]
  plan = Plan(Recipe(4), top=3, teaching=teaching, prune=0.4 if teaching is None else None)
  winner = finish_best(trials, data, BUDGET, plan=plan, seed=0, prefer='accuracy', folder=tmp_path)
  known = {t.index: preprocessing_of(t.proposal.architecture) for t in trials}
  for finalist in winner.finalists:
    candidate = finalist.candidate
    assert preprocessing_of(candidate.architecture) == known[candidate.trial]
    _, seen = through(candidate.architecture, data)
    model = (tmp_path / f'{finalist.name}.tflite').read_bytes()
    accuracy = int8_accuracy(model, seen.x_val, seen.y_val, scaling=seen.scaling)
    assert accuracy == pytest.approx(finalist.measurement.int8_validation_accuracy)
    footprint = rlnas.tflite.footprint.measure(model)
    held = preprocessing_memory(candidate.architecture).sram_bytes
    assert held > 0
    assert finalist.measurement.sram_bytes == footprint.sram_bytes + held
  notes = {finalist.candidate.note for finalist in winner.finalists}
  assert notes >= ({'pruned by 0.4'} if teaching is None else {'taught'})
  _, seen = through(winner.architecture, data)
  tested = int8_accuracy(winner.model, seen.x_test, seen.y_test, scaling=seen.scaling)
  assert winner.int8_test_accuracy == pytest.approx(tested)
  assert tested > 0.8
