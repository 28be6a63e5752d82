"""Settings of all tests."""

import hypothesis

# Machines that run tests are busy; an example that takes long is no failure.
hypothesis.settings.register_profile('steady', deadline=None, derandomize=True)
hypothesis.settings.load_profile('steady')
