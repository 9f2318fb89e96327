"""Checks the laws of streams on a model file, of which nothing else is known:
all ways to feed it, to leave off and to go on give the same bits.

Usage: check_model_laws.py ITERA_COMPILE MODEL.onnx [--frames=N] [--rows=yes|no] [itera-compile flag...]

Integer inputs are taken for numbers of tokens below 200. --rows says whether
rows of a batch have to be able to change places.
"""

import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np

import stream_laws as laws
from stream_host import STREAM, Model
from stream_worker import Worker


def random_inputs(model, rng, frames):
    values = []
    for tensor in model.inputs:
        shape = tensor.sized(frames) if tensor.role == STREAM else tensor.shape
        if tensor.dtype.kind in "iu":
            values.append(rng.integers(0, 200, shape).astype(tensor.dtype))
        else:
            values.append(rng.normal(size=shape).astype(tensor.dtype))
    return values


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("compiler")
    parser.add_argument("model")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--rows", choices=["yes", "no"], default="no")
    options, flags = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        artefact = os.path.join(folder, "model.so")
        subprocess.run([options.compiler, options.model, "-o", artefact, "--stream=required", *flags], check=True)
        model, worker, rng = Model(artefact), Worker(), np.random.default_rng(1)
        subject = laws.Subject(options.model, model, lambda rng, n: random_inputs(model, rng, n), longest=options.frames,
                               chunk=max([int(f[8:]) for f in flags if f.startswith("--chunk=")] + [model.window, 1]))
        seen = laws.equivalence(subject, rng)
        laws.split(subject, seen, rng, 3)
        laws.reset(subject, seen, rng)
        laws.restore(subject, seen, rng, worker)
        laws.snapshots(subject, seen, rng)
        laws.rollback(subject, seen, rng)
        laws.sessions(subject, seen, rng)
        moved = laws.rows(subject, seen, rng)
        worker.close()
        if moved != (options.rows == "yes"):
            sys.exit(f"rows {'changed' if moved else 'could not change'} places")
    print(f"{seen.frames} frames, {model.window} of them can be taken back, {len(model.states)} states: passed")


main()
