"""Ops along time, each told three times: as numpy, as ONNX, and as a number of
frames. A value is [batch, channels, time] here; in ONNX it may also lie as
[batch, time, channels].

The numpy form works at any length and is the oracle of check_stream_laws.py;
the ONNX form is written for one length, as an exporter would. onnx.reference
says whether the two agree.
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

WHOLE = np.iinfo(np.int64).max


class Writer:
    """The nodes of an ONNX graph, for one number of frames and one type."""

    def __init__(self, dtype, prefix=""):
        self.dtype, self.prefix = np.dtype(dtype), prefix
        self.nodes, self.weights, self.count, self.layouts, self.turned = [], [], 0, {}, {}

    def name(self, stem):
        self.count += 1
        return f"{self.prefix}{stem.lower()}_{self.count}"

    def constant(self, value):
        value = np.asarray(value)
        if value.dtype.kind == "f":
            value = value.astype(self.dtype)
        name = self.name("c")
        self.weights.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def op(self, kind, inputs, outputs=1, layout=None, **attributes):
        """Adds a node; constants among its inputs may be arrays."""
        inputs = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        results = [self.name(kind) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, results, name=results[0] + "_node", **attributes))
        for result in results:
            self.layouts[result] = layout or self.layouts.get(inputs[0])
        return results[0] if outputs == 1 else results

    def laid(self, name, layout):
        """The value in this layout, transposed if it has to be."""
        if self.layouts[name] == layout:
            return name
        if (name, layout) not in self.turned:
            self.turned[name, layout] = self.op("Transpose", [name], layout=layout, perm=[0, 2, 1])
        return self.turned[name, layout]

    def axis(self, name):
        """Where time is."""
        return self.layouts[name].index("T")

    def along_time(self, name, vector):
        """A vector of channels, to be broadcast to the value."""
        return self.constant(np.asarray(vector)[:, None] if self.layouts[name] == "BCT" else np.asarray(vector))

    def frames(self, name, block):
        """A constant [channels, frames] in the layout of the value, with batch 1."""
        return self.constant(block[None] if self.layouts[name] == "BCT" else block.T[None])


class Op:
    """layout: what the ONNX form needs, None: either. streams: whether a stream
    of it must be possible, as far as this op alone goes."""

    layout = None
    ends = False  # the result has no time: it is known at the end

    def channels(self, counts):
        return counts[0]

    def length(self, n):
        """Frames of the result; below 0 or None: not at this length."""
        return n

    def margin(self):
        """The least number of frames of the operand that an example should have."""
        return 2

    def __repr__(self):
        facts = [f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in self.__dict__.items()
                 if not isinstance(v, np.ndarray)]
        return f"{type(self).__name__}({', '.join(facts)})"


def windows(x, size, dilation, stride):
    """[batch, channels, frames, size]."""
    span = (size - 1) * dilation + 1
    count = (x.shape[2] - span) // stride + 1
    at = np.arange(count)[:, None] * stride + np.arange(size) * dilation
    return x[:, :, at] if count > 0 else np.zeros(x.shape[:2] + (0, size))


class Conv(Op):
    layout = "BCT"

    def __init__(self, rng, cin, cout, size, dilation, stride, left, right, groups, bias=True):
        self.__dict__.update(size=size, dilation=dilation, stride=stride, left=left, right=right, groups=groups)
        self.weight = rng.normal(size=(cout, cin // groups, size)) / np.sqrt(cin / groups * size)
        self.bias = rng.uniform(0.3, 1, cout) * rng.choice([-1, 1], cout) if bias else None

    def channels(self, counts):
        return len(self.weight)

    def length(self, n):
        return (n + self.left + self.right - (self.size - 1) * self.dilation - 1) // self.stride + 1

    def margin(self):
        return (self.size - 1) * self.dilation + 2 * self.stride + 1

    def compute(self, x):
        x = np.pad(x, ((0, 0), (0, 0), (self.left, self.right)))
        w = windows(x, self.size, self.dilation, self.stride)
        parts = [np.einsum("bctk,ock->bot", a, b)
                 for a, b in zip(np.split(w, self.groups, 1), np.split(self.weight, self.groups, 0))]
        y = np.concatenate(parts, 1)
        return y if self.bias is None else y + self.bias[:, None]

    def emit(self, g, x):
        bias = [] if self.bias is None else [self.bias]
        return g.op("Conv", [x, self.weight, *bias], kernel_shape=[self.size], dilations=[self.dilation],
                    strides=[self.stride], pads=[self.left, self.right], group=self.groups)


class Pool(Op):
    layout = "BCT"

    def __init__(self, kind, size, stride, left, right, count_pads):
        self.__dict__.update(kind=kind, size=size, stride=stride, left=left, right=right, count_pads=count_pads)

    def length(self, n):
        return (n + self.left + self.right - self.size) // self.stride + 1

    def margin(self):
        return self.size + 2 * self.stride

    def compute(self, x):
        fill = -np.inf if self.kind == "MaxPool" else 0.0
        pads = ((0, 0), (0, 0), (self.left, self.right))
        w = windows(np.pad(x, pads, constant_values=fill), self.size, 1, self.stride)
        if self.kind == "MaxPool":
            return w.max(3)
        real = windows(np.pad(np.ones_like(x), pads, constant_values=float(self.count_pads)), self.size, 1, self.stride)
        with np.errstate(invalid="ignore"):
            return w.sum(3) / real.sum(3)

    def emit(self, g, x):
        shape = dict(kernel_shape=[self.size], strides=[self.stride])
        if self.kind == "AveragePool":
            return g.op(self.kind, [x], pads=[self.left, self.right], count_include_pad=self.count_pads, **shape)
        if g.dtype == np.float32:
            return g.op(self.kind, [x], pads=[self.left, self.right], **shape)
        # onnx.reference cannot pad a MaxPool.
        x = g.op("Pad", [x, np.array([0, 0, self.left, 0, 0, self.right]), np.float64(-1e300)])
        return g.op(self.kind, [x], **shape)


class Crop(Op):
    def __init__(self, front, back, step=1):
        self.front, self.back, self.step = front, back, step

    def length(self, n):
        n -= self.front + self.back
        return n if n < 0 else -(-n // self.step)

    def margin(self):
        return 2 * (self.front + self.back) + 3 * self.step

    def compute(self, x):
        return x[:, :, self.front : x.shape[2] - self.back : self.step]

    def emit(self, g, x):
        end = -self.back if self.back else WHOLE
        return g.op("Slice", [x, np.array([self.front]), np.array([end]), np.array([g.axis(x)]), np.array([self.step])])


class Pad(Op):
    def __init__(self, front, back, value, mode="constant"):
        self.front, self.back, self.value, self.mode = front, back, value, mode

    def length(self, n):
        return n + self.front + self.back if n > 0 or self.mode == "constant" else None

    def compute(self, x):
        pads = ((0, 0), (0, 0), (self.front, self.back))
        if self.mode == "edge":
            return np.pad(x, pads, mode="edge")
        return np.pad(x, pads, constant_values=self.value)

    def emit(self, g, x):
        pads = np.zeros(6, np.int64)
        pads[g.axis(x)], pads[3 + g.axis(x)] = self.front, self.back
        value = [np.float64(self.value)] if self.mode == "constant" else []
        return g.op("Pad", [x, pads, *value], mode=self.mode)


class Chain(Op):
    """One op after the other, as one: a shift is a crop and a pad."""

    def __init__(self, *ops):
        self.ops = ops

    def length(self, n):
        for op in self.ops:
            n = op.length(n)
            if n is None or n < 0:
                return n
        return n

    def margin(self):
        return max(op.margin() for op in self.ops)

    def compute(self, x):
        for op in self.ops:
            x = op.compute(x)
        return x

    def emit(self, g, x):
        for op in self.ops:
            x = op.emit(g, x)
        return x

    def __repr__(self):
        return "+".join(map(repr, self.ops))


class Join(Op):
    """Constant frames in front and behind."""

    def __init__(self, rng, channels, front, back):
        self.front, self.back = (rng.normal(size=(channels, n)) + 1 for n in (front, back))

    def length(self, n):
        return n + self.front.shape[1] + self.back.shape[1]

    def compute(self, x):
        sides = [np.broadcast_to(side, (x.shape[0],) + side.shape) for side in (self.front, self.back)]
        return np.concatenate([sides[0], x, sides[1]], 2)

    def emit(self, g, x):
        # The batch is known by now: an exporter expands constants to it.
        def side(block):
            value = np.broadcast_to(block, (g.batch,) + block.shape)
            return value if g.layouts[x] == "BCT" else value.transpose(0, 2, 1)
        parts = [side(self.front)] * (self.front.size > 0) + [x] + [side(self.back)] * (self.back.size > 0)
        return g.op("Concat", parts, axis=g.axis(x), layout=g.layouts[x])


class Upsample(Op):
    layout = "BCT"

    def __init__(self, factor, resize):
        self.factor, self.resize = factor, resize

    def length(self, n):
        return n * self.factor

    def compute(self, x):
        return np.repeat(x, self.factor, 2)

    def emit(self, g, x):
        if self.resize:
            scales = np.array([1, 1, self.factor], np.float32)
            name = g.name("scales")
            g.weights.append(numpy_helper.from_array(scales, name))
            return g.op("Resize", [x, "", name], mode="nearest", coordinate_transformation_mode="asymmetric",
                        nearest_mode="floor")
        wide = g.op("Unsqueeze", [x, np.array([3])])
        wide = g.op("Expand", [wide, np.array([1, 1, 1, self.factor])])
        return g.op("Reshape", [wide, np.array([0, 0, -1])])


class Block(Op):
    """[B, C, T] to [B, C*k, T/k]; frames of a block become channels."""

    layout = "BTC"

    def __init__(self, factor):
        self.factor = factor

    def channels(self, counts):
        return counts[0] * self.factor

    def length(self, n):
        return None if n % self.factor else n // self.factor

    def margin(self):
        return 3 * self.factor

    def compute(self, x):
        b, c, t = x.shape
        return x.transpose(0, 2, 1).reshape(b, t // self.factor, c * self.factor).transpose(0, 2, 1)

    def emit(self, g, x):
        channels = g.widths[x]
        return g.op("Reshape", [x, np.array([0, -1, channels * self.factor])])


class Unblock(Op):
    """The inverse: [B, C*k, T] to [B, C, T*k]."""

    layout = "BTC"

    def __init__(self, factor):
        self.factor = factor

    def channels(self, counts):
        return counts[0] // self.factor

    def length(self, n):
        return n * self.factor

    def compute(self, x):
        b, c, t = x.shape
        return x.transpose(0, 2, 1).reshape(b, t * self.factor, c // self.factor).transpose(0, 2, 1)

    def emit(self, g, x):
        return g.op("Reshape", [x, np.array([0, -1, g.widths[x] // self.factor])])


class CumSum(Op):
    def __init__(self, exclusive, scale):
        self.exclusive, self.scale = exclusive, scale

    def compute(self, x):
        y = np.cumsum(x, 2)
        return np.tanh((y - x if self.exclusive else y) * self.scale)

    def emit(self, g, x):
        y = g.op("CumSum", [x, np.int64(g.axis(x))], exclusive=int(self.exclusive))
        return g.op("Tanh", [g.op("Mul", [y, np.float64(self.scale)])])


def scan(g, start, x, axis, shape, update):
    """An ONNX Scan along an axis, whose body is made by update(writer, h, x)."""
    kind = TensorProto.FLOAT if g.dtype == np.float32 else TensorProto.DOUBLE
    body = Writer(g.dtype, prefix=g.name("body") + "_")
    h = update(body, body.name("h"), "x_in")
    names = [f"{body.prefix}h_1", "x_in", h, "y_out"]
    infos = [helper.make_tensor_value_info(n, kind, shape) for n in names]
    body.nodes.append(helper.make_node("Identity", [h], ["y_out"]))
    graph = helper.make_graph(body.nodes, "step", infos[:2], infos[2:], body.weights)
    layout = g.layouts[x]
    if g.dtype == np.float32:
        return g.op("Scan", [start, x], 2, layout=layout, body=graph, num_scan_inputs=1, scan_input_axes=[axis],
                    scan_output_axes=[axis])[1]
    # onnx.reference scans the first axis alone.
    front = [axis] + [a for a in range(3) if a != axis]
    back = [int(a) for a in np.argsort(front)]
    x = g.op("Transpose", [x], perm=front)
    y = g.op("Scan", [start, x], 2, body=graph, num_scan_inputs=1)[1]
    return g.op("Transpose", [y], layout=layout, perm=back)


class Recurrence(Op):
    """h = a * h + b * x + c, from h0. form: scan, unrolled or nonlinear."""

    def __init__(self, rng, channels, form):
        self.form = form
        self.a, self.b = rng.uniform(0.3, 0.9, channels), rng.uniform(0.5, 1, channels)
        self.c, self.h0 = rng.normal(size=channels), rng.normal(size=channels) + 1

    def update(self, h, x):
        h = self.a * h + self.b * x + self.c
        return np.tanh(h) if self.form == "nonlinear" else h

    def compute(self, x):
        h, y = np.broadcast_to(self.h0, x.shape[:2]), []
        for t in range(x.shape[2]):
            h = self.update(h, x[:, :, t])
            y.append(h)
        return np.stack(y, 2) if y else x

    def one(self, g, h, x):
        h = g.op("Add", [g.op("Add", [g.op("Mul", [h, self.a]), g.op("Mul", [x, self.b])]), self.c])
        return g.op("Tanh", [h]) if self.form == "nonlinear" else h

    def emit(self, g, x):
        start = g.constant(np.broadcast_to(self.h0, (g.batch, len(self.h0))))
        axis = g.axis(x)
        if self.form == "unrolled":
            h, rows = start, []
            for t in range(g.lengths[x]):
                h = self.one(g, h, g.op("Gather", [x, np.int64(t)], axis=axis))
                rows.append(g.op("Unsqueeze", [h, np.array([axis])]))
            return g.op("Concat", rows, axis=axis, layout=g.layouts[x])
        return scan(g, start, x, axis, [g.batch, len(self.h0)], lambda body, h, x: self.one(body, h, x))


class ChannelScan(Op):
    """A recurrence over the channels: it begins anew in every frame."""

    def __init__(self, rng):
        self.a, self.h0 = rng.uniform(0.3, 0.9), rng.normal() + 1

    def compute(self, x):
        h, y = np.full((x.shape[0], x.shape[2]), self.h0), []
        for c in range(x.shape[1]):
            h = self.a * h + x[:, c]
            y.append(h)
        return np.stack(y, 1)

    def emit(self, g, x):
        shape = [g.batch, g.lengths[x]]
        start = g.constant(np.full(shape, self.h0))
        return scan(g, start, x, 3 - g.axis(x), shape,
                    lambda body, h, x: body.op("Add", [body.op("Mul", [h, np.float64(self.a)]), x]))


class Pointwise(Op):
    """act(x * a + b), by channel."""

    ACTS = {"Tanh": np.tanh, "Sigmoid": lambda x: 1 / (1 + np.exp(-x)), "Relu": lambda x: np.maximum(x, 0),
            "Identity": lambda x: x, "Softplus": lambda x: np.log1p(np.exp(x)), "Abs": np.abs}

    def __init__(self, rng, channels, act):
        self.act = act
        self.a = rng.uniform(0.5, 1.2, channels) * rng.choice([-1, 1], channels)
        self.b = rng.uniform(0.2, 0.8, channels) * rng.choice([-1, 1], channels)

    def compute(self, x):
        return self.ACTS[self.act](x * self.a[:, None] + self.b[:, None])

    def emit(self, g, x):
        y = g.op("Add", [g.op("Mul", [x, g.along_time(x, self.a)]), g.along_time(x, self.b)])
        return g.op(self.act, [y])


class Linear(Op):
    layout = "BTC"

    def __init__(self, rng, cin, cout):
        self.weight = rng.normal(size=(cin, cout)) / np.sqrt(cin)
        self.bias = rng.uniform(0.3, 1, cout)

    def channels(self, counts):
        return self.weight.shape[1]

    def compute(self, x):
        return np.einsum("bct,co->bot", x, self.weight) + self.bias[:, None]

    def emit(self, g, x):
        return g.op("Add", [g.op("MatMul", [x, self.weight]), self.bias])


class LayerNorm(Op):
    layout = "BTC"

    def __init__(self, rng, channels, whole):
        self.gain, self.bias, self.whole = rng.uniform(0.5, 1.5, channels), rng.normal(size=channels), whole

    def compute(self, x):
        d = x - x.mean(1, keepdims=True)
        y = d / np.sqrt((d * d).mean(1, keepdims=True) + 1e-2)
        return y * self.gain[:, None] + self.bias[:, None]

    def emit(self, g, x):
        if self.whole:
            return g.op("LayerNormalization", [x, self.gain, self.bias], axis=-1, epsilon=1e-2)
        d = g.op("Sub", [x, g.op("ReduceMean", [x, np.array([2])], keepdims=1)])
        v = g.op("Add", [g.op("ReduceMean", [g.op("Mul", [d, d]), np.array([2])], keepdims=1), np.float64(1e-2)])
        return g.op("Add", [g.op("Mul", [g.op("Div", [d, g.op("Sqrt", [v])]), self.gain]), self.bias])


class Positions(Op):
    """A table that is added: it has as many rows as the file is long."""

    def __init__(self, rng, channels):
        self.table = rng.normal(size=(channels, 512))

    def compute(self, x):
        return x + self.table[:, : x.shape[2]]

    def emit(self, g, x):
        return g.op("Add", [x, g.frames(x, self.table[:, : g.lengths[x]])])


class Softmax(Op):
    """Over the channels."""

    def compute(self, x):
        e = np.exp(x - x.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    def emit(self, g, x):
        return g.op("Softmax", [x], axis=3 - g.axis(x))


class Sum(Op):
    """Of 2 to 4 branches; kind Add, Mul or Max, or Concat of the channels."""

    def __init__(self, kind):
        self.kind = kind

    def channels(self, counts):
        return sum(counts) if self.kind == "Concat" else counts[0]

    def compute(self, *xs):
        if self.kind == "Concat":
            return np.concatenate(xs, 1)
        y = xs[0]
        for x in xs[1:]:
            y = {"Add": np.add, "Mul": np.multiply, "Max": np.maximum}[self.kind](y, x)
        return y

    def emit(self, g, *xs):
        xs = [g.laid(x, g.layouts[xs[0]]) for x in xs]
        if self.kind == "Concat":
            return g.op("Concat", list(xs), axis=3 - g.axis(xs[0]), layout=g.layouts[xs[0]])
        y = xs[0]
        for x in xs[1:]:
            y = g.op(self.kind, [y, x])
        return y


class Reduce(Op):
    """Over all of time: mean, sum, max or last frame, and then a layer."""

    ends = True

    def __init__(self, rng, channels, kind, head):
        self.kind, self.head = kind, rng.normal(size=(channels, 3)) if head else None

    def channels(self, counts):
        return 3 if self.head is not None else counts[0]

    def length(self, n):
        return n if n > 0 else None

    def compute(self, x):
        y = {"ReduceMean": lambda: x.mean(2), "ReduceSum": lambda: x.sum(2), "ReduceMax": lambda: x.max(2),
             "Last": lambda: x[:, :, -1]}[self.kind]()
        return y if self.head is None else np.tanh(y @ self.head + 0.5)

    def emit(self, g, x):
        axis = g.axis(x)
        if self.kind == "Last":
            y = g.op("Gather", [x, np.int64(-1)], axis=axis)
        else:
            y = g.op(self.kind, [x, np.array([axis])], keepdims=0)
        if self.head is not None:
            y = g.op("Tanh", [g.op("Add", [g.op("MatMul", [y, self.head]), np.float64(0.5)])])
        g.layouts[y] = "BC"
        return y
