"""Checks the laws of streams on model files.

Usage: check_stream_models.py ITERA_COMPILE FOLDER [--sample=N] [--only=WORD]
           [--chunk=8] [--seed=0] [--cache-dir=DIR] [--verbose]

Every .onnx in the folder is compiled as a stream, and plainly as what it says.
One that does not stream must name the node that prevents it. Of one that does,
each length from 0 to three chunks and two frames is fed in steps and in random
calls, and the other laws follow. What frames are right is known from

- the arrays beside the model (.npz), for the file's own length;
- the plain model: what a stream has delivered after t frames is the beginning
  of what it gives for any frames that begin with these;
- of a file with a single step, that step, again and again;
- files of one folder below FOLDER are one model, as a step and as a sequence.
"""

import argparse
import os
import sys
import tempfile
import time

import numpy as np
import onnx

import stream_host as host
import stream_laws as laws
from check_stream_laws import Bench, check_all_laws
from stream_host import Broken, ModelError

# What float types of few bits can give; of float32, 1e-4 is asked for.
TOLERANCES = {onnx.TensorProto.FLOAT16: 5e-3, onnx.TensorProto.BFLOAT16: 4e-2}


class File:
    """A model file, and what it computes of its own length."""

    def __init__(self, bench, path, chunk):
        graph = onnx.load(path, load_external_data=False).graph
        held = {i.name for i in graph.initializer}
        infos = [i for i in graph.input if i.name not in held]
        with np.load(os.path.splitext(path)[0] + ".npz") as arrays:
            self.arrays = dict(arrays)
        self.names = [i.name for i in infos], [o.name for o in graph.output]
        self.tolerance = max([1e-4] + [TOLERANCES.get(i.type.tensor_type.elem_type, 0) for i in [*infos, *graph.output]])
        shapes = []
        for info in infos:
            dims = info.type.tensor_type.shape.dim
            if any(not d.HasField("dim_value") for d in dims):
                shapes.append("--shape=" + info.name + "=" + "x".join(map(str, self.arrays[info.name].shape)))
        self.model = bench.compile(path, f"--chunk={chunk}", *shapes)
        self.plain = bench.compile(path, "--stream=none", *shapes, "--opt-level=0")
        self.given = [np.asarray(self.arrays[n], t.dtype) for n, t in zip(self.names[0], self.plain.inputs)]

    def compute(self, inputs):
        session = self.plain.session()
        results = session.forward(inputs)
        session.close()
        return results

    def frames(self):
        """The file's own length."""
        return next(x.shape[t.time] for t, x in zip(self.model.inputs, self.given) if t.role == host.STREAM)

    def random_inputs(self, rng, frames):
        """Frames like those beside the model; inputs without time as they are."""
        inputs = []
        for tensor, x in zip(self.model.inputs, self.given):
            if tensor.role == host.STREAM:
                shape = tensor.sized(frames)
                if x.dtype.kind == "f":
                    x = rng.normal(size=shape) * np.abs(x.astype(np.float64)).mean() + x.astype(np.float64).mean()
                    x = x.astype(tensor.dtype)
                else:
                    x = rng.choice(x.reshape(-1), shape)
            inputs.append(x)
        return inputs

    def is_step(self):
        return self.frames() == 1 and any(t.role == host.INITIAL_STATE for t in self.model.inputs)

    def state_pairs(self):
        """The states' inputs and outputs, in their order."""
        inputs = [i for i, t in enumerate(self.model.inputs) if t.role == host.INITIAL_STATE]
        outputs = [i for i, t in enumerate(self.model.outputs) if t.role == host.FINAL]
        shapes = [[t.shape for t in (self.model.inputs[i] for i in inputs)],
                  [t.shape for t in (self.model.outputs[i] for i in outputs)]]
        return list(zip(inputs, outputs)) if shapes[0] == shapes[1] else None

    def loop(self, inputs, frames):
        """The step, again and again: what there is after each."""
        pairs, parts, states = self.state_pairs(), [], {}
        for t in range(frames):
            values = [tensor.take(x, t, t + 1) if tensor.role == host.STREAM else x
                      for tensor, x in zip(self.model.inputs, inputs)]
            for (i, _), state in zip(pairs, states.values()):
                values[i] = state
            results = self.compute(values)
            states = {o: results[o] for _, o in pairs}
            parts.append(results)
        return parts


def close(what, got, want, tolerance):
    got, want = got.astype(np.float64), want.astype(np.float64)
    if got.shape != want.shape:
        raise Broken(f"{what}: {got.shape} instead of {want.shape}")
    bound = tolerance * (1 + np.abs(want).max(initial=0))
    worst = np.abs(got - want).max(initial=0)
    if not worst <= bound:
        raise Broken(f"{what}: differs by {worst:.3g} from {np.abs(want).max(initial=0):.3g}")


def check_values(file, seen):
    """Law 1, against what is known of a file."""
    model, frames = file.model, file.frames()
    for (name, tensor), got in zip(zip(file.names[1], model.outputs), stream_of(file, file.given, frames)):
        want = file.arrays.get(name + "@f64", file.arrays.get(name))
        if want is not None:
            close(f"'{name}' against the array beside the model", got, want, file.tolerance)
    if file.is_step():
        if file.state_pairs() is None:
            raise Broken("the states are not paired in order")
        parts = file.loop(seen.inputs, seen.frames)
        for t in range(1, seen.frames + 1):
            whole = seen.whole(t)
            for i, tensor in enumerate(model.outputs):
                if tensor.role == host.STREAM:
                    close(f"output {i}, {t} steps at once", tensor.take(whole[i], t - 1, t), parts[t - 1][i], file.tolerance)
                else:
                    close(f"output {i}, {t} steps at once", whole[i], parts[t - 1][i], file.tolerance)
        return
    # More frames than there are: the plain model gets a beginning of them, twice.
    rng = np.random.default_rng(1)
    for known in {min(frames, seen.frames), min(frames, seen.frames) // 2}:
        head = [tensor.take(x, 0, known) if tensor.role == host.STREAM else x for tensor, x in zip(model.inputs, seen.inputs)]
        rest = file.random_inputs(rng, frames - known)
        inputs = [np.concatenate([a, b], t.time) if t.role == host.STREAM else a
                  for t, a, b in zip(model.inputs, head, rest)]
        want = file.compute(inputs)
        for i, tensor in enumerate(model.outputs):
            if tensor.role == host.STREAM and known:
                got = subject_joined(model, seen.pieces[:known], i)
                close(f"output {i} after {known} frames", got, tensor.take(want[i], 0, got.shape[tensor.time]), file.tolerance)
        if known == frames:
            for i, (got, whole) in enumerate(zip(seen.whole(frames), want)):
                close(f"output {i} of {frames} frames", got, whole, file.tolerance)


def subject_joined(model, parts, output):
    return np.concatenate([p[output] for p in parts], model.outputs[output].time)


def stream_of(file, inputs, frames):
    session = laws.Subject("", file.model, None).start(inputs)
    parts = [session.feed(frames, [x if t.role == host.STREAM else None for t, x in zip(file.model.inputs, inputs)]),
             session.finish()]
    session.close()
    return laws.Subject("", file.model, None).joined(parts)


def check_twins(files, frames):
    """Law 12: all files of one model, as streams from zero states."""
    first, rng = files[0], np.random.default_rng(3)
    given = dict(zip(first.names[0], first.random_inputs(rng, frames)))
    results = []
    for file in files:
        inputs = [given[name] if t.role == host.STREAM else None for name, t in zip(file.names[0], file.model.inputs)]
        results.append(dict(zip(file.names[1], stream_of(file, inputs, frames))))
    for other in results[1:]:
        for name in results[0].keys() & other.keys():
            close(f"'{name}' of {frames} frames of the step and of the sequence", other[name], results[0][name], first.tolerance)


def check_file(bench, path, options, twins):
    """What came of it, in a word or two."""
    file = File(bench, path, options.chunk)
    if not file.model.streams:
        bench.refuse(file.model, os.path.basename(path))
        return "does not stream: " + file.model.problem
    longest = 3 * options.chunk + 2
    subject = laws.Subject(os.path.basename(path), file.model, file.random_inputs, chunk=options.chunk,
                           tolerance=file.tolerance, longest=max(longest, file.frames() if not file.is_step() else 0))
    rng = np.random.default_rng(options.seed)
    check_all_laws(bench, subject, rng, file.frames())
    inputs = subject.make_inputs(rng, longest)
    check_values(file, laws.Observed(subject, inputs, longest))
    if os.path.dirname(path) != options.folder.rstrip("/"):
        files = twins.setdefault(os.path.dirname(path), [])
        files.append(file)
        check_twins(files, longest)
    return "streams" + "".join(f"; {note}" for note in subject.notes)


def chosen(folder, options):
    """Model files by size; of a sample, as many of the small as of the large."""
    paths = [os.path.join(f, name) for f, _, names in os.walk(folder) for name in names
             if name.endswith(".onnx") and options.only in os.path.relpath(os.path.join(f, name), folder)]
    paths.sort(key=lambda path: (os.path.getsize(path), path))
    if options.sample and options.sample < len(paths):
        paths = [paths[i * len(paths) // options.sample] for i in range(options.sample)]
    return paths


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("compiler")
    parser.add_argument("folder")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--only", default="")
    parser.add_argument("--chunk", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache-dir")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    options.opt_level, options.effort, options.bits = 2, 1, "fail"
    if not os.path.isdir(options.folder):
        print(f"[SKIP] no folder {options.folder}")
        return
    with tempfile.TemporaryDirectory() as folder:
        options.cache_dir = options.cache_dir or os.path.join(folder, "cache")
        bench = Bench(options, folder)
        twins = {}
        for path in chosen(options.folder, options):
            name, start = os.path.relpath(path, options.folder), time.time()
            try:
                print(f"{name}: {check_file(bench, path, options, twins)} ({time.time() - start:.1f} s)", flush=True)
            except (Broken, ModelError, KeyError) as error:
                bench.failed.append(name)
                print(f"{name}: FAILED: {error} ({time.time() - start:.1f} s)", flush=True)
        bench.worker.close()
    if bench.failed:
        sys.exit(f"failed: {', '.join(bench.failed)}")


main()
