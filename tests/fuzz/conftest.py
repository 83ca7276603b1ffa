"""The profile `fuzz`, and what the tests of posts and links share.

The profile has random examples, of which `dev.py fuzz` tries 10,000; without it they are the same few each time.
"""

import pytest
from flask.testing import FlaskClient
from hypothesis import settings

settings.register_profile("fuzz", max_examples=10_000)


@pytest.fixture(scope="module", name="client")
def posting_client() -> FlaskClient:
    """Who posts; a defect is answered with 500, as it is to a browser."""
    from .posting import APP

    APP.server.config["PROPAGATE_EXCEPTIONS"] = False
    return APP.server.test_client()


@pytest.fixture
def alone(computed_here: None, own_cache: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app without processes, with a run that has been computed."""
    from dashboard.pages.explore import draw
    from gradlab.training.jobs import TrainingJobs

    from ..views import request

    monkeypatch.setattr(TrainingJobs, "_launch", lambda self, run_id: None)
    draw.draw(request())
