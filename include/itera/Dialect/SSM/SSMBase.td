// SPDX-License-Identifier: Apache-2.0
// The dialect, its enums and what every op definition needs.

#ifndef ITERA_DIALECT_SSM_SSMBASE_TD
#define ITERA_DIALECT_SSM_SSMBASE_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def SSM_Dialect : Dialect {
  let name = "ssm";
  let cppNamespace = "::itera::ssm";
  let summary = "Recurrences and layers of state space models";
  let description = [{
    The dialect holds what upstream dialects lack for state space models:
    scans and their closed recurrences, the layers around them, a few tensor
    movements that model files use, and weights that stay in their file.
    Everything elementwise is `arith` and `math` on tensors; movement is
    `tensor`; the rest is `linalg` on tensors.

    All tensors are ranked and static. Ops are pure: values in, values out.
    Unless an op says otherwise, an activation tensor has the time dimension
    before the channel dimension (`[B, T, D]`: batch, time, channel).
  }];
  let useDefaultAttributePrinterParser = 1;
}

class SSM_Op<string mnemonic, list<Trait> traits = []>
    : Op<SSM_Dialect, mnemonic, traits>;

def SSM_Tensor : StaticShapeTensorOf<[AnyType]>;
def SSM_FloatTensor : StaticShapeTensorOf<[AnyFloat]>;
def SSM_IntegerTensor : StaticShapeTensorOf<[AnySignlessInteger]>;

def SSM_NormKind : I32EnumAttr<"NormKind", "what a norm normalises by", [
    I32EnumAttrCase<"layer", 0>, I32EnumAttrCase<"rms", 1>]> {
  let cppNamespace = "::itera::ssm";
  let genSpecializedAttr = 0;
}
def SSM_NormKindAttr : EnumAttr<SSM_Dialect, SSM_NormKind, "norm_kind"> {
  let assemblyFormat = "$value";
}

def SSM_Activation : I32EnumAttr<"Activation", "pointwise activation", [
    I32EnumAttrCase<"none", 0>, I32EnumAttrCase<"silu", 1>,
    I32EnumAttrCase<"gelu", 2>, I32EnumAttrCase<"gelu_tanh", 3>,
    I32EnumAttrCase<"relu", 4>]> {
  let cppNamespace = "::itera::ssm";
  let genSpecializedAttr = 0;
}
def SSM_ActivationAttr : EnumAttr<SSM_Dialect, SSM_Activation, "activation"> {
  let assemblyFormat = "$value";
}

def SSM_ScatterKind : I32EnumAttr<"ScatterKind", "how updates combine", [
    I32EnumAttrCase<"replace", 0>, I32EnumAttrCase<"add", 1>,
    I32EnumAttrCase<"mul", 2>, I32EnumAttrCase<"max", 3>,
    I32EnumAttrCase<"min", 4>]> {
  let cppNamespace = "::itera::ssm";
  let genSpecializedAttr = 0;
}
def SSM_ScatterKindAttr : EnumAttr<SSM_Dialect, SSM_ScatterKind, "scatter_kind"> {
  let assemblyFormat = "$value";
}

def SSM_InputScales : I32EnumAttr<"InputScales", "what has a scale of its own when the input of a linear is rounded to int8", [
    I32EnumAttrCase<"token", 0>, I32EnumAttrCase<"group", 1>]> {
  let cppNamespace = "::itera::ssm";
  let genSpecializedAttr = 0;
}
def SSM_InputScalesAttr : EnumAttr<SSM_Dialect, SSM_InputScales, "input_scales"> {
  let assemblyFormat = "$value";
}

def SSM_PrecisionAttr : AttrDef<SSM_Dialect, "Precision"> {
  let mnemonic = "precision";
  let summary = "How a weight of ssm.linear or ssm.embedding is to be stored";
  let description = [{
    The discardable attribute `ssm.precision` of an `ssm.weight`: the type of
    its elements, f32, f16, bf16, i8 or i4; of integers, how many along K share a
    scale (all of a row if absent) and whether they have zero points; and how
    linears of this weight round their input, if they do.

    ```mlir
    #in_proj = #ssm.precision<storage = i4, group = 32, input = token>
    ```
  }];
  let parameters = (ins
    "::mlir::Type":$storage, DefaultValuedParameter<"int64_t", "0">:$group,
    DefaultValuedParameter<"bool", "false">:$asymmetric,
    OptionalParameter<"::itera::ssm::InputScalesAttr">:$input);
  let assemblyFormat = "`<` struct(params) `>`";
}

#endif // ITERA_DIALECT_SSM_SSMBASE_TD
