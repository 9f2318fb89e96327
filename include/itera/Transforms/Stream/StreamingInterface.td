// SPDX-License-Identifier: Apache-2.0
// What an op says of time: the rules of stage `stream`.

#ifndef ITERA_TRANSFORMS_STREAM_STREAMINGINTERFACE_TD
#define ITERA_TRANSFORMS_STREAM_STREAMINGINTERFACE_TD

include "mlir/IR/OpBase.td"

def StreamingOpInterface : OpInterface<"StreamingOpInterface"> {
  let cppNamespace = "::itera";
  let description = [{
    An op with this interface can be computed a few time steps at once. An op
    without it is unknown in time: a model that feeds it a value with a time
    dimension keeps to `forward`.
  }];
  let methods = [
    InterfaceMethod<[{
        The rule of the op, where `operands[k]` is the time dimension of
        operand k if it is known to have one. On failure `why` says, as the
        end of a sentence that begins with the node, what stops streaming.
      }], "::mlir::LogicalResult", "inferTime",
      (ins "::llvm::ArrayRef<std::optional<::itera::TimeDim>>":$operands,
           "::itera::TimeRule &":$rule, "std::string &":$why)>,
    InterfaceMethod<[{
        The states that the op carries from frame to frame.
      }], "::llvm::SmallVector<::itera::CarriedState>", "getCarriedStates",
      (ins "const ::itera::TimeRule &":$rule),
      /*methodBody=*/"", /*defaultImplementation=*/"return {};">,
    InterfaceMethod<[{
        Where time is in the states that the op would carry along another
        dimension, if `rule` is its rule along one in which it carries none.
      }], "std::optional<::itera::TimeDim>", "getStateTime",
      (ins "const ::itera::TimeRule &":$rule, "unsigned":$state),
      /*methodBody=*/"", /*defaultImplementation=*/"return std::nullopt;">,
    InterfaceMethod<[{
        Whether the states that the op carries depend on operand `operand`, one
        with time. Frames of an operand that only the results read need not be
        kept to compute a state anew; buildFrames() then gets zeros for them.
      }], "bool", "statesDependOn",
      (ins "const ::itera::TimeRule &":$rule, "unsigned":$operand),
      /*methodBody=*/"", /*defaultImplementation=*/"return true;">,
    InterfaceMethod<[{
        Builds the op for the frames at hand. Returns one value per result: its
        new frames; null for a result that is known at the end only.
      }], "::llvm::SmallVector<::mlir::Value>", "buildFrames",
      (ins "const ::itera::TimeRule &":$rule, "::itera::FrameBuilder &":$frames),
      /*methodBody=*/"", /*defaultImplementation=*/[{
        return ::itera::buildResized($_op, rule, frames);
      }]>,
    InterfaceMethod<[{
        Builds result `result`, of kind atEnd, after the last frame.
      }], "::mlir::Value", "buildEnd",
      (ins "unsigned":$result, "::itera::FrameBuilder &":$frames),
      /*methodBody=*/"", /*defaultImplementation=*/"return nullptr;">
  ];
}

#endif // ITERA_TRANSFORMS_STREAM_STREAMINGINTERFACE_TD
