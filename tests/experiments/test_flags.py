"""Every flag says what it is, in which unit, and what holds if it is not given."""

import re

import pytest

from tests.experiments.script_flags import flags

NUMBERS = ('integer', 'float')
# What a number can count, or be a share or the seed of.
UNITS = (
  *('KiB', 'seconds', 'minutes', 'milliseconds', 'millions', 'time-out', 'duration'),
  *('children', 'networks', 'trials', 'examples', 'images', 'inputs', 'blocks', 'batches'),
  *('epochs', 'steps', 'searches', 'processes', 'workers', 'trainings', 'cells', 'filters'),
  *('share', 'logarithm', 'learning rate', 'times', 'often', 'constants', 'classifier'),
  *('decides', 'of networks and trainings', 'of them'),
)
# How a help text says what holds without the flag; with a default, absl shows it in --help.
OTHERWISE = ('default', 'not given', 'without it', 'in place of', 'In place of', 'or all')

FLAGS = tuple(flags())


def test_the_flags_are_found():
  assert len(FLAGS) > 80
  assert {'depths', 'repeats', 'count', 'strategies'} <= {flag.name for flag in FLAGS}


@pytest.mark.parametrize('flag', FLAGS, ids=str)
def test_the_help_text_says_what_it_is(flag):
  assert re.match(r"[A-Z'N-]", flag.text), 'begins like a sentence'
  assert flag.text.endswith('.')
  assert len(flag.text) > 10
  if flag.kind in NUMBERS:
    said = f'{flag.name} {flag.text}'.lower()  # --help shows both on one line
    assert any(unit.lower() in said for unit in UNITS), 'names its unit'
  if flag.may_be_absent:
    assert any(word in flag.text for word in OTHERWISE), 'says what holds without it'
