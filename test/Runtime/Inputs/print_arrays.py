# SPDX-License-Identifier: Apache-2.0
"""Prints name, type, shape and values of each array of an .npz file."""

import sys

import numpy as np

with np.load(sys.argv[1], allow_pickle=False) as arrays:
    for name in arrays.files:
        array = arrays[name]
        print(name, array.dtype, array.shape, array.tolist())
