// SPDX-License-Identifier: Apache-2.0

#include "itera/CodeGen/LLVM/Emit.h"
#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace itera;

/// The itera_dtype (abi.h) of an element type; 0 if it has none.
static uint32_t dtypeOf(Type type, bool isUnsigned) {
  if (type.isF32())
    return 1;
  if (type.isF16())
    return 10;
  if (type.isF64())
    return 11;
  if (type.isBF16())
    return 16;
  if (type.isInteger(1))
    return 9;
  if (type.isInteger(8))
    return isUnsigned ? 2 : 3;
  if (type.isInteger(16))
    return isUnsigned ? 4 : 5;
  if (type.isInteger(32))
    return isUnsigned ? 12 : 6;
  if (type.isInteger(64))
    return isUnsigned ? 13 : 7;
  return 0;
}

static FailureOr<InterfaceTensor> describe(func::FuncOp function, Type type,
                                           bool isUnsigned, StringRef name) {
  auto buffer = dyn_cast<MemRefType>(type);
  InterfaceTensor tensor;
  if (buffer)
    tensor.dtype = dtypeOf(buffer.getElementType(), isUnsigned);
  if (!buffer || !buffer.hasStaticShape() || tensor.dtype == 0)
    return function.emitError("expected '")
           << name
           << "' to be a buffer of a type that the C interface has, but got "
           << type;
  tensor.name = name.str();
  tensor.dims.assign(buffer.getShape().begin(), buffer.getShape().end());
  tensor.bytes = buffer.getNumElements() *
                 llvm::divideCeil(buffer.getElementTypeBitWidth(), 8);
  return tensor;
}

static std::string textAttr(ModuleOp module, StringRef name) {
  auto attr = module->getAttrOfType<StringAttr>(name);
  return attr ? attr.str() : "";
}

FailureOr<ProgramInfo> itera::readProgramInfo(ModuleOp planned) {
  auto forward = planned.lookupSymbol<func::FuncOp>(ssm::kForwardName);
  if (!forward)
    return planned.emitError("expected a function @") << ssm::kForwardName;
  ProgramInfo info;
  info.name = textAttr(planned, ssm::kModelNameAttr);
  info.sourceHash = textAttr(planned, ssm::kSourceHashAttr);
  auto outputNames = forward->getAttrOfType<ArrayAttr>(ssm::kOutputsAttr);
  for (unsigned i = 0; i < forward.getNumArguments(); ++i) {
    Type type = forward.getArgumentTypes()[i];
    if (forward.getArgAttr(i, ssm::kWeightImageAttr)) {
      info.weightBytes = cast<MemRefType>(type).getNumElements();
      info.forwardArguments.push_back({ArgumentRole::weights});
      continue;
    }
    if (forward.getArgAttr(i, ssm::kScratchAttr)) {
      info.scratchBytes = cast<MemRefType>(type).getNumElements();
      info.forwardArguments.push_back({ArgumentRole::scratch});
      continue;
    }
    auto name = forward.getArgAttrOfType<StringAttr>(i, ssm::kNameAttr);
    bool isInput = static_cast<bool>(name);
    std::vector<InterfaceTensor> &list = isInput ? info.inputs : info.outputs;
    unsigned index = list.size();
    std::string text = isInput ? name.str() : "output" + std::to_string(index);
    if (!isInput && outputNames && index < outputNames.size())
      text = cast<StringAttr>(outputNames[index]).str();
    FailureOr<InterfaceTensor> tensor = describe(
        forward, type, bool(forward.getArgAttr(i, ssm::kUnsignedAttr)), text);
    if (failed(tensor))
      return failure();
    info.forwardArguments.push_back(
        {isInput ? ArgumentRole::input : ArgumentRole::output, index});
    list.push_back(*tensor);
  }
  if (forward.getNumResults() != 0)
    return forward.emitError(
        "expected a planned function, which returns nothing");
  return info;
}
