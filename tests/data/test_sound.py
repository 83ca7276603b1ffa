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


def test_sound_of_a_length_that_cannot_be():
    """As the header of a GSM sound without frames gives it."""
    parts = [b"RIFF", bytes(4), b"WAVEfmt ", bytes([20, 0, 0, 0, 49, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 65, 0, 0, 0])]
    data = b"".join([*parts, bytes(2), b"@\x01    \3", bytes(7), b"data"])
    with pytest.raises(InputError, match=r"^a.wav: not a readable sound \(.*\); convert it"):
        parse("a.wav", data)
