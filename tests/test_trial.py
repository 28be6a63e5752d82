import json

from rlnas.architecture import Graph
from rlnas.trial import Measurement, Proposal, Status, Trial


def trial(measurement: Measurement) -> Trial:
  graph = Graph()
  proposal = Proposal((1, 2), graph.finish(graph.classify(graph.input)), -0.5)
  return Trial(0, 0, 7, proposal, measurement, 0.25)


def test_trials_round_trip():
  whole = trial(Measurement(Status.COMPLETE, 0.5, 0.5, 1, 2, 'tflm', 3, 4, 1.5, 0.1, 'detail'))
  assert Trial.from_json(whole.to_json()) == whole
  assert whole.measurement.latency_ms == 1.5


def test_trials_written_before_there_was_a_latency_are_read():
  record = json.loads(trial(Measurement(Status.COMPLETE, flash_bytes=1)).to_json())
  del record['measurement']['latency_ms']
  assert Trial.from_json(json.dumps(record)) == trial(Measurement(Status.COMPLETE, flash_bytes=1))
