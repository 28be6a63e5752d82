"""Every flag says what it is, in which unit, and what holds if it is not given."""

import re

import pytest

from tests.experiments.script_flags import flags

NUMBERS = ('integer', 'float')
# A number counts something, or is the seed, share or rate of something, or has a unit.
MEASURED = re.compile(
  r'^(Number|Seed|Share|Learning rate|Deviation)\b|\bin (KiB|seconds|minutes|milliseconds)\b'
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
    assert MEASURED.search(flag.text), 'names its unit'
  if flag.may_be_absent:
    assert any(word in flag.text for word in OTHERWISE), 'says what holds without it'
