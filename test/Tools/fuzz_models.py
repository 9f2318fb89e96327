"""Damages models in ways that a file from anywhere may be damaged, and compiles
them. Whatever the model, itera-compile must exit with 0 or 1; with 1 it prints
exactly one line of error and leaves no file; it never takes more than the time
and the memory below.

A run is a function of its seed: a base model, or one node of any operator on
random inputs; then one to four mutations of its protobuf, at times followed by
damage to the bytes.

Usage: fuzz_models.py ITERA_COMPILE [--runs=N] [--seed=N] [--jobs=N] [--keep=DIR]
                      [--model=FILE]... [--megabytes=N]

`--seed=S --runs=1` repeats run S; `--keep` writes the models at fault to DIR.
"""

import argparse
import concurrent.futures
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

LIMIT_SECONDS = 20
LIMIT_MEGABYTES = 2000
OPSET = 21
F, I = TensorProto.FLOAT, TensorProto.INT64


# Base models ------------------------------------------------------------------


def info(name, shape, dtype=F):
    return helper.make_tensor_value_info(name, dtype, shape)


def weight(name, *shape):
    count = int(np.prod(shape))
    values = (np.arange(count) % 7 - 3) / 8
    return numpy_helper.from_array(values.reshape(shape).astype(np.float32), name)


def ints(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def scalar(name, value, dtype=np.int64):
    return numpy_helper.from_array(np.array(value, dtype), name)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(","), outputs.split(","), name=outputs.split(",")[0] + "_node", **attributes)


def model(nodes, inputs, outputs, initializers=(), functions=(), domains=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    opsets = [helper.make_opsetid(d, v) for d, v in [("", OPSET), *domains]]
    made = helper.make_model(graph, opset_imports=opsets, functions=list(functions))
    made.ir_version = 9
    return made


def dense():
    return model(
        [node("MatMul", "x,w", "a"), node("Add", "a,b", "c"), node("Relu", "c", "d"),
         node("Gemm", "d,v,b", "e", transB=1, alpha=0.5), node("LayerNormalization", "e,b,b", "f", axis=-1),
         node("Softmax", "f", "g", axis=1), node("ReduceMean", "g,axes", "h", keepdims=1),
         node("Mul", "g,h", "i"), node("Einsum", "i,v", "y", equation="ij,kj->ik")],
        [info("x", [3, 4])], [info("y", [3, 6])],
        [weight("w", 4, 6), weight("b", 6), weight("v", 6, 6), ints("axes", 1)])


def convolution():
    return model(
        [node("Pad", "x,pads", "a"), node("Conv", "a,w,b", "c", group=4, kernel_shape=[3]),
         node("Sigmoid", "c", "s"), node("Mul", "c,s", "d"), node("Transpose", "d", "e", perm=[0, 2, 1]),
         node("Slice", "e,start,end,axis,step", "f"), node("Reshape", "f,shape", "g"),
         node("MaxPool", "d", "p", kernel_shape=[2], strides=[2]), node("DepthToSpace", "image", "q", blocksize=2),
         node("Squeeze", "g,axis0", "h"), node("Unsqueeze", "h,axis0", "y")],
        [info("x", [1, 4, 8]), info("image", [1, 4, 2, 3])], [info("y", None), info("p", None), info("q", None)],
        [weight("w", 4, 1, 3), weight("b", 4), ints("pads", 0, 0, 2, 0, 0, 0),
         ints("start", 1), ints("end", 2**62), ints("axis", 1), ints("step", 2), ints("shape", 1, -1),
         ints("axis0", 0)])


def indexing():
    return model(
        [node("Gather", "table,ids", "a", axis=0), node("Split", "a,sizes", "b,c", axis=1),
         node("Concat", "c,b", "d", axis=1), node("CumSum", "d,one", "e"), node("TopK", "e,two", "f,g", axis=-1),
         node("GatherElements", "e,g", "h", axis=2), node("ScatterElements", "e,g,h", "i", axis=2, reduction="add"),
         node("GatherND", "i,places", "j"), node("ScatterND", "i,places,j", "k"), node("Expand", "two,shape", "l"),
         node("Tile", "j,sizes", "m"), node("NonZero", "ids", "n"), node("OneHot", "ids,eight,values", "o"),
         node("Shape", "k", "p"), node("Range", "zero0,eight,one0", "q"), node("Trilu", "k", "r"),
         node("Where", "cond,r,k", "y")],
        [info("ids", [2, 5], I), info("cond", [1], TensorProto.BOOL)],
        [info("y", None), info("l", None), info("m", None), info("o", None), info("p", None), info("q", None)],
        [weight("table", 9, 4), ints("sizes", 2, 3), ints("one", 1), ints("two", 2), ints("places", [0, 1], [1, 2]),
         ints("shape", 3, 2), scalar("eight", 8), scalar("zero0", 0), scalar("one0", 1),
         numpy_helper.from_array(np.array([0, 1], np.float32), "values")])


def control():
    step = helper.make_graph(
        [node("Mul", "h,a", "p"), node("Add", "p,u", "n"), node("Identity", "n", "o")], "step",
        [info("h", [4]), info("a", [4]), info("u", [4])], [info("n", [4]), info("o", [4])])
    body = helper.make_graph(
        [node("Gather", "us,i", "row", axis=0), node("Unsqueeze", "row,axis0", "row1"),
         node("Add", "s,row1", "s1"), node("Identity", "go", "go1"), node("Identity", "row", "r")], "body",
        [info("i", [], I), info("go", [], TensorProto.BOOL), info("s", [1, 4])],
        [info("go1", [], TensorProto.BOOL), info("s1", [1, 4]), info("r", [4])])
    yes = helper.make_graph([node("Neg", "rows", "t")], "yes", [], [info("t", [6, 4])])
    no = helper.make_graph([node("Abs", "rows", "e")], "no", [], [info("e", [6, 4])])
    return model(
        [node("Scan", "h0,as,us", "last,all", body=step, num_scan_inputs=2),
         node("Loop", "count,true,s0", "sum,rows", body=body),
         node("If", "true", "y", then_branch=yes, else_branch=no), node("Add", "last,sum", "z")],
        [info("as", [6, 4]), info("us", [6, 4])], [info("y", [6, 4]), info("z", None), info("all", [6, 4])],
        [weight("h0", 4), weight("s0", 1, 4), ints("axis0", 0),
         scalar("count", 6),
         scalar("true", True, bool)])


def functions():
    inner = helper.make_function("own", "Inner", ["a"], ["c"], [node("Exp", "a", "b"), node("Neg", "b", "c")],
                                 [helper.make_opsetid("", OPSET)])
    last = helper.make_node("Softmax", ["d"], ["e"], name="soft")
    axis = last.attribute.add()
    axis.name, axis.ref_attr_name, axis.type = "axis", "axis", AttributeProto.INT
    outer = helper.make_function(
        "own", "Outer", ["a", "b"], ["e"],
        [helper.make_node("Inner", ["a"], ["c"], domain="own"), node("Add", "c,b", "d"), last],
        [helper.make_opsetid("", OPSET), helper.make_opsetid("own", 1)], ["axis"])
    return model(
        [helper.make_node("Outer", ["x", "w"], ["p"], domain="own", axis=1),
         node("SplitToSequence", "p,one", "q", axis=0), node("SequenceAt", "q,one", "r"),
         node("SequenceInsert", "q,r", "s"), node("ConcatFromSequence", "s", "t", axis=0),
         node("Dropout", "t", "u"), node("Cast", "u", "v", to=TensorProto.FLOAT16), node("Clip", "u,,top", "y")],
        [info("x", [3, 4])], [info("y", None), info("v", None)],
        [weight("w", 3, 4), scalar("one", 1),
         scalar("top", 0.5, np.float32)], [inner, outer], [("own", 1)])


def layers27():
    """Operators of the newest opset and of com.microsoft."""
    made = model(
        [node("LinearAttention", "q,k,v,s,g,r", "a,s1", q_num_heads=2, kv_num_heads=2, update_rule="gated_delta"),
         node("CausalConvWithState", "c,w,b,p", "d,p1", activation="silu"), node("RMSNormalization", "a,scale", "f"),
         helper.make_node("SkipSimplifiedLayerNormalization", ["f", "a", "scale"], ["e"], domain="com.microsoft"),
         helper.make_node("BiasGelu", ["e", "scale"], ["y"], domain="com.microsoft"), node("DFT", "wave,,axis", "z")],
        [info("q", [1, 3, 8]), info("k", [1, 3, 8]), info("v", [1, 3, 8]), info("s", [1, 2, 4, 4]), info("g", [1, 3, 2]),
         info("r", [1, 3, 2]), info("c", [1, 4, 6]), info("p", [1, 4, 2]),
         info("wave", [1, 4, 1])],
        [info("y", None), info("d", None), info("s1", None), info("p1", None), info("z", None)],
        [weight("w", 4, 1, 3), weight("b", 4), weight("scale", 8), scalar("axis", 1)], domains=[("com.microsoft", 1)])
    made.opset_import[0].version = 27
    return made


def quantized():
    packed = numpy_helper.from_array(np.arange(24, dtype=np.int8).reshape(4, 6), "packed")
    nibbles = numpy_helper.from_array(np.arange(3 * 1 * 16, dtype=np.uint8).reshape(3, 1, 16) * 5, "nibbles")
    return model(
        [node("QuantizeLinear", "x,scale,zero", "q"), node("DequantizeLinear", "packed,scales,zeros", "w", axis=1),
         node("DequantizeLinear", "q,scale,zero", "x1"), node("MatMul", "x1,w", "y"),
         helper.make_node("MatMulNBits", ["wide", "nibbles", "three", "bytes"], ["n"], domain="com.microsoft", K=32, N=3,
                          bits=4, block_size=32),
         helper.make_node("GatherBlockQuantized", ["table", "ids", "three_rows", "bytes"], ["t"], domain="com.microsoft",
                          bits=4, block_size=32),
         node("DynamicQuantizeLinear", "x", "dq,ds,dz"), node("MatMulInteger", "dq,packed,dz,zeros", "k"),
         node("BitShift", "q,zero", "f", direction="RIGHT"), node("Cast", "f", "g", to=F), node("Pow", "x,scale", "h"),
         node("Mod", "q,zero", "i"), node("Div", "q,zero", "j")],
        [info("x", [3, 4]), info("wide", [2, 32])],
        [info(n, None) for n in "yghijnkt"],
        [scalar("scale", 0.1, np.float32), scalar("zero", 3, np.uint8), packed, nibbles, weight("scales", 6),
         numpy_helper.from_array(np.array([[3], [8], [255]], np.uint8), "bytes"),
         numpy_helper.from_array(np.arange(3 * 16, dtype=np.uint8).reshape(3, 16) * 5, "table"), weight("three_rows", 3, 1),
         ints("ids", 2, 0, -1),
         numpy_helper.from_array(np.arange(6, dtype=np.int8), "zeros"), weight("three", 3)], domains=[("com.microsoft", 1)])


def unrolled():
    """A selective state space layer, its scan written out."""
    nodes = [node("Softplus", "dt", "sp"), node("Unsqueeze", "sp,two", "dt1"), node("Mul", "dt1,A", "da"),
             node("Exp", "da", "abar"), node("Unsqueeze", "B,one", "b1"), node("Mul", "sp,x", "dx"),
             node("Unsqueeze", "dx,two", "dx1"), node("Mul", "dx1,b1", "u")]
    state, rows = "h0", []
    for t in range(4):
        nodes += [node("Gather", f"abar,t{t}", f"a{t}", axis=0), node("Gather", f"u,t{t}", f"u{t}", axis=0),
                  node("Mul", f"a{t},{state}", f"m{t}"), node("Add", f"m{t},u{t}", f"h{t + 1}"),
                  node("Gather", f"C,t{t}", f"c{t}", axis=0), node("MatMul", f"h{t + 1},c{t}", f"y{t}"),
                  node("Unsqueeze", f"y{t},zero", f"r{t}")]
        state = f"h{t + 1}"
        rows.append(f"r{t}")
    nodes += [node("Concat", ",".join(rows), "ys", axis=0), node("Mul", "D,x", "dd"), node("Add", "ys,dd", "y")]
    steps = [scalar(f"t{t}", t) for t in range(4)]
    return model(nodes, [info("x", [4, 3]), info("dt", [4, 3]), info("B", [4, 5]), info("C", [4, 5])],
                 [info("y", [4, 3]), info("h4", None)],
                 [weight("A", 3, 5), weight("h0", 3, 5), weight("D", 3), ints("zero", 0), ints("one", 1), ints("two", 2),
                  *steps])


SCHEMAS = sorted({(s.domain, s.name) for s in onnx.defs.get_all_schemas()})


def random_value(rng, kind):
    kinds = onnx.defs.OpSchema.AttrType
    if kind == kinds.INT:
        return wild_int(rng)
    if kind == kinds.FLOAT:
        return rng.choice([0.0, 1.0, -1.0, 1e-5, 1e30, float("nan"), float("inf"), rng.random()])
    if kind == kinds.STRING:
        return rng.choice(["", "add", "mul", "none", "reverse", "bidirectional", "SAME_UPPER", "NOTSET", "VALID", "ij,jk->ik",
                           "ii->i", "...i->...", "i->ii", "reflect", "edge", "wrap", "tanh", "LEFT", "nearest", "linear",
                           "\x00\n", "zzz", "min", "max"])
    if kind == kinds.INTS:
        return [wild_int(rng) for _ in range(rng.randrange(5))]
    if kind == kinds.FLOATS:
        return [rng.random() for _ in range(rng.randrange(5))]
    if kind == kinds.STRINGS:
        return [rng.choice(["Tanh", "Sigmoid", "Relu", "x"]) for _ in range(rng.randrange(5))]
    if kind == kinds.TENSOR:
        return numpy_helper.from_array(np.array([wild_int(rng)], np.int64), "value")
    if kind == kinds.GRAPH:
        return helper.make_graph([node("Identity", "i", "o")], "b", [info("i", [2])], [info("o", [2])])
    return None


def one_op(rng):
    """One node of a random operator on random inputs."""
    domain, name = rng.choice(SCHEMAS)
    try:
        schema = onnx.defs.get_schema(name, OPSET + 1, domain)
    except onnx.defs.SchemaError:
        schema = [s for s in onnx.defs.get_all_schemas_with_history() if (s.domain, s.name) == (domain, name)][0]
    count = max(schema.min_input, min(schema.max_input, rng.randrange(6)))
    shape = [rng.choice([1, 2, 3, 4]) for _ in range(rng.randrange(5))]
    inputs, weights, names = [], [], []
    for i in range(min(count, 8)):
        dtype = rng.choice([F, F, F, F, I, I, TensorProto.BOOL, TensorProto.FLOAT16, TensorProto.INT32,
                            TensorProto.UINT8, TensorProto.INT8, TensorProto.DOUBLE, TensorProto.BFLOAT16])
        dims = shape if rng.random() < 0.7 else [rng.choice([0, 1, 2, 3, 5]) for _ in range(rng.randrange(5))]
        names.append(f"i{i}" if rng.random() < 0.95 else "")
        if not names[-1]:
            continue
        if rng.random() < 0.5:
            inputs.append(info(f"i{i}", dims, dtype))
        elif rng.random() < 0.5:
            weights.append(ints(f"i{i}", *[wild_int(rng) for _ in range(rng.randrange(5))]))
        else:
            weights.append(numpy_helper.from_array(np.array(rng.choice([0, 1, -1, 2, 3, 2**40]), np.int64), f"i{i}"))
    attributes = {}
    for key, attribute in schema.attributes.items():
        if attribute.required or rng.random() < 0.4:
            value = random_value(rng, attribute.type)
            if value is not None:
                attributes[key] = value
    made = helper.make_node(name, names, [f"o{i}" for i in range(max(1, min(schema.max_output, 3)))], name="only",
                            domain=domain)
    for key, value in attributes.items():
        if value != []:
            made.attribute.append(helper.make_attribute(key, value))
    outputs = [info(o, None) for o in made.output]
    domains = [(domain, schema.since_version)] if domain else []
    result = model([made], inputs, outputs[:rng.randrange(1, 4)], weights, domains=domains)
    result.opset_import[0].version = rng.choice([9, 11, 13, 17, 18, 21, 23, 24])
    return result


BASES = [dense, convolution, indexing, control, functions, layers27, quantized, unrolled]


# Mutations --------------------------------------------------------------------


def wild_int(rng):
    return rng.choice([0, 0, 1, 1, 2, 3, 4, 5, 7, -1, -1, -2, -3, 16, 100, 1000, -1000, 2**31 - 1, 2**31, -2**31, 2**32,
                       2**40, 2**62, 2**63 - 1, -2**63, -2**63 + 1])


def graphs(made):
    """Every graph and function, nested ones included."""
    pending = [made.graph, *made.functions]
    while pending:
        graph = pending.pop()
        yield graph
        for each in graph.node:
            for attribute in each.attribute:
                if attribute.HasField("g"):
                    pending.append(attribute.g)


def pick(rng, items):
    items = list(items)
    return rng.choice(items) if items else None


def any_node(rng, made):
    return pick(rng, [n for g in graphs(made) for n in g.node])


def any_tensor(rng, made):
    tensors = [t for g in graphs(made) if hasattr(g, "initializer") for t in g.initializer]
    tensors += [a.t for g in graphs(made) for n in g.node for a in n.attribute if a.HasField("t")]
    return pick(rng, tensors)


def any_info(rng, made):
    return pick(rng, [v for g in graphs(made) if hasattr(g, "initializer")
                      for v in [*g.input, *g.input, *g.output, *g.value_info]])


def any_name(rng, made):
    return pick(rng, [o for g in graphs(made) for n in g.node for o in [*n.input, *n.output]]) or "x"


def swap_op(rng, made):
    if n := any_node(rng, made):
        n.domain, n.op_type = rng.choice(SCHEMAS) if rng.random() < 0.7 else ("", rng.choice(SCHEMAS)[1])


def swap_alike(rng, made):
    alike = [["Add", "Mul", "Sub", "Div", "Pow", "Mod", "MatMul", "Where", "Max", "PRelu", "Equal", "BitShift"],
             ["Exp", "Neg", "Relu", "Softmax", "Shape", "Size", "NonZero", "Flatten", "Identity", "Cast", "LogSoftmax", "Det",
              "ReduceSum", "ArgMax", "Squeeze", "Transpose", "Softplus", "Erf", "Not", "Floor", "IsNaN", "GlobalAveragePool"],
             ["Gather", "GatherElements", "GatherND", "Reshape", "Expand", "Tile", "CumSum", "TopK", "Unsqueeze", "Squeeze",
              "Split", "ReduceMean", "OneHot", "ConstantOfShape", "Pad", "Slice", "Resize"],
             ["ScatterND", "ScatterElements", "Slice", "Pad", "Conv", "Gemm", "Where", "LayerNormalization", "ConvTranspose"]]
    n = any_node(rng, made)
    row = n and pick(rng, [r for r in alike if n.op_type in r])
    if row:
        n.op_type = rng.choice(row)


def change_attribute(rng, made):
    n = any_node(rng, made)
    a = n and pick(rng, n.attribute)
    if not a:
        return
    if rng.random() < 0.15:
        n.attribute.remove(a)
    elif a.ints:
        a.ints[rng.randrange(len(a.ints))] = wild_int(rng)
        if rng.random() < 0.3:
            a.ints.append(wild_int(rng))
    elif a.HasField("i"):
        a.i = wild_int(rng)
    elif a.HasField("f"):
        a.f = rng.choice([0.0, float("nan"), float("inf"), -1e38])
    elif a.HasField("s"):
        a.s = random_value(rng, onnx.defs.OpSchema.AttrType.STRING).encode()
    if rng.random() < 0.1:
        a.type = rng.randrange(12)


def add_attribute(rng, made):
    n = any_node(rng, made)
    schemas = n and [s for s in onnx.defs.get_all_schemas_with_history() if s.name == n.op_type]
    options = [a for s in schemas or [] for a in s.attributes.values()]
    option = pick(rng, options)
    value = option and random_value(rng, option.type)
    if value is not None and value != []:
        n.attribute.append(helper.make_attribute(option.name, value))


def change_shape(rng, made):
    v = any_info(rng, made)
    if not v:
        return
    dims = v.type.tensor_type.shape.dim
    action = rng.randrange(4)
    if action == 0:
        dims.add().dim_value = wild_int(rng)
    elif dims and action == 1:
        del dims[-1]
    elif dims and action == 2:
        rng.choice(dims).dim_param = rng.choice(["n", "m", "batch", ""])
    elif dims:
        rng.choice(dims).dim_value = wild_int(rng)


def change_type(rng, made):
    target = any_info(rng, made) if rng.random() < 0.6 else any_tensor(rng, made)
    kind = rng.randrange(27)
    if isinstance(target, TensorProto):
        target.data_type = kind
    elif target is not None:
        target.type.tensor_type.elem_type = kind


def change_data(rng, made):
    t = any_tensor(rng, made)
    if t is None:
        return
    try:
        array = numpy_helper.to_array(t).copy()
    except Exception:
        return
    if array.dtype == np.int64:
        flat = [int(x) for x in array.reshape(-1)]
        if flat and rng.random() < 0.7:
            flat[rng.randrange(len(flat))] = wild_int(rng)
        elif rng.random() < 0.5:
            flat = flat[:-1]
        else:
            flat.append(wild_int(rng))
        shape = array.shape if len(flat) == array.size else (len(flat),)
        array = np.array(flat, np.int64).reshape(shape)
    elif array.size and array.dtype == np.float32:
        array.reshape(-1)[rng.randrange(array.size)] = rng.choice([0, np.nan, np.inf, -1e38, 1e-40])
    t.CopyFrom(numpy_helper.from_array(array, t.name))


def change_dims(rng, made):
    t = any_tensor(rng, made)
    if t is None:
        return
    action = rng.randrange(4)
    if action == 0:
        t.dims.append(wild_int(rng))
    elif t.dims and action == 1:
        del t.dims[-1]
    elif t.dims and action == 2:
        t.dims[rng.randrange(len(t.dims))] = wild_int(rng)
    else:
        dims = list(t.dims)
        rng.shuffle(dims)
        del t.dims[:]
        t.dims.extend(dims)


def change_input(rng, made):
    n = any_node(rng, made)
    if not n or not n.input:
        return
    action = rng.randrange(4)
    if action == 0:
        del n.input[-1]
    elif action == 1:
        n.input.append(any_name(rng, made))
    else:
        n.input[rng.randrange(len(n.input))] = "" if action == 2 else any_name(rng, made)


def change_output(rng, made):
    n = any_node(rng, made)
    if n and n.output:
        n.output[rng.randrange(len(n.output))] = rng.choice(["", any_name(rng, made), "new"])


def change_graph(rng, made):
    g = pick(rng, graphs(made))
    if not g.node:
        return
    action = rng.randrange(5)
    if action == 0:
        del g.node[rng.randrange(len(g.node))]
    elif action == 1:
        g.node.add().CopyFrom(rng.choice(g.node))
    elif action == 2:
        nodes = list(g.node)
        rng.shuffle(nodes)
        copies = [onnx.NodeProto.FromString(n.SerializeToString()) for n in nodes]
        del g.node[:]
        g.node.extend(copies)
    elif action == 3 and g.output:
        out = rng.choice(range(len(g.output)))
        if isinstance(g, onnx.GraphProto):
            g.output[out].name = any_name(rng, made)
        else:
            g.output[out] = any_name(rng, made)
    elif g.input:
        del g.input[rng.randrange(len(g.input))]


def change_opset(rng, made):
    pick(rng, made.opset_import).version = rng.choice([0, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 22, 23, 24, -1, 2**62])


MUTATIONS = [swap_op, swap_alike, swap_alike, change_attribute, change_attribute, add_attribute, change_shape, change_shape,
             change_type, change_data, change_data, change_data, change_dims, change_input, change_input, change_output,
             change_graph, change_opset]


def damage(rng, data):
    data = bytearray(data)
    if rng.random() < 0.3:
        del data[rng.randrange(len(data)):]
    for _ in range(rng.choice([0, 1, 1, 2, 8])):
        if data:
            data[rng.randrange(len(data))] = rng.choice([0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)])
    return bytes(data)


def make(seed, extra):
    rng = random.Random(seed)
    kind = rng.random()
    if kind < 0.3:
        made = one_op(rng)
        if rng.random() < 0.7:
            return made.SerializeToString()
    elif kind > 0.97 and extra:
        made = onnx.load(rng.choice(extra))
    else:
        made = rng.choice(BASES)()
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 4])):
        mutation = rng.choice(MUTATIONS)
        try:
            mutation(rng, made)
        except (ValueError, TypeError):
            pass # not a value that protobuf can hold
    data = made.SerializeToString()
    return damage(rng, data) if rng.random() < 0.2 else data


# Runs -------------------------------------------------------------------------


def measure(command):
    """Exit code (None if it took too long), stderr and peak megabytes."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True)
        late = threading.Event()

        def stop():
            late.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(LIMIT_SECONDS, stop)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        text = errors.read().decode(errors="replace")
    return None if late.is_set() else process.returncode, text, usage.ru_maxrss / 1024


def run(compiler, seed, extra, megabytes):
    """The problems of one run, and its model."""
    rng = random.Random(-1 - seed)
    data = make(seed, extra)
    flags = rng.choice([["--stop-after=plan"], ["--stop-after=plan"], ["--stop-after=plan", "--opt-level=0"], [],
                        ["--opt-level=0"]])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        with open(path, "wb") as file:
            file.write(data)
        code, text, peak = measure([compiler, path, "-o", os.path.join(folder, "out.so"), "--cache-dir=", "--jobs=1", *flags])
        left = sorted(set(os.listdir(folder)) - {"model.onnx"})
    lines = [l for l in text.splitlines() if ": note: " not in l and ": warning: " not in l]
    problems = []
    if code is None:
        problems.append(f"took more than {LIMIT_SECONDS} s")
    elif code not in (0, 1):
        problems.append(f"exit code {code}")
    if code == 1 and (len(lines) != 1 or ": error: " not in lines[0]):
        problems.append(f"{len(lines)} lines of error")
    if code == 0 and lines:
        problems.append("errors, but exit code 0")
    expected = {0: ["out.so"] if "--stop-after=plan" in flags else ["out.h", "out.so"]}.get(code, [])
    if left != expected:
        problems.append(f"expected the files {expected}, but got {left}")
    if peak > megabytes:
        problems.append(f"took {peak:.0f} MB")
    report = f"seed {seed} {' '.join(flags)}: {'; '.join(problems)}\n{text[:6000]}" if problems else ""
    return report, data, code


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("compiler")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep")
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--megabytes", type=int, default=LIMIT_MEGABYTES)
    options = parser.parse_args()
    failed, codes = 0, {}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        seeds = range(options.seed, options.seed + options.runs)
        results = pool.map(lambda s: run(options.compiler, s, options.model, options.megabytes), seeds)
        for seed, (report, data, code) in zip(seeds, results):
            codes[code] = codes.get(code, 0) + 1
            if report:
                failed += 1
                print(report, flush=True)
                if options.keep:
                    os.makedirs(options.keep, exist_ok=True)
                    with open(os.path.join(options.keep, f"{seed}.onnx"), "wb") as file:
                        file.write(data)
    counts = ", ".join(f"{n} with {c}" for c, n in sorted(codes.items(), key=str))
    print(f"{options.runs} runs, {failed} at fault; exit codes: {counts}")
    sys.exit(failed != 0)


main()
