"""The laws of streams, each as a check of one compiled model.

A Subject is a compiled model with what is known of it from elsewhere. Observed
is one run of it in steps, with what finish would have given after each of them:
that fixes every output of every length, and all other ways to feed the same
frames are held against it, bit by bit.
"""

import numpy as np

import stream_host as host
from stream_host import Broken, ModelError, STREAM


class Subject:
    """model: a loaded artefact. make_inputs(rng, frames): all its inputs.
    oracle(inputs): the outputs in double precision, or None. exists(frames):
    whether the source model means anything at this length."""

    def __init__(self, name, model, make_inputs, oracle=None, exists=None, chunk=64, tolerance=1e-4, longest=80):
        self.name, self.model, self.make_inputs, self.oracle = name, model, make_inputs, oracle
        self.exists = exists or (lambda frames: True)
        self.chunk, self.tolerance, self.longest = chunk, tolerance, longest
        self.exact, self.notes = True, []

    def cut(self, inputs, first, end):
        """The frames from first to end of what is streamed."""
        return [t.take(x, first, end) if t.role == STREAM else x for t, x in zip(self.model.inputs, inputs)]

    def begin(self, session, inputs):
        """Begins, where a stream of this model has to."""
        if any(t.role in (host.STATIC, host.INITIAL_STATE) for t in self.model.inputs):
            session.begin(inputs)
        return session

    def start(self, inputs):
        return self.begin(self.model.session(), inputs)

    def joined(self, parts):
        """Outputs out of the pieces of several calls and the end."""
        results = []
        for i, tensor in enumerate(self.model.outputs):
            if tensor.role == STREAM:
                results.append(np.concatenate([p[i] for p in parts], tensor.time))
            else:
                results.append(parts[-1][i])
        return results


def same_bits(a, b):
    return a.shape == b.shape and a.tobytes() == b.tobytes()


class OtherBits(Broken):
    """Right within rounding, but not bit by bit."""


def expect_bits(subject, what, got, want):
    """Raises if they are not the same bits; of a subject that is known not to
    keep its bits, if they are not close."""
    for i, (a, b) in enumerate(zip(got, want)):
        if a is None and b is None:
            continue
        if a.shape != b.shape:
            raise Broken(f"{what}: output {i} is {a.shape} instead of {b.shape}")
        if same_bits(a, b):
            continue
        wide = b.astype(np.float64)
        with np.errstate(invalid="ignore"):
            difference = np.abs(a.astype(np.float64) - wide)
            close = (difference <= subject.tolerance * (1 + np.abs(wide).max(initial=0))).all()
        if close and not subject.exact:
            continue
        raise (OtherBits if close else Broken)(
            f"{what}: output {i} differs by {np.nanmax(difference, initial=0):.3g} in {(a != b).sum()} of {a.size} "
            f"values, first at {np.argwhere(a != b)[0].tolist()}")


def expect_close(what, got, want, tolerance):
    for i, (a, b) in enumerate(zip(got, want)):
        if a.shape != b.shape:
            raise Broken(f"{what}: output {i} is {a.shape} instead of {b.shape}")
        # A window of padding alone has no average, and an infinite maximum.
        finite = np.isfinite(b)
        if not np.array_equal(a[~finite], b[~finite].astype(a.dtype), equal_nan=True):
            raise Broken(f"{what}: output {i}: {a[~finite][:4]} where {b[~finite][:4]} is expected")
        a, b = np.where(finite, a, 0), np.where(finite, b, 0)
        bound = tolerance * (1 + np.abs(b).max(initial=0))
        difference = np.abs(a.astype(np.float64) - b)
        if not (difference <= bound).all():
            bad = np.argwhere(~(difference <= bound))
            raise Broken(f"{what}: output {i} {a.shape} differs by {difference.max():.3g} from {np.abs(b).max():.3g}, "
                         f"in {len(bad)} values, first at {bad[0].tolist()}")


class Observed:
    """A stream in steps of `inputs`, as long as the model allows."""

    def __init__(self, subject, inputs, frames):
        self.subject, self.inputs = subject, inputs
        session = subject.start(inputs)
        self.ends, self.pieces, self.blobs = [session.peek()], [], [session.save()]
        self.fresh = self.blobs[0]
        for t in range(frames):
            try:
                self.pieces.append(session.feed(1, subject.cut(inputs, t, t + 1), step=True))
            except ModelError as error:
                if error.status != host.END_OF_POSITIONS:
                    raise
                if session.save() != self.blobs[-1]:
                    raise Broken("a step after the last position changed the state")
                break
            self.check(session)
            self.blobs.append(session.save())
            self.ends.append(session.peek())
            if session.save() != self.blobs[-1]:
                raise Broken(f"peek after {t + 1} frames changed the state")
        self.frames = len(self.pieces)
        expect_bits(subject, "finish instead of peek", session.finish(), self.ends[-1])
        session.close()

    def check(self, session):
        """Law 5: what is not a frame yet has not reached a state."""
        session.state_check()

    def whole(self, frames, first=0):
        """What a stream of so many frames gives, without the first calls."""
        return self.subject.joined(self.pieces[first:frames] + [self.ends[frames]])

    def counts(self, frames):
        """Frames of each output that have come after so many fed."""
        return [sum(p[i].shape[t.time] for p in self.pieces[:frames]) if t.role == STREAM else 0
                for i, t in enumerate(self.subject.model.outputs)]


def equivalence(subject, rng):
    """Law 1: steps and finish are forward, at every length."""
    inputs = subject.make_inputs(rng, subject.longest)
    seen = Observed(subject, inputs, subject.longest)
    for frames in range(seen.frames + 1):
        whole = seen.whole(frames)
        for i, tensor in enumerate(subject.model.outputs):
            if tensor.role == STREAM and whole[i].shape[tensor.time] != subject.model.total(frames, i):
                raise Broken(f"{frames} frames: output {i} has {whole[i].shape[tensor.time]} frames, "
                             f"but frames_total says {subject.model.total(frames, i)}")
        if subject.oracle and subject.exists(frames):
            expect_close(f"{frames} frames in steps", whole, subject.oracle(subject.cut(inputs, 0, frames)), subject.tolerance)
    return seen


def forward(subject, seen, lengths, compiled):
    """Law 1: forward of the artefact. At the file's own length the whole graph
    may run, whose sums may be in another order: a note, not a failure."""
    for frames in lengths:
        if frames > seen.frames:
            continue
        session = subject.model.session()
        got = session.forward(subject.cut(seen.inputs, 0, frames), frames)
        want = seen.whole(frames)
        if frames == compiled:
            if subject.exists(frames):
                expect_close(f"forward of {frames} frames", got, [w.astype(np.float64) for w in want], subject.tolerance)
            if not all(same_bits(a, b) for a, b in zip(got, want)):
                subject.notes.append("forward at the file's length has other bits than steps")
        else:
            expect_bits(subject, f"forward of {frames} frames", got, want)
        again = session.forward(subject.cut(seen.inputs, 0, frames), frames)
        expect_bits(subject, f"forward of {frames} frames, again", again, got)
        session.close()


def random_calls(rng, frames, chunk):
    sizes = [0, 1, 1, 2, 3, max(1, chunk - 1), chunk, chunk + 1, 3 * chunk + 2]
    calls, left = [], frames
    while left > 0:
        calls.append(min(left, int(rng.choice(sizes)) if rng.random() < 0.8 else int(rng.integers(1, frames + 1))))
        left -= calls[-1]
    return calls


def run_calls(subject, session, inputs, calls, rng, at=0):
    """The pieces of these calls, and of finish."""
    parts = []
    for n in calls:
        parts.append(session.feed(n, subject.cut(inputs, at, at + n), spare=int(rng.integers(0, 3)),
                                  step=n == 1 and rng.random() < 0.5))
        at += n
    return parts + [session.finish(spare=int(rng.integers(0, 3)))]


def split(subject, seen, rng, runs):
    """Law 2: any partition gives the same bits, and the same counts."""
    for _ in range(runs):
        frames = int(rng.integers(0, seen.frames + 1)) if rng.random() < 0.5 else seen.frames
        calls = random_calls(rng, frames, subject.chunk)
        session = subject.start(seen.inputs)
        at, parts = 0, []
        for n in calls:
            ahead = [session.api.frames_after(session.handle, frames - at, i) for i in range(len(subject.model.outputs))]
            for i, (now, later) in enumerate(zip(seen.counts(at), seen.counts(frames))):
                if ahead[i] != later - now:
                    raise Broken(f"frames_after({frames - at}) at {at} is {ahead[i]}, but steps gave {later - now}")
            parts.append(session.feed(n, subject.cut(seen.inputs, at, at + n), spare=int(rng.integers(0, 3))))
            at += n
            if subject.exact and session.save() != seen.blobs[at]:
                raise OtherBits(f"the state after calls of {calls}, at {at}, is another one than after steps")
        parts.append(session.finish())
        session.close()
        expect_bits(subject, f"calls of {calls}", subject.joined(parts), seen.whole(frames))


def poison(subject, seen, rng):
    """Law 3: frames that come later are not looked at, nor do they stay after
    a reset; and law 6 after a history of NaN."""
    floats = [t.role == STREAM and t.dtype.kind == "f" for t in subject.model.inputs]
    if not any(floats) or not seen.frames:
        return
    session = subject.start(seen.inputs)
    for real in sorted({int(r) for r in rng.integers(0, seen.frames, 4)} | {0}):
        total = min(seen.frames, real + 2 * subject.chunk + 1)
        dirty = []
        for tensor, x, is_float in zip(subject.model.inputs, subject.cut(seen.inputs, 0, total), floats):
            if is_float:
                x = x.copy()
                tensor.take(x, real, total)[...] = np.nan
            dirty.append(x)
        got = session.feed(total, subject.cut(dirty, 0, total))
        for i, (tensor, count) in enumerate(zip(subject.model.outputs, seen.counts(real))):
            if tensor.role == STREAM and real:
                clean = subject.joined(seen.pieces[:real])[i]
                expect_bits(subject, f"output {i}: NaN from frame {real} on, and the {count} frames that were out before",
                            [tensor.take(got[i], 0, count)], [clean])
        states = [session.read_state(i) for i, t in enumerate(subject.model.states) if t.dtype.kind == "f"]
        if any(np.isnan(state).any() for state in states):
            try:
                session.state_check()
                raise Broken("state_check does not see a NaN")
            except ModelError as error:
                if error.status != host.NOT_FINITE:
                    raise
        if rng.random() < 0.5:
            session.finish()
        session.reset()
        if session.save() != seen.fresh:
            raise Broken(f"reset after {real} frames and NaN is not a new session")
    expect_bits(subject, "after NaN and reset", subject.joined(run_calls(
        subject, session, seen.inputs, random_calls(rng, seen.frames, subject.chunk), rng)), seen.whole(seen.frames))
    session.close()


def reset(subject, seen, rng):
    """Law 6: after any history a reset session is a new one."""
    session = subject.start(seen.inputs)
    for _ in range(4):
        frames = int(rng.integers(0, seen.frames + 1))
        at = 0
        for n in random_calls(rng, frames, subject.chunk):
            session.feed(n, subject.cut(seen.inputs, at, at + n))
            at += n
        history = rng.integers(4)
        if history == 1:
            session.finish()
            for call in (lambda: session.feed(0, subject.cut(seen.inputs, 0, 0)), session.finish):
                try:
                    call()
                except ModelError as error:
                    if error.status != host.OUT_OF_ORDER:
                        raise
                else:
                    raise Broken("a call after finish succeeded")
        elif history == 2:
            before = session.save()
            status = session.api.prefill(session.handle, 1, None, None, 99, None, None, 99, None)
            if status != host.INVALID_ARGUMENT or session.save() != before:
                raise Broken(f"a wrong call gave {status}, or changed the state")
        elif history == 3:
            session.forward(subject.cut(seen.inputs, 0, frames), frames)
        session.reset()
        if session.save() != seen.fresh or session.position != 0:
            raise Broken(f"reset after {frames} frames is not a new session (history {history})")
    session.close()


def restore(subject, seen, rng, worker):
    """Law 7 and 9: a blob is all that a stream is, also in another process."""
    other = subject.start(subject.make_inputs(rng, 1))
    jobs = []
    points = sorted({int(p) for p in rng.integers(0, seen.frames + 1, 8)} | {0, min(1, seen.frames), seen.frames})
    for at in points:
        calls = random_calls(rng, min(seen.frames - at, 2 * subject.chunk + 9), subject.chunk)
        end = at + sum(calls)
        want = seen.whole(end, at)
        other.load(seen.blobs[at])
        if other.save() != seen.blobs[at] or other.position != at:
            raise Broken(f"save after load at {at} is another blob")
        clone = other.clone()
        expect_bits(subject, f"loaded at {at}", subject.joined(run_calls(subject, other, seen.inputs, calls, rng, at)), want)
        if clone.save() != seen.blobs[at]:
            raise Broken(f"a clone at {at} moved with its original")
        expect_bits(subject, f"cloned at {at}", subject.joined(run_calls(subject, clone, seen.inputs, calls, rng, at)), want)
        clone.close()
        jobs.append((at, calls, want))
    bad = bytearray(seen.blobs[-1])
    bad[int(rng.integers(len(bad)))] ^= 0x10
    before = other.save()
    try:
        other.load(bytes(bad))
    except ModelError as error:
        if error.status != host.BAD_STATE or other.save() != before:
            raise Broken(f"a damaged blob gave {error.status}, or changed the state") from error
    else:
        raise Broken("a damaged blob was loaded")
    other.close()
    if not worker:
        return
    results = worker.run(subject.model.path, [
        (seen.blobs[at], [(n, subject.cut(seen.inputs, at + sum(calls[:k]), at + sum(calls[: k + 1])))
                          for k, n in enumerate(calls)]) for at, calls, _ in jobs])
    for (at, _, want), parts in zip(jobs, results):
        expect_bits(subject, f"loaded at {at} by another process", subject.joined(parts), want)


def snapshots(subject, seen, rng):
    """Law 7: what prefill leaves on its way is what steps would have left."""
    for _ in range(2):
        every = int(rng.choice([1, 2, 3, subject.chunk, 2 * subject.chunk - 1]))
        session = subject.start(seen.inputs)
        at, parts = 0, []
        for n in random_calls(rng, seen.frames, subject.chunk):
            parts.append(session.feed(n, subject.cut(seen.inputs, at, at + n), every=every))
            at += n
        places = range(every, seen.frames + 1, every)
        if len(places) != len(session.snapshots):
            raise Broken(f"{len(session.snapshots)} snapshots every {every} of {seen.frames} frames")
        expect_bits(subject, f"with snapshots every {every}", subject.joined(parts + [session.finish()]),
                    seen.whole(seen.frames))
        for at, blob in zip(places, session.snapshots):
            if subject.exact and blob != seen.blobs[at]:
                raise OtherBits(f"the snapshot at {at}, of one every {every}, is another state than after steps")
        if session.snapshots:
            number = int(rng.integers(len(session.snapshots)))
            session.load(session.snapshots[number])
            at = places[number]
            calls = random_calls(rng, seen.frames - at, subject.chunk)
            expect_bits(subject, f"from the snapshot at {at}", subject.joined(run_calls(
                subject, session, seen.inputs, calls, rng, at)), seen.whole(seen.frames, at))
        session.close()


def refuse_rollback(session, frames, status=host.INVALID_ARGUMENT):
    """Too many frames to take back: an error that changes nothing."""
    before = session.save()
    try:
        session.rollback(frames)
    except ModelError as error:
        if error.status != status or session.save() != before:
            raise Broken(f"rollback of {frames} frames gave {error.status}, or changed the state") from error
    else:
        raise Broken(f"rollback of {frames} frames was not refused")


def rollback(subject, seen, rng):
    """Law 7: frames that were taken back have not been, wherever that is and
    whatever they were."""
    window, chunk = subject.model.window, subject.chunk
    if not window:
        return
    session = subject.start(subject.make_inputs(rng, 1))

    def expect_place(what, at):
        if session.position != at:
            raise Broken(f"{what}: the position is {session.position}")
        expect_bits(subject, f"{what}: peek", session.peek(), seen.ends[at])

    def expect_future(what, at, frames):
        calls = random_calls(rng, min(frames, seen.frames - at), chunk)
        parts = subject.joined(run_calls(subject, session, seen.inputs, calls, rng, at))
        expect_bits(subject, f"{what}: calls of {calls}", parts, seen.whole(at + sum(calls), at))

    # From every place to every other.
    for t in range(seen.frames + 1):
        most = min(t, window)
        for n in range(most + 1):
            session.load(seen.blobs[t])
            session.rollback(n)
            what = f"rollback from {t} to {t - n}"
            expect_place(what, t - n)
            if n == most or rng.random() < 0.2:
                refuse_rollback(session, most - n + 1)
            # Another step back, by way of another session.
            m = int(rng.integers(0, most - n + 1))
            session.load(session.save())
            session.rollback(m)
            expect_place(f"{what} and by {m} more", t - n - m)
            if rng.random() < 0.3:
                expect_future(f"{what} and by {m} more", t - n - m, window + 3)
                refuse_rollback(session, 1, host.OUT_OF_ORDER)
    # There and back again, over frames that were others.
    others = subject.make_inputs(rng, seen.frames)
    session.load(seen.fresh)
    at, fed, parts = 0, 0, []
    while at < seen.frames:
        n = min(int(rng.choice([1, 1, 2, window, chunk, int(rng.integers(1, 2 * chunk + 2))])), seen.frames - at)
        parts.append(session.feed(n, subject.cut(seen.inputs, at, at + n)))
        at += n
        fed = min(fed + n, window)
        wrong = min(int(rng.integers(0, window + 1)), seen.frames - at)
        if wrong:
            for k in random_calls(rng, wrong, chunk):
                session.feed(k, subject.cut(others, at, at + k), step=k == 1)
                at += k
            at -= wrong
            session.rollback(wrong)
            fed = min(fed, window - wrong)
            expect_place(f"{wrong} other frames taken back to {at}", at)
        if fed >= window and subject.exact and session.save() != seen.blobs[at]:
            raise OtherBits(f"the state at {at}, after frames were taken back, is another one than after steps")
    parts.append(session.finish())
    expect_bits(subject, "with frames taken back in between", subject.joined(parts), seen.whole(seen.frames))
    session.close()


def tightness(subject, known, blind=False):
    """Law 4: what has come is known, and nothing waits longer than it has to;
    the latter not if `blind`: some is known that only seems to be.
    A frame may wait for its place in time, and the very first ones for the
    stream to settle; known[t][i] is how many frames of output i are known."""
    session = subject.model.session()
    for i, tensor in enumerate(subject.model.outputs):
        if tensor.role != STREAM:
            continue
        for t in range(1, len(known)):
            got = session.api.frames_after(session.handle, t, i)
            in_time = (t - 1) * tensor.frames // tensor.period + 1
            if got > known[t][i]:
                raise Broken(f"output {i}: {got} frames after {t}, but only {known[t][i]} can be known")
            if not blind and t > len(known) // 2 and got < min(in_time, known[t][i]):
                raise Broken(f"output {i}: {got} frames after {t}, but {known[t][i]} are known")
            stated = max(0, (t - 1 - tensor.latency) * tensor.frames // tensor.period + 1)
            if tensor.frames == 1 and got != stated:
                raise Broken(f"output {i}: {got} frames after {t}, but latency {tensor.latency} says {stated}")
    session.close()


def rows(subject, seen, rng):
    """Law 8: rows of a batch do not see each other, and change places."""
    tensors = [t for t in subject.model.inputs + subject.model.outputs]
    batch = {t.shape[t.batch] for t in tensors if t.batch >= 0}
    if len(batch) != 1 or any(t.batch < 0 for t in subject.model.outputs) or batch == {1}:
        return False
    size = batch.pop()
    row = int(rng.integers(size))
    dirty = []
    for tensor, x in zip(subject.model.inputs, seen.inputs):
        if tensor.batch >= 0 and tensor.dtype.kind == "f":
            keep = x
            x = np.full_like(x, np.nan)
            at = (slice(None),) * tensor.batch + (row,)
            x[at] = keep[at]
        dirty.append(x)
    session = subject.start(dirty)
    got = subject.joined(run_calls(subject, session, dirty, random_calls(rng, seen.frames, subject.chunk), rng))
    for i, tensor in enumerate(subject.model.outputs):
        expect_bits(subject, f"output {i}: row {row} with NaN in the others", [np.take(got[i], row, tensor.batch)],
                    [np.take(seen.whole(seen.frames)[i], row, tensor.batch)])
    session.close()
    session = subject.start(seen.inputs)
    for half in sorted({0, seen.frames // 2, int(rng.integers(0, seen.frames + 1)), seen.frames}):
        if not reorder(subject, seen, rng, session, half, size):
            session.close()
            return False
    session.close()
    return True


def reorder(subject, seen, rng, session, half, size):
    """Whether the rows could change places after `half` frames."""
    order = [int(r) for r in rng.integers(0, size, size)]
    session.load(seen.blobs[half])
    try:
        session.reorder(order)
    except ModelError as error:
        if error.status != host.UNSUPPORTED or session.save() != seen.blobs[half]:
            raise
        return False
    back = int(rng.integers(0, min(subject.model.window, half) + 1))
    if back:
        session.rollback(back)
        half -= back
    mixed = [np.take(x, order, t.batch) if t.batch >= 0 else x for t, x in zip(subject.model.inputs, seen.inputs)]
    got = subject.joined(run_calls(subject, session, mixed, random_calls(rng, seen.frames - half, subject.chunk), rng, half))
    want = [np.take(w, order, t.batch) for w, t in zip(seen.whole(seen.frames, half), subject.model.outputs)]
    expect_bits(subject, f"rows {order} after {half} frames", got, want)
    return True


def sessions(subject, seen, rng):
    """Law 8: sessions that take turns do not see each other."""
    lines = []
    for _ in range(3):
        calls = random_calls(rng, seen.frames, subject.chunk)
        lines.append([subject.start(seen.inputs), calls, 0, []])
    while any(line[1] for line in lines):
        line = lines[rng.integers(len(lines))]
        if line[1]:
            n = line[1].pop(0)
            line[3].append(line[0].feed(n, subject.cut(seen.inputs, line[2], line[2] + n)))
            line[2] += n
    for session, _, _, parts in lines:
        expect_bits(subject, "sessions in turns", subject.joined(parts + [session.finish()]), seen.whole(seen.frames))
        session.close()
