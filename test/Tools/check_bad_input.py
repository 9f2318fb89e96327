"""Feeds itera-compile what a user or an attacker can get wrong. Every case must
end with exit code 1, one line of error that names the file (and the thing at
fault), and no file left behind.

Usage: check_bad_input.py ITERA_COMPILE
"""

import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CASES = {}


def case(expected):
    def register(function):
        CASES[function.__name__] = (function, expected)
        return function

    return register


def model(nodes, inputs, outputs, initializers=(), opset=17, domain=""):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, opset)])
    made.ir_version = 9
    return made


def tensor(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def simple():
    weight = numpy_helper.from_array(np.ones((4, 3), np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    return model([node], [tensor("x", [2, 4])], [tensor("y", [2, 3])], [weight])


def save(made, folder):
    path = os.path.join(folder, "model.onnx")
    with open(path, "wb") as file:
        file.write(made if isinstance(made, bytes) else made.SerializeToString())
    return path


@case("damaged, cut off or of another format")
def truncated(folder):
    return save(simple().SerializeToString()[:-20], folder), []


@case("damaged, cut off or of another format")
def random_bytes(folder):
    return save(np.random.default_rng(1).bytes(4096), folder), []


@case("")
def empty_file(folder):
    return save(b"", folder), []


@case("")
def missing_file(folder):
    return os.path.join(folder, "model.onnx"), []


@case("")
def a_folder(folder):
    os.mkdir(os.path.join(folder, "model.onnx"))
    return os.path.join(folder, "model.onnx"), []


@case("Frobnicate")
def unknown_op(folder):
    made = simple()
    made.graph.node[0].op_type = "Frobnicate"
    return save(made, folder), []


@case("")
def unknown_domain(folder):
    made = simple()
    made.graph.node[0].domain = "org.example"
    return save(made, folder), []


@case("")
def unknown_opset(folder):
    made = simple()
    made.opset_import[0].version = 9999
    return save(made, folder), []


@case("")
def cyclic_graph(folder):
    nodes = [helper.make_node("Add", ["x", "b"], ["a"], name="first"),
             helper.make_node("Add", ["x", "a"], ["b"], name="second")]
    return save(model(nodes, [tensor("x", [2])], [tensor("b", [2])]), folder), []


@case("nowhere")
def undefined_input(folder):
    node = helper.make_node("Add", ["x", "nowhere"], ["y"], name="sum")
    return save(model([node], [tensor("x", [2])], [tensor("y", [2])]), folder), []


def external(location):
    made = simple()
    weight = made.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "48")):
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    return made


@case("absent.bin")
def missing_external(folder):
    return save(external("absent.bin"), folder), []


@case("")
def escaping_external(folder):
    with open(os.path.join(folder, "secret.bin"), "wb") as file:
        file.write(bytes(48))
    inner = os.path.join(folder, "inner")
    os.mkdir(inner)
    return save(external("../secret.bin"), inner), []


@case("")
def escaping_link(folder):
    inner = os.path.join(folder, "inner")
    os.mkdir(inner)
    with open(os.path.join(folder, "secret.bin"), "wb") as file:
        file.write(bytes(48))
    os.symlink("../secret.bin", os.path.join(inner, "weights.bin"))
    return save(external("weights.bin"), inner), []


@case("")
def short_external(folder):
    with open(os.path.join(folder, "weights.bin"), "wb") as file:
        file.write(bytes(40))
    return save(external("weights.bin"), folder), []


@case("")
def overflowing_dims(folder):
    made = simple()
    weight = made.graph.initializer[0]
    del weight.dims[:]
    weight.dims.extend([2**32, 2**32])
    return save(made, folder), []


@case("")
def overflowing_input(folder):
    node = helper.make_node("Neg", ["x"], ["y"], name="negate")
    shape = [2**31, 2**31, 4]
    return save(model([node], [tensor("x", shape)], [tensor("y", shape)]), folder), []


@case("")
def negative_dim(folder):
    made = simple()
    made.graph.initializer[0].dims[0] = -4
    return save(made, folder), []


@case("")
def lying_weight(folder):
    made = simple()
    made.graph.initializer[0].raw_data = bytes(8)
    return save(made, folder), []


@case("product")
def shapes_that_do_not_fit(folder):
    made = simple()
    made.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 5
    return save(made, folder), []


@case("x")
def wrong_shape_flag(folder):
    return save(simple(), folder), ["--shape=x=2x5"]


@case("zz")
def shape_flag_of_no_input(folder):
    return save(simple(), folder), ["--shape=zz=2x4"]


@case("--shape")
def malformed_shape_flag(folder):
    return save(simple(), folder), ["--shape=x=2by4"]


@case("riscv")
def unknown_target(folder):
    return save(simple(), folder), ["--target=riscv"]


@case("z80")
def unknown_cpu(folder):
    return save(simple(), folder), ["--mcpu=z80"]


@case("--bits")
def unknown_bits(folder):
    return save(simple(), folder), ["--bits=5"]


@case("--opt-level")
def unknown_level(folder):
    return save(simple(), folder), ["--opt-level=7"]


def save_text(text, folder):
    path = os.path.join(folder, "model.mlir")
    with open(path, "w") as file:
        file.write(text)
    return path


@case("expected a function @forward")
def text_without_forward(folder):
    return save_text("func.func @f() { return }", folder), []


@case("expected argument 0 to have a name, 'ssm.name'")
def text_without_names(folder):
    return save_text("func.func @forward(%x: tensor<4xf32>) { return }", folder), []


@case("expected argument 0 to have a static shape, but got 'tensor<?xf32>'")
def text_of_open_shape(folder):
    return save_text('func.func @forward(%x: tensor<?xf32> {ssm.name = "x"}) { return }', folder), []


@case("expected function @g to have a body")
def text_of_an_external_function(folder):
    return save_text("func.func @forward() { return }\nfunc.func private @g()", folder), []


@case("expected argument 0 to have elements of i1, i8, i16, i32, i64, f16, bf16, f32 or f64, but got 'tensor<4xi7>'")
def text_of_an_odd_type(folder):
    return save_text('func.func @forward(%x: tensor<4xi7> {ssm.name = "x"}) { return }', folder), []


@case("expected result 0 to have elements of i1, i8, i16, i32, i64, f16, bf16, f32 or f64, but got 'tensor<4xindex>'")
def text_of_an_odd_result(folder):
    return save_text("""func.func @forward() -> (tensor<4xindex> {ssm.name = "y"}) {
  %y = arith.constant dense<1> : tensor<4xindex>
  return %y : tensor<4xindex>
}""", folder), []


@case("expected no recursion, but @g calls itself")
def text_of_a_recursion(folder):
    body = """(%x: tensor<4xf32>) -> tensor<4xf32> {{
  %y = func.call @{}(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}}
"""
    return save_text("func.func private @g" + body.format("h") + "func.func private @h" + body.format("g") +
                     'func.func @forward(%x: tensor<4xf32> {ssm.name = "x"}) -> (tensor<4xf32> {ssm.name = "y"}) {' +
                     "\n  %y = func.call @g(%x) : (tensor<4xf32>) -> tensor<4xf32>\n  return %y : tensor<4xf32>\n}",
                     folder), []


@case("--stop-after")
def unknown_stage(folder):
    return save(simple(), folder), ["--stop-after=lunch"]


@case("")
def unwritable_output(folder):
    return save(simple(), folder), ["-o", os.path.join(folder, "absent", "model.so")]


@case("overwrite")
def output_over_model(folder):
    path = save(simple(), folder)
    return path, ["-o", path]


def sequence(op="CumSum", **attributes):
    """A model whose node 'sums' works along dimension 1 of x."""
    axis = numpy_helper.from_array(np.int64(1), "axis")
    nodes = [helper.make_node(op, ["x", "axis"] if op == "CumSum" else ["x"], ["y"], name="sums", **attributes),
             helper.make_node("CumSum", ["x", "axis"], ["z"])]
    return model(nodes, [tensor("x", [2, 8, 4]), tensor("h", [4])], [tensor("y", [2, 8, 4]), tensor("z", [2, 8, 4])],
                 [axis])


@case("the model cannot stream: node 'sums' (ssm.cumsum) runs backward in time, so its first frame needs the last one")
def stream_of_a_backward_sum(folder):
    return save(sequence(reverse=1), folder), ["--stream=required"]


@case("the model cannot stream: node 'sums' (linalg.softmax) normalises over time")
def stream_of_a_softmax_over_time(folder):
    return save(sequence("Softmax", axis=1), folder), ["--stream=required"]


@case("the model cannot stream: nothing in it says which dimension of its inputs is time; give it by --time-dim")
def stream_without_time(folder):
    return save(simple(), folder), ["--stream=required"]


@case("--stream=required: needs --opt-level=2")
def stream_of_the_plain_lowering(folder):
    return save(sequence(), folder), ["--stream=required", "--opt-level=0"]


@case("expected --time-dim to be NAME=DIM, but got 'bad'")
def time_dim_without_a_number(folder):
    return save(sequence(), folder), ["--time-dim=bad"]


@case("--time-dim: the model has no input 'q'")
def time_dim_of_nothing(folder):
    return save(sequence(), folder), ["--time-dim=q=0"]


@case("expected --time-dim to name one of the 3 dimensions of input 'x', but got 3")
def time_dim_out_of_range(folder):
    return save(sequence(), folder), ["--time-dim=x=3"]


@case("--state a=b: the model has no input 'a'")
def state_of_nothing(folder):
    return save(sequence(), folder), ["--state=a=b"]


@case("--state h=y: expected the two to have one type, but got")
def state_of_another_type(folder):
    return save(sequence(), folder), ["--state=h=y"]


@case("--chunk=0: expected 1 to 1048576 frames")
def empty_chunk(folder):
    return save(sequence(), folder), ["--chunk=0"]


@case("--chunk=-1: expected 1 to 1048576 frames")
def negative_chunk(folder):
    return save(sequence(), folder), ["--chunk=-1"]


@case("output 'y' needs 2 frames ahead, more than --max-lookahead=1")
def too_much_lookahead(folder):
    weight = numpy_helper.from_array(np.ones((4, 4, 5), np.float32), "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[2, 2])
    made = model([node], [tensor("x", [1, 4, 8])], [tensor("y", [1, 4, 8])], [weight])
    return save(made, folder), ["--stream=required", "--max-lookahead=1"]


@case("--rollback=-1: expected 0 to 4096 frames")
def negative_rollback(folder):
    return save(sequence(), folder), ["--rollback=-1"]


@case("the model cannot stream: node 'Softmax_0' (linalg.softmax) normalises over time")
def rollback_without_a_stream(folder):
    node = helper.make_node("Softmax", ["x"], ["y"], axis=1, name="Softmax_0")
    made = model([node], [tensor("x", [1, 8, 4])], [tensor("y", [1, 8, 4])])
    return save(made, folder), ["--rollback=2", "--time-dim=x=1"]


def int4(scale=1.0, inputs="x,w,s", op="MatMulNBits", shape=(3, 1, 16), zeros=None, **attributes):
    """A product with a packed weight [3, 32], or a gather of its rows."""
    weights = [numpy_helper.from_array(np.zeros(shape, np.uint8), "w"),
               numpy_helper.from_array(np.full((3, 1), scale, np.float32), "s"),
               numpy_helper.from_array(np.full(32, 1, np.int32), "order"),
               numpy_helper.from_array(np.zeros((3, 1), np.uint8) if zeros is None else zeros, "z")]
    attributes = dict(dict(N=3, K=32, bits=4, block_size=32) if op == "MatMulNBits" else {}, **attributes)
    node = helper.make_node(op, inputs.split(","), ["y"], name="product", domain="com.microsoft", **attributes)
    made = model([node], [tensor("x", [2, 32])], [tensor("y", [2, 3])], weights)
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return made


@case("node 'product' (MatMulNBits): expected scales that are finite, but element 0 of 's' is NaN")
def nan_scale_of_int4(folder):
    return save(int4(scale=np.nan), folder), []


@case("node 'product' (MatMulNBits): expected zero points that are finite, but element 1 of 'z' is infinite")
def infinite_zero_of_int4(folder):
    return save(int4(inputs="x,w,s,z", zeros=np.array([[0], [np.inf], [0]], np.float32)), folder), []


@case("node 'product' (MatMulNBits): expected 3 zero points, but got")
def too_few_zeros_of_int4(folder):
    return save(int4(inputs="x,w,s,z", zeros=np.zeros((2, 1), np.uint8)), folder), []


@case("node 'product' (MatMulNBits): expected N and K, 2, 4 or 8 bits")
def three_bits(folder):
    return save(int4(bits=3), folder), []


@case("node 'product' (MatMulNBits): expected 48 bytes of weight, but got")
def short_int4(folder):
    return save(int4(shape=(2, 1, 16)), folder), []


@case("node 'product' (MatMulNBits): expected g_idx in [0, 0], but got 1")
def column_in_no_block(folder):
    return save(int4(inputs="x,w,s,,order"), folder), []


@case("node 'product' (MatMulNBits): expected a weight in natural order, not prepacked")
def prepacked_int4(folder):
    return save(int4(weight_prepacked=1), folder), []


@case("node 'product' (GatherBlockQuantized): expected rows of a matrix with blocks along them, but got")
def blocks_across_rows(folder):
    return save(int4(op="GatherBlockQuantized", inputs="w,order,s", shape=(3, 16), quantize_axis=0), folder), []


@case("node 'product' (GatherBlockQuantized): expected 3 scales, but got")
def too_few_scales_of_a_table(folder):
    made = int4(op="GatherBlockQuantized", inputs="w,order,s", shape=(3, 16), block_size=32)
    made.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.ones((2, 1), np.float32), "s"))
    return save(made, folder), []


@case("node 'weight' (DequantizeLinear): expected scales that are finite, but element 2 of 's' is infinite")
def infinite_scale(folder):
    weights = [numpy_helper.from_array(np.ones((4, 3), np.int8), "q"),
               numpy_helper.from_array(np.array([1, 2, np.inf], np.float32), "s")]
    nodes = [helper.make_node("DequantizeLinear", ["q", "s"], ["w"], name="weight"),
             helper.make_node("MatMul", ["x", "w"], ["y"])]
    return save(model(nodes, [tensor("x", [2, 4])], [tensor("y", [2, 3])], weights), folder), []


def integer_product(zeros, dtype=TensorProto.UINT8):
    weights = [numpy_helper.from_array(np.ones((4, 3), np.int8), "w"), numpy_helper.from_array(zeros, "z")]
    node = helper.make_node("MatMulInteger", ["x", "w", "", "z"], ["y"], name="product")
    return model([node], [tensor("x", [2, 4], dtype)], [tensor("y", [2, 3], TensorProto.INT32)], weights)


@case("node 'product' (MatMulInteger): expected a zero point for all, or one per column of")
def zero_points_of_no_column(folder):
    return save(integer_product(np.zeros(4, np.int8)), folder), []


@case("node 'product' (MatMulInteger): expected inputs 1 and 3 of one element type")
def zero_point_of_another_type(folder):
    return save(integer_product(np.zeros(3, np.int32)), folder), []


@case("node 'product' (MatMulInteger): expected 8-bit integers as input 0")
def integer_product_of_floats(folder):
    return save(integer_product(np.zeros(3, np.int8), TensorProto.FLOAT), folder), []


def files_in(folder):
    return {os.path.join(d, f) for d, _, names in os.walk(folder) for f in names}


def main():
    compiler = sys.argv[1]
    failed = 0
    for name, (make, expected) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            path, flags = make(folder)
            before = files_in(folder)
            if "-o" not in flags:
                flags = [*flags, "-o", os.path.join(folder, "model.so")]
            done = subprocess.run([compiler, path, "--cache-dir=", *flags], capture_output=True, text=True,
                                  timeout=60)
            lines = [l for l in done.stderr.splitlines() if ": note: " not in l and ": warning: " not in l]
            problems = []
            if done.returncode != 1:
                problems.append(f"exit code {done.returncode}")
            if len(lines) != 1:
                problems.append(f"{len(lines)} lines")
            if expected not in done.stderr:
                problems.append(f"no '{expected}'")
            if files_in(folder) != before:
                problems.append(f"left {files_in(folder) - before}")
            failed += bool(problems)
            print(f"{name}: {'; '.join(problems) or 'ok'}: {' | '.join(lines)[:300]}")
    print(f"{len(CASES) - failed} of {len(CASES)} refused well")
    sys.exit(failed != 0)


main()
