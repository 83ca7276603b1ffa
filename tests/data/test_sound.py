"""Sound of floating-point numbers, which may be none."""

import io

import numpy as np
import pytest
import soundfile

from gradlab.data import parse
from gradlab.errors import InputError


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["FLOAT", "DOUBLE"])
def test_sound_that_is_not_finite(value, kind):
    samples, file = np.linspace(-0.5, 0.5, 40).reshape(20, 2), io.BytesIO()
    samples[7, 1] = value
    soundfile.write(file, samples, 8000, kind, format="WAV")
    message = rf"^a.wav: {value} at index \(7, 1\); every value must be finite$"
    for column in (None, "1"):
        with pytest.raises(InputError, match=message):
            parse("a.wav", file.getvalue(), column)
