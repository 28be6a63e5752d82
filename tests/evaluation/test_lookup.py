import numpy as np
import pytest

from rlnas.evaluation.lookup import EVALUATION_EPOCHS, Lookup, NasBench201Data
from rlnas.spaces import nasbench201
from rlnas.spaces.nasbench201 import record
from rlnas.trial import Measurement, Status

# The file has an order of operations of its own.
NAMES = nasbench201.OPERATIONS[::-1]
CELLS = [[0, 1, 2, 3, 4, 0], [4, 4, 4, 4, 4, 4], [3, 3, 3, 3, 3, 3]]


def arrays(**changed):
  standard = {
    'op_names': np.array(NAMES),
    'ops': np.array(CELLS, np.uint8),
    'validation_12': np.array([80, 10, 60], np.float32),
    'test_200': np.array([94, 10, 87.5], np.float32),
    'train_epoch_seconds': np.array([10, 2, 4], np.float32),
    'flops_m': np.array([100.5, 0, 7], np.float32),
    'params_m': np.array([1.25, 0, 0.5], np.float32),
  }
  return {k: v for k, v in (standard | changed).items() if v is not None}


def written(folder, **changed):
  np.savez(folder / 'table.npz', **arrays(**changed))
  return folder / 'table.npz'


def architecture(cell):
  return record([NAMES[i] for i in cell])


@pytest.fixture(name='data')
def _data(tmp_path) -> NasBench201Data:
  return NasBench201Data.read(written(tmp_path))


def test_each_cell_finds_its_row_whatever_the_order_of_the_names(data):
  assert data.evaluator().evaluate(architecture(CELLS[0]), seed=0) == Measurement(
    Status.COMPLETE,
    validation_accuracy=pytest.approx(0.8),
    macs=100_500_000,
    parameters=1_250_000,
    seconds=pytest.approx(10 * EVALUATION_EPOCHS),
  )
  accuracies = [data.evaluator().evaluate(architecture(c), seed=0) for c in CELLS]
  assert [a.validation_accuracy for a in accuracies] == pytest.approx([0.8, 0.1, 0.6])
  assert data.operations.tolist() == [[4 - i for i in cell] for cell in CELLS]
  assert data.test_200.tolist() == pytest.approx([0.94, 0.1, 0.875])


def test_an_architecture_that_it_lacks_is_refused(data):
  with pytest.raises(ValueError, match='not in the benchmark'):
    data.evaluator().evaluate(architecture([0] * 6), seed=0)
  with pytest.raises(ValueError, match='not in the benchmark'):
    Lookup({}).evaluate(architecture(CELLS[0]), seed=0)


@pytest.mark.parametrize(
  ('changed', 'message'),
  [
    ({'ops': None}, 'ops'),
    ({'op_names': np.array(['none', 'conv'])}, 'op_names'),
    ({'ops': np.zeros((3, 5), np.uint8)}, r'ops has shape \(3, 5\)'),
    ({'ops': np.zeros((3, 6))}, 'must be'),
    ({'ops': np.zeros((0, 6), np.uint8)}, 'at least one row'),
    ({'ops': np.full((3, 6), 5, np.uint8)}, r'indices in \[0, 5\)'),
    ({'ops': np.full((3, 6), -1)}, r'indices in \[0, 5\)'),
    ({'ops': np.zeros((3, 6), np.uint8)}, 'occurs twice'),
    ({'test_200': np.array([94.0, 10.0])}, r'test_200 has shape \(2,\)'),
    ({'validation_12': np.array([101.0, 0, 0])}, r'validation_12 must lie in \[0, 100\]'),
    ({'train_epoch_seconds': np.array([np.nan, 1, 1])}, 'train_epoch_seconds must lie'),
    ({'op_names': np.array([['none']], dtype=object)}, 'no NAS-Bench-201 table'),
  ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, changed, message):
  with pytest.raises(ValueError, match=message):
    NasBench201Data.read(written(tmp_path, **changed))


def test_a_file_that_is_no_archive_is_refused(tmp_path):
  path = tmp_path / 'table.npz'
  path.write_text('not an archive')
  with pytest.raises(ValueError, match='no NAS-Bench-201 table'):
    NasBench201Data.read(path)
