# SPDX-License-Identifier: Apache-2.0
"""Between the arrays of make_streams.py and the raw files of stream_model.c, in
which frame follows frame.

split FILE.npz NAME TIME_DIM FILE.bin: writes one array (-1: it has no time)
check FILE.npz NAME TIME_DIM FILE.bin: compares
"""

import sys

import numpy as np

command, arrays, name, time, path = sys.argv[1:]
array = np.load(arrays)[name]
if int(time) >= 0:
    array = np.moveaxis(array, int(time), 0)
if command == "split":
    array.tofile(path)
else:
    got = np.fromfile(path, array.dtype)
    if not np.array_equal(got, array.ravel()):
        sys.exit(f"{name}: expected {array.ravel()}, but got {got}")
