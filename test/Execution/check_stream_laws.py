"""Checks the laws of streams on random graphs of time ops.

Usage: check_stream_laws.py ITERA_COMPILE [--seed=0] [--count=40] [--only=SEED,...]
           [--cache-dir=DIR] [--opt-level=N] [--shrink] [--bits=note]

Each graph is compiled once, at one length, and its stream is held against
numpy at every length; onnx.reference says whether numpy is right. A graph that
the compiler refuses to stream is counted, by reason; the reason has to name a
node. A wrong result is a failure.
"""

import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile
import traceback

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

import stream_laws as laws
from random_graphs import Generator, example_length
from stream_host import Broken, Model, ModelError
from stream_worker import Worker
from time_ops import Sum

REASON = re.compile(r"(node '.+' \((.+?)\) )?(.*)")


class NotImported(Exception):
    """The file has an operator that the importer lacks."""


class Bench:
    """Compiles into a folder, and remembers what happened."""

    def __init__(self, options, folder):
        self.options, self.folder, self.worker = options, folder, Worker()
        self.count = 0
        self.streamed, self.refused, self.failed, self.notes = 0, collections.Counter(), [], collections.Counter()
        self.inexact = []

    def compile(self, model, *flags, rollback=0):
        """The loaded artefact; with a window for rollback, if it can stream."""
        self.count += 1
        stem = os.path.join(self.folder, f"m{self.count}")
        if not isinstance(model, str):
            onnx.save(model, stem + ".onnx")
            model = stem + ".onnx"
        command = [self.options.compiler, model, "-o", stem + ".so", "--name=m", *flags,
                   f"--opt-level={self.options.opt_level}", f"--cache-dir={self.options.cache_dir}"]
        done = subprocess.run([*command, f"--rollback={rollback}"], capture_output=True, text=True)
        if done.returncode and rollback and "cannot stream" in done.stderr:
            self.notes["cannot take frames back"] += "take frames back" in done.stderr
            done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode and "expected a supported operator" in done.stderr:
            raise NotImported(done.stderr)
        if done.returncode:
            raise Broken(f"itera-compile failed: {done.stderr.strip()[-2000:]}")
        return Model(stem + ".so")

    def refuse(self, model, name):
        """A model that does not stream: for a reason that names a node."""
        _, op, why = REASON.fullmatch(model.problem).groups()
        if not op and "--time-dim" not in why:
            raise Broken(f"the reason names no node: {why}")
        self.refused[f"{op or 'no time'}: " + re.sub(r"\d+", "N", why)] += 1
        if self.options.verbose:
            print(f"{name}: refused, {model.problem}")


def known_frames(recipe, rng, last):
    """known[t][i]: how many frames of output i all streams have in common that
    begin with the same t frames: whatever comes later, which is NaN here, and
    wherever they end."""
    longest = next(t for t in range(3 * last, 0, -1) if recipe.lengths(t))
    # Many rows: a maximum is often known by chance before all of its frames are.
    inputs = recipe.random_inputs(rng, longest, 32)
    layouts = [recipe.values[i][0].layout for i in recipe.inputs]
    known = [None]
    for t in range(1, last + 1):
        ends = [n for n in range(t, t + 30) if recipe.lengths(n)][:4] + [longest]
        counts = None
        for n in ends:
            cut = []
            for x, layout in zip(inputs, layouts):
                if layout != "BC":
                    x = np.take(x, range(n), layout.index("T"))
                    np.moveaxis(x, layout.index("T"), 0)[t:] = np.nan
                cut.append(x)
            with np.errstate(invalid="ignore"):
                got = [y.transpose(0, 2, 1) if layout == "BTC" else y
                       for y, (_, layout) in zip(recipe.compute(cut), recipe.outputs)]
            if counts is None:
                first, counts = got, [y.shape[2] if y.ndim == 3 else 0 for y in got]
            for i, (a, b) in enumerate(zip(first, got)):
                if counts[i]:
                    counts[i] = min(counts[i], b.shape[2])
                    same = (np.abs(a[:, :, : counts[i]] - b[:, :, : counts[i]]) < 1e-9).all((0, 1))
                    counts[i] = int(np.argmin(np.append(same, False)))
        known.append(counts)
    return known


def check_against_onnx(recipe, frames, rng):
    inputs = recipe.random_inputs(rng, frames)
    feed = {f"in{i}": x.astype(np.float64) for i, x in enumerate(inputs)}
    got = ReferenceEvaluator(recipe.onnx(frames, np.float64)).run(None, feed)
    laws.expect_close("onnx.reference", got, recipe.compute(inputs), 1e-5)


def check_laws(bench, subject, rng, compiled, recipe=None):
    seen = laws.equivalence(subject, rng)
    if recipe:
        # Of two values the smaller may never matter, for all that we can see.
        blind = any(isinstance(op, Sum) and op.kind == "Max" for op, _ in recipe.values)
        laws.tightness(subject, known_frames(recipe, rng, min(48, seen.frames)), blind)
    laws.split(subject, seen, rng, 3 * bench.options.effort)
    laws.forward(subject, seen, sorted({0, 1, compiled, compiled + 1, seen.frames}), compiled)
    laws.poison(subject, seen, rng)
    laws.reset(subject, seen, rng)
    laws.restore(subject, seen, rng, bench.worker)
    laws.snapshots(subject, seen, rng)
    laws.rollback(subject, seen, rng)
    laws.sessions(subject, seen, rng)
    if laws.rows(subject, seen, rng):
        subject.notes.append("rows of a batch changed places")


def check_all_laws(bench, subject, rng, compiled, recipe=None):
    """If only bits differ, the other laws are checked without them."""
    try:
        check_laws(bench, subject, rng, compiled, recipe)
    except laws.OtherBits as error:
        if bench.options.bits == "fail":
            raise
        bench.inexact.append(f"{subject.name}: {error}")
        subject.exact = False
        check_laws(bench, subject, rng, compiled, recipe)


def check_recipe(bench, recipe, seed):
    """True if it streams."""
    rng = np.random.default_rng([seed, 1])
    frames = example_length(recipe)
    check_against_onnx(recipe, frames, rng)
    chunk = int(rng.choice([4, 6, 8, 16]))
    dims = [f"--time-dim=in{k}={recipe.values[i][0].layout.index('T')}" for k, i in enumerate(recipe.inputs)
            if recipe.values[i][0].layout != "BC"]
    # Every second model can take frames back, if it can stream.
    window = int(np.random.default_rng([seed, 2]).choice([0, 0, 0, 1, 2, 3, 5, 9]))
    if bench.options.rollback is not None:
        window = bench.options.rollback
    model = bench.compile(recipe.onnx(frames), f"--chunk={chunk}", *dims, rollback=window)
    chunk = max(chunk, window)
    if not model.streams:
        session = model.session()
        inputs = recipe.random_inputs(rng, frames)
        laws.expect_close("forward", session.forward(inputs), recipe.compute(inputs), 1e-4)
        session.close()
        bench.refuse(model, f"seed {seed}")
        return False
    subject = laws.Subject(f"seed {seed}", model, lambda rng, n: recipe.random_inputs(rng, n), recipe.compute,
                           lambda n: recipe.lengths(n) is not None, chunk, longest=max(3 * chunk + 20, frames + 8))
    check_all_laws(bench, subject, rng, frames, recipe)
    bench.notes.update(set(subject.notes))
    return True


def attempt(bench, recipe, seed):
    """What is wrong with this recipe, or None; and whether it streams."""
    try:
        return None, check_recipe(bench, recipe, seed)
    except NotImported as error:
        bench.notes["not imported: " + re.search(r"got ('\w+')", str(error))[1]] += 1
        return None, None
    except (Broken, ModelError) as error:
        return str(error), None
    except Exception:
        return traceback.format_exc(), None


def shrink(bench, recipe, seed):
    """A smaller recipe that fails, too."""
    from shrink_graphs import smaller
    while True:
        for candidate in smaller(recipe):
            problem = attempt(bench, candidate, seed)[0] if example_length(candidate) is not None else None
            # Not one that only does not exist.
            if problem and not problem.startswith("Traceback"):
                recipe = candidate
                break
        else:
            return recipe


def check_random_graphs(bench):
    options = bench.options
    seeds = options.only or range(options.seed, options.seed + options.count)
    for seed in seeds:
        recipe = Generator(seed).make()
        if options.verbose:
            print(f"seed {seed}: {example_length(recipe)} frames\n{recipe}", flush=True)
        problem, streams = attempt(bench, recipe, seed)
        bench.streamed += bool(streams)
        if problem:
            bench.failed.append(seed)
            if options.shrink:
                recipe = shrink(bench, recipe, seed)
                problem = attempt(bench, recipe, seed)[0] or problem
            print(f"seed {seed}: {problem}\n{recipe}\n{example_length(recipe)} frames", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("compiler")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--only", type=lambda text: [int(s) for s in text.split(",")])
    parser.add_argument("--cache-dir")
    parser.add_argument("--opt-level", type=int, default=2)
    parser.add_argument("--effort", type=int, default=1)
    parser.add_argument("--rollback", type=int, help="the window of all models; default: some of each")
    parser.add_argument("--bits", choices=["fail", "note"], default="fail",
                        help="what it is if chunks and steps differ by rounding")
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.cache_dir is None:
            options.cache_dir = os.path.join(folder, "cache")
        bench = Bench(options, folder)
        check_random_graphs(bench)
        bench.worker.close()
    print(f"random graphs: {bench.streamed} streamed, {bench.refused.total()} refused, {len(bench.failed)} failed")
    for reason, count in bench.refused.most_common():
        print(f"  refused {count}: {reason}")
    for note, count in bench.notes.most_common():
        print(f"  note {count}: {note}")
    for text in bench.inexact:
        print(f"  other bits: {text}")
    if bench.failed:
        sys.exit(f"failed: --only={','.join(map(str, bench.failed))}")


if __name__ == "__main__":
    main()
