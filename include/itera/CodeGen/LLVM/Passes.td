// SPDX-License-Identifier: Apache-2.0
// Stage `emit`, as far as it is MLIR: from loops over buffers to LLVM.

#ifndef ITERA_CODEGEN_LLVM_PASSES_TD
#define ITERA_CODEGEN_LLVM_PASSES_TD

include "mlir/Pass/PassBase.td"

def CallKernelsPass : Pass<"ssm-call-kernels", "::mlir::ModuleOp"> {
  let summary = "Turn bufferised ssm.kernel ops into calls of external functions";
  let description = [{
    `ssm.kernel @kernels::@k(%a, %b)` becomes a call of the external function
    `itera_kernel_k`, and the module `@kernels` is dropped: its functions are
    compiled elsewhere.

    ```mlir
    func.func @f(%x: memref<4xf32>, %y: memref<4xf32>) {
      ssm.kernel @kernels::@k(%x, %y) : (memref<4xf32>, memref<4xf32>) -> ()
      return
    }
    module @kernels {
      func.func @k(%x: tensor<4xf32>) -> tensor<4xf32> {
        %y = ssm.silu %x : tensor<4xf32>
        return %y : tensor<4xf32>
      }
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: memref<4xf32>, %y: memref<4xf32>) {
      call @itera_kernel_k(%x, %y) : (memref<4xf32>, memref<4xf32>) -> ()
      return
    }
    func.func private @itera_kernel_k(memref<4xf32>, memref<4xf32>)
    ```
  }];
  let dependentDialects = ["::mlir::func::FuncDialect"];
}

def LowerCopiesPass : Pass<"ssm-lower-copies", "::mlir::func::FuncOp"> {
  let summary = "Write copies between strided buffers as loops";
  let description = [{
    Upstream lowers a `memref.copy` of a strided buffer to a call of a runtime
    function, which an artefact does not have. Dense copies stay: they become
    `memcpy`.

    ```mlir
    func.func @f(%x: memref<4xf32, strided<[2]>>, %y: memref<4xf32>) {
      memref.copy %x, %y : memref<4xf32, strided<[2]>> to memref<4xf32>
      return
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: memref<4xf32, strided<[2]>>, %y: memref<4xf32>) {
      linalg.generic {
          indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
          iterator_types = ["parallel"]}
        ins(%x : memref<4xf32, strided<[2]>>) outs(%y : memref<4xf32>) {
      ^bb0(%in: f32, %out: f32):
        linalg.yield %in : f32
      }
      return
    }
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect"];
}

def ApproximateMathPass : Pass<"ssm-approximate-math", "::mlir::func::FuncOp"> {
  let summary = "Replace math functions by polynomials and check that none is left";
  let description = [{
    An artefact has no libm. What the target's instructions do not give
    (exp, log, tanh, erf, powers, ...) becomes upstream's polynomial
    approximations, good to about 1e-7 relative in f32; smaller float types go
    through f32. A function that remains, such as `math.exp` on f64, is an error
    that names the op.

    ```mlir
    func.func @f(%x: f32) -> f32 {
      %y = math.rsqrt %x : f32
      return %y : f32
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: f32) -> f32 {
      %one = arith.constant 1.0 : f32
      %s = math.sqrt %x : f32
      %y = arith.divf %one, %s : f32
      return %y : f32
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::vector::VectorDialect"];
}

def GuardDivisionsPass : Pass<"ssm-guard-divisions", "::mlir::func::FuncOp"> {
  let summary = "Define integer division where a CPU may trap";
  let description = [{
    A divisor may come from the model's inputs, and x86-64 ends the process when
    it is zero or the quotient overflows. Afterwards `x / 0 = 0`, `x % 0 = 0`,
    `min / -1 = min` and `min % -1 = 0`, on every target:

    ```mlir
    func.func @f(%x: i32, %d: i32) -> i32 {
      %q = arith.divui %x, %d : i32
      return %q : i32
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: i32, %d: i32) -> i32 {
      %c0 = arith.constant 0 : i32
      %z = arith.cmpi eq, %d, %c0 : i32
      %c1 = arith.constant 1 : i32
      %s = arith.select %z, %c1, %d : i32
      %t = arith.divui %x, %s : i32
      %q = arith.select %z, %c0, %t : i32
      return %q : i32
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def ReplaceEmptyArgumentsPass
    : Pass<"ssm-replace-empty-arguments", "::mlir::func::FuncOp"> {
  let summary = "Give arguments without elements a type that LLVM can take";
  let description = [{
    Upstream makes no bare pointer of a buffer such as `memref<5x0xf32>`, whose
    outer stride is zero. Nothing is read or written through it, so its uses get
    an empty buffer of the function's own:

    ```mlir
    func.func @f(%a: memref<5x0xf32>) {
      linalg.exp ins(%a : memref<5x0xf32>) outs(%a : memref<5x0xf32>)
      return
    }
    ```
    becomes
    ```mlir
    func.func @f(%a: memref<0xf32>) {
      %b = memref.alloca() : memref<5x0xf32>
      linalg.exp ins(%b : memref<5x0xf32>) outs(%b : memref<5x0xf32>)
      return
    }
    ```
  }];
  let dependentDialects = ["::mlir::memref::MemRefDialect"];
}

#endif // ITERA_CODEGEN_LLVM_PASSES_TD
