// SPDX-License-Identifier: Apache-2.0

#include "ProgramTable.h"

#include "itera/Dialect/SSM/SSM.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/IRBuilder.h"

using namespace itera;
using namespace llvm;

namespace {

/// Builds constants whose layout is that of the C structs of abi.h and
/// program.h: 32-bit and 64-bit members at their natural offsets, no padding.
struct ConstantWriter {
  Module &module;
  LLVMContext &context = module.getContext();
  PointerType *pointer = PointerType::get(context, 0);

  Constant *u32(int64_t value) {
    return ConstantInt::getSigned(Type::getInt32Ty(context), value);
  }
  Constant *u64(uint64_t value) {
    return ConstantInt::get(Type::getInt64Ty(context), value);
  }
  Constant *global(Constant *value, const Twine &name) {
    auto *variable =
        new GlobalVariable(module, value->getType(), /*isConstant=*/true,
                           GlobalValue::PrivateLinkage, value, name);
    variable->setAlignment(Align(8));
    return variable;
  }
  Constant *text(StringRef value, const Twine &name) {
    return global(ConstantDataArray::getString(context, value), name);
  }
  Constant *structure(ArrayRef<Constant *> members) {
    return ConstantStruct::getAnon(context, members);
  }

  /// An array of itera_tensor_info.
  Constant *tensors(ArrayRef<InterfaceTensor> list, const Twine &name) {
    if (list.empty())
      return ConstantPointerNull::get(pointer);
    SmallVector<Constant *> records;
    for (const InterfaceTensor &tensor : list) {
      Constant *dims = ConstantPointerNull::get(pointer);
      if (!tensor.dims.empty()) {
        SmallVector<uint64_t> sizes(tensor.dims.begin(), tensor.dims.end());
        dims = global(ConstantDataArray::get(context, sizes), name + ".dims");
      }
      records.push_back(structure(
          {u32(80), u32(tensor.dtype), text(tensor.name, name + ".name"), dims,
           u32(tensor.dims.size()), u32(0), u64(tensor.bytes), u32(-1), u32(-1),
           u64(0), u64(1), u64(0), text("", name + ".node")}));
    }
    auto *type = ArrayType::get(records.front()->getType(), records.size());
    return global(ConstantArray::get(type, records), name);
  }
};

} // namespace

/// void(ptr call), see itera_call of program.h.
static Function *addForwardEntry(Module &module, const ProgramInfo &info) {
  LLVMContext &context = module.getContext();
  auto *pointer = PointerType::get(context, 0);
  auto *type = FunctionType::get(Type::getVoidTy(context), {pointer}, false);
  auto *entry = Function::Create(type, GlobalValue::InternalLinkage,
                                 "itera_forward_entry", module);
  Function *forward = module.getFunction(ssm::kForwardName);
  forward->setLinkage(GlobalValue::InternalLinkage);
  IRBuilder<> b(BasicBlock::Create(context, "", entry));
  auto member = [&](unsigned index) {
    return b.CreateLoad(pointer, b.CreateConstGEP1_32(pointer, entry->getArg(0), index));
  };
  SmallVector<Value *> arguments;
  for (auto [role, parameter] :
       zip(info.forwardArguments, forward->args())) {
    Value *value = nullptr;
    switch (role.kind) {
    case ArgumentRole::input:
    case ArgumentRole::output: {
      Value *array = member(role.kind == ArgumentRole::output);
      value = b.CreateLoad(pointer, b.CreateConstGEP1_32(pointer, array, role.index));
      break;
    }
    case ArgumentRole::scratch:
      value = member(2);
      break;
    case ArgumentRole::weights:
      value = member(3);
      break;
    }
    arguments.push_back(value);
    // What the runtime promises of the buffers.
    if (role.kind != ArgumentRole::input)
      parameter.addAttr(Attribute::NoAlias);
    if (role.kind == ArgumentRole::weights || role.kind == ArgumentRole::scratch)
      parameter.addAttr(Attribute::getWithAlignment(context, Align(64)));
  }
  b.CreateCall(forward, arguments);
  b.CreateRetVoid();
  return entry;
}

void itera::addProgramTable(Module &module, const ProgramInfo &info,
                            const TargetSpec &target) {
  ConstantWriter w{module};
  Constant *weights = ConstantPointerNull::get(w.pointer);
  if (info.weightBytes > 0) {
    auto *symbol =
        new GlobalVariable(module, Type::getInt8Ty(w.context), true,
                           GlobalValue::ExternalLinkage, nullptr, "itera_weights");
    symbol->setVisibility(GlobalValue::HiddenVisibility);
    // The image can be far away: see the weight object.
    symbol->setCodeModel(CodeModel::Large);
    weights = symbol;
  }
  Constant *table = w.structure(
      {w.u32(128), w.u32(2), w.text(info.name, "name"),
       w.text(info.compilerVersion, "compiler_version"),
       w.text(info.flags, "flags"),
       w.text(target.triple + " " + target.cpu, "target"),
       w.text(info.sourceHash, "source_hash"), w.tensors(info.inputs, "inputs"),
       w.tensors(info.outputs, "outputs"), w.u32(info.inputs.size()),
       w.u32(info.outputs.size()), w.u64(info.scratchBytes), w.u64(64), weights,
       w.u64(info.weightBytes), w.u64(info.requiredCpuFeatures),
       addForwardEntry(module, info), ConstantPointerNull::get(w.pointer)});
  auto *program =
      new GlobalVariable(module, table->getType(), true,
                         GlobalValue::ExternalLinkage, table, "itera_program");
  program->setVisibility(GlobalValue::HiddenVisibility);
  program->setAlignment(Align(8));
}

void itera::addKernelEntry(Module &module, const LinkedKernel &kernel) {
  LLVMContext &context = module.getContext();
  Type *i8 = Type::getInt8Ty(context), *i16 = Type::getInt16Ty(context),
       *i32 = Type::getInt32Ty(context), *i64 = Type::getInt64Ty(context);
  auto *pointer = PointerType::get(context, 0);
  // halide_buffer_t: device, device_interface, host, flags, type, dimensions,
  // dim, padding. halide_dimension_t: min, extent, stride, flags.
  auto *bufferType = StructType::get(
      context, {i64, pointer, pointer, i64, i8, i8, i16, i32, pointer, pointer});

  Function *entry = module.getFunction("itera_kernel_" + kernel.name);
  entry->setLinkage(GlobalValue::InternalLinkage);
  IRBuilder<> b(BasicBlock::Create(context, "", entry));
  SmallVector<Value *> arguments;
  for (const KernelBuffer &buffer : kernel.compiled->buffers) {
    SmallVector<uint32_t> dims;
    for (const KernelBuffer::Dim &dim : buffer.dims)
      dims.append({uint32_t(dim.min), uint32_t(dim.extent), uint32_t(dim.stride), 0});
    Constant *dimValues = ConstantPointerNull::get(pointer);
    if (!dims.empty()) {
      auto *data = ConstantDataArray::get(context, dims);
      dimValues = new GlobalVariable(module, data->getType(), true,
                                     GlobalValue::PrivateLinkage, data, "dims");
    }
    // Everything but `host` is fixed: one constant, copied and patched.
    Constant *fixed = ConstantStruct::get(
        bufferType,
        {ConstantInt::get(i64, 0), ConstantPointerNull::get(pointer),
         ConstantPointerNull::get(pointer), ConstantInt::get(i64, 0),
         ConstantInt::get(i8, buffer.typeCode), ConstantInt::get(i8, buffer.bits),
         ConstantInt::get(i16, 1), ConstantInt::get(i32, buffer.dims.size()),
         dimValues, ConstantPointerNull::get(pointer)});
    Value *slot = b.CreateAlloca(bufferType);
    b.CreateStore(fixed, slot);
    Value *host = b.CreateConstGEP1_64(i8, entry->getArg(buffer.argument),
                                       buffer.byteOffset);
    b.CreateStore(host, b.CreateStructGEP(bufferType, slot, 2));
    arguments.push_back(slot);
  }
  SmallVector<Type *> types(arguments.size(), pointer);
  FunctionCallee callee = module.getOrInsertFunction(
      kernel.name, FunctionType::get(i32, types, false));
  cast<Function>(callee.getCallee())->setVisibility(GlobalValue::HiddenVisibility);
  b.CreateCall(callee, arguments);
  b.CreateRetVoid();
}
