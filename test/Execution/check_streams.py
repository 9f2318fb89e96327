"""Compiles small ONNX models once, for one length, and runs them as streams of
other lengths: frame by frame, in chunks, and as one. Values are compared with
the same model, written for that length, in ONNX's reference implementation in
double; lengths must be exact; and all ways of feeding give the same bits.

Usage: check_streams.py ITERA_COMPILE ITERA_RUN [--only=WORD] [itera-compile flag...]
"""

import os
import subprocess
import sys
import tempfile

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import stream_host

F, I = TensorProto.FLOAT, TensorProto.INT64
# The file's length; and those of the streams. Chunks go past both.
WRITTEN, LENGTHS, CHUNKS, PREFILL = 12, (0, 1, 2, 3, 5, 8, 12, 21), (2, 3, 7, 64), 4
CASES = {}


class Model:
    """A model as an ONNX file of one length or another."""

    def __init__(self, nodes, inputs, outputs, **constants):
        self.nodes, self.inputs, self.outputs, self.constants = nodes, inputs, outputs, constants

    def proto(self, floats):
        def infos(shapes):
            return [helper.make_tensor_value_info(name, floats, shape) for name, shape in shapes.items()]

        def typed(value):
            value = np.asarray(value)
            wanted = helper.tensor_dtype_to_np_dtype(floats) if value.dtype.kind == "f" else value.dtype
            return value.astype(wanted)

        weights = [numpy_helper.from_array(typed(v), k) for k, v in self.constants.items()]
        graph = helper.make_graph(self.nodes, "stream", infos(self.inputs), infos(self.outputs), weights)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
        made.ir_version = 9
        return made

    def reference(self, values):
        """Without a frame there is nothing to compute; not every op knows that."""
        if all(0 in shape for shape in self.outputs.values()):
            return {name: np.zeros(shape) for name, shape in self.outputs.items()}
        doubles = {name: value.astype(np.float64) for name, value in values.items()}
        results = ReferenceEvaluator(self.proto(TensorProto.DOUBLE)).run(None, doubles)
        return dict(zip(self.outputs, results))


class Step(Model):
    """A model of one frame, which is dimension 1 of x and of y, with states:
    inputs and the outputs that are their next values."""

    def __init__(self, frames, states, *arguments, **constants):
        super().__init__(*arguments, **constants)
        self.frames, self.states, self.one = frames, states, dict(self.inputs)
        b, _, d = self.inputs["x"]
        self.inputs["x"] = [b, frames, d]

    def proto(self, floats):
        longer, self.inputs = self.inputs, self.one
        made, self.inputs = super().proto(floats), longer
        return made

    def reference(self, values):
        step = ReferenceEvaluator(self.proto(TensorProto.DOUBLE))
        values = {name: value.astype(np.float64) for name, value in values.items()}
        x, frames = values.pop("x"), []
        for t in range(self.frames):
            results = dict(zip(self.outputs, step.run(None, {"x": x[:, t:t + 1], **values})))
            frames.append(results["y"])
            values = {state: results[after] for state, after in self.states.items()}
        shape = self.outputs["y"]
        y = np.concatenate(frames, 1) if frames else np.zeros([shape[0], 0, *shape[2:]])
        return dict(y=y, **{after: values[state] for state, after in self.states.items()})


def case(batches=(1, 3), lengths=LENGTHS, flags=(), known=None):
    """A function of the batch and the length that makes a Model. `known` says of
    outputs how many frames of them t frames of the input decide."""
    def register(function):
        for batch in batches:
            CASES[f"{function.__name__}, batch {batch}"] = (function, batch, lengths, list(flags), known or {})
        return function
    return register


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(","), outputs.split(","), **attributes)


def weight(*shape):
    """The same numbers whenever a model is written; none of them zero."""
    count = int(np.prod(shape))
    return (0.3 + np.cos(1.7 * np.arange(count)) / 2).reshape(shape)


def windows(length, padding, size, stride=1):
    return max(0, (length + padding - size) // stride + 1)


# ---- what is pointwise in time, and what starts from a state ---------------

@case(lengths=LENGTHS[1:])
def recurrence_time_first(b, t):
    body = helper.make_graph(
        [node("Mul", "h,a", "m"), node("Add", "m,u", "h1"), node("Identity", "h1", "y1")], "step",
        [helper.make_empty_tensor_value_info(n) for n in ("h", "u")],
        [helper.make_empty_tensor_value_info(n) for n in ("h1", "y1")])
    return Model([node("Scan", "h0,x", "last,y", body=body, num_scan_inputs=1)], dict(x=[t, b, 4]),
                 dict(last=[b, 4], y=[t, b, 4]), a=weight(4), h0=weight(b, 4))


@case()
def causal_conv_channels_first(b, t):
    return Model([node("Conv", "x,w,bias", "c", group=5, pads=[3, 0]), node("Tanh", "c", "y")], dict(x=[b, 5, t]),
                 dict(y=[b, 5, t]), w=weight(5, 1, 4), bias=weight(5))


@case()
def causal_conv_channels_last(b, t):
    return Model([node("Transpose", "x", "xt", perm=[0, 2, 1]), node("Conv", "xt,w,bias", "c", pads=[2, 0]),
                  node("Transpose", "c", "ct", perm=[0, 2, 1]), node("MatMul", "ct,m", "y")], dict(x=[b, t, 4]),
                 dict(y=[b, t, 3]), w=weight(6, 4, 3), bias=weight(6), m=weight(6, 3))


@case()
def rows_of_batch_and_time(b, t):
    return Model([node("Reshape", "x,rows", "r"), node("MatMul", "r,m", "p"), node("Relu", "p", "q"),
                  node("Reshape", "q,back", "z"), node("CumSum", "z,axis", "y")], dict(x=[b, t, 4]),
                 dict(y=[b, t, 3]), m=weight(4, 3), rows=np.array([b * t, 4]), back=np.array([b, t, 3]), axis=np.int64(1))


@case()
def sums_inclusive_and_exclusive(b, t):
    return Model([node("CumSum", "x,axis", "y"), node("CumSum", "x,axis", "z", exclusive=1)], dict(x=[b, t, 3]),
                 dict(y=[b, t, 3], z=[b, t, 3]), axis=np.int64(1))


@case(flags=["--time-dim=x=1"])
def scan_over_another_dimension(b, t):
    return Model([node("CumSum", "x,groups", "y")], dict(x=[b, t, 3, 2]), dict(y=[b, t, 3, 2]), groups=np.int64(2))


# ---- look-ahead and rates ---------------------------------------------------

@case()
def look_ahead(b, t):
    return Model([node("Conv", "x,w,bias", "y", pads=[2, 2])], dict(x=[b, 3, t]), dict(y=[b, 4, t]),
                 w=weight(4, 3, 5), bias=weight(4))


@case()
def branches_with_different_look_ahead(b, t):
    return Model([node("Conv", "x,w,bias", "c", group=3, pads=[1, 3]), node("Conv", "c,v", "d", dilations=[2], pads=[1, 1]),
                  node("Conv", "x,u", "e", pads=[0, 0]), node("Add", "c,x", "s"), node("Add", "s,e", "y")],
                 dict(x=[b, 3, t]), dict(y=[b, 3, t], d=[b, 3, windows(t, 2, 3)]), w=weight(3, 1, 5), bias=weight(3),
                 v=weight(3, 3, 2), u=weight(3, 3, 1))


@case()
def strides(b, t):
    first = windows(t, 2, 4, 2)
    return Model([node("Conv", "x,w,bias", "c", strides=[2], pads=[1, 1]), node("Tanh", "c", "a"),
                  node("Conv", "a,v,bias", "y", strides=[3], pads=[2, 0])],
                 dict(x=[b, 3, t]), dict(a=[b, 4, first], y=[b, 4, windows(first, 2, 3, 3)]), w=weight(4, 3, 4),
                 v=weight(4, 4, 3), bias=weight(4))


@case(flags=["--time-dim=x=1"])
def every_second_frame(b, t):
    return Model([node("Slice", "x,zero,end,axis,two", "y")], dict(x=[b, t, 3]), dict(y=[b, (t + 1) // 2, 3]),
                 zero=np.array([0]), end=np.array([2**62]), axis=np.array([1]), two=np.array([2]))


@case()
def unpadded(b, t):
    return Model([node("Conv", "x,w,bias", "y")], dict(x=[b, 3, t]), dict(y=[b, 2, windows(t, 0, 4)]), w=weight(2, 3, 4),
                 bias=weight(2))


@case(flags=["--time-dim=x=2"])
def averages_of_what_is_there(b, t):
    """Not of the padding: at both ends an average has fewer terms."""
    return Model([node("AveragePool", "x", "y", kernel_shape=[4], pads=[2, 1]), node("Tanh", "x", "u"),
                  node("AveragePool", "u", "z", kernel_shape=[3], pads=[0, 2], strides=[2])], dict(x=[b, 3, t]),
                 dict(y=[b, 3, windows(t, 3, 4)], z=[b, 3, windows(t, 2, 3, 2)]))


def windows_by_ceil(length, padding, size, stride):
    """What begins in the padding behind is no window."""
    return max(0, -(-(length + padding - size) // stride) + 1)


# onnx.reference knows no window that is not full if it is the only one.
@case(lengths=[t for t in LENGTHS if t > 2], flags=["--time-dim=x=2"])
def incomplete_windows(b, t):
    pools = [node(op, "x", name, kernel_shape=[size], strides=[stride], ceil_mode=1, **more)
             for op, name, size, stride, more in (
                 ("AveragePool", "a", 3, 3, {}), ("AveragePool", "p", 4, 3, dict(pads=[1, 0], count_include_pad=1)),
                 ("MaxPool", "m", 3, 2, {}))]
    return Model(pools, dict(x=[b, 2, t]), dict(a=[b, 2, -(-t // 3)], p=[b, 2, windows_by_ceil(t, 1, 4, 3)],
                                              m=[b, 2, windows_by_ceil(t, 0, 3, 2)]))


@case(known=dict(y=lambda t: max(0, (t - 3) // 2 + 1)))
def front_end(b, t):
    """A "same" convolution looks two frames ahead; one with a stride has two
    frames more in its window, one of which is padding in front: its frame j
    needs the inputs up to 2j + 2. The recurrence adds nothing."""
    body = helper.make_graph(
        [node("Mul", "h,a", "m"), node("Add", "m,u", "h1"), node("Identity", "h1", "y1")], "step",
        [helper.make_empty_tensor_value_info(n) for n in ("h", "u")],
        [helper.make_empty_tensor_value_info(n) for n in ("h1", "y1")])
    frames = windows(t, 1, 2, 2)
    return Model([node("Conv", "x,w,bias", "c", pads=[2, 2]), node("Tanh", "c", "s"),
                  node("Conv", "s,v,bias", "d", strides=[2], pads=[1, 0]),
                  node("Transpose", "d", "u", perm=[2, 0, 1]),
                  node("Scan", "h0,u", "last,y", body=body, num_scan_inputs=1)], dict(x=[b, 3, t]),
                 dict(y=[frames, b, 4]), w=weight(4, 3, 5), bias=weight(4), v=weight(4, 4, 2), a=weight(4) / 2,
                 h0=weight(b, 4))


# ---- frames that become several, and several that become one -----------------

@case(lengths=(3, 6, 12, 21), known=dict(y=lambda t: t // 3))
def blocks_of_frames(b, t):
    return Model([node("Reshape", "x,blocks", "r"), node("MatMul", "r,m", "p"), node("CumSum", "p,axis", "y")],
                 dict(x=[b, t, 2]), dict(y=[b, t // 3, 4]), blocks=np.array([0, -1, 6]), m=weight(6, 4),
                 axis=np.int64(1))


@case(lengths=(2, 4, 8, 12, 20), known=dict(y=lambda t: 2 * (t // 2)))
def blocks_and_back(b, t):
    return Model([node("Reshape", "x,blocks", "r"), node("MatMul", "r,m", "p"), node("CumSum", "p,axis", "s"),
                  node("Reshape", "s,frames", "f"), node("Add", "f,x", "y")], dict(x=[b, t, 3]), dict(y=[b, t, 3]),
                 blocks=np.array([0, -1, 6]), m=weight(6, 6), axis=np.int64(1), frames=np.array([0, -1, 3]))


@case(lengths=LENGTHS[1:], flags=["--time-dim=x=2"], known=dict(y=lambda t: 2 * t))
def repeated_frames(b, t):
    return Model([node("Resize", "x,,scales", "r", mode="nearest"), node("Tanh", "r", "y")], dict(x=[b, 3, t]),
                 dict(y=[b, 3, 2 * t]), scales=np.array([1, 1, 2], np.float32))


@case(lengths=LENGTHS[1:], flags=["--time-dim=x=2"], known=dict(y=lambda t: max(0, 3 * t - 2), z=lambda t: 3 * t))
def look_ahead_within_a_burst(b, t):
    """The first frame of three needs but the input that all three have."""
    return Model([node("Unsqueeze", "x,last", "e"), node("Expand", "e,three", "f"), node("Reshape", "f,joined", "r"),
                  node("Conv", "r,w,bias", "c", pads=[1, 2]), node("CumSum", "c,axis", "y"),
                  node("Conv", "r,w,bias", "d", pads=[3, 0]), node("ReduceMean", "d,dims", "m", keepdims=0),
                  node("Relu", "d", "z")],
                 dict(x=[b, 3, t]), dict(y=[b, 2, 3 * t], z=[b, 2, 3 * t], m=[b, 2]), last=np.array([3]),
                 three=np.array([b, 3, t, 3]), joined=np.array([b, 3, 3 * t]), w=weight(2, 3, 4), bias=weight(2),
                 axis=np.int64(2), dims=np.array([2]))


@case(lengths=(2, 4, 8, 12, 20), known=dict(y=lambda t: max(0, t // 2 * 2 - 1)))
def down_up_and_beside(b, t):
    return Model([node("Conv", "x,w,bias", "d", strides=[2], pads=[2, 0]), node("Relu", "d", "a"),
                  node("Resize", "a,,scales", "u", mode="nearest"), node("Conv", "u,v,bias", "c", pads=[1, 1]),
                  node("Add", "c,x", "y")], dict(x=[b, 3, t]), dict(y=[b, 3, t]), w=weight(3, 3, 4), bias=weight(3),
                 v=weight(3, 3, 3), scales=np.array([1, 1, 2], np.float32))


@case(lengths=LENGTHS[1:-1], flags=["--time-dim=x=1"])
def table_beside_repeated_frames(b, t):
    return Model([node("Unsqueeze", "x,two", "e"), node("Expand", "e,twice", "f"), node("Reshape", "f,joined", "r"),
                  node("Conv", "r,w,bias", "c", pads=[0, 0, 1, 0]), node("Squeeze", "c,one", "q"),
                  node("Add", "q,table", "y")], dict(x=[b, t, 3]), dict(y=[b, 2 * t, 1]), two=np.array([2]),
                 twice=np.array([b, t, 2, 3]), joined=np.array([b, 1, 2 * t, 3]), w=weight(1, 1, 2, 3), bias=weight(1),
                 one=np.array([1]), table=weight(2 * WRITTEN, 1)[:2 * t])


# ---- frames that the model adds, and leaves out ------------------------------

@case(lengths=LENGTHS[1:], flags=["--time-dim=x=2"], known=dict(y=lambda t: max(0, t - 1)))
def first_and_last_frame_repeated(b, t):
    return Model([node("Pad", "x,pads", "p", mode="edge"), node("Tanh", "p", "h"), node("Conv", "h,w,bias", "c"),
                  node("CumSum", "c,axis", "y")], dict(x=[b, 3, t]), dict(y=[b, 4, t]), pads=np.array([0, 0, 2, 0, 0, 1]),
                 w=weight(4, 3, 4), bias=weight(4), axis=np.int64(2))



@case()
def padding_that_is_not_zero(b, t):
    return Model([node("Pad", "x,pads,value", "p"), node("Conv", "p,w,bias", "c"), node("Add", "c,x", "y")],
                 dict(x=[b, 3, t]), dict(y=[b, 3, t]), pads=np.array([0, 0, 2, 0, 0, 1]), value=np.float32(0.7),
                 w=weight(3, 3, 4), bias=weight(3))


@case(flags=["--time-dim=x=2"])
def padding_in_front_and_windows_behind(b, t):
    """Frames that come early end early; what they are part of does not."""
    return Model([node("Pad", "x,pads,value", "p"), node("AveragePool", "p", "y", kernel_shape=[3], pads=[0, 2])],
                 dict(x=[b, 3, t]), dict(y=[b, 3, t + 2]), pads=np.array([0, 0, 2, 0, 0, 0]), value=np.float32(0.7))


@case(flags=["--time-dim=x=1"])
def token_shift(b, t):
    return Model([node("Slice", "x,zero,minus,axis", "old"), node("Concat", "first,old", "s", axis=1),
                  node("Sub", "x,s", "y")], dict(x=[b, t, 3]), dict(y=[b, t, 3]), first=weight(b, 1, 3),
                 zero=np.array([0]), minus=np.array([-1]), axis=np.array([1]))


@case(flags=["--time-dim=x=1"])
def token_shift_by_pad(b, t):
    return Model([node("Pad", "x,pads,value", "p"), node("Slice", "p,zero,minus,axis", "s"), node("Mul", "x,s", "y")],
                 dict(x=[b, t, 3]), dict(y=[b, t, 3]), pads=np.array([0, 2, 0, 0, 0, 0]), value=np.float32(0.7),
                 zero=np.array([0]), minus=np.array([-2]), axis=np.array([1]))


@case(lengths=LENGTHS[1:], flags=["--time-dim=x=1"])
def frames_ahead(b, t):
    return Model([node("Slice", "x,one,end,axis", "next"), node("Concat", "next,last", "s", axis=1),
                  node("Sub", "s,x", "y")], dict(x=[b, t, 3]), dict(y=[b, t, 3]), last=weight(b, 1, 3),
                 one=np.array([1]), end=np.array([2**62]), axis=np.array([1]))


@case()
def frames_in_front_and_behind(b, t):
    return Model([node("Concat", "front,x,back", "c", axis=1), node("CumSum", "c,axis", "y"), node("Exp", "c", "z")],
                 dict(x=[b, t, 3]), dict(y=[b, t + 5, 3], z=[b, t + 5, 3]), front=weight(b, 2, 3), back=weight(b, 3, 3),
                 axis=np.int64(1))


@case(batches=(2,))
def prompt_in_front_of_a_recurrence(b, t):
    return Model([node("Concat", "front,x", "c", axis=1), node("Transpose", "c", "ct", perm=[0, 2, 1]),
                  node("Conv", "ct,w", "k", group=3, pads=[2, 0]), node("CumSum", "k,axis", "s"),
                  node("Slice", "s,two,end,axes", "y")], dict(x=[b, t, 3]), dict(y=[b, 3, t]), front=weight(b, 2, 3),
                 w=weight(3, 1, 3), axis=np.int64(2), two=np.array([2]), end=np.array([2**62]), axes=np.array([2]))


@case(lengths=(5, 8, 12, 21))
def delay_beside_frames_ahead(b, t):
    """The delay is put off until what is ahead has come; chunks begin after its
    padding."""
    return Model([node("Conv", "x,w", "c", pads=[0, 9], dilations=[3]), node("Pad", "c,front,value", "p"),
                  node("Slice", "p,zero,minus,axis", "late"), node("Slice", "c,four,end,axis", "q"),
                  node("Pad", "q,back,value", "early"), node("Add", "late,early", "s"), node("Add", "s,c", "y")],
                 dict(x=[b, 3, t]), dict(y=[b, 3, t]), w=weight(3, 3, 4), front=np.array([0, 0, 3, 0, 0, 0]),
                 back=np.array([0, 0, 0, 0, 0, 4]), value=np.float32(0.7), zero=np.array([0]), minus=np.array([-3]),
                 four=np.array([4]), end=np.array([2**62]), axis=np.array([2]))


# ---- kernels as long as the sequence ---------------------------------------------

class Convolution(Model):
    """A convolution with a kernel by way of Fourier transforms, as PyTorch
    exports it, and a sum of it."""

    def __init__(self, b, t, kernel, nodes=(), **constants):
        def transform(name, x, axis):
            padded = [node("Pad", f"{x},{name}_pads", f"{name}_p"), node("Unsqueeze", f"{name}_p,last", f"{name}_u")]
            spectrum = node("DFT", f"{name}_u", f"{name}_f", axis=axis, onesided=1)
            parts = [node("Slice", f"{name}_f,{i},{i + 1},last", f"{name}_{part}") for i, part in enumerate("ri")]
            return [*padded, spectrum, *parts]

        product = [node("Mul", "x_r,k_r", "rr"), node("Mul", "x_i,k_i", "ii"), node("Sub", "rr,ii", "y_r"),
                   node("Mul", "x_r,k_i", "ri"), node("Mul", "x_i,k_r", "ir"), node("Add", "ri,ir", "y_i"),
                   node("Concat", "y_r,y_i", "y_f", axis=-1), node("DFT", "y_f,length", "y_c", axis=2, inverse=1, onesided=1),
                   node("Slice", "y_c,0,1,last", "y_s"), node("Squeeze", "y_s,last", "y_p"),
                   node("Slice", "y_p,0,frames,time", "c"), node("CumSum", "c,axis", "y")]
        super().__init__([*nodes, *transform("x", "x", 2), *transform("k", "k", 1), *product], dict(x=[b, 2, t]),
                         dict(y=[b, 2, t], c=[b, 2, t]), x_pads=np.array([0, 0, 0, 0, 0, t]), k_pads=np.array([0, 0, 0, t]),
                         last=np.array([-1]), length=np.int64(2 * t), frames=np.array([t]), time=np.array([2]),
                         axis=np.int64(2), **{str(i): np.array([i]) for i in range(3)}, **constants)
        self.kernel = kernel

    def reference(self, values):
        x = values["x"].astype(np.float64)
        c = np.zeros(x.shape)
        for s in range(x.shape[2]):
            c[:, :, s:] += self.kernel[:, s:s + 1] * x[:, :, :x.shape[2] - s]
        return dict(y=np.cumsum(c, 2), c=c)


@case(lengths=[t for t in LENGTHS if t <= WRITTEN], known=dict(c=lambda t: t))
def kernel_of_numbers(b, t):
    k = weight(2, WRITTEN)[:, :t]
    return Convolution(b, t, k, k=k)


@case(lengths=(1, 5, 12, 21, 100), known=dict(c=lambda t: t))
def kernel_of_powers(b, t):
    """Longer than the file's: the powers go on."""
    decay = -np.array([[0.1, 0.3, 0.02], [0.5, 0.05, 1.0]])[:, :, None] * np.arange(t)
    angle = np.array([[0.0, 0.9, 2.5], [0.3, 1.1, 0.01]])[:, :, None] * np.arange(t)
    real, imaginary = weight(2, 3)[:, :, None], weight(3, 2).T[:, :, None]
    terms = np.exp(decay) * (real * np.cos(angle) - imaginary * np.sin(angle))
    return Convolution(b, t, 2 * terms.sum(1), [
        node("Exp", "decay", "e"), node("Cos", "angle", "o"), node("Sin", "angle", "s"), node("Mul", "real,e", "re"),
        node("Mul", "re,o", "reo"), node("Mul", "imaginary,e", "ie"), node("Mul", "ie,s", "ies"), node("Sub", "reo,ies", "terms"),
        node("ReduceSum", "terms,1", "sum", keepdims=0), node("Mul", "sum,two", "k")], decay=decay, angle=angle, real=real,
        imaginary=imaginary, two=np.float64(2))


# ---- known at the end only -----------------------------------------------------

@case(lengths=LENGTHS[1:])
def last_frame(b, t):
    return Model([node("CumSum", "x,axis", "s"), node("Slice", "s,minus,end,axes", "l"), node("Squeeze", "l,axes", "q"),
                  node("MatMul", "q,m", "y")], dict(x=[b, t, 3]), dict(y=[b, 2], s=[b, t, 3]), m=weight(3, 2),
                 axis=np.int64(1), minus=np.array([-1]), end=np.array([2**62]), axes=np.array([1]))


@case(lengths=(5, 8, 12, 21))
def last_frames(b, t):
    return Model([node("Conv", "x,w,bias", "c", pads=[1, 1]), node("Slice", "c,minus,end,axes", "y")], dict(x=[b, 3, t]),
                 dict(y=[b, 3, 4]), w=weight(3, 3, 3), bias=weight(3), minus=np.array([-4]), end=np.array([2**62]),
                 axes=np.array([2]))


@case(lengths=LENGTHS[1:])
def mean_over_time(b, t):
    return Model([node("Conv", "x,w,bias", "c", pads=[2, 2]), node("ReduceMean", "c,axis", "m", keepdims=0),
                  node("MatMul", "m,v", "y"), node("ReduceSum", "x,axis", "s")], dict(x=[b, 3, t]),
                 dict(y=[b, 2], s=[b, 3, 1]), w=weight(3, 3, 5), bias=weight(3), v=weight(3, 2), axis=np.array([2]))


@case(lengths=LENGTHS[1:])
def largest_over_time(b, t):
    return Model([node("ReduceMax", "x,axis", "y", keepdims=0), node("CumSum", "x,time", "s")], dict(x=[b, t, 3]),
                 dict(y=[b, 3], s=[b, t, 3]), axis=np.array([1]), time=np.int64(1))


# ---- what does not change with time ---------------------------------------------

@case()
def static_input(b, t):
    return Model([node("MatMul", "speaker,m", "p"), node("Unsqueeze", "p,axes", "e"), node("Add", "x,e", "s"),
                  node("CumSum", "s,axis", "y"), node("Tanh", "speaker", "z")], dict(x=[b, t, 3], speaker=[b, 2]),
                 dict(y=[b, t, 3], z=[b, 2]), m=weight(2, 3), axes=np.array([1]), axis=np.int64(1))


@case(lengths=LENGTHS[:-1])
def position_table(b, t):
    return Model([node("Add", "x,table", "s"), node("CumSum", "s,axis", "y")], dict(x=[b, t, 3]), dict(y=[b, t, 3]),
                 table=weight(WRITTEN, 3)[:t], axis=np.int64(1))


# ---- a single step, whose states are inputs and outputs -------------------------

@case()
def step_of_a_recurrence(b, t):
    return Step(t, dict(h_in="h_out"), [
        node("Squeeze", "x,one", "f"), node("MatMul", "f,m", "u"), node("Mul", "h_in,a", "d"), node("Add", "d,u", "h_out"),
        node("Tanh", "h_out", "o"), node("MatMul", "o,v", "p"), node("Unsqueeze", "p,one", "y")],
        dict(x=[b, 1, 3], h_in=[b, 4]), dict(y=[b, 1, 2], h_out=[b, 4]), m=weight(3, 4), a=weight(4), v=weight(4, 2),
        one=np.array([1]))


@case()
def step_with_a_shift_register(b, t):
    return Step(t, {"conv.0": "new_conv.0", "ssm.0": "new_ssm.0"}, [
        node("Transpose", "x", "xt", perm=[0, 2, 1]), node("Concat", "conv.0,xt", "window", axis=2),
        node("Slice", "window,one,end,two", "new_conv.0"), node("Mul", "window,taps", "products"),
        node("ReduceSum", "products,two", "sum", keepdims=0), node("Add", "sum,bias", "c"), node("Sigmoid", "c", "g"),
        node("Mul", "c,g", "u"), node("Mul", "ssm.0,a", "d"), node("Add", "d,u", "new_ssm.0"),
        node("Unsqueeze", "new_ssm.0,one", "y")],
        {"x": [b, 1, 3], "conv.0": [b, 3, 3], "ssm.0": [b, 3]},
        {"y": [b, 1, 3], "new_conv.0": [b, 3, 3], "new_ssm.0": [b, 3]}, taps=weight(3, 4), bias=weight(3), a=weight(3),
        one=np.array([1]), two=np.array([2]), end=np.array([2**62]))


# ---- running ----------------------------------------------------------------------

class Failed(Exception):
    pass


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise Failed(f"{' '.join(command[1:])}: exit code {done.returncode}\n{done.stderr}")


def stream(tools, folder, values, mode):
    arrays, results = (os.path.join(folder, f) for f in ("x.npz", "y.npz"))
    np.savez(arrays, **values)
    run([tools[1], os.path.join(folder, "m.so"), "--input", arrays, "--output", results, *mode])
    with np.load(results) as file:
        return dict(file)


def check_known(path, make, batch, lengths, known):
    """An output has come as far as it is known: what comes later changes its
    next frame, and none before."""
    longest = lengths[-1]
    model, shorter = make(batch, longest), make(batch, lengths[-2])
    rng = np.random.default_rng(1)
    values = {k: rng.standard_normal(s).astype(np.float32) for k, s in model.inputs.items()}
    compiled = stream_host.Model(path)
    session = compiled.session()
    expected = model.reference(values)
    for i, output in enumerate(compiled.outputs):
        if output.name not in known:
            continue
        for t in range(1, longest):
            wanted = known[output.name](t)
            got = session.api.frames_after(session.handle, t, i)
            later = {}
            for name, value in values.items():
                time = next(d for d, n in enumerate(shorter.inputs[name]) if n != model.inputs[name][d])
                later[name] = np.concatenate([np.take(value, range(t), time), 9 + np.take(value, range(t, longest), time)], time)
            changed = model.reference(later)[output.name] != expected[output.name]
            same = np.moveaxis(changed, output.time, 0).reshape(changed.shape[output.time], -1).any(1)
            if got != wanted or np.argmax(same) != wanted:
                raise Failed(f"{output.name}: {got} frames after {t}, but {np.argmax(same)} are known, {wanted} by count")
    session.close()


def check(tools, make, batch, lengths, flags, known):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.onnx")
        with open(path, "wb") as file:
            file.write(make(batch, WRITTEN).proto(F).SerializeToString())
        run([tools[0], path, "-o", os.path.join(folder, "m.so"), "--stream=required", f"--chunk={PREFILL}", "--cache-dir=",
             *flags, *tools[2:]])
        check_known(os.path.join(folder, "m.so"), make, batch, lengths, known)
        for length in lengths:
            model = make(batch, length)
            rng = np.random.default_rng(length)
            values = {k: rng.standard_normal(s).astype(np.float32) for k, s in model.inputs.items()}
            expected = model.reference(values)
            steps = stream(tools, folder, values, ["--mode=stream"])
            for name, value in expected.items():
                if steps[name].shape != value.shape:
                    raise Failed(f"{length} frames, {name}: expected {value.shape}, but got {steps[name].shape}")
                error = np.abs(steps[name] - value)
                if not np.all(error <= 1e-4 * (1 + np.abs(value))):
                    raise Failed(f"{length} frames, {name}: differs by {error.max()}")
            for chunk in CHUNKS:
                chunks = stream(tools, folder, values, ["--mode=prefill", f"--chunk={chunk}"])
                for name in expected:
                    if steps[name].tobytes() != chunks[name].tobytes():
                        raise Failed(f"{length} frames, {name}: other bits in chunks of {chunk}")


def main():
    tools = [word for word in sys.argv[1:] if not word.startswith("--only=")]
    words = [word[7:] for word in sys.argv[1:] if word.startswith("--only=")]
    failures = 0
    for name, (make, *arguments) in CASES.items():
        if words and not any(word in name for word in words):
            continue
        try:
            check(tools, make, *arguments)
            print(f"{name}: passed", flush=True)
        except Failed as error:
            failures += 1
            print(f"{name}: {error}", flush=True)
    return 1 if failures else 0


sys.exit(main())
