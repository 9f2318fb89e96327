// SPDX-License-Identifier: Apache-2.0
// Passes that find recurrences, take them apart and name them.

#ifndef ITERA_TRANSFORMS_RAISE_RECURRENCEPASSES_TD
#define ITERA_TRANSFORMS_RAISE_RECURRENCEPASSES_TD

include "mlir/Pass/PassBase.td"

def RerollRecurrencesPass : Pass<"ssm-reroll-recurrences", "::mlir::func::FuncOp"> {
  let summary = "Replace unrolled recurrences by ssm.scan";
  let description = [{
    Exporters write a loop over T time steps as T copies of its body. This
    pass takes alike values of all steps as lanes: the operands of a concat
    (a stack), in-place writes at consecutive positions, or a chain of alike
    updates of which only the last is used. It walks all lanes backward in
    lockstep and builds one `ssm.scan` from what it finds: invariants, slices
    at evenly spaced offsets, scalars that differ per step, states carried
    from one step to the next (in either direction), and ops with the same
    attributes. Names and locations play no part.

    Covered on the way: a first step that was folded because the state starts
    from zero; steps that read the state before its update; a last update that
    nothing reads; a first or last step that differs (it stays outside);
    operands of commutative ops in another order; values of single steps used
    elsewhere; loops inside of the steps of a loop.

    The cost is linear in the number of ops. Where it gives up, a missed
    remark of category `raise` names the op.

    ```mlir
    func.func @f(%init: tensor<4xf32>, %a: tensor<2x4xf32>) -> tensor<2x4xf32> {
      %a0 = tensor.extract_slice %a[0, 0] [1, 4] [1, 1]
        : tensor<2x4xf32> to tensor<4xf32>
      %h0 = arith.addf %init, %a0 : tensor<4xf32>
      %a1 = tensor.extract_slice %a[1, 0] [1, 4] [1, 1]
        : tensor<2x4xf32> to tensor<4xf32>
      %h1 = arith.addf %h0, %a1 : tensor<4xf32>
      %e0 = tensor.expand_shape %h0 [[0, 1]] output_shape [1, 4]
        : tensor<4xf32> into tensor<1x4xf32>
      %e1 = tensor.expand_shape %h1 [[0, 1]] output_shape [1, 4]
        : tensor<4xf32> into tensor<1x4xf32>
      %y = tensor.concat dim(0) %e0, %e1
        : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<2x4xf32>
      return %y : tensor<2x4xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%init: tensor<4xf32>, %a: tensor<2x4xf32>) -> tensor<2x4xf32> {
      %last, %y = ssm.scan init(%init : tensor<4xf32>)
          sequences(%a : tensor<2x4xf32>) length 2 {
      ^bb0(%h: tensor<4xf32>, %at: tensor<4xf32>):
        %next = arith.addf %h, %at : tensor<4xf32>
        ssm.yield %next, %next : tensor<4xf32>, tensor<4xf32>
      } {sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>}
        -> tensor<4xf32>, tensor<2x4xf32>
      return %y : tensor<2x4xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::itera::ssm::SSMDialect", "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
  let statistics = [
    Statistic<"numLoops", "loops", "Number of loops rolled">,
    Statistic<"numSteps", "steps", "Number of steps that they had">];
}

def FissionScansPass : Pass<"ssm-fission-scans", "::mlir::func::FuncOp"> {
  let summary = "Do outside of a scan what is no recurrence, for all steps at once";
  let description = [{
    Splits every `ssm.scan` along the cycles through its states. Each cycle
    becomes a scan of its own; a state on no cycle is a delay by one step (a
    concat); every other op is done for all time steps at once by its rule, so
    that a matmul per step becomes one matmul over time. What comes before a
    recurrence is hoisted, what only reads its states is sunk, and loops over
    several recurrences are distributed.

    An op stays in the scan next to it when it has no rule, or when a tensor
    of more elements per step than the loop reads or writes would have to be
    written out. So no outer product per step is materialised; still, run
    `ssm-recognize-recurrences` first, which wants to see whole bodies.

    ```mlir
    func.func @f(%h0: tensor<4xf32>, %x: tensor<8x4xf32>) -> tensor<8x4xf32> {
      %last, %y = ssm.scan init(%h0 : tensor<4xf32>)
          sequences(%x : tensor<8x4xf32>) length 8 {
      ^bb0(%h: tensor<4xf32>, %xt: tensor<4xf32>):
        %u = math.exp %xt : tensor<4xf32>
        %n = arith.addf %h, %u : tensor<4xf32>
        %z = math.tanh %n : tensor<4xf32>
        ssm.yield %n, %z : tensor<4xf32>, tensor<4xf32>
      } {sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>}
        -> tensor<4xf32>, tensor<8x4xf32>
      return %y : tensor<8x4xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%h0: tensor<4xf32>, %x: tensor<8x4xf32>) -> tensor<8x4xf32> {
      %u = math.exp %x : tensor<8x4xf32>
      %last, %h = ssm.scan init(%h0 : tensor<4xf32>)
          sequences(%u : tensor<8x4xf32>) length 8 {
      ^bb0(%s: tensor<4xf32>, %ut: tensor<4xf32>):
        %n = arith.addf %s, %ut : tensor<4xf32>
        ssm.yield %n, %n : tensor<4xf32>, tensor<4xf32>
      } {sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>}
        -> tensor<4xf32>, tensor<8x4xf32>
      %y = math.tanh %h : tensor<8x4xf32>
      return %y : tensor<8x4xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::itera::ssm::SSMDialect", "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
  let statistics = [Statistic<"numScans", "scans", "Number of scans taken apart">];
}

def RecognizeRecurrencesPass : Pass<"ssm-recognize-recurrences", "::mlir::func::FuncOp"> {
  let summary = "Name the recurrences inside of scans";
  let description = [{
    Looks at every state of every `ssm.scan` by itself.

    * decay exp(dt * A), injection dt * B * x, readout a sum over the state
      dimension of C times the new state: `ssm.selective_scan`, with the skip
      D * x and the gate silu(z) that directly follow. Any order of ops and
      dimensions, with or without a batch dimension, exp and products inside
      or outside of the loop.
    * h' = a * h + u with a and u from outside of the loop, elementwise:
      `ssm.linear_recurrence`.

    A recognised state leaves its scan; a readout becomes a sequence of what is
    left of it. What is not recognised stays `ssm.scan` and loses nothing but
    speed; a missed remark of category `raise` says why.

    Run this before `ssm-fission-scans`, which may split a selective scan's
    readout from its state, and once more after it, for the linear recurrences
    that fission lays bare.

    ```mlir
    func.func @f(%h0: tensor<4xf32>, %a: tensor<16x4xf32>,
                 %u: tensor<16x4xf32>) -> tensor<16x4xf32> {
      %last, %h = ssm.scan init(%h0 : tensor<4xf32>)
          sequences(%a, %u : tensor<16x4xf32>, tensor<16x4xf32>) length 16 {
      ^bb0(%s: tensor<4xf32>, %at: tensor<4xf32>, %ut: tensor<4xf32>):
        %m = arith.mulf %at, %s : tensor<4xf32>
        %n = arith.addf %m, %ut : tensor<4xf32>
        ssm.yield %n, %n : tensor<4xf32>, tensor<4xf32>
      } {sequence_dims = array<i64: 0, 0>, stack_dims = array<i64: 0>}
        -> tensor<4xf32>, tensor<16x4xf32>
      return %h : tensor<16x4xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%h0: tensor<4xf32>, %a: tensor<16x4xf32>,
                 %u: tensor<16x4xf32>) -> tensor<16x4xf32> {
      %h, %last = ssm.linear_recurrence %a, %u, %h0 dim 0
        : tensor<16x4xf32>, tensor<4xf32>
      return %h : tensor<16x4xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::itera::ssm::SSMDialect", "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
  let statistics = [
    Statistic<"numSelective", "selective", "Number of selective scans recognised">,
    Statistic<"numLinear", "linear", "Number of linear recurrences recognised">];
}

def RecognizeLongConvPass : Pass<"ssm-recognize-long-conv", "::mlir::func::FuncOp"> {
  let summary = "Raise convolutions by Fourier transforms";
  let description = [{
    Exporters of S4 and Hyena write irfft(rfft(x) * rfft(kernel))[:T] as products
    with matrices of cosines and sines. This pass finds such a region from the
    slice at its end, follows it up through two transforms to the sequence and a
    kernel made of constants, and evaluates a small copy of it on random numbers,
    in double precision. If that is the causal convolution of the two, for which
    the transforms must have at least 2T - 1 entries, it is replaced:

    * A kernel Re(sum_n c_n p_n^t) of exponentials (and cosines and sines) of
      multiples of t, as S4D has it, becomes an `ssm.scan` over N complex states
      per channel. The powers are read off the arguments; that they make the
      kernel is checked on all of its numbers.
    * Any other kernel becomes an `ssm.long_conv`.

    Transforms of 4 entries of a sequence of 2:
    ```mlir
    #x = affine_map<(d, i, j) -> (d, j)>
    #m = affine_map<(d, i, j) -> (i, j)>
    #y = affine_map<(d, i, j) -> (d, i)>
    func.func @fft(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
      %cos = arith.constant dense<[ [1.0, 1.0, 1.0, 1.0], [1.0, 0.0, -1.0, 0.0],
        [1.0, -1.0, 1.0, -1.0] ]> : tensor<3x4xf32>
      %sin = arith.constant dense<[ [0.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 1.0],
        [0.0, 0.0, 0.0, 0.0] ]> : tensor<3x4xf32>
      %icos = arith.constant dense<[ [0.25, 0.5, 0.25], [0.25, 0.0, -0.25],
        [0.25, -0.5, 0.25], [0.25, 0.0, -0.25] ]> : tensor<4x3xf32>
      %isin = arith.constant dense<[ [0.0, 0.0, 0.0], [0.0, -0.5, 0.0],
        [0.0, 0.0, 0.0], [0.0, 0.5, 0.0] ]> : tensor<4x3xf32>
      %k = arith.constant dense<[ [0.5, -1.25] ]> : tensor<1x2xf32>
      %zero = arith.constant 0.0 : f32
      %f = arith.constant dense<0.0> : tensor<1x3xf32>
      %t = arith.constant dense<0.0> : tensor<1x4xf32>
      %xp = tensor.pad %x low[0, 0] high[0, 2] {
      ^bb0(%i: index, %j: index):
        tensor.yield %zero : f32
      } : tensor<1x2xf32> to tensor<1x4xf32>
      %kp = tensor.pad %k low[0, 0] high[0, 2] {
      ^bb0(%i: index, %j: index):
        tensor.yield %zero : f32
      } : tensor<1x2xf32> to tensor<1x4xf32>
      %xr = linalg.contract indexing_maps = [#x, #m, #y]
        ins(%xp, %cos : tensor<1x4xf32>, tensor<3x4xf32>)
        outs(%f : tensor<1x3xf32>) -> tensor<1x3xf32>
      %xi = linalg.contract indexing_maps = [#x, #m, #y]
        ins(%xp, %sin : tensor<1x4xf32>, tensor<3x4xf32>)
        outs(%f : tensor<1x3xf32>) -> tensor<1x3xf32>
      %kr = linalg.contract indexing_maps = [#x, #m, #y]
        ins(%kp, %cos : tensor<1x4xf32>, tensor<3x4xf32>)
        outs(%f : tensor<1x3xf32>) -> tensor<1x3xf32>
      %ki = linalg.contract indexing_maps = [#x, #m, #y]
        ins(%kp, %sin : tensor<1x4xf32>, tensor<3x4xf32>)
        outs(%f : tensor<1x3xf32>) -> tensor<1x3xf32>
      %a = arith.mulf %xr, %kr : tensor<1x3xf32>
      %b = arith.mulf %xi, %ki : tensor<1x3xf32>
      %yr = arith.subf %a, %b : tensor<1x3xf32>
      %c = arith.mulf %xr, %ki : tensor<1x3xf32>
      %d = arith.mulf %xi, %kr : tensor<1x3xf32>
      %yi = arith.addf %c, %d : tensor<1x3xf32>
      %v = linalg.contract indexing_maps = [#x, #m, #y]
        ins(%yr, %icos : tensor<1x3xf32>, tensor<4x3xf32>)
        outs(%t : tensor<1x4xf32>) -> tensor<1x4xf32>
      %w = linalg.contract indexing_maps = [#x, #m, #y]
        ins(%yi, %isin : tensor<1x3xf32>, tensor<4x3xf32>)
        outs(%t : tensor<1x4xf32>) -> tensor<1x4xf32>
      %u = arith.addf %v, %w : tensor<1x4xf32>
      %y = tensor.extract_slice %u[0, 0] [1, 2] [1, 1] : tensor<1x4xf32> to tensor<1x2xf32>
      return %y : tensor<1x2xf32>
    }
    ```
    becomes
    ```mlir
    func.func @fft(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
      %k = arith.constant dense<[ [0.5, -1.25] ]> : tensor<1x2xf32>
      %e = tensor.expand_shape %x [ [0], [1, 2] ] output_shape [1, 1, 2]
        : tensor<1x2xf32> into tensor<1x1x2xf32>
      %c = ssm.long_conv %e, %k : tensor<1x1x2xf32>, tensor<1x2xf32>
      %y = tensor.collapse_shape %c [ [0], [1, 2] ]
        : tensor<1x1x2xf32> into tensor<1x2xf32>
      return %y : tensor<1x2xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::tensor::TensorDialect", "::itera::ssm::SSMDialect"];
  let statistics = [
    Statistic<"raised", "raised", "Convolutions found">];
}

def RecognizeSsdPass : Pass<"ssm-recognize-ssd", "::mlir::func::FuncOp"> {
  let summary = "Raise closed forms of linear recurrences to the recurrence";
  let description = [{
    Exporters of whole-sequence models write h_t = exp(d_t) * h_(t-1) + u_t,
    y_t = C_t h_t without a loop: as state space duality in chunks (Mamba-2:
    running sums, masked exponentials of their differences, products inside of
    and between chunks), as running sums divided by products of decays, or in a
    logarithmic number of steps that pair each frame with an earlier one. This
    pass finds such a region and replaces it by the recurrence itself, which
    also is exact where the closed form loses digits.

    The algebra is not matched op by op. From the exponentials of sums of one
    value, the decay (or of the decay itself, if decays are multiplied with
    decays shifted in time), the pass follows everything downward to a value through
    which all of it goes; cuts out the region above it; finds which dimensions
    of its values are the same axis; and then proves by evaluating a small copy
    on random numbers, in double precision, that the region computes a linear
    recurrence of its inputs: which of them is injected and which is read out
    is found by trying. A region holds only ops that make its result an
    analytic function of the inputs, so agreement at random points is equality.

    Covered on the way: any chunk length, numbers of frames that are no
    multiple of it (padded and cut off), groups of B and C, last states that
    are outputs, first states that are inputs, any order of dimensions.

    The result is an `ssm.selective_scan` if the decay is dt * A and dt is a
    factor of what is injected; otherwise an `ssm.scan`, for
    `ssm-recognize-recurrences`. Where a value has the decay's exponentials
    but no recurrence is found, a missed remark of category `raise` says why.

    Before:
    ```mlir
    func.func @sum_of_quotients(%d: tensor<16x4xf32>, %u: tensor<16x4xf32>) -> tensor<16x4xf32> {
      %s = ssm.cumsum %d dim 0 : tensor<16x4xf32>
      %p = math.exp %s : tensor<16x4xf32>
      %q = arith.divf %u, %p : tensor<16x4xf32>
      %r = ssm.cumsum %q dim 0 : tensor<16x4xf32>
      %h = arith.mulf %r, %p : tensor<16x4xf32>
      return %h : tensor<16x4xf32>
    }
    ```
    After:
    ```mlir
    func.func @sum_of_quotients(%d: tensor<16x4xf32>, %u: tensor<16x4xf32>) -> tensor<16x4xf32> {
      %zero = arith.constant dense<0.0> : tensor<4xf32>
      %h:2 = ssm.scan init(%zero : tensor<4xf32>) sequences(%d, %u : tensor<16x4xf32>, tensor<16x4xf32>) length 16 {
      ^bb0(%state: tensor<4xf32>, %dt: tensor<4xf32>, %ut: tensor<4xf32>):
        %a = math.exp %dt : tensor<4xf32>
        %m = arith.mulf %a, %state : tensor<4xf32>
        %n = arith.addf %m, %ut : tensor<4xf32>
        ssm.yield %n, %n : tensor<4xf32>, tensor<4xf32>
      } {sequence_dims = array<i64: 0, 0>, stack_dims = array<i64: 0>} -> tensor<4xf32>, tensor<16x4xf32>
      return %h#1 : tensor<16x4xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::itera::ssm::SSMDialect", "::mlir::arith::ArithDialect",
    "::mlir::func::FuncDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect"];
  let statistics = [
    Statistic<"numForms", "forms", "Number of closed forms raised">];
}

def SimplifyTransposesPass : Pass<"ssm-simplify-transposes", "::mlir::func::FuncOp"> {
  let summary = "Remove transposes that only undo each other";
  let description = [{
    Composes transposes, makes those that move only dimensions of size one
    reshapes, lets matmuls read transposed operands in place, and absorbs a
    transpose into what leads to it where that costs nothing: other transposes,
    constants, broadcasts, matmuls, and elementwise ops and slices over them.
    An op is rebuilt only if nothing else reads it, so no work is done twice
    and there are never more transposes than before.

    ```mlir
    func.func @f(%x: tensor<1x4x8xf32>) -> tensor<1x4x8xf32> {
      %e = tensor.empty() : tensor<1x8x4xf32>
      %a = linalg.transpose ins(%x : tensor<1x4x8xf32>)
        outs(%e : tensor<1x8x4xf32>) permutation = [0, 2, 1]
      %b = ssm.silu %a : tensor<1x8x4xf32>
      %f = tensor.empty() : tensor<1x4x8xf32>
      %c = linalg.transpose ins(%b : tensor<1x8x4xf32>)
        outs(%f : tensor<1x4x8xf32>) permutation = [0, 2, 1]
      return %c : tensor<1x4x8xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: tensor<1x4x8xf32>) -> tensor<1x4x8xf32> {
      %c = ssm.silu %x : tensor<1x4x8xf32>
      return %c : tensor<1x4x8xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::itera::ssm::SSMDialect", "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
  let statistics = [
    Statistic<"numAbsorbed", "absorbed", "Number of transposes absorbed">];
}

#endif // ITERA_TRANSFORMS_RAISE_RECURRENCEPASSES_TD
