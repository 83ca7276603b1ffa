"""Mel frames of sound: where a tone stands, how loud, and what is no sound that frames can be made of."""

import io

import numpy as np
import pytest
import soundfile

import gradlab
from gradlab.config import RunConfig, controls
from gradlab.data import BANDS, column_names, load_input, mel_frames, parse, raw_series
from gradlab.data.frames import FLOOR, HOP, WINDOW, centres
from gradlab.errors import InputError
from gradlab.runs.cost import features


def tone(hertz, rate=16_000, seconds=0.5, amplitude=1.0) -> np.ndarray:
    """(N, 1)."""
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)[:, None]


def wav(values, rate=16_000, subtype="DOUBLE") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, values, rate, subtype, format="WAV")
    return file.getvalue()


def mel(hertz):
    return 2595 * np.log10(1 + hertz / 700)


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("hertz", [1000, centres()[4], centres()[25]])
def test_a_tone_stands_in_its_band_at_every_rate(hertz, rate):
    loud = mel_frames(tone(hertz, rate), rate)[:, 0].mean(axis=0)
    own = np.argmin(np.abs(mel(centres()) - mel(hertz)))
    assert loud.argmax() == own
    beyond = np.abs(np.arange(BANDS) - own) > 3
    assert loud[beyond].max() < loud.max() - 4


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
def test_what_a_band_hears_does_not_depend_on_the_rate(rate):
    np.testing.assert_allclose(
        mel_frames(tone(1000, rate), rate)[:, 0, 10:20], mel_frames(tone(1000), 16_000)[:, 0, 10:20], atol=0.1
    )


def test_the_bands_are_triangles_equally_far_apart_in_mel():
    assert np.ptp(np.diff(mel(centres()))) < 1e-9 and mel(centres())[0] == pytest.approx(np.diff(mel(centres()))[0])
    assert 700 * (10 ** ((mel(centres()[-1]) + np.diff(mel(centres()))[0]) / 2595) - 1) == pytest.approx(8000)


def test_frames_against_the_plain_formula():
    """One frame by a Fourier sum at a few hundred frequencies, and triangles drawn by hand."""
    rng, rate = np.random.default_rng(0), 8000
    x, width, hop = rng.normal(size=(1000, 1)), 200, 80
    window = np.sin(np.pi * np.arange(width) / width) ** 2
    hertz = np.arange(0, 4000, 0.5)
    edges = np.interp(np.linspace(0, mel(8000), BANDS + 2), mel(np.arange(0, 8001.0)), np.arange(0, 8001.0))
    part = x[3 * hop : 3 * hop + width, 0] * window
    sums = np.abs(np.exp(-2j * np.pi * np.outer(hertz, np.arange(width)) / rate) @ part) / window.sum()
    for band in (4, 12, 25):
        triangle = np.interp(hertz, edges[band : band + 3], [0, 1, 0], left=0, right=0)
        expected = np.log(triangle @ sums / triangle.sum())
        assert mel_frames(x, rate)[3, 0, band] == pytest.approx(expected, abs=0.05)


def test_twice_as_loud_is_the_logarithm_of_two_more_however_loud():
    x = np.random.default_rng(0).normal(size=(2000, 2)) / 8
    soft = mel_frames(x, 8000)
    heard = soft > np.log(FLOOR) + 1
    for power in (1, 10, 1000):
        difference = mel_frames(np.ldexp(x, power), 8000) - soft
        np.testing.assert_allclose(difference[heard], power * np.log(2), atol=1e-9)


def test_silence_is_the_floor_and_nothing_to_standardise():
    silence = np.zeros((8000, 1))
    np.testing.assert_array_equal(mel_frames(silence, 8000), np.log(FLOOR))
    with pytest.raises(InputError, match=r"^a\.wav: every value is the same, so there is nothing to standardise"):
        parse("a.wav", wav(silence), frames="mel")


@pytest.mark.parametrize("samples", [1, 7, 399, 400, 401, 560, 561])
def test_a_frame_for_every_whole_window_and_one_at_least(samples):
    frames = mel_frames(tone(1000)[:samples], 16_000)
    assert frames.shape == (1 + max(samples - 400, 0) // 160, 1, BANDS) and np.isfinite(frames).all()


def test_a_short_sound_is_followed_by_silence():
    x = tone(1000)[:100]
    np.testing.assert_array_equal(mel_frames(x, 16_000), mel_frames(np.pad(x, ((0, 300), (0, 0))), 16_000))


def test_a_long_sound_is_framed_in_parts_that_fit_together(monkeypatch):
    x = np.random.default_rng(0).normal(size=(9000, 2))
    whole = mel_frames(x, 8000)
    monkeypatch.setattr("gradlab.data.frames._AT_ONCE", 5000)
    np.testing.assert_allclose(mel_frames(x, 8000), whole, rtol=1e-13)


def test_each_channel_has_its_own_bands(tmp_path):
    def raw_series_of(values, column=None):
        (tmp_path / "a.wav").write_bytes(wav(values))
        return raw_series(tmp_path / "a.wav", column, frames="mel")

    both = np.concatenate([tone(500), tone(2000)], axis=1)
    content = raw_series_of(both)
    assert content.values.shape == (48, 2 * BANDS) and len(set(content.names)) == 2 * BANDS
    assert content.names[0].startswith("0: ") and content.names[BANDS].startswith("1: ")
    np.testing.assert_allclose(content.values[:, BANDS:], raw_series_of(both, "1").values, rtol=1e-12)
    np.testing.assert_allclose(content.values[:, :BANDS], raw_series_of(tone(500)).values, rtol=1e-12)
    assert raw_series_of(tone(500)).names[13] == "955 Hz"


def test_a_sound_is_said_to_be_read_as_frames():
    said = parse("a.wav", wav(tone(1000)), frames="mel").said
    assert said.startswith("Read a.wav as sound,") and "16,000 Hz: 8,000 steps, 1 channel as features" in said
    assert said.endswith(f"as 48 mel frames of {BANDS} bands each, 25 ms long, 10 ms apart")
    assert WINDOW == 0.025 and HOP == 0.01


@pytest.mark.parametrize("rate", [999, 1, 1_000_001, 2**31 - 1])
def test_a_rate_that_is_no_sound_s(rate):
    message = rf"^a\.wav: {rate:,} samples? a second; mel frames need 1,000 to 1,000,000\. Read every sample instead$"
    with pytest.raises(InputError, match=message) as caught:
        parse("a.wav", wav(tone(1000), rate), frames="mel")
    assert caught.value.field == "frames"


def test_more_frames_than_data_may_have(monkeypatch):
    monkeypatch.setattr("gradlab.data.files.VALUES", 1000)
    with pytest.raises(InputError, match=r"^1,920 numbers; data may have 1,000\."):
        mel_frames(tone(1000), 16_000)


def test_an_unknown_way_to_read_a_sound():
    with pytest.raises(InputError, match=r"^a\.wav: unknown frames 'male'\. Valid: samples, mel"):
        parse("a.wav", wav(tone(1000)), frames="male")
    with pytest.raises(InputError, match=r"unknown frames 'mfcc'\. Valid: samples, mel"):
        RunConfig(frames="mfcc")


def test_a_run_on_frames(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(np.random.default_rng(0).normal(size=(8000, 2))))
    config = RunConfig(input=str(path), frames="mel", steps=20, batch_size=3, hidden_size=8)
    assert features(config) == 2 * BANDS and features(config.replace(column="0")) == BANDS
    ds = gradlab.analyze(config)
    assert "mel frames" in ds.attrs["input"] and np.isfinite(ds.log_grad_norm.values[:, 1:]).all()
    x = load_input(path, steps=48, batch_size=1, input_size=1, frames="mel")
    assert x.shape == (48, 1, 2 * BANDS) and np.mean(x**2) == pytest.approx(1)
    assert column_names("a.wav", path.read_bytes()) == ["0", "1"]


def test_frames_are_asked_for_where_the_input_is_a_sound(tmp_path):
    applies = controls()["frames"].applies_if
    (tmp_path / "a.csv").write_text("a,b\n1,2\n2,3\n")
    (tmp_path / "sound").write_bytes(wav(tone(1000)))
    assert applies(RunConfig(input=str(tmp_path / "sound"))) and applies(RunConfig(input=str(tmp_path / "gone.wav")))
    assert not applies(RunConfig()) and not applies(RunConfig(input=str(tmp_path / "a.csv")))
