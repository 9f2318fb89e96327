// SPDX-License-Identifier: Apache-2.0
// ssm.scan, ssm.yield: a region run once per time step.

#ifndef ITERA_DIALECT_SSM_SSMSTRUCTUREOPS_TD
#define ITERA_DIALECT_SSM_SSMSTRUCTUREOPS_TD

include "itera/Dialect/SSM/SSMBase.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"

def SSM_ScanOp : SSM_Op<"scan", [
    AttrSizedOperandSegments, SingleBlock, RecursiveMemoryEffects]> {
  let summary = "Run a region once per time step with carried states";
  let description = [{
    Runs the body `length` times, for step t = 0, 1, ... (t = length-1, ..., 0
    when `reverse`). The body's arguments are the carried states, then one
    slice of each sequence. It yields the next states, then one result per
    stacked output.

    * `inits`: the states before the first step. Any shapes.
    * `sequences`: `sequence_dims[i]` is the time dimension of sequence i,
      which has size `length`; the body sees the slice without it.
    * Values from outside that the body uses are invariants.
    * Results: the last states, then each stacked output, which has a time
      dimension of size `length` inserted at `stack_dims[j]`. Entry t of a
      stacked output is what step t yielded, also when `reverse`.

    Constraints:
    * (scan_c1) one sequence_dims entry per sequence, within its rank.
    * (scan_c2) every sequence has size `length` along its time dimension.
    * (scan_c3) body arguments match the states and the slices.
    * (scan_c4) yielded types match the states, then the stacked results
      without their time dimension.
    * (scan_c5) one stack_dims entry per stacked result, within its rank.

    ```mlir
    func.func @scan(%h0: tensor<4xf32>, %a: tensor<16x4xf32>,
        %u: tensor<16x4xf32>) -> (tensor<4xf32>, tensor<16x4xf32>) {
      %last, %h = ssm.scan init(%h0 : tensor<4xf32>)
          sequences(%a, %u : tensor<16x4xf32>, tensor<16x4xf32>) length 16 {
      ^bb0(%s: tensor<4xf32>, %at: tensor<4xf32>, %ut: tensor<4xf32>):
        %m = arith.mulf %at, %s : tensor<4xf32>
        %n = arith.addf %m, %ut : tensor<4xf32>
        ssm.yield %n, %n : tensor<4xf32>, tensor<4xf32>
      } {sequence_dims = array<i64: 0, 0>, stack_dims = array<i64: 0>}
        -> tensor<4xf32>, tensor<16x4xf32>
      return %last, %h : tensor<4xf32>, tensor<16x4xf32>
    }
    ```
  }];
  let arguments = (ins
    Variadic<SSM_Tensor>:$inits,
    Variadic<SSM_Tensor>:$sequences,
    I64Attr:$length,
    DenseI64ArrayAttr:$sequence_dims,
    DenseI64ArrayAttr:$stack_dims,
    UnitAttr:$reverse);
  let results = (outs Variadic<SSM_Tensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    (`init` `(` $inits^ `:` type($inits) `)`)?
    (`sequences` `(` $sequences^ `:` type($sequences) `)`)?
    `length` $length (`reverse` $reverse^)? $body attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    /// The results that are states after the last step, one per init.
    ::mlir::ResultRange getLastStates() {
      return getResults().take_front(getInits().size());
    }
    /// The results that hold one entry per step.
    ::mlir::ResultRange getStacked() {
      return getResults().drop_front(getInits().size());
    }
    /// The body's arguments that carry the states.
    ::mlir::Block::BlockArgListType getStateArguments() {
      return getBody().front().getArguments().take_front(getInits().size());
    }
    /// The body's arguments that are slices of the sequences.
    ::mlir::Block::BlockArgListType getSliceArguments() {
      return getBody().front().getArguments().drop_front(getInits().size());
    }
  }];
  let hasVerifier = 1;
}

def SSM_YieldOp : SSM_Op<"yield", [
    Pure, Terminator, ReturnLike, HasParent<"ScanOp">]> {
  let summary = "End one step of a scan";
  let description = [{
    Yields the next states, then what the step adds to each stacked output.

    ```mlir
    func.func @sum(%zero: tensor<4xf32>, %x: tensor<16x4xf32>) -> tensor<4xf32> {
      %sum = ssm.scan init(%zero : tensor<4xf32>)
          sequences(%x : tensor<16x4xf32>) length 16 {
      ^bb0(%s: tensor<4xf32>, %xt: tensor<4xf32>):
        %n = arith.addf %s, %xt : tensor<4xf32>
        ssm.yield %n : tensor<4xf32>
      } {sequence_dims = array<i64: 0>, stack_dims = array<i64>} -> tensor<4xf32>
      return %sum : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

#endif // ITERA_DIALECT_SSM_SSMSTRUCTUREOPS_TD
