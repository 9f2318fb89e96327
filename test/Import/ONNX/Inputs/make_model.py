"""Writes one small model of this file by name: make_model.py NAME OUT.onnx"""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F, I = TensorProto.FLOAT, TensorProto.INT64
MS = "com.microsoft"
MODELS = {}


def model(function):
    MODELS[function.__name__] = function
    return function


def value(name, shape, dtype=F):
    return helper.make_tensor_value_info(name, dtype, shape)


def const(name, data, dtype=np.int64):
    return numpy_helper.from_array(np.array(data, dtype), name)


def build(nodes, inputs, outputs, initializers=(), opset=17, functions=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    imports = [helper.make_opsetid("", opset)]
    if functions:
        imports.append(helper.make_opsetid("local", 1))
    if any(node.domain == MS for node in nodes):
        imports.append(helper.make_opsetid(MS, 1))
    made = helper.make_model(graph, opset_imports=imports, functions=list(functions))
    made.ir_version = 9
    return made


node = helper.make_node


@model
def broadcast():
    return build([node("Add", ["x", "b"], ["y"], name="sum")],
                 [value("x", [2, 3, 4]), value("b", [3, 1])], [value("y", [2, 3, 4])])


@model
def negative_step():
    return build([node("Slice", ["x", "s", "e", "a", "t"], ["y"])], [value("x", [5, 2])], [value("y", [5, 2])],
                 [const("s", [-1]), const("e", [-100]), const("a", [0]), const("t", [-1])])


@model
def scalar_gather():
    return build([node("Gather", ["x", "i"], ["y"], axis=1)], [value("x", [2, 5, 3])], [value("y", [2, 3])],
                 [const("i", -2)])


@model
def shape_arithmetic():
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["n"], axis=0),
        node("Mul", ["n", "two"], ["m"]),
        node("Unsqueeze", ["m", "axes"], ["m1"]),
        node("Concat", ["m1", "rest"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["y"]),
    ]
    return build(nodes, [value("x", [3, 4])], [value("y", [6, 2])],
                 [const("zero", 0), const("two", 2), const("axes", [0]), const("rest", [-1])])


@model
def false_dynamic_axis():
    table = numpy_helper.from_array(np.ones((6, 2), np.float32), "table")
    return build([node("Add", ["x", "table"], ["y"], name="position")],
                 [value("x", ["batch", "time", 2])], [value("y", ["batch", "time", 2])], [table])


@model
def free_axis():
    return build([node("Neg", ["x"], ["y"])], [value("x", [1, "time"])], [value("y", [1, "time"])])


@model
def nonzero():
    nodes = [
        node("NonZero", ["mask"], ["where"]),
        node("Transpose", ["where"], ["rows"], perm=[1, 0]),
        node("Squeeze", ["rows", "one"], ["index"]),
        node("Gather", ["x", "index"], ["picked"], axis=0),
        node("Neg", ["picked"], ["new"]),
        node("ScatterND", ["x", "rows", "new"], ["y"]),
    ]
    return build(nodes, [value("x", [4, 2]), value("mask", [4], TensorProto.BOOL)], [value("y", [4, 2])],
                 [const("one", [1])])


@model
def nonzero_mixed():
    nodes = [
        node("NonZero", ["mask"], ["where"]),
        node("Squeeze", ["where", "zero"], ["index"]),
        node("Gather", ["x", "index"], ["picked"], axis=0),
        node("ReduceSum", ["picked", "zero"], ["y"], name="mixes", keepdims=0),
    ]
    return build(nodes, [value("x", [4, 2]), value("mask", [4], TensorProto.BOOL)], [value("y", [2])],
                 [const("zero", [0])])


@model
def nonzero_traced_as_one():
    """While this was traced the mask had one element, so a reshape drops it."""
    nodes = [
        node("NonZero", ["mask"], ["where"]),
        node("Transpose", ["where"], ["rows"], perm=[1, 0]),
        node("Squeeze", ["where", "zero"], ["index"]),
        node("Gather", ["x", "index"], ["picked"], axis=0),
        node("Reshape", ["picked", "flat"], ["row"]),
        node("Neg", ["row"], ["new"]),
        node("ScatterND", ["x", "rows", "new"], ["y"]),
    ]
    return build(nodes, [value("x", [4, 2]), value("mask", [4], TensorProto.BOOL)], [value("y", [4, 2])],
                 [const("zero", [0]), const("flat", [2])])


@model
def scan():
    body = helper.make_graph(
        [node("Add", ["h", "u"], ["hn"]), node("Mul", ["hn", "w"], ["out"])], "body",
        [value("h", [3]), value("u", [3])], [value("hn", [3]), value("out", [3])])
    return build([node("Scan", ["h0", "us"], ["last", "ys"], body=body, num_scan_inputs=1)],
                 [value("h0", [3]), value("us", [5, 3]), value("w", [3])], [value("last", [3]), value("ys", [5, 3])])


@model
def scan_backward():
    body = helper.make_graph([node("Add", ["h", "u"], ["hn"]), node("Identity", ["hn"], ["out"])], "body",
                             [value("h", [3]), value("u", [3])], [value("hn", [3]), value("out", [3])])
    return build([node("Scan", ["h0", "us"], ["last", "ys"], body=body, num_scan_inputs=1, scan_input_axes=[1],
                       scan_input_directions=[1], scan_output_axes=[1])],
                 [value("h0", [3]), value("us", [3, 5])], [value("last", [3]), value("ys", [3, 5])])


@model
def loop():
    body = helper.make_graph(
        [node("Gather", ["xs", "i"], ["x"], axis=0), node("Add", ["h", "x"], ["hn"]),
         node("Identity", ["c"], ["cn"]), node("Identity", ["hn"], ["out"])], "body",
        [value("i", [], I), value("c", [], TensorProto.BOOL), value("h", [3])],
        [value("cn", [], TensorProto.BOOL), value("hn", [3]), value("out", [3])])
    return build([node("Loop", ["trip", "yes", "h0"], ["last", "ys"], body=body)],
                 [value("h0", [3]), value("xs", [5, 3])], [value("last", [3]), value("ys", [5, 3])],
                 [const("trip", 5), const("yes", True, np.bool_)])


@model
def constant_if():
    yes = helper.make_graph([node("Neg", ["x"], ["a"])], "yes", [], [value("a", [2])])
    no = helper.make_graph([node("Exp", ["x"], ["b"])], "no", [], [value("b", [2])])
    return build([node("If", ["c"], ["y"], then_branch=yes, else_branch=no)], [value("x", [2])], [value("y", [2])],
                 [const("c", True, np.bool_)])


@model
def function():
    twice = helper.make_function("local", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])],
                                 [helper.make_opsetid("", 17)])
    return build([node("Twice", ["x"], ["y"], domain="local", name="call")], [value("x", [2])], [value("y", [2])],
                 functions=[twice])


@model
def squeeze_attribute():
    return build([node("Squeeze", ["x"], ["y"], axes=[1])], [value("x", [2, 1, 3])], [value("y", [2, 3])], opset=11)


@model
def squeeze_input():
    return build([node("Squeeze", ["x", "a"], ["y"])], [value("x", [2, 1, 3])], [value("y", [2, 3])],
                 [const("a", [1])], opset=13)


@model
def softmax_flattened():
    return build([node("Softmax", ["x"], ["y"], axis=1)], [value("x", [2, 3, 4])], [value("y", [2, 3, 4])], opset=11)


@model
def softmax_axis():
    return build([node("Softmax", ["x"], ["y"], axis=1)], [value("x", [2, 3, 4])], [value("y", [2, 3, 4])], opset=13)


@model
def split_attribute():
    return build([node("Split", ["x"], ["a", "b"], axis=1, split=[1, 4])], [value("x", [2, 5])],
                 [value("a", [2, 1]), value("b", [2, 4])], opset=11)


@model
def split_input():
    return build([node("Split", ["x", "s"], ["a", "b"], axis=1)], [value("x", [2, 5])],
                 [value("a", [2, 1]), value("b", [2, 4])], [const("s", [1, 4])], opset=13)


@model
def split_uneven():
    return build([node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2)], [value("x", [2, 5])],
                 [value("a", [2, 3]), value("b", [2, 2])], opset=18)


@model
def split_uneven_before_18():
    return build([node("Split", ["x"], ["a", "b"], axis=1, name="halves")], [value("x", [2, 5])],
                 [value("a", [2, 3]), value("b", [2, 2])], opset=13)


@model
def negative_permutation():
    return build([node("Transpose", ["x"], ["y"], perm=[0, -1, 1])], [value("x", [2, 3, 4])], [value("y", [2, 4, 3])])


@model
def tied():
    table = np.arange(40, dtype=np.float32).reshape(10, 4) / 7
    weights = [numpy_helper.from_array(table, "embedding"),
               numpy_helper.from_array(np.ascontiguousarray(table.T), "head")]
    return build([node("Gather", ["embedding", "ids"], ["x"]), node("MatMul", ["x", "head"], ["y"])],
                 [value("ids", [1, 3], I)], [value("y", [1, 3, 10])], weights)


@model
def external():
    weight = numpy_helper.from_array(np.arange(64 * 32, dtype=np.float32).reshape(64, 32), "w")
    return build([node("MatMul", ["x", "w"], ["y"])], [value("x", [1, 64])], [value("y", [1, 32])], [weight])


@model
def external_second():
    weights = [numpy_helper.from_array(np.arange(n * 32, dtype=np.float32).reshape(n, 32) * n, name)
               for n, name in ((64, "first"), (32, "second"))]
    return build([node("MatMul", ["x", "first"], ["h"]), node("MatMul", ["h", "second"], ["y"])],
                 [value("x", [1, 64])], [value("y", [1, 32])], weights)


def int4(dtype):
    """A weight [8, 40] in blocks of 32, packed."""
    rng = np.random.default_rng(1)
    weights = [numpy_helper.from_array(rng.integers(0, 256, (8, 2, 16)).astype(np.uint8), "w"),
               numpy_helper.from_array(rng.standard_normal((8, 2)).astype(dtype), "s"),
               numpy_helper.from_array(rng.integers(0, 256, (8, 1)).astype(np.uint8), "z")]
    return weights, dict(domain=MS, N=8, K=40, bits=4, block_size=32)


@model
def int4_twice():
    weights, attributes = int4(np.float32)
    return build([node("MatMulNBits", ["x", "w", "s", "z"], [y], **attributes) for y in "ab"],
                 [value("x", [3, 40])], [value("a", [3, 8]), value("b", [3, 8])], weights)


@model
def int4_half():
    weights, attributes = int4(np.float16)
    half = TensorProto.FLOAT16
    return build([node("MatMulNBits", ["x", "w", "s", "z"], ["y"], **attributes)], [value("x", [3, 40], half)],
                 [value("y", [3, 8], half)], weights)


@model
def product_of_integers():
    weight = numpy_helper.from_array(np.arange(120, dtype=np.uint8).reshape(4, 30), "w")
    return build([node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
                  node("MatMulInteger", ["q", "w", "z", "wz"], ["y"])],
                 [value("x", [3, 4])], [value("y", [3, 30], TensorProto.INT32)], [weight, const("wz", 5, np.uint8)])


name, path = sys.argv[1:]
if name.startswith("external"):
    # onnx.save appends to data that is there already.
    pathlib.Path(path + ".bin").unlink(missing_ok=True)
    onnx.save(MODELS[name](), path, save_as_external_data=True, location=path.rsplit("/", 1)[-1] + ".bin",
              size_threshold=0)
else:
    with open(path, "wb") as file:
        file.write(MODELS[name]().SerializeToString())
