// SPDX-License-Identifier: Apache-2.0
// Weights, and calls of kernels.

#ifndef ITERA_DIALECT_SSM_SSMWEIGHTOPS_TD
#define ITERA_DIALECT_SSM_SSMWEIGHTOPS_TD

include "itera/Dialect/SSM/SSMBase.td"
include "mlir/IR/SymbolInterfaces.td"

def SSM_WeightOp : SSM_Op<"weight", [Pure, AllTypesMatch<["value", "result"]>]> {
  let summary = "A named constant of the model";
  let description = [{
    The value is a dense resource, normally a view of the mapped model file,
    so that weights are never copied into attributes. `file` and `offset` say
    where the bytes are, when they came from a file unchanged. The op is on
    purpose not constant-like: nothing folds through a weight by accident.

    Constraints:
    * (weight_c1) value is a dense resource or a dense constant.

    ```mlir
    func.func @weight() -> tensor<2x2xf32> {
      %w = ssm.weight "layers.0.in_proj"
          dense_resource<in_proj> : tensor<2x2xf32>
      return %w : tensor<2x2xf32>
    }
    {-# dialect_resources: { builtin: {
      in_proj: "0x040000000000803F000000400000404000008040"
    } } #-}
    ```
  }];
  let arguments = (ins StrAttr:$name, TypedAttrInterface:$value,
    OptionalAttr<StrAttr>:$file, OptionalAttr<I64Attr>:$offset);
  let results = (outs SSM_Tensor:$result);
  let assemblyFormat = "$name $value attr-dict";
  let hasVerifier = 1;
}

def SSM_KernelOp : SSM_Op<"kernel", [
    DeclareOpInterfaceMethods<SymbolUserOpInterface>,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "Call a kernel";
  let description = [{
    Calls the function `callee` of the module's nested module `@kernels`,
    which is compiled as one kernel. On tensors the op has results and no
    side effect. After bufferisation it has none: its operands are the
    buffers of the inputs followed by those of the results.

    Constraints:
    * (kernel_c1) callee is a function whose type matches.

    ```mlir
    func.func @add(%a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {
      %y = ssm.kernel @kernels::@add_0(%a, %b)
        : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
      return %y : tensor<4xf32>
    }
    module @kernels {
      func.func @add_0(%a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {
        %y = arith.addf %a, %b : tensor<4xf32>
        return %y : tensor<4xf32>
      }
    }
    ```
  }];
  let arguments = (ins SymbolRefAttr:$callee, Variadic<AnyType>:$arguments);
  let results = (outs Variadic<AnyType>:$results);
  let assemblyFormat = [{
    $callee `(` $arguments `)` attr-dict `:` functional-type($arguments, $results)
  }];
}

#endif // ITERA_DIALECT_SSM_SSMWEIGHTOPS_TD
