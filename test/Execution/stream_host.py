"""A host for compiled models in Python: abi.h by ctypes, with numpy arrays.

Every buffer that the model sees stands between two rows of canaries and begins
as NaN, inputs included, and is compared after each call: what the model must
not touch is untouched. A broken promise raises Broken; an error that the model
reports raises ModelError.
"""

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

import ml_dtypes
import numpy as np

DTYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_,
          10: np.float16, 11: np.float64, 12: np.uint32, 13: np.uint64, 16: ml_dtypes.bfloat16}
WHOLE, STREAM, STATIC, INITIAL_STATE, FINAL, STATE = range(6)
OK, INVALID_ARGUMENT, OUT_OF_MEMORY, UNSUPPORTED, BAD_STATE, INTERNAL, OUT_OF_ORDER, END_OF_POSITIONS, NOT_FINITE = range(9)
GUARD = 64
ABI_VERSION = 1


class Broken(Exception):
    """The model broke a promise of the C interface or a law of streams."""


class ModelError(Exception):
    def __init__(self, status, text):
        super().__init__(f"status {status}: {text}")
        self.status = status


class TensorInfo(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("dtype", c_uint32), ("name", c_char_p), ("dims", POINTER(c_int64)),
                ("rank", c_uint32), ("role", c_uint32), ("bytes", c_uint64), ("time_dim", c_int32), ("batch_dim", c_int32),
                ("frames", c_uint64), ("period", c_uint64), ("latency", c_int64), ("node", c_char_p)]


_array = [POINTER(c_void_p), POINTER(c_size_t), c_uint32]
_session = c_void_p
FUNCTIONS = [
    ("name", c_char_p, []), ("compiler_version", c_char_p, []), ("compiler_flags", c_char_p, []), ("target", c_char_p, []),
    ("source_hash", c_char_p, []), ("stream_problem", c_char_p, []), ("input_count", c_uint32, []), ("input_info", POINTER(TensorInfo), [c_uint32]),
    ("output_count", c_uint32, []), ("output_info", POINTER(TensorInfo), [c_uint32]), ("scratch_bytes", c_uint64, []),
    ("model_create", c_int32, [c_void_p, POINTER(c_void_p)]), ("model_destroy", None, [c_void_p]),
    ("session_create", c_int32, [c_void_p, POINTER(c_void_p)]), ("session_destroy", None, [_session]),
    ("last_error", c_char_p, [_session]), ("forward", c_int32, [_session, *_array, *_array]),
    ("begin", c_int32, [_session, *_array]), ("prefill", c_int32, [_session, c_uint64, *_array, *_array, POINTER(c_uint64)]),
    ("step", c_int32, [_session, *_array, *_array, POINTER(c_uint64)]),
    ("finish", c_int32, [_session, *_array, POINTER(c_uint64)]), ("peek", c_int32, [_session, *_array, POINTER(c_uint64)]),
    ("frames_after", c_uint64, [_session, c_uint64, c_uint32]), ("frames_left", c_uint64, [_session, c_uint32]),
    ("frames_total", c_uint64, [c_uint64, c_uint32]), ("position", c_uint64, [_session]), ("state_count", c_uint32, []),
    ("state_info", POINTER(TensorInfo), [c_uint32]), ("state_read", c_int32, [_session, c_uint32, c_void_p, c_size_t]),
    ("state_write", c_int32, [_session, c_uint32, c_void_p, c_size_t]), ("state_reset", c_int32, [_session]),
    ("state_size", c_size_t, [_session]), ("state_save", c_int32, [_session, c_void_p, c_size_t]),
    ("state_load", c_int32, [_session, c_void_p, c_size_t]), ("state_check", c_int32, [_session]),
    ("session_clone", c_int32, [_session, POINTER(c_void_p)]),
    ("reorder_rows", c_int32, [_session, POINTER(c_uint32), c_uint32]), ("rollback", c_int32, [_session, c_uint64]),
    ("rollback_window", c_uint64, []),
    ("prefill_snapshots", c_int32, [_session, c_uint64, *_array, *_array, POINTER(c_uint64), c_uint64, c_void_p, c_size_t])]


class Api(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("abi_version", c_uint32)] + [
        (name, ctypes.CFUNCTYPE(result, *arguments)) for name, result, arguments in FUNCTIONS]


class Tensor:
    """One input, output or state."""

    def __init__(self, info):
        self.name = info.name.decode()
        self.dtype = np.dtype(DTYPES[info.dtype])
        self.shape = tuple(info.dims[i] for i in range(info.rank))
        self.role, self.bytes, self.node = info.role, info.bytes, info.node
        self.time, self.batch = info.time_dim, info.batch_dim
        self.frames, self.period, self.latency = info.frames, info.period, info.latency
        if info.struct_size != ctypes.sizeof(TensorInfo):
            raise Broken(f"{self.name}: the info has {info.struct_size} bytes")
        if self.bytes != int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize:
            raise Broken(f"{self.name}: {self.bytes} bytes for {self.shape}")
        if (self.role == STREAM) != (self.time >= 0):
            raise Broken(f"{self.name}: role {self.role} and time dimension {self.time}")

    def sized(self, frames):
        """The shape with this many frames."""
        return self.shape[: self.time] + (frames,) + self.shape[self.time + 1 :]

    def take(self, array, first, end):
        """The frames from first to end."""
        return array[(slice(None),) * self.time + (slice(first, end),)]


class Guarded:
    """Memory between canaries. What is not given begins as ones: NaN for floats."""

    def __init__(self, size, content=None):
        self.size = size
        # Around inputs NaN: what is read there shows.
        self.canary = 0xA5 if content is None else 0xFF
        self.memory = np.full(size + 2 * GUARD + 16, self.canary, np.uint8)
        self.start = GUARD + 8
        self.body[:] = 0xFF
        if content is not None:
            self.body[:] = np.frombuffer(np.ascontiguousarray(content).tobytes(), np.uint8)
        self.before = self.body.copy()

    @property
    def body(self):
        return self.memory[self.start : self.start + self.size]

    @property
    def address(self):
        return self.memory.ctypes.data + self.start

    def untouched(self):
        return np.array_equal(self.body, self.before) and self.guards_stand()

    def guards_stand(self):
        ends = self.memory[: self.start], self.memory[self.start + self.size :]
        return all((end == self.canary).all() for end in ends)


def _arrays(buffers):
    """Pointers, byte counts and their number, for a call."""
    n = len(buffers)
    pointers = (c_void_p * n)(*[b.address if b and b.size else None for b in buffers])
    sizes = (c_size_t * n)(*[b.size if b else 0 for b in buffers])
    return ctypes.cast(pointers, POINTER(c_void_p)), sizes, n


class Model:
    def __init__(self, path):
        self.path = str(path)
        self.library = ctypes.CDLL(self.path, mode=ctypes.RTLD_LOCAL | 2)
        query = self.library.itera_model_query
        query.restype, query.argtypes = c_void_p, [c_uint32, c_void_p]
        table = query(ABI_VERSION, None)
        if not table:
            raise Broken("the artefact gave no table")
        self.api = Api.from_address(table)
        if self.api.struct_size < ctypes.sizeof(Api):
            raise Broken("the table is smaller than abi.h's")
        self.inputs = [Tensor(self.api.input_info(i).contents) for i in range(self.api.input_count())]
        self.outputs = [Tensor(self.api.output_info(i).contents) for i in range(self.api.output_count())]
        self.streams = bool(self.api.step)
        self.problem = self.api.stream_problem().decode()
        if self.streams == bool(self.problem):
            raise Broken(f"the model {'streams' if self.streams else 'does not stream'}, and its problem is '{self.problem}'")
        self.states = []
        if self.streams:
            self.states = [Tensor(self.api.state_info(i).contents) for i in range(self.api.state_count())]
        if bool(self.api.rollback) != bool(self.api.rollback_window):
            raise Broken("rollback and rollback_window do not come together")
        self.window = self.api.rollback_window() if self.api.rollback else 0
        handle = c_void_p()
        if self.api.model_create(None, byref(handle)) != OK:
            raise Broken("model_create failed")
        self.handle = handle

    def session(self):
        handle = c_void_p()
        status = self.api.session_create(self.handle, byref(handle))
        if status != OK:
            raise ModelError(status, "session_create")
        return Session(self, handle)

    def total(self, length, output):
        return self.api.frames_total(length, output)

    def needs_begin(self):
        return any(t.role == STATIC for t in self.inputs)

    def close(self):
        self.api.model_destroy(self.handle)


class Session:
    """A stream. Arrays go in and come out in lists, as the model's tensors are
    ordered; what a call does not use is None."""

    def __init__(self, model, handle):
        self.model, self.handle, self.api = model, handle, model.api
        self.snapshots = []

    def close(self):
        self.api.session_destroy(self.handle)
        self.handle = None

    def _check(self, status):
        text = (self.api.last_error(self.handle) or b"").decode()
        if status == OK:
            if text:
                raise Broken(f"a call succeeded, but the last error is '{text}'")
            return
        if not text:
            raise Broken(f"a call failed with {status} without a text")
        raise ModelError(status, text)

    def _given(self, values, roles, frames):
        buffers = []
        for tensor, value in zip(self.model.inputs, values or [None] * len(self.model.inputs)):
            if tensor.role not in roles or value is None:
                buffers.append(None)
                continue
            value = np.asarray(value, tensor.dtype)
            wanted = tensor.sized(frames) if tensor.role == STREAM else tensor.shape
            if value.shape != wanted:
                raise ValueError(f"{tensor.name}: {value.shape} for {wanted}")
            buffers.append(Guarded(value.nbytes, value))
        return buffers

    def _wanted(self, counts, spare):
        """Buffers for so many frames of each output; None: no buffer."""
        buffers = []
        for tensor, count in zip(self.model.outputs, counts):
            if count is None:
                buffers.append(None)
                continue
            size = tensor.bytes
            if tensor.role == STREAM:
                size = int(np.prod(tensor.sized(count + spare), dtype=np.int64)) * tensor.dtype.itemsize
            buffers.append(Guarded(size))
        return buffers

    def _deliver(self, status, inputs, outputs, counts, got):
        """Looks at all buffers after a call, and makes arrays of the outputs."""
        for buffer in inputs:
            if buffer and not buffer.untouched():
                raise Broken("a call wrote to an input")
        for tensor, buffer in zip(self.model.outputs, outputs):
            if buffer and not buffer.guards_stand():
                raise Broken(f"{tensor.name}: a call wrote outside of its buffer")
            if buffer and status != OK and not buffer.untouched():
                raise Broken(f"{tensor.name}: a call that failed wrote to it")
        self._check(status)
        results = []
        for tensor, buffer, count, delivered in zip(self.model.outputs, outputs, counts, got):
            if count is not None and delivered != count:
                raise Broken(f"{tensor.name}: {delivered} frames came, but {count} were announced")
            if buffer is None:
                results.append(None)
                continue
            shape = tensor.sized(delivered) if tensor.role == STREAM else tensor.shape
            size = int(np.prod(shape, dtype=np.int64)) * tensor.dtype.itemsize
            results.append(np.frombuffer(buffer.body[:size].tobytes(), tensor.dtype).reshape(shape))
        return results

    def begin(self, values=None):
        inputs = self._given(values, (STATIC, INITIAL_STATE), 0)
        pointers, sizes, count = _arrays(inputs)
        self._check(self.api.begin(self.handle, pointers, sizes, count))

    def feed(self, frames, values, spare=0, step=False, every=0):
        """step or prefill; values hold exactly these frames. With `every`, the
        blobs that a prefill with snapshots leaves are appended to snapshots."""
        inputs = self._given(values, (STREAM,), frames)
        counts = [self.api.frames_after(self.handle, frames, i) if t.role == STREAM else None
                  for i, t in enumerate(self.model.outputs)]
        outputs = self._wanted(counts, spare)
        got = (c_uint64 * len(outputs))(*[77] * len(outputs))
        before = self.position
        if step:
            status = self.api.step(self.handle, *_arrays(inputs), *_arrays(outputs), got)
        elif every:
            size = self.api.state_size(self.handle)
            blobs = Guarded(((before + frames) // every - before // every) * size)
            status = self.api.prefill_snapshots(self.handle, frames, *_arrays(inputs), *_arrays(outputs), got, every,
                                                blobs.address, blobs.size)
            if not blobs.guards_stand() or (status != OK and not blobs.untouched()):
                raise Broken("prefill_snapshots wrote where it may not")
            self.snapshots += [blobs.body[at : at + size].tobytes() for at in range(0, blobs.size, size)]
        else:
            status = self.api.prefill(self.handle, frames, *_arrays(inputs), *_arrays(outputs), got)
        results = self._deliver(status, inputs, outputs, [c or 0 for c in counts], got)
        if self.position != before + frames:
            raise Broken(f"the position is {self.position} after {before} + {frames} frames")
        return results

    def _end(self, call, spare):
        counts = [self.api.frames_left(self.handle, i) if t.role == STREAM else 1
                  for i, t in enumerate(self.model.outputs)]
        outputs = self._wanted(counts, spare)
        got = (c_uint64 * len(outputs))(*[77] * len(outputs))
        status = call(self.handle, *_arrays(outputs), got)
        return self._deliver(status, [], outputs, counts, got)

    def finish(self, spare=0):
        return self._end(self.api.finish, spare)

    def peek(self, spare=0):
        return self._end(self.api.peek, spare)

    def forward(self, values, length=None):
        inputs = self._given(values, (WHOLE, STREAM, STATIC, INITIAL_STATE), length)
        counts = [self.model.total(length, i) if t.role == STREAM else 1 for i, t in enumerate(self.model.outputs)]
        outputs = self._wanted(counts, 0)
        status = self.api.forward(self.handle, *_arrays(inputs), *_arrays(outputs))
        return self._deliver(status, inputs, outputs, counts, counts)

    @property
    def position(self):
        return self.api.position(self.handle)

    def save(self):
        blob = Guarded(self.api.state_size(self.handle))
        status = self.api.state_save(self.handle, blob.address, blob.size)
        if not blob.guards_stand():
            raise Broken("state_save wrote outside of its buffer")
        self._check(status)
        return blob.body.tobytes()

    def load(self, blob):
        data = Guarded(len(blob), np.frombuffer(blob, np.uint8))
        self._check(self.api.state_load(self.handle, data.address, data.size))
        if not data.untouched():
            raise Broken("state_load wrote to its blob")

    def reset(self):
        self._check(self.api.state_reset(self.handle))

    def clone(self):
        handle = c_void_p()
        self._check(self.api.session_clone(self.handle, byref(handle)))
        return Session(self.model, handle)

    def reorder(self, rows):
        self._check(self.api.reorder_rows(self.handle, (c_uint32 * len(rows))(*rows), len(rows)))

    def rollback(self, frames):
        self._check(self.api.rollback(self.handle, frames))

    def state_check(self):
        self._check(self.api.state_check(self.handle))

    def read_state(self, index):
        tensor = self.model.states[index]
        data = Guarded(tensor.bytes)
        self._check(self.api.state_read(self.handle, index, data.address, data.size))
        return np.frombuffer(data.body.tobytes(), tensor.dtype).reshape(tensor.shape)

    def write_state(self, index, value):
        tensor = self.model.states[index]
        data = Guarded(tensor.bytes, np.asarray(value, tensor.dtype))
        self._check(self.api.state_write(self.handle, index, data.address, data.size))
