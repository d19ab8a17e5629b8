"""Many callers of one service: whose answer is whose, who waits, who is refused, who leaves."""

import asyncio
import io
import threading
import time
from contextlib import aclosing

import av
import numpy as np
import pytest
import soundfile

from horizon_st.data.media import MediaReader
from horizon_st.errors import UserError
from horizon_st.inference.segmenter import SegmenterConfig
from horizon_st.serving import reading
from horizon_st.serving.limits import BusyError, Limits, OutOfTimeError
from horizon_st.serving.service import TranslationService

PATIENCE_S = 60


@pytest.fixture
def serve():
    """A function: (work with a service, replicas, limits) -> what the work gives."""

    def run(work, *replicas, **limits):
        service = TranslationService(*replicas, limits=Limits(**limits))

        async def go():
            async with asyncio.timeout(PATIENCE_S):
                return await work(service)

        try:
            return asyncio.run(go())
        finally:
            for one in replicas:
                getattr(one, "go", threading.Event()).set()
            service.close()

    return run


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)


def num_cut(service, replica):
    return sum(replica.batch_sizes) + len(service._batches._waiting)


def spoken_of(segments):
    return [(one.start_s, one.end_s, one.text) for one in segments]


def texts_of(recording):
    return [segment.text for segment in recording.segments]


def test_a_recording_is_translated_as_from_python(serve, translator, talk):
    expected = [*translator.translate_recording(talk)]
    assert len(expected) > 2
    found = serve(lambda service: service.translate(talk), translator)
    assert spoken_of(found.segments) == spoken_of(expected)
    assert [one.score for one in found.segments] == pytest.approx(
        [one.score for one in expected], abs=1e-5
    )
    assert found.duration_s == 20
    assert found.source == str(talk)
    sent = io.BytesIO(talk.read_bytes())
    named = serve(lambda service: service.translate(sent, name="her talk"), translator)
    assert spoken_of(named.segments) == spoken_of(expected)
    assert named.source == "her talk"


def test_segments_come_while_the_rest_is_still_to_be_translated(serve, replica, talk, held_texts):
    translate = replica.translate_segments

    def translate_one_batch(segments):
        found = translate(segments)
        if len(replica.batch_sizes) == 1:
            replica.go.clear()
        return found

    replica.translate_segments = translate_one_batch

    async def work(service):
        async with aclosing(service.stream(talk)) as segments:
            first = asyncio.ensure_future(anext(segments))
            await until(replica.has_begun.is_set)
            assert not first.done()
            replica.go.set()
            found = [await first]
            rest = asyncio.ensure_future(collect(segments))
            await asyncio.sleep(0.2)
            assert not rest.done()
            replica.go.set()
            return found + await rest

    async def collect(segments):
        return [segment async for segment in segments]

    found = serve(work, replica)
    assert [segment.text for segment in found] == held_texts(talk)
    assert [segment.start_s for segment in found] == sorted(segment.start_s for segment in found)


def test_callers_share_batches_and_get_their_own_answers(
    serve, replica, recordings, talk, held_texts
):
    paths = [*recordings, talk]

    async def work(service):
        tasks = [asyncio.ensure_future(service.translate(path)) for path in paths]
        await until(lambda: num_cut(service, replica) == len(paths))
        replica.go.set()
        return await asyncio.gather(*tasks)

    found = serve(work, replica)
    assert [texts_of(one) for one in found] == [held_texts(path) for path in paths]
    assert max(replica.batch_sizes) == replica.config.batch_size


def test_replicas_work_side_by_side(serve, make_replica, recordings, held_texts):
    both = make_replica(), make_replica()

    async def work(service):
        tasks = [asyncio.ensure_future(service.translate(path)) for path in recordings]
        await until(lambda: all(one.has_begun.is_set() for one in both))
        for one in both:
            one.go.set()
        return await asyncio.gather(*tasks)

    found = serve(work, *both)
    assert [texts_of(one) for one in found] == [held_texts(path) for path in recordings]


def test_a_long_recording_leaves_room_for_a_short_one(
    serve, replica, recordings, speech, tmp_path, held_texts
):
    path = tmp_path / "lecture.flac"
    soundfile.write(path, speech(120), 16_000)
    ahead = 3 * replica.config.batch_size

    async def work(service):
        lecture = asyncio.ensure_future(service.translate(path))
        await until(lambda: num_cut(service, replica) == ahead)
        await asyncio.sleep(0.2)
        # No more of it than its share is cut and held, whatever its length.
        assert num_cut(service, replica) == ahead
        note = asyncio.ensure_future(service.translate(recordings[0]))
        await until(lambda: service._num_accepted == 2)
        replica.go.set()
        await note
        assert not lecture.done()
        return texts_of(await lecture)

    assert serve(work, replica) == held_texts(path)


def test_who_comes_when_all_places_are_taken_is_told_when_to_come_back(
    serve, replica, recordings, held_texts
):
    async def work(service):
        tasks = [asyncio.ensure_future(service.translate(path)) for path in recordings[:2]]
        await until(lambda: not service.has_place)
        with pytest.raises(BusyError, match="Try again in") as refused:
            await service.translate(recordings[2])
        assert 1 <= refused.value.retry_after_s <= 60
        with pytest.raises(BusyError):
            async with aclosing(service.stream(recordings[2])) as segments:
                await anext(segments)
        replica.go.set()
        await asyncio.gather(*tasks)
        return texts_of(await service.translate(recordings[2]))

    assert serve(work, replica, queue=2) == held_texts(recordings[2])


@pytest.mark.parametrize("is_streamed", [False, True])
def test_who_leaves_frees_place_and_queue(
    serve, replica, recordings, talk, is_streamed, held_texts
):
    async def stream(service):
        async with aclosing(service.stream(talk)) as segments:
            await anext(segments)

    async def work(service):
        gone = asyncio.ensure_future(stream(service) if is_streamed else service.translate(talk))
        await until(lambda: len(service._batches._waiting) > 2)
        assert not service.has_place
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert service.has_place
        assert len(service._batches._waiting) == 0
        replica.go.set()
        return texts_of(await service.translate(recordings[0]))

    expected = held_texts(recordings[0])
    assert serve(work, replica, queue=1) == expected
    # Of what was left, only the batch that had begun was decoded.
    assert sum(replica.batch_sizes[1:]) == len(expected)


def test_reading_stops_with_its_caller(serve, replica, monkeypatch):
    """Hours of silence in few bytes give no segment at which a reader would look up."""
    read = []

    def silence(recording):
        for number in range(2_000):
            read.append(number)
            time.sleep(0.01)
            yield np.zeros(160, np.float32)

    monkeypatch.setattr(reading, "stream_audio", silence)

    async def work(service):
        task = asyncio.ensure_future(service.translate("silence.flac"))
        await until(lambda: len(read) > 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert len(read) < 1_000
        assert service.has_place

    serve(work, replica, queue=1)


@pytest.fixture(scope="module")
def silences(tmp_path_factory):
    """Three files of 6 minutes of silence."""
    folder = tmp_path_factory.mktemp("silences")
    paths = [folder / f"{number}.flac" for number in range(3)]
    for path in paths:
        soundfile.write(path, np.zeros(6 * 60 * 16_000, np.int16), 16_000)
    return paths


def test_hours_of_silence_hold_up_nobody(serve, replica, silences, recordings, monkeypatch):
    """Steps of all callers take turns: a short recording waits for a few of the long ones'."""
    steps = []
    step_of = {name: getattr(reading.Reading, name) for name in ("measure", "next_segment")}
    for name, step in step_of.items():

        def noted(self, step=step):
            steps.append(self._name)
            return step(self)

        monkeypatch.setattr(reading.Reading, name, noted)
    replica.go.set()

    async def work(service):
        service._readers._max_workers = 1  # a step at a time, so that their order is known
        long = [asyncio.ensure_future(service.translate(path)) for path in silences]
        await until(lambda: len({*steps}) == 3)
        num_before = len(steps)
        await service.translate(recordings[0], name="short")
        between = steps[num_before:]
        assert not any(task.done() for task in long)
        # Each of the others has at most one step before each step of the short one.
        turns = between.count("short")
        assert 2 <= turns <= 4
        assert between.index("short") <= 2 * len(silences)
        assert len(between) <= (turns + 1) * (len(silences) + 1)
        for task in long:
            task.cancel()
        await asyncio.gather(*long, return_exceptions=True)

    serve(work, replica)


@pytest.fixture(scope="module")
def streamed(tmp_path_factory):
    """6 minutes of silence as a browser records them: the file does not say how long they are."""
    path = tmp_path_factory.mktemp("streamed") / "recording.webm"
    with av.open(path, "w", options={"live": "1"}) as output:
        stream = output.add_stream("libopus", rate=48_000, layout="mono")
        second = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), "flt", "mono")
        second.sample_rate = 48_000
        for number in range(6 * 60):
            second.pts = number * 48_000
            output.mux(stream.encode(second))
        output.mux(stream.encode(None))
    with av.open(path) as written:
        assert written.duration is written.streams.audio[0].duration is None
    return path


@pytest.fixture
def decoded_s(monkeypatch):
    """How many seconds of sound were decoded at once, each time."""
    found = []
    read, convert = soundfile.SoundFile.read, MediaReader._to_block

    def read_and_note(file, *arguments, **settings):
        block = read(file, *arguments, **settings)
        found.append(len(block) / file.samplerate)
        return block

    def convert_and_note(reader, frame):
        found.append(frame.samples / frame.sample_rate)
        return convert(reader, frame)

    monkeypatch.setattr(soundfile.SoundFile, "read", read_and_note)
    monkeypatch.setattr(MediaReader, "_to_block", convert_and_note)
    return found


@pytest.mark.parametrize("kind", ["flac", "streamed webm"])
@pytest.mark.parametrize("step", ["measure", "next_segment"])
def test_a_step_is_short_whatever_is_in_the_recording(silences, streamed, decoded_s, kind, step):
    path = silences[0] if kind == "flac" else streamed
    one = reading.Reading(path, "silence", most_s=1e4, segmenter=SegmenterConfig())
    num_steps = 0
    while not (one.measure() if step == "measure" else one.next_segment() or one.is_cut):
        num_steps += 1
    one.close()
    assert 360 / (2 * reading.STEP_S) <= num_steps <= 360 / reading.STEP_S
    assert sum(decoded_s) == pytest.approx(360, abs=0.1)


def test_bad_recordings_are_refused_by_the_name_that_they_came_with(serve, replica, talk, tmp_path):
    broken = tmp_path / "tmp123"
    broken.write_bytes(talk.read_bytes()[:100_000])
    refused = reading.RefusedRecordingError

    async def work(service):
        with pytest.raises(refused, match=r"^her talk\.flac: expected whole audio"):
            await service.translate(broken, name="her talk.flac")
        with pytest.raises(refused, match=r"at most 0\.2 minutes of sound"):
            await service.translate(talk)
        with pytest.raises(refused, match="no such file"):
            await service.translate(tmp_path / "missing.wav")
        assert service.has_place

    serve(work, replica, queue=1, most_minutes=0.2)
    assert replica.batch_sizes == []


def test_time_is_limited(serve, replica, recordings):
    async def work(service):
        with pytest.raises(OutOfTimeError, match="in time"):
            await service.translate(recordings[0])
        assert service.has_place

    serve(work, replica, queue=1, most_wait_s=0.5)


def test_a_batch_that_fails_fails_alone(serve, translator, recordings, monkeypatch):
    translate = type(translator).translate_segments
    fails = [True, False]

    def fail_once(self, segments):
        if fails.pop(0):
            raise MemoryError("no memory")
        return translate(self, segments)

    monkeypatch.setattr(type(translator), "translate_segments", fail_once)

    async def work(service):
        with pytest.raises(MemoryError, match="no memory"):
            await service.translate(recordings[0])
        return texts_of(await service.translate(recordings[1]))

    found = serve(work, translator)
    monkeypatch.undo()
    assert found == [one.text for one in translator.translate_recording(recordings[1])]


@pytest.mark.parametrize("name", ["most_mb", "most_minutes", "most_wait_s", "most_idle_s", "queue"])
@pytest.mark.parametrize("value", [0, float("inf"), float("nan")])
def test_limits_have_to_leave_something_and_to_end(name, value):
    message = rf"limits\.{name}: expected more than 0, and finite, found {value}"
    with pytest.raises(UserError, match=message):
        Limits(**{name: value})
