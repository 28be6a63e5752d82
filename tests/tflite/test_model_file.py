import numpy as np
import pytest

from rlnas.tflite import model_file
from rlnas.tflite.inspection import measure
from tests.tflite.branching import converted
from tests.tflite.foreign import convolutional, edited, of_keras, schema, streaming


@pytest.fixture(scope='module', name='model')
def _model():
  return converted()


def test_tensors_are_those_of_the_interpreter(model):
  (network,) = model_file.read_subgraphs(model)
  interpreter = model_file.interpreter_of(model)
  details = interpreter.get_tensor_details()
  assert len(network.tensors) == len(details)
  for detail in details:
    tensor = network.tensors[detail['index']]
    assert tensor.name == detail['name']
    assert tensor.shape == tuple(detail['shape'])
    assert tensor.dtype.lower() == np.dtype(detail['dtype']).name
    np.testing.assert_array_equal(tensor.scales, detail['quantization_parameters']['scales'])
  operators = interpreter._get_ops_details()
  assert [o.kind for o in network.operators] == [o['op_name'] for o in operators]
  assert network.inputs == tuple(d['index'] for d in interpreter.get_input_details())


def test_a_resource_is_the_number_of_a_variable():
  kinds = {o.kind for g in model_file.read_subgraphs(streaming()) for o in g.operators}
  assert {'VAR_HANDLE', 'READ_VARIABLE', 'ASSIGN_VARIABLE'} <= kinds
  sizes = {
    t.size_bytes
    for g in model_file.read_subgraphs(streaming())
    for t in g.tensors
    if t.dtype == 'RESOURCE'
  }
  assert sizes == {4}


def test_a_sparse_tensor_is_refused_by_its_name(model):
  def make_sparse(graph):
    tensor = next(t for t in graph.subgraphs[0].tensors if t.name)
    tensor.name = b'pruned/kernel'
    tensor.sparsity = schema.SparsityParametersT()

  with pytest.raises(ValueError, match=r'\(pruned/kernel\) is sparse'):
    measure(edited(of_keras(convolutional()), make_sparse))


def test_values_outside_the_flatbuffer_are_refused(model):
  def move(graph):
    graph.subgraphs[0].tensors[-1].externalBuffer = 1

  with pytest.raises(ValueError, match='outside the flatbuffer'):
    measure(edited(model, move))


@pytest.mark.parametrize('shape', [(1, None, None, 1), (None, None, 8, 1)])
def test_an_input_without_a_definite_size_is_refused(shape):
  with pytest.raises(ValueError, match=r"the input .* has the shape .*'\?'.*fixed input shape"):
    measure(of_keras(convolutional(None), shape=shape))


def test_a_free_batch_is_a_batch_of_one():
  free, fixed = (measure(of_keras(convolutional(), shape=(n, 8, 8, 1))) for n in (None, 1))
  assert free.macs == fixed.macs == 36 * 9 * 8 + 8 * 4
  assert free.sram_bytes == fixed.sram_bytes
