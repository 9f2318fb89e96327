// SPDX-License-Identifier: Apache-2.0
// Stage `plan`: from values to places. After it nothing is allocated at run
// time: every buffer is an argument, or a view of the weights or the scratch.

#ifndef ITERA_TRANSFORMS_PLAN_PASSES_TD
#define ITERA_TRANSFORMS_PLAN_PASSES_TD

include "mlir/Pass/PassBase.td"

def PlaceWeightsPass : Pass<"ssm-place-weights", "::mlir::ModuleOp"> {
  let summary = "Give every weight an offset in one image of all weights";
  let description = [{
    Weights of all functions get 64-byte aligned offsets in one image, equal
    ones the same. The module's attribute `ssm.weights` lists them for the
    emitter. Every function that uses weights gets the image as its last
    argument, and each `ssm.weight` becomes a read-only view of it.

    ```mlir
    func.func @forward(%x: tensor<2xf32>) -> tensor<2xf32> {
      %w = ssm.weight "w" dense<[1.0, 2.0]> : tensor<2xf32>
      %y = arith.addf %x, %w : tensor<2xf32>
      return %y : tensor<2xf32>
    }
    ```
    becomes
    ```mlir
    module attributes {ssm.weight_bytes = 64 : i64, ssm.weights = [
        {offset = 0 : i64, value = dense<[1.0, 2.0]> : tensor<2xf32>}
      ]} {
      func.func @forward(%x: tensor<2xf32>,
          %weights: memref<64xi8> {ssm.weight_image}) -> tensor<2xf32> {
        %c0 = arith.constant 0 : index
        %v = memref.view %weights[%c0][] : memref<64xi8> to memref<2xf32>
        %w = bufferization.to_tensor %v restrict : memref<2xf32> to tensor<2xf32>
        %y = arith.addf %x, %w : tensor<2xf32>
        return %y : tensor<2xf32>
      }
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::bufferization::BufferizationDialect",
    "::mlir::memref::MemRefDialect"];
}

def FuseMultiplyAddPass : Pass<"ssm-fuse-multiply-add", "::mlir::func::FuncOp"> {
  let summary = "Round products once where they are added up";
  let description = [{
    A sum of products becomes a chain of `math.fma`, as in the kernels. LLVM is
    not asked to fuse: it would choose anew in every function, by what stands
    around, and a frame would have other bits in `step` than in `prefill`. So all
    other products and sums round as they are written.

    ```mlir
    func.func @f(%x: tensor<4xf32>, %y: tensor<4xf32>, %z: tensor<f32>)
        -> tensor<f32> {
      %d = linalg.dot ins(%x, %y : tensor<4xf32>, tensor<4xf32>)
                      outs(%z : tensor<f32>) -> tensor<f32>
      return %d : tensor<f32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: tensor<4xf32>, %y: tensor<4xf32>, %z: tensor<f32>)
        -> tensor<f32> {
      %d = linalg.generic {
          indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>,
                           affine_map<(i) -> ()>],
          iterator_types = ["reduction"]}
        ins(%x, %y : tensor<4xf32>, tensor<4xf32>) outs(%z : tensor<f32>) {
      ^bb0(%a: f32, %b: f32, %sum: f32):
        %s = math.fma %a, %b, %sum : f32
        linalg.yield %s : f32
      } -> tensor<f32>
      return %d : tensor<f32>
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect"];
}

def PrepareBufferizationPass : Pass<"ssm-prepare-bufferization", "::mlir::func::FuncOp"> {
  let summary = "Rewrite tensor ops that would bufferise badly or not at all";
  let description = [{
    `tensor.concat` becomes inserts into one destination; a big splat constant
    becomes a fill, so that it takes no space in the artefact; `tensor.pad`
    with a constant becomes a fill and an insert. A slice of a concat becomes
    the concat of slices, or one slice. A power with a small constant exponent
    becomes products, while the exponent can still be seen.

    ```mlir
    func.func @f(%x: tensor<1x4xf32>, %y: tensor<2x4xf32>) -> tensor<3x4xf32> {
      %z = tensor.concat dim(0) %x, %y
        : (tensor<1x4xf32>, tensor<2x4xf32>) -> tensor<3x4xf32>
      return %z : tensor<3x4xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: tensor<1x4xf32>, %y: tensor<2x4xf32>) -> tensor<3x4xf32> {
      %i = tensor.empty() : tensor<3x4xf32>
      %j = tensor.insert_slice %x into %i[0, 0] [1, 4] [1, 1]
        : tensor<1x4xf32> into tensor<3x4xf32>
      %z = tensor.insert_slice %y into %j[1, 0] [2, 4] [1, 1]
        : tensor<2x4xf32> into tensor<3x4xf32>
      return %z : tensor<3x4xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::tensor::TensorDialect"];
}

def BufferizePass : Pass<"ssm-bufferize", "::mlir::ModuleOp"> {
  let summary = "Bufferise the functions of the module, not its kernels";
  let description = [{
    One-shot bufferisation with function boundaries and dense layouts. The
    nested module `@kernels` stays on tensors, and an `ssm.kernel` then takes
    the buffers of its inputs and results. Function arguments are inputs of
    the model: they are never written. What is said of the results moves to
    the function's attribute `ssm.outputs`.

    Without `analyze` every write goes to a copy of its destination: more
    copies, but a cost that is linear in the size of the function.

    ```mlir
    func.func @f(%x: tensor<4xf32>) -> (tensor<4xf32> {ssm.name = "y"}) {
      %i = tensor.empty() : tensor<4xf32>
      %y = linalg.exp ins(%x : tensor<4xf32>) outs(%i : tensor<4xf32>)
        -> tensor<4xf32>
      return %y : tensor<4xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: memref<4xf32>) -> memref<4xf32>
        attributes {ssm.outputs = [ {ssm.name = "y"} ]} {
      %y = memref.alloc() {alignment = 64 : i64} : memref<4xf32>
      linalg.exp ins(%x : memref<4xf32>) outs(%y : memref<4xf32>)
      return %y : memref<4xf32>
    }
    ```
  }];
  let options = [
    Option<"analyze", "analyze", "bool", "true",
           "Find writes that need no copy">];
  let dependentDialects = [
    "::mlir::bufferization::BufferizationDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect"];
}

def PlanMemoryPass : Pass<"ssm-plan-memory", "::mlir::ModuleOp"> {
  let summary = "Place every allocation in one scratch area";
  let description = [{
    Every `memref.alloc` of a function (all have static shapes) gets a 64-byte
    aligned offset in the function's scratch area, its last argument. Buffers
    that are never live together share memory: greedy by size, first fit among
    those whose lifetimes overlap (Pisarchyk and Lee 2020). A buffer lives from
    the first to the last op of the function's body that touches it or a view
    of it.

    ```mlir
    func.func @forward(%x: memref<4xf32>, %y: memref<4xf32>) {
      %a = memref.alloc() : memref<4xf32>
      linalg.exp ins(%x : memref<4xf32>) outs(%a : memref<4xf32>)
      linalg.exp ins(%a : memref<4xf32>) outs(%y : memref<4xf32>)
      return
    }
    ```
    becomes
    ```mlir
    func.func @forward(%x: memref<4xf32>, %y: memref<4xf32>,
                       %scratch: memref<64xi8> {ssm.scratch}) {
      %c0 = arith.constant 0 : index
      %a = memref.view %scratch[%c0][] : memref<64xi8> to memref<4xf32>
      linalg.exp ins(%x : memref<4xf32>) outs(%a : memref<4xf32>)
      linalg.exp ins(%a : memref<4xf32>) outs(%y : memref<4xf32>)
      return
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
  let statistics = [
    Statistic<"buffers", "buffers", "Buffers placed">,
    Statistic<"scratchBytes", "scratch-bytes", "Bytes of scratch">];
}

#endif // ITERA_TRANSFORMS_PLAN_PASSES_TD
