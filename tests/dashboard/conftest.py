"""What tests of the app share."""

import pytest


@pytest.fixture(autouse=True)
def computed_in_threads(request: pytest.FixtureRequest) -> None:
    """Calls are computed in threads of this process, but for tests that are marked `processes`."""
    if not request.node.get_closest_marker("processes"):
        request.getfixturevalue("computed_here")
