"""Checks a part of the laws of streams on a target that this machine emulates.

Usage: check_foreign_streams.py ITERA_COMPILE --target=ARCH [--seeds=1,2,...]
           [--chunk=6] -- RUNNER... HOST

Random graphs are compiled for this machine and for the other one. There,
stream_script.c makes the calls: steps, chunks and blobs must give the same bits
among each other, also in another process; and the values must be this machine's,
from the beginning and from a blob that comes from here, or goes back.
"""

import argparse
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np
import onnx

import stream_host as host
import stream_laws as laws
from random_graphs import Generator, example_length
from stream_host import Broken, Model


class Foreign:
    """Scripts for one artefact of the other machine, whose tensors are those of
    `model`, which is compiled for this one."""

    def __init__(self, command, path, model):
        self.command, self.path, self.model = command, path, model
        self.clear()

    def clear(self):
        self.script, self.expected = [], []

    def call(self, letter, number, *data):
        self.script.append(letter.encode() + struct.pack("<Q", number) + b"".join(data))
        if letter in "fsepwS":
            self.expected.append(letter)

    def given(self, inputs, roles):
        return [np.ascontiguousarray(x, t.dtype).tobytes() for t, x in zip(self.model.inputs, inputs) if t.role in roles]

    def begin(self, inputs):
        self.call("b", 0, *self.given(inputs, (host.STATIC, host.INITIAL_STATE)))

    def feed(self, subject, inputs, at, n, step=False):
        self.call("s" if step else "f", n, *self.given(subject.cut(inputs, at, at + n), (host.STREAM,)))

    def forward(self, inputs, frames):
        self.call("w", frames, *self.given(inputs, (host.STREAM, host.STATIC, host.INITIAL_STATE)))

    def run(self):
        """What all calls gave, in order; blobs as bytes."""
        done = subprocess.run([*self.command, self.path], input=b"".join(self.script), capture_output=True)
        if done.returncode:
            raise Broken(f"the host failed: {done.stderr.decode()[-400:]}")
        rest, results = done.stdout, []
        for letter in self.expected:
            if letter == "S":
                (size,), rest = struct.unpack("<Q", rest[:8]), rest[8:]
                results.append(rest[:size])
                rest = rest[size:]
                continue
            outputs = []
            for tensor in self.model.outputs:
                (frames, size), rest = struct.unpack("<QQ", rest[:16]), rest[16:]
                shape = tensor.sized(frames) if tensor.role == host.STREAM else tensor.shape
                outputs.append(np.frombuffer(rest[:size], tensor.dtype).reshape(shape) if size or 0 in shape else None)
                rest = rest[size:]
            results.append(outputs)
        if rest:
            raise Broken(f"the host gave {len(rest)} bytes too many")
        self.clear()
        return results


def wide(arrays):
    return [a.astype(np.float64) for a in arrays]


def check(options, folder, seed):
    """False if the graph does not stream."""
    recipe = Generator(seed).make()
    file = os.path.join(folder, f"{seed}.onnx")
    onnx.save(recipe.onnx(example_length(recipe)), file)
    dims = [f"--time-dim=in{k}={recipe.values[i][0].layout.index('T')}" for k, i in enumerate(recipe.inputs)
            if recipe.values[i][0].layout != "BC"]
    paths = [os.path.join(folder, f"{seed}.{end}") for end in ("here.so", "there.so")]
    for path, target in zip(paths, ([], [f"--target={options.target}"])):
        subprocess.run([options.compiler, file, "-o", path, f"--chunk={options.chunk}", "--cache-dir=", *dims, *target],
                       check=True, capture_output=True)
    model = Model(paths[0])
    if not model.streams:
        return False
    rng = np.random.default_rng(seed)
    frames = 3 * options.chunk + 2
    subject = laws.Subject(f"seed {seed}", model, lambda rng, n: recipe.random_inputs(rng, n), chunk=options.chunk)
    inputs = subject.make_inputs(rng, frames)
    here = laws.Observed(subject, inputs, frames)
    frames = here.frames  # fewer if a table ends
    half, inputs = frames // 2 + 1, subject.cut(inputs, 0, frames)
    there = Foreign(options.host, paths[1], model)

    there.begin(inputs)
    for t in range(frames):
        there.feed(subject, inputs, t, 1, step=True)
    there.call("p", 0)
    there.call("e", 0)
    splits = [[options.chunk] * (frames // options.chunk) + [frames % options.chunk]]
    splits += [laws.random_calls(rng, frames, options.chunk) for _ in range(3)]
    for calls in splits:
        there.call("r", 0)
        at = 0
        for n in calls:
            there.feed(subject, inputs, at, n)
            at += n
        there.call("e", 0)
    there.call("r", 0)
    there.feed(subject, inputs, 0, half)
    there.call("S", 0)
    there.forward(inputs, frames)
    results = iter(there.run())

    steps = [next(results) for _ in range(frames)]
    ended = next(results)
    whole = subject.joined(steps + [ended])
    laws.expect_close("steps there, and here", whole, wide(here.whole(frames)), 1e-4)
    laws.expect_bits(subject, "finish instead of peek", next(results), ended)
    for calls in splits:
        parts = [next(results) for _ in calls]
        laws.expect_bits(subject, f"calls of {calls}", subject.joined(parts + [next(results)]), whole)
    head, blob, forward = next(results), next(results), next(results)
    laws.expect_close("forward there, and steps here", forward, wide(here.whole(frames)), 1e-4)

    # In other processes: one goes on from its own blob, one from that of this machine.
    for name, start in (("own", blob), ("foreign", here.blobs[half])):
        there.call("L", len(start), start)
        there.feed(subject, inputs, half, frames - half)
        there.call("e", 0)
        tail = there.run()
        if name == "own":
            laws.expect_bits(subject, "a blob in another process", subject.joined([head, *tail]), whole)
        else:
            laws.expect_close("a blob from here", subject.joined(tail), wide(here.whole(frames, half)), 1e-4)
    session = subject.start(inputs)
    session.load(blob)
    tail = laws.run_calls(subject, session, inputs, [frames - half], rng, half)
    laws.expect_close("a blob from there", subject.joined(tail), wide(here.whole(frames, half)), 1e-4)
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("compiler")
    parser.add_argument("--target", required=True)
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=list(range(6)))
    parser.add_argument("--chunk", type=int, default=6)
    parser.add_argument("host", nargs="+")
    options = parser.parse_args()
    streamed, failed = 0, []
    with tempfile.TemporaryDirectory() as folder:
        for seed in options.seeds:
            try:
                streamed += check(options, folder, seed)
            except Broken as error:
                failed.append(seed)
                print(f"seed {seed}: {error}")
    print(f"{streamed} of {len(options.seeds)} graphs streamed, {len(failed)} failed")
    sys.exit(1 if failed or streamed < len(options.seeds) // 2 else 0)


main()
