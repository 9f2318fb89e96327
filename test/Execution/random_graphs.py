"""Random graphs of time ops: one recipe gives the numpy function and the ONNX
model of every length.

A recipe is a list of values. The first ones are inputs; each other one is an op
of earlier values. Biases, pads and initial states are never zero, because a
wrong edge often hides behind a zero.
"""

import numpy as np
from onnx import TensorProto, helper

from time_ops import (Block, Chain, ChannelScan, Conv, Crop, CumSum, LayerNorm, Linear, Join, Op, Pad, Pointwise, Pool,
                      Positions, Recurrence, Reduce, Softmax, Sum, Unblock, Upsample, Writer)

HORIZON = 200


class Gain(Op):
    """Times an input without time, [batch, channels]."""

    def compute(self, x, s):
        return x * (s[:, :, None] + 0.5)

    def emit(self, g, x, s):
        s = g.op("Unsqueeze", [g.op("Add", [s, np.float64(0.5)]), np.array([g.axis(x)])])
        return g.op("Mul", [x, s])


class Input(Op):
    def __init__(self, channels, layout):
        self.width, self.layout = channels, layout

    def __repr__(self):
        return f"input {self.layout} of {self.width}"


class Recipe:
    def __init__(self, batch):
        self.batch, self.values, self.outputs = batch, [], []  # (op, operands), (value, layout)

    def add(self, op, *operands):
        self.values.append((op, operands))
        return len(self.values) - 1

    @property
    def inputs(self):
        return [i for i, (op, _) in enumerate(self.values) if isinstance(op, Input)]

    def __repr__(self):
        lines = [f"%{i} = {op!r} {' '.join('%' + str(o) for o in operands)}" for i, (op, operands) in enumerate(self.values)]
        return "\n".join(lines + ["return " + " ".join(f"%{v}:{layout}" for v, layout in self.outputs)]) + f"\nbatch {self.batch}"

    def channels(self):
        counts = []
        for op, operands in self.values:
            counts.append(op.width if isinstance(op, Input) else op.channels([counts[o] for o in operands]))
        return counts

    def lengths(self, frames):
        """Of each value; None where it has no time; or None if the graph does
        not exist at this length."""
        lengths = []
        for op, operands in self.values:
            if isinstance(op, Input):
                lengths.append(None if op.layout == "BC" else frames)
                continue
            own = [lengths[o] for o in operands if lengths[o] is not None]
            n = op.length(own[0])
            if any(x != own[0] for x in own) or n is None or n < 0:
                return None
            lengths.append(None if op.ends else n)
        return lengths

    def is_example(self, frames):
        """Whether nothing is so short that a file of this length is ambiguous."""
        lengths = self.lengths(frames)
        return lengths is not None and all(
            isinstance(op, Input) or min(lengths[o] for o in operands if lengths[o] is not None) >= max(3, op.margin())
            for op, operands in self.values)

    def random_inputs(self, rng, frames, batch=None):
        batch = batch or self.batch
        shapes = {"BCT": lambda c: (batch, c, frames), "BTC": lambda c: (batch, frames, c), "BC": lambda c: (batch, c)}
        return [rng.normal(size=shapes[self.values[i][0].layout](self.values[i][0].width)).astype(np.float32)
                for i in self.inputs]

    def compute(self, inputs):
        given, known = iter(inputs), []
        for op, operands in self.values:
            if isinstance(op, Input):
                x = next(given).astype(np.float64)
                known.append(x.transpose(0, 2, 1) if op.layout == "BTC" else x)
            else:
                known.append(op.compute(*[known[o] for o in operands]))
        return [known[v].transpose(0, 2, 1) if layout == "BTC" else known[v] for v, layout in self.outputs]

    def onnx(self, frames, dtype=np.float32):
        lengths, channels = self.lengths(frames), self.channels()
        kind = TensorProto.FLOAT if dtype == np.float32 else TensorProto.DOUBLE
        g = Writer(dtype)
        g.batch, g.lengths, g.widths, names, infos = self.batch, {}, {}, [], []

        def shape(layout, n, c):
            return [{"B": self.batch, "T": n, "C": c}[d] for d in layout]

        def relay(name, layout, n, c):
            name = g.laid(name, layout) if layout and layout != "BC" else name
            g.lengths[name], g.widths[name] = n, c
            return name

        for i, (op, operands) in enumerate(self.values):
            if isinstance(op, Input):
                name = f"in{len(infos)}"
                infos.append(helper.make_tensor_value_info(name, kind, shape(op.layout, frames, op.width)))
                g.layouts[name] = op.layout
            else:
                used = [relay(names[o], op.layout if lengths[o] is not None else None, lengths[o], channels[o])
                        for o in operands]
                name = op.emit(g, *used)
            g.lengths[name], g.widths[name] = lengths[i], channels[i]
            names.append(name)
        results = []
        for k, (v, layout) in enumerate(self.outputs):
            name = g.laid(names[v], layout) if layout != "BC" else names[v]
            g.nodes.append(helper.make_node("Identity", [name], [f"out{k}"], name=f"out{k}_node"))
            results.append(helper.make_tensor_value_info(f"out{k}", kind, shape(layout, lengths[v], channels[v])))
        model = helper.make_model(helper.make_graph(g.nodes, "random", infos, results, g.weights),
                                  opset_imports=[helper.make_opsetid("", 21)])
        model.ir_version = 10
        return model


class Generator:
    """Makes a recipe; the same seed makes the same one."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.recipe = Recipe(int(self.rng.choice([1, 1, 2, 3])))
        self.budget = int(self.rng.integers(2, 9))
        self.live = []

    def pick(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def integer(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def layout(self):
        return self.pick("BCT", "BTC")

    def counts(self, value):
        """Frames for every length of input; -1: none such."""
        counts = []
        for t in range(HORIZON):
            lengths = self.recipe.lengths(t)
            counts.append(-1 if lengths is None else lengths[value])
        return np.array(counts)

    def add(self, op, *operands):
        value = self.recipe.add(op, *operands)
        self.live.append(value)
        return value

    def width(self, value):
        return self.recipe.channels()[value]

    def same(self, value):
        """An op that keeps the number of frames and of channels."""
        c = self.width(value)
        rng = self.rng

        def conv():
            size, dilation = self.integer(1, 4), self.integer(1, 3)
            span = (size - 1) * dilation
            left = self.pick(span, span, 0, self.integer(0, span))
            groups = c if rng.random() < 0.4 else 1
            return Conv(rng, c, c, size, dilation, 1, left, span - left, groups)

        def pool():
            size = self.integer(2, 4)
            left = self.integer(0, size - 1)
            return Pool(self.pick("AveragePool", "MaxPool"), size, 1, left, size - 1 - left, self.integer(0, 1))

        def delay():
            n = self.integer(1, 4)
            return Chain(Pad(n, 0, rng.normal() + 1), Crop(0, n))

        def shift():
            n = self.integer(1, 4)
            return Chain(Crop(n, 0), Pad(0, n, rng.normal() + 1))

        def recurrence():
            return Recurrence(rng, c, self.pick("scan", "unrolled", "nonlinear"))

        def pointwise():
            return Pointwise(rng, c, self.pick(*Pointwise.ACTS))

        return self.pick(conv, conv, conv, pool, delay, shift, recurrence, pointwise, pointwise,
                         lambda: CumSum(rng.random() < 0.3, rng.uniform(0.05, 0.2)), lambda: ChannelScan(rng),
                         lambda: LayerNorm(rng, c, rng.random() < 0.5), lambda: Softmax(), lambda: Linear(rng, c, c))()

    def other(self, value):
        """An op that may change both."""
        c, rng = self.width(value), self.rng

        def conv():
            size, dilation, stride = self.integer(1, 5), self.integer(1, 3), self.pick(1, 1, 2, 3)
            groups = self.pick(1, 1, c)
            return Conv(rng, c, groups * self.integer(1, 3) if groups > 1 else self.integer(1, 4), size, dilation, stride,
                        self.integer(0, 5), self.integer(0, 5), groups)

        def pool():
            size = self.integer(1, 4)
            return Pool(self.pick("AveragePool", "MaxPool"), size, self.pick(1, 2, size), self.integer(0, size - 1),
                        self.integer(0, size - 1), self.integer(0, 1))

        def block():
            return Block(self.pick(2, 3)) if c <= 6 else Unblock(1)

        return self.pick(
            conv, conv, pool, lambda: Crop(self.integer(0, 4), self.integer(0, 4), self.pick(1, 1, 2)),
            lambda: Pad(self.integer(0, 4), self.integer(0, 4), rng.normal() + 1, self.pick(*["constant"] * 5, "edge")),
            lambda: Join(rng, c, self.integer(0, 4), self.integer(0, 4)), block,
            lambda: Upsample(2, rng.random() < 0.5) if rng.random() < 0.5 else Linear(rng, c, self.integer(1, 5)))()

    def residual(self, value):
        branches = []
        for k in range(self.integer(2, 4)):
            branch = value
            for _ in range(self.integer(0 if k == 0 else 1, 2)):
                branch = self.recipe.add(self.same(branch), branch)
            branches.append(branch)
        kind = self.pick("Add", "Add", "Mul", "Max", "Concat" if self.width(value) < 4 else "Add")
        joined = self.recipe.add(Sum(kind), *branches)
        return self.add(Pointwise(self.rng, self.width(joined), "Tanh"), joined)

    def meet(self):
        """Joins two live values if they differ by a constant number of frames."""
        a, b = self.rng.choice(self.live, 2)
        na, nb = self.counts(a), self.counts(b)
        valid = (na >= 0) & (nb >= 0)
        difference = (nb - na)[valid]
        if not valid.any() or (difference != difference[0]).any() or abs(difference[0]) > 12:
            return None
        if difference[0] > 0:
            a, b = b, a
        surplus = abs(int(difference[0]))  # of a
        front = self.integer(0, surplus)
        if surplus and self.rng.random() < 0.5:
            a = self.recipe.add(Crop(front, surplus - front), a)
        elif surplus:
            b = self.recipe.add(Pad(front, surplus - front, self.rng.normal() + 1), b)
        if self.width(a) != self.width(b):
            b = self.recipe.add(Linear(self.rng, self.width(b), self.width(a)), b)
        joined = self.recipe.add(Sum(self.pick("Add", "Mul", "Max")), a, b)
        return self.add(Pointwise(self.rng, self.width(joined), "Tanh"), joined)

    def make(self):
        rng = self.rng
        for _ in range(1 + (rng.random() < 0.2)):
            self.add(Input(self.integer(1, 4), self.layout()))
        gain = None
        if rng.random() < 0.2:
            gain = self.recipe.add(Input(self.width(0), "BC"))
        streams = list(self.live)
        if gain is not None:
            self.add(Gain(), 0, gain)
        if len(streams) > 1:
            second = self.recipe.add(Linear(rng, self.width(1), self.width(0)), streams[1])
            self.add(Sum("Add"), self.live[-1] if gain is not None else 0, second)
        while self.budget > 0:
            self.budget -= 1
            before = len(self.recipe.values), list(self.live)
            at = self.live[-1] if rng.random() < 0.8 else int(rng.choice(self.live))
            kind = rng.random()
            if kind < 0.3:
                self.residual(at)
            elif kind < 0.45:
                self.meet()
            elif kind < 0.65:
                self.add(self.same(at), at)
            elif kind < 0.68:
                self.add(Positions(rng, self.width(at)), at)
            else:
                self.add(self.other(at), at)
            if self.frames() is None:
                del self.recipe.values[before[0] :]
                self.live = before[1]
        self.finish()
        return self.recipe

    def finish(self):
        rng, recipe = self.rng, self.recipe
        chosen = [self.live[-1]]
        while rng.random() < 0.35:
            chosen.append(int(rng.choice(self.live)))
        recipe.outputs = [(v, self.layout()) for v in chosen]
        while rng.random() < 0.25:
            at = int(rng.choice(self.live))
            kind = self.pick("ReduceMean", "ReduceSum", "ReduceMax", "Last")
            recipe.outputs.append((recipe.add(Reduce(rng, self.width(at), kind, rng.random() < 0.4), at), "BC"))
        rng.shuffle(recipe.outputs)
        recipe.outputs = [(int(v), str(layout)) for v, layout in recipe.outputs]

    def frames(self):
        """A length for the file."""
        return example_length(self.recipe)


def example_length(recipe):
    return next((t for t in range(16, HORIZON) if recipe.is_example(t)), None)
