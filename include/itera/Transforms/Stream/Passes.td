// SPDX-License-Identifier: Apache-2.0
// Stage `stream`: from a function over whole sequences to functions over a few
// frames with explicit states.

#ifndef ITERA_TRANSFORMS_STREAM_PASSES_TD
#define ITERA_TRANSFORMS_STREAM_PASSES_TD

include "mlir/Pass/PassBase.td"

def TapValuesPass : Pass<"ssm-tap-values", "::mlir::ModuleOp"> {
  let summary = "Make results of nodes further outputs of @forward";
  let description = [{
    For finding out where a stream leaves the whole model: the results of the
    given nodes, or of all, become outputs behind those of the model, in the
    order of the program. Each has the node's name in `ssm.node`. Left out are
    results that depend on no input and, if the model can stream, those that a
    stream could not deliver.

    ```mlir
    // itera-opt --ssm-tap-values=nodes=math.exp
    func.func @forward(%x: tensor<4xf32> {ssm.name = "x"})
        -> (tensor<4xf32> {ssm.name = "y"}) {
      %e = math.exp %x : tensor<4xf32>
      %y = arith.addf %e, %x : tensor<4xf32>
      return %y : tensor<4xf32>
    }
    ```
    becomes
    ```mlir
    func.func @forward(%x: tensor<4xf32> {ssm.name = "x"})
        -> (tensor<4xf32> {ssm.name = "y"},
            tensor<4xf32> {ssm.name = "tap:math.exp", ssm.node = "math.exp"}) {
      %e = math.exp %x : tensor<4xf32>
      %y = arith.addf %e, %x : tensor<4xf32>
      return %y, %e : tensor<4xf32>, tensor<4xf32>
    }
    ```
  }];
  let options = [
    ListOption<"nodes", "nodes", "std::string", "The nodes; all: every one">,
    ListOption<"timeDims", "time-dims", "std::string",
               "The time dimension of an input, as NAME=DIM">,
    ListOption<"stateNames", "states", "std::string",
               "An input and the output that is its next value, as IN=OUT">];
}

def WrapStepPass : Pass<"ssm-wrap-step", "::mlir::ModuleOp"> {
  let summary = "Write a single step with states as a scan over a sequence";
  let description = [{
    Where inputs and outputs of @forward are paired as states, by their names or
    by `states`, and everything else is a single frame, adds a function
    @sequence: an `ssm.scan` whose body is the step.

    ```mlir
    // itera-opt --ssm-wrap-step=frames=16
    func.func @forward(%x: tensor<1x4xf32> {ssm.name = "x"}, %h: tensor<1x4xf32> {ssm.name = "h_in"})
        -> (tensor<1x4xf32> {ssm.name = "y"}, tensor<1x4xf32> {ssm.name = "h_out"}) {
      %n = arith.addf %x, %h : tensor<1x4xf32>
      %y = math.tanh %n : tensor<1x4xf32>
      return %y, %n : tensor<1x4xf32>, tensor<1x4xf32>
    }
    ```
    becomes
    ```mlir
    func.func @forward(%arg0: tensor<1x4xf32> {ssm.name = "x"}, %arg1: tensor<1x4xf32> {ssm.name = "h_in"}) -> (tensor<1x4xf32> {ssm.name = "y"}, tensor<1x4xf32> {ssm.name = "h_out"}) {
      %0 = arith.addf %arg0, %arg1 : tensor<1x4xf32>
      %1 = math.tanh %0 : tensor<1x4xf32>
      return %1, %0 : tensor<1x4xf32>, tensor<1x4xf32>
    }
    func.func @sequence(%arg0: tensor<16x4xf32> {ssm.name = "x"}, %arg1: tensor<1x4xf32> {ssm.name = "h_in"}) -> (tensor<16x4xf32>, tensor<1x4xf32>) {
      %0:2 = ssm.scan init(%arg1 : tensor<1x4xf32>) sequences(%arg0 : tensor<16x4xf32>) length 16 {
      ^bb0(%arg2: tensor<1x4xf32>, %arg3: tensor<4xf32>):
        %expanded = tensor.expand_shape %arg3 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
        %1 = arith.addf %expanded, %arg2 : tensor<1x4xf32>
        %2 = math.tanh %1 : tensor<1x4xf32>
        %collapsed = tensor.collapse_shape %2 [[0, 1]] : tensor<1x4xf32> into tensor<4xf32>
        ssm.yield %1, %collapsed : tensor<1x4xf32>, tensor<4xf32>
      } {sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>} -> tensor<1x4xf32>, tensor<16x4xf32>
      return %0#1, %0#0 : tensor<16x4xf32>, tensor<1x4xf32>
    }
    ```
  }];
  let options = [
    ListOption<"stateNames", "states", "std::string",
               "An input and the output that is its next value, as IN=OUT">,
    Option<"frames", "frames", "int64_t", "64", "The length of the sequence">];
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
}

def DeriveStreamingPass : Pass<"ssm-derive-streaming", "::mlir::ModuleOp"> {
  let summary = "Derive step, prefill, begin, reset and final from forward";
  let description = [{
    Finds which input dimension is time, when each frame of each value is known
    (its stride and look-ahead, by the rule of every op), and writes the entry
    functions of a stream. States are operands and results of theirs; the
    module's attribute `ssm.stream` describes them. Where an op has no rule, or
    its rule says that no frame is known before the last one, the module gets
    `ssm.stream_problem`, and a remark names the op.

    With `rollback=W` the last W frames can be taken back: a function @rollback
    goes back to an earlier position. Each carried state then has a base, the
    state before these frames, and what its op has read since is kept.

    Where the inputs have a batch whose rows are independent, `batch_dim` says
    in each input, output and state where it is; else `rows_problem` says why.

    ```mlir
    // itera-opt --ssm-derive-streaming=chunk=1
    func.func @forward(%a: tensor<16x4xf32> {ssm.name = "a"},
        %u: tensor<16x4xf32> {ssm.name = "u"})
        -> (tensor<16x4xf32> {ssm.name = "y"}) {
      %zero = arith.constant dense<0.0> : tensor<4xf32>
      %h, %last = ssm.linear_recurrence %a, %u, %zero dim 0
        : tensor<16x4xf32>, tensor<4xf32>
      return %h : tensor<16x4xf32>
    }
    ```
    becomes, with a chunk of one frame, which needs no `@prefill`,
    ```mlir
    module attributes {ssm.stream = {
        alignment = 1 : i64, chunk = 1 : i64, flush_frames = 0 : i64,
        inputs = [ {time_dim = 0 : i64}, {time_dim = 0 : i64} ],
        outputs = [ {adds = [], length = [], lookahead = 0 : i64, stride = 1 : i64,
                     time_dim = 0 : i64} ],
        states = [ {name = "ssm.linear_recurrence.state",
                    node = "ssm.linear_recurrence", type = tensor<4xf32>} ],
        warmup = 0 : i64}} {
      func.func @forward(%a: tensor<16x4xf32> {ssm.name = "a"},
          %u: tensor<16x4xf32> {ssm.name = "u"})
          -> (tensor<16x4xf32> {ssm.name = "y"}) {
        %zero = arith.constant dense<0.0> : tensor<4xf32>
        %h, %last = ssm.linear_recurrence %a, %u, %zero dim 0
          : tensor<16x4xf32>, tensor<4xf32>
        return %h : tensor<16x4xf32>
      }
      func.func @reset() -> (tensor<4xf32> {ssm.state = 0 : i64}) {
        %zero = arith.constant dense<0.0> : tensor<4xf32>
        return %zero : tensor<4xf32>
      }
      func.func @step(%a: tensor<1x4xf32> {ssm.input = 0 : i64},
          %u: tensor<1x4xf32> {ssm.input = 1 : i64},
          %state: tensor<4xf32> {ssm.state = 0 : i64},
          %clock: tensor<2xi64> {ssm.clock = 0 : i64})
          -> (tensor<1x4xf32> {ssm.output = 0 : i64},
              tensor<4xf32> {ssm.state = 0 : i64}) {
        %h, %last = ssm.linear_recurrence %a, %u, %state dim 0
          : tensor<1x4xf32>, tensor<4xf32>
        return %h, %last : tensor<1x4xf32>, tensor<4xf32>
      }
    }
    ```
  }];
  let options = [
    ListOption<"timeDims", "time-dims", "std::string",
               "The time dimension of an input, as NAME=DIM">,
    ListOption<"stateNames", "states", "std::string",
               "An input and the output that is its next value, as IN=OUT">,
    Option<"chunk", "chunk", "int64_t", "0",
           "Frames of @prefill; 0: chosen for the model">,
    Option<"maxLookahead", "max-lookahead", "int64_t", "-1",
           "Refuse an output that needs more frames ahead; -1: any">,
    Option<"rollback", "rollback", "int64_t", "0",
           "How many frames the stream can take back">,
    Option<"required", "required", "bool", "false",
           "A model that cannot stream is an error">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect",
    "::mlir::bufferization::BufferizationDialect",
    "::mlir::linalg::LinalgDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}

#endif // ITERA_TRANSFORMS_STREAM_PASSES_TD
