import json

from rlnas.architecture import Graph
from rlnas.trial import Measurement, Proposal, Status, Trial


def trial(measurement: Measurement) -> Trial:
  graph = Graph()
  proposal = Proposal((1, 2), graph.finish(graph.classify(graph.input)), -0.5, 3)
  return Trial(0, 0, 7, proposal, measurement, 0.25)


def test_trials_round_trip():
  places = (0.5, 0.5, 1, 2, 'tflm', 3, 4, 1.5, (0.25, 0.5), 0.75, 0.1, 'detail')
  whole = trial(Measurement(Status.COMPLETE, *places))
  assert Trial.from_json(whole.to_json()) == whole
  assert whole.measurement.latency_ms == 1.5
  assert whole.measurement.curve == (0.25, 0.5)


def test_trials_written_before_there_was_a_latency_are_read():
  record = json.loads(trial(Measurement(Status.COMPLETE, flash_bytes=1)).to_json())
  del record['measurement']['latency_ms']
  assert Trial.from_json(json.dumps(record)) == trial(Measurement(Status.COMPLETE, flash_bytes=1))
