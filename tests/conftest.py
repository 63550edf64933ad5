"""Profiles of the property tests: few examples by default, many with ``HYPOTHESIS_PROFILE=thorough``."""

import os

from hypothesis import settings

settings.register_profile("quick", max_examples=60, stateful_step_count=40, deadline=None)
settings.register_profile("thorough", max_examples=1_000, stateful_step_count=80, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
