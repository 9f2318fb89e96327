"""Compiles closed forms of Mamba-2's recurrence as ONNX models, checks that
the recurrence is found, and compares with naive loops, whole and frame by
frame; forms with a mistake in them must be left alone and still compute what
they say.

Usage: check_ssd.py ITERA_COMPILE ITERA_RUN [--write=FOLDER]

With --write the models are kept there.
"""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator


@dataclass
class Form:
    name: str
    batch: int = 1
    frames: int = 12
    chunk: int = 4
    heads: int = 2
    width: int = 3
    states: int = 5
    groups: int = 1
    # Exponents: running sums of masked copies, or differences of running sums
    # masked by a select, by adding -inf, or after the exponential.
    segments: str = "copies"
    einsum: bool = True
    skip: bool = True
    last: bool = False
    first: bool = False
    # dt as a factor of x, as a factor of the states' decays, or nowhere.
    step: str = "x"
    # "ssd", "square" (one matrix over all frames), "quotient" (running sums
    # divided by decays), "doubling" (a scan of logarithmic depth), "loop" (steps
    # one after the other, with the groups as a dimension of the state).
    kind: str = "ssd"
    mistake: str = ""
    # y is the readout by C, or the plain sum of the states.
    readout: bool = True
    # The fast op is used.
    fast: bool = True


FORMS = [
    Form("plain"),
    Form("sums", einsum=False, batch=2),
    Form("padded", frames=10, batch=2),
    Form("padded_sums", frames=9, einsum=False, segments="select"),
    Form("one_chunk", frames=4),
    Form("short", frames=3, einsum=False),
    Form("one_frame_chunks", frames=5, chunk=1),
    Form("groups", heads=4, groups=2, batch=2),
    Form("group_per_head", heads=4, groups=4, einsum=False),
    Form("equal_sizes", frames=16, heads=4, width=4, states=4, batch=4),
    Form("one_state", states=1, fast=False),
    Form("one_wide", width=1),
    Form("one_head", heads=1),
    Form("added_mask", segments="add"),
    Form("mask_after", segments="after"),
    Form("last_state", last=True, frames=10, batch=2),
    Form("first_state", last=True, first=True, batch=2),
    Form("step_in_states", step="states"),
    Form("no_step", step="", fast=False),
    Form("no_skip", skip=False, batch=2),
    Form("square", kind="square", frames=7, batch=2),
    Form("quotient", kind="quotient", frames=7),
    Form("quotient_summed", kind="quotient", frames=7, readout=False, fast=False),
    Form("doubling", kind="doubling", frames=7, batch=2),
    Form("loop", kind="loop", frames=7, batch=2, first=True, last=True),
    Form("loop_groups", kind="loop", frames=7, heads=6, groups=2, batch=2, first=True, last=True),
    Form("loop_group_per_head", kind="loop", frames=7, heads=4, groups=4, skip=False),
    # Not the recurrence.
    Form("mask_of_future", mistake="mask"),
    Form("mask_off_by_one", mistake="strict"),
    Form("other_way_between_chunks", mistake="transposed"),
    Form("no_decay_between_chunks", mistake="undecayed"),
    Form("other_decay_between_chunks", mistake="decay"),
    Form("sum_over_heads", mistake="heads"),
    Form("keys_swapped_in_states", mistake="keys"),
    Form("scaled_by_size", mistake="scale"),
    Form("quotient_without_last_product", kind="quotient", mistake="quotient"),
    Form("loop_sum_over_groups", kind="loop", frames=7, heads=6, groups=2, mistake="groups"),
    Form("doubling_too_early", kind="doubling", frames=7, mistake="shift"),
]


class Graph:
    def __init__(self):
        self.nodes, self.weights, self.count = [], [], 0

    def __call__(self, op, *inputs, results=1, **attributes):
        names = [self.name() for _ in range(results)]
        inputs = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        self.nodes.append(helper.make_node(op, inputs, names, **attributes))
        return names[0] if results == 1 else names

    def name(self):
        self.count += 1
        return f"v{self.count}"

    def constant(self, value):
        value = np.asarray(value)
        if value.dtype == np.float64:
            value = value.astype(np.float32)
        name = self.name()
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def reshape(self, x, *shape):
        return self("Reshape", x, np.array(shape, np.int64))

    def axes(self, x, *axes):
        return self("Unsqueeze", x, np.array(axes, np.int64))

    def slice(self, x, axis, begin, end):
        return self("Slice", x, *(np.array([v], np.int64) for v in (begin, end, axis)))

    def sum(self, x, axis):
        return self("ReduceSum", x, np.array([axis], np.int64), keepdims=0)

    def cumsum(self, x, axis):
        return self("CumSum", x, np.array(axis, np.int64))

    def product(self, equation, *operands, einsum):
        """An einsum, or its product with broadcasts and sums."""
        if einsum:
            return self("Einsum", *operands, equation=equation)
        inputs, result = equation.split("->")
        summed = sorted(set(inputs) - set(result) - {","})
        order = result + "".join(summed)
        total = None
        for letters, x in zip(inputs.split(","), operands):
            kept = [l for l in order if l in letters]
            x = self("Transpose", x, perm=[letters.index(l) for l in kept])
            x = self.axes(x, *(i for i, l in enumerate(order) if l not in letters)) if len(kept) < len(order) else x
            total = x if total is None else self("Mul", total, x)
        for _ in summed:
            total = self.sum(total, len(result))
        return total


def segment_exps(g, f, a, length):
    """exp of the sums of a over (s, l], for all l and s of a's last dimension."""
    ones = np.ones((length, length), bool)
    below = np.tril(ones, {"mask": 1, "strict": -1}.get(f.mistake, 0))
    if f.segments == "copies":
        copies = g("Expand", g.axes(a, -1), np.array([1] * 3 + [length, length], np.int64))
        copies = g("Where", ~np.tril(ones, -1), np.float32(0), copies)
        sums = g.cumsum(copies, -2)
    else:
        sums = g.cumsum(a, -1)
        sums = g("Sub", g.axes(sums, -1), g.axes(sums, -2))
    if f.segments == "after":
        return g("Mul", g("Exp", sums), below.astype(np.float32))
    if f.segments == "add":
        return g("Exp", g("Add", sums, np.where(below, 0, -1e30).astype(np.float32)))
    return g("Exp", g("Where", ~below, np.float32(-np.inf), sums))


def build_chunks(g, f, x, a, b, c, step, first):
    pad = -f.frames % f.chunk
    chunks = (f.frames + pad) // f.chunk

    def cut(value, *rest):
        if pad:
            value = g("Pad", value, np.array([0] * (len(rest) + 2) + [0, pad] + [0] * len(rest), np.int64))
        return g.reshape(value, f.batch, chunks, f.chunk, *rest)

    x, b, c = cut(x, f.heads, f.width), cut(b, f.heads, f.states), cut(c, f.heads, f.states)
    a = g("Transpose", cut(a, f.heads), perm=[0, 3, 1, 2])
    product = lambda equation, *operands: g.product(equation, *operands, einsum=f.einsum)

    inner = g("Transpose", segment_exps(g, f, a, f.chunk), perm=[0, 2, 3, 4, 1])  # b c l s h
    weights = g("Mul", product("bclhn,bcshn->bclsh", c, b), inner)
    if step:
        step = cut(step, f.heads)
        weights = g("Mul", weights, g.axes(step, 2))
    y = product("bclsh,bcshp->bclhp", weights, x)

    sums = g.cumsum(a, -1)
    total = g.slice(sums, 3, f.chunk - 1, f.chunk)
    decays = g("Transpose", g("Exp", g("Sub", total, sums)), perm=[0, 2, 3, 1])
    if step:
        decays = g("Mul", decays, step)
    keys = c if f.mistake == "keys" else b
    states = product("bclhn,bclhp->bchpn", g("Mul", keys, g.axes(decays, -1)), x)
    shape = [f.batch, 1, f.heads, f.width, f.states]
    first = g.axes(first, 1) if first else np.zeros(shape, np.float32)
    states = g("Concat", first, states, axis=1)
    total = g("Pad", g.reshape(total, f.batch, f.heads, chunks), np.array([0, 0, 1, 0, 0, 0], np.int64))
    if f.mistake == "undecayed":
        total = g("Mul", total, np.float32(0))
    if f.mistake == "decay":
        total = g("Mul", total, np.float32(0.5))
    if f.einsum:
        between = segment_exps(g, f, total, chunks + 1)
    else:
        between = g.reshape(segment_exps(g, f, g.axes(total, 1), chunks + 1), f.batch, f.heads, chunks + 1, chunks + 1)
    if f.einsum and f.segments == "copies":
        between = g.reshape(between, f.batch, f.heads, chunks + 1, chunks + 1)
    states = product("bhcz,bchpn->bzhpn" if f.mistake == "transposed" else "bhzc,bchpn->bzhpn", between, states)
    last = g.reshape(g.slice(states, 1, chunks, chunks + 1), f.batch, f.heads, f.width, f.states)
    states = g.slice(states, 1, 0, chunks)
    out = g("Transpose", g("Exp", sums), perm=[0, 2, 3, 1])
    outer = product("bclhn,bchpn->bclhp", c, states)
    if f.mistake == "heads":
        outer = g("ReduceSum", outer, np.array([3], np.int64), keepdims=1)
    if f.mistake == "scale":
        outer = g("Mul", g.sum(g("Expand", g.axes(outer, -1), np.array([1] * 5 + [6], np.int64)), -1), np.float32(0.5))
    y = g("Add", y, g("Mul", outer, g.axes(out, -1)))
    return g.reshape(y, f.batch, f.frames + pad, f.heads, f.width), last, pad


def build_loop(g, f, dt, decay, b, c, first):
    sizes = [f.batch, f.frames, f.groups, f.heads // f.groups]
    state = [f.batch, *sizes[2:], f.width, f.states]
    dt = g.reshape(dt, *sizes)
    x, a = g("Mul", g.reshape("x", *sizes, f.width), g.axes(dt, -1)), g("Mul", dt, decay.reshape(sizes[2:]))
    h = g.reshape(first, *state) if first else g.constant(np.zeros(state, np.float32))
    rows = []
    for t in range(f.frames):
        xt, at, bt, ct = (g("Gather", v, np.int64(t), axis=1) for v in (x, a, b, c))
        added = g("Mul", g.axes(xt, 4), g.axes(bt, 2, 3))
        h = g("Add", g("Mul", g.axes(g("Exp", at), 3, 4), h), added)
        read = "bgrpn,bfn->bgrp" if f.mistake == "groups" else "bgrpn,bgn->bgrp"
        rows.append(g.axes(g("Einsum", h, ct, equation=read), 1))
    y = g("Concat", *rows, axis=1)
    return g.reshape(y, f.batch, f.frames, f.heads, f.width), g.reshape(h, f.batch, f.heads, f.width, f.states)


def build(f):
    g = Graph()
    size = dict(x=[f.batch, f.frames, f.heads, f.width], dt=[f.batch, f.frames, f.heads],
                B=[f.batch, f.frames, f.groups, f.states], C=[f.batch, f.frames, f.groups, f.states],
                h=[f.batch, f.heads, f.width, f.states])
    rng = np.random.default_rng(5)
    values = {k: rng.standard_normal(s).astype(np.float32) for k, s in size.items() if k != "h" or f.first}
    values["dt"] = np.abs(values["dt"]) + np.float32(0.1)
    decay = -rng.random(f.heads).astype(np.float32) - np.float32(0.1)
    weight = rng.standard_normal(f.heads).astype(np.float32)

    def spread(value):
        if f.groups == f.heads:
            return value
        value = g("Expand", g.axes(value, 3), np.array([1, 1, 1, f.heads // f.groups, 1], np.int64))
        return g.reshape(value, f.batch, f.frames, f.heads, f.states)

    dt = g("Softplus", "dt")  # so that it is a value of its own
    steps = np.log1p(np.exp(values["dt"].astype(np.float64)))
    a, b, c = g("Mul", dt, decay), spread("B"), spread("C")
    x = g("Mul", "x", g.axes(dt, -1)) if f.step == "x" else "x"
    last, pad = None, 0
    if f.kind == "ssd":
        y, last, pad = build_chunks(g, f, x, a, b, c, dt if f.step == "states" else "", "h" if f.first else "")
    elif f.kind == "square":
        inner = segment_exps(g, f, g.axes(g("Transpose", a, perm=[0, 2, 1]), 1), f.frames)
        inner = g("Mul", g.reshape(inner, f.batch, f.heads, f.frames, f.frames), g("Einsum", c, b, equation="blhn,bshn->bhls"))
        y = g("Einsum", inner, x, equation="bhls,bshp->blhp")
    elif f.kind == "loop":
        y, last = build_loop(g, f, dt, decay, "B", "C", "h" if f.first else "")
    elif f.kind == "doubling":
        factor, h = g("Exp", g.axes(a, 3, 4)), g("Mul", g.axes(x, 4), g.axes(b, 3))

        def shift(value, by, fill):
            value = g("Pad", value, np.array([0, by] + [0] * 8, np.int64), np.float32(fill))
            return g.slice(value, 1, 0, f.frames)

        by = 1
        while by < f.frames:
            h = g("Add", h, g("Mul", factor, shift(h, by, 0)))
            factor = g("Mul", factor, shift(factor, by, 1))
            by *= 3 if f.mistake == "shift" else 2
        y = g.sum(g("Mul", h, g.axes(c, 3)), 4)
    else:
        product = g("Exp", g.axes(g.cumsum(a, 1), 3, 4))
        u = g("Mul", g.axes(x, 4), g.axes(b, 3))
        h = g.cumsum(g("Div", u, product), 1)
        if f.mistake != "quotient":
            h = g("Mul", h, product)
        y = g.sum(g("Mul", h, g.axes(c, 3)) if f.readout else h, 4)
    if f.skip:
        skipped = "x"
        if pad:
            skipped = g("Pad", skipped, np.array([0, 0, 0, 0, 0, pad, 0, 0], np.int64))
        y = g("Add", y, g("Mul", skipped, weight[:, None]))
    if pad:
        y = g.slice(y, 1, 0, f.frames)
    y = g.reshape(y, f.batch, f.frames, f.heads * f.width)
    results = {"y": y, **({"last": last} if f.last else {})}
    for name, value in results.items():
        g.nodes.append(helper.make_node("Identity", [value], [name]))
    info = lambda n, s: helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
    outputs = [info("y", [f.batch, f.frames, f.heads * f.width])] + ([info("last", size["h"])] if f.last else [])
    model = helper.make_model(helper.make_graph(g.nodes, "ssd", [info(k, size[k]) for k in values], outputs, g.weights),
                              opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8

    if f.mistake:
        return model, values, dict(zip(results, ReferenceEvaluator(model).run(None, values)))
    h = np.zeros(size["h"]) + values.get("h", 0)
    y = np.zeros(size["x"])
    for t in range(f.frames):
        step = steps[:, t]
        keys, queries = (np.repeat(values[k][:, t], f.heads // f.groups, 1) for k in "BC")
        added = np.einsum("bhp,bhn->bhpn", values["x"][:, t], keys.astype(np.float64))
        h = np.exp(step * decay)[..., None, None] * h + (step[..., None, None] if f.step else 1) * added
        y[:, t] = np.einsum("bhpn,bhn->bhp", h, queries if f.readout else np.ones(queries.shape))
    y += weight[:, None] * values["x"] if f.skip else 0
    return model, values, dict(y=y.reshape(f.batch, f.frames, -1), **({"last": h} if f.last else {}))


def main():
    compiler, runner, *flags = sys.argv[1:]
    keep = [flag.split("=")[1] for flag in flags]
    failed = 0
    for f in FORMS:
        model, values, expected = build(f)
        with tempfile.TemporaryDirectory() as folder:
            path, library, arrays, text = (os.path.join(folder, n) for n in ("m.onnx", "m.so", "m.npz", "m.mlir"))
            if keep:
                path = os.path.join(keep[0], f.name + ".onnx")
            with open(path, "wb") as file:
                file.write(model.SerializeToString())
            np.savez(arrays, **values, **{k + "@f64": np.asarray(v, np.float64) for k, v in expected.items()})
            subprocess.run([compiler, path, "--stop-after=raise", "-o", text], check=True)
            with open(text) as file:
                ops = set(re.findall(r"\bssm\.\w+|math\.exp", file.read()))
            recurrences = ops & {"ssm.selective_scan", "ssm.scan", "ssm.linear_recurrence"}
            left_alone = "math.exp" in ops and "ssm.selective_scan" not in recurrences
            found = "ssm.cumsum" not in ops and ("ssm.selective_scan" in recurrences if f.fast else recurrences)
            subprocess.run([compiler, path, "-o", library, "--cache-dir="], check=True)
            runs = [subprocess.run([runner, library, f"--mode={mode}", "--input", arrays, "--compare", arrays,
                                    "--atol=2e-5", "--rtol=2e-5"], stdout=subprocess.PIPE, text=True)
                    for mode in (["forward"] if f.mistake else ["forward", "stream"])]
        passed = (left_alone if f.mistake else found) and not any(ran.returncode for ran in runs)
        failed += not passed
        print(f"{f.name}: passed" if passed else
              f"{f.name}: failed: {' '.join(sorted(ops))} {' '.join(ran.stdout for ran in runs)}", flush=True)
    return failed


sys.exit(main() != 0)
