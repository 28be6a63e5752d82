import dataclasses
import json

from rlnas.architecture import Graph
from rlnas.trial import Measurement, Proposal, Status, Trial


def trial(measurement: Measurement) -> Trial:
  graph = Graph()
  proposal = Proposal((1, 2), graph.finish(graph.classify(graph.input)), -0.5, 3)
  return Trial(0, 0, 7, proposal, measurement, 0.25)


def test_trials_round_trip():
  places = (0.5, 0.5, 1, 2, 'tflm', 3, 4, 1.5, (0.25, 0.5), 0.1, 'detail', 'm4-cmsis')
  whole = dataclasses.replace(trial(Measurement(Status.COMPLETE, *places)), predicted_accuracy=0.75)
  assert Trial.from_json(whole.to_json()) == whole
  assert whole.measurement.latency_ms == 1.5
  assert whole.measurement.sram_build == 'm4-cmsis'
  assert whole.measurement.curve == (0.25, 0.5)
  assert whole.predicted_accuracy == 0.75


def test_trials_written_before_there_was_a_latency_are_read():
  record = json.loads(trial(Measurement(Status.COMPLETE, flash_bytes=1)).to_json())
  del record['measurement']['latency_ms']
  assert Trial.from_json(json.dumps(record)) == trial(Measurement(Status.COMPLETE, flash_bytes=1))


def test_a_prediction_is_rewarded_in_place_of_what_was_measured():
  measured = Measurement(Status.COMPLETE, int8_validation_accuracy=0.25, flash_bytes=3)
  assert trial(measured).rewarded_measurement == measured
  predicted = dataclasses.replace(trial(measured), predicted_accuracy=0.75)
  assert predicted.rewarded_measurement == dataclasses.replace(
    measured, int8_validation_accuracy=0.75
  )
  assert predicted.measurement == measured


def test_a_record_of_an_earlier_measurement_is_read_without_its_prediction():
  record = Measurement(Status.COMPLETE, macs=3).to_record() | {'expected_accuracy': 0.5}
  assert Measurement.from_record(record) == Measurement(Status.COMPLETE, macs=3)


def test_a_record_without_a_build_is_of_the_machine_that_measured_it():
  now = Measurement(Status.COMPLETE, sram_bytes=7, sram_source='tflm', sram_build='m4-cmsis')
  assert Measurement.from_record(now.to_record()) == now
  earlier = {key: value for key, value in now.to_record().items() if key != 'sram_build'}
  assert Measurement.from_record(earlier) == dataclasses.replace(now, sram_build='host')
