"""Sound files, by soundfile: WAV of every kind, FLAC, OGG and what else libsndfile reads."""

from __future__ import annotations

import io
import re

from ..errors import InputError
from ..registry import unknown
from ..wording import counted
from .files import require_few_values
from .frames import FRAMES, framed
from .series import Content, chosen_feature, require_finite

_AS_PCM16 = "convert it, for example with: ffmpeg -i {} -c:a pcm_s16le out.wav"
_PROMISED = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
STREAMED = 0x7FFFF000  # bytes that a writer announces, or more, where it did not know how long the sound would be


def read_sound(data: bytes, column: str | None = None, frames: str = "samples") -> Content:
    """Steps by channels (N, D), whole numbers as shares of the largest, or their mel frames, of one channel or all.

    frames: a name in FRAMES. Raises InputError for what is no sound.
    """
    if frames not in FRAMES:
        raise unknown("frames", frames, list(FRAMES))
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            require_few_values(sound.frames * sound.channels)
            _require_whole(sound.extra_info, sound.frames)
            values = sound.read(dtype="float64", always_2d=True)
            rate = sound.samplerate
            kind = f"sound, {sound.format_info}, {sound.subtype_info}, {rate:,} Hz"
    except InputError:
        raise
    except (soundfile.SoundFileError, OSError, ValueError) as error:  # the last of a length that the header gives wrong
        reason = error.error_string.rstrip(".") if isinstance(error, soundfile.LibsndfileError) else error
        raise InputError(f"not a readable sound ({reason}); {_AS_PCM16.format('in.wav')}") from None
    if not len(values):
        raise InputError("no sound in it")
    require_finite(values)
    channels = values.shape[1]
    said = f"{kind}: {counted(len(values), 'step')}, {counted(channels, 'channel')} as features"
    content = chosen_feature(Content([str(i) for i in range(channels)], values, said), column)
    return content if frames == "samples" else framed(content, rate)


def _require_whole(log: str, steps: int) -> None:
    """Raise InputError where libsndfile's log has less sound than the header of a WAV promises, unless streamed."""
    if found := _PROMISED.search(log):
        promised, there = map(int, found.groups())
        if 0 < there < promised < STREAMED:
            raise InputError(f"truncated: its header promises {promised * steps // there:,} steps, {steps:,} are there")
