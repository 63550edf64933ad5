"""What the tests of SDKs share."""

import pytest
from sdk_support import NEWEST


@pytest.fixture
def library() -> str:
    """The HTTP library whose client an SDK is given: the one that its release prefers."""
    return NEWEST
