# SPDX-License-Identifier: Apache-2.0
"""Continues a text with a language model of bytes, from Python's own library.

Usage: generate_text.py MODEL.so COUNT TEXT
"""

import array
import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p


class TensorInfo(ctypes.Structure):
    """itera_tensor_info of abi.h."""

    _fields_ = [("struct_size", c_uint32), ("dtype", c_uint32), ("name", c_char_p), ("dims", POINTER(c_int64)),
                ("rank", c_uint32), ("role", c_uint32), ("bytes", c_uint64), ("time_dim", c_int32),
                ("batch_dim", c_int32), ("frames", c_uint64), ("period", c_uint64), ("latency", c_int64),
                ("node", c_char_p)]


def function(result, *arguments):
    return ctypes.CFUNCTYPE(result, *arguments)


INPUTS = (c_void_p, c_void_p, c_uint32)
OUTPUTS = (c_void_p, c_void_p, c_uint32)


class Api(ctypes.Structure):
    """The beginning of itera_model_api; what is not used here is c_void_p."""

    _fields_ = [("struct_size", c_uint32), ("abi_version", c_uint32), ("name", function(c_char_p)),
                ("compiler_version", c_void_p), ("compiler_flags", c_void_p), ("target", c_void_p),
                ("source_hash", c_void_p), ("stream_problem", function(c_char_p)),
                ("input_count", function(c_uint32)), ("input_info", function(POINTER(TensorInfo), c_uint32)),
                ("output_count", function(c_uint32)), ("output_info", function(POINTER(TensorInfo), c_uint32)),
                ("scratch_bytes", c_void_p), ("model_create", function(c_int32, c_void_p, POINTER(c_void_p))),
                ("model_destroy", function(None, c_void_p)),
                ("session_create", function(c_int32, c_void_p, POINTER(c_void_p))),
                ("session_destroy", function(None, c_void_p)), ("last_error", function(c_char_p, c_void_p)),
                ("forward", c_void_p), ("begin", c_void_p),
                ("prefill", function(c_int32, c_void_p, c_uint64, *INPUTS, *OUTPUTS, c_void_p))]


class Stream:
    """A model with one input of int64 ids and one output of float32 logits."""

    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        query = self.library.itera_model_query
        query.restype = POINTER(Api)
        table = query(c_uint32(1), None)
        if not table:
            sys.exit("the model refuses to run")
        self.api = table.contents
        if problem := self.api.stream_problem():
            sys.exit(f"the model cannot stream: {problem.decode()}")
        if self.api.input_count() != 1 or self.api.output_count() != 1:
            sys.exit("expected one input and one output")
        info = self.api.output_info(0).contents
        self.vocabulary = info.dims[info.rank - 1]
        self.model, self.session = c_void_p(), c_void_p()
        self.check(self.api.model_create(None, byref(self.model)))
        self.check(self.api.session_create(self.model, byref(self.session)))

    def check(self, status):
        if status:
            sys.exit(self.api.last_error(self.session).decode() if self.session else f"error {status}")

    def feed(self, tokens):
        """The logits after the last of the tokens."""
        ids = array.array("q", list(tokens))
        logits = array.array("f", bytes(4 * self.vocabulary * len(ids)))
        inputs, outputs = (c_void_p(buffer.buffer_info()[0]) for buffer in (ids, logits))
        sizes = [c_size_t(buffer.itemsize * len(buffer)) for buffer in (ids, logits)]
        frames = c_uint64()
        self.check(self.api.prefill(self.session, len(ids), byref(inputs), byref(sizes[0]), 1, byref(outputs),
                                    byref(sizes[1]), 1, byref(frames)))
        return logits[-self.vocabulary:]

    def close(self):
        self.api.session_destroy(self.session)
        self.api.model_destroy(self.model)


def main():
    path, count, text = sys.argv[1:]
    stream = Stream(path)
    logits = stream.feed(text.encode())
    for _ in range(int(count)):
        byte = max(range(256), key=logits.__getitem__)
        sys.stdout.buffer.write(bytes([byte]))
        sys.stdout.buffer.flush()
        logits = stream.feed([byte])
    print()
    stream.close()


if __name__ == "__main__":
    main()
