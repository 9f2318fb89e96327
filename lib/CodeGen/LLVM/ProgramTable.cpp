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
    SmallVector<Constant *> records;
    for (const InterfaceTensor &tensor : list) {
      Constant *dims = ConstantPointerNull::get(pointer);
      if (!tensor.dims.empty()) {
        SmallVector<uint64_t> sizes(tensor.dims.begin(), tensor.dims.end());
        dims = global(ConstantDataArray::get(context, sizes), name + ".dims");
      }
      records.push_back(structure(
          {u32(80), u32(tensor.dtype), text(tensor.name, name + ".name"), dims,
           u32(tensor.dims.size()), u32(tensor.role), u64(tensor.bytes),
           u32(tensor.timeDim), u32(tensor.batchDim), u64(tensor.frames),
           u64(tensor.period), u64(tensor.latency),
           text(tensor.node, name + ".node")}));
    }
    return array(records, name);
  }

  /// The address of an array of these records, all of one type; null if empty.
  Constant *array(ArrayRef<Constant *> records, const Twine &name) {
    if (records.empty())
      return ConstantPointerNull::get(pointer);
    auto *type = ArrayType::get(records.front()->getType(), records.size());
    return global(ConstantArray::get(type, records), name);
  }
};

} // namespace

namespace {

/// Adapts planned functions to the one signature that the runtime calls:
/// void(ptr call), see itera_call of program.h.
class EntryWriter {
public:
  EntryWriter(Module &module, const ProgramInfo &info)
      : module(module), info(info) {}

  Constant *write(const EntryInfo &entry);
  Constant *write(const std::optional<EntryInfo> &entry) {
    return entry ? write(*entry)
                 : ConstantPointerNull::get(PointerType::get(module.getContext(), 0));
  }

private:
  Value *argument(IRBuilder<> &b, Value *call, const ArgumentRole &role);

  Module &module;
  const ProgramInfo &info;
};

} // namespace

Value *EntryWriter::argument(IRBuilder<> &b, Value *call,
                             const ArgumentRole &role) {
  auto *pointer = PointerType::get(module.getContext(), 0);
  // The members of itera_call, in order.
  enum { inputs, outputs, scratch, weights, constants, state, nextState, clock };
  auto member = [&](unsigned index) {
    return b.CreateLoad(pointer, b.CreateConstGEP1_32(pointer, call, index));
  };
  auto element = [&](Value *array) {
    return b.CreateLoad(pointer, b.CreateConstGEP1_32(pointer, array, role.index));
  };
  auto place = [&](Value *block, const std::vector<uint64_t> &offsets) {
    return b.CreateConstGEP1_64(Type::getInt8Ty(module.getContext()), block,
                                offsets[role.index]);
  };
  switch (role.kind) {
  case ArgumentRole::input:
    return element(member(inputs));
  case ArgumentRole::output:
    return element(member(outputs));
  case ArgumentRole::scratch:
    return member(scratch);
  case ArgumentRole::weights:
    return member(weights);
  case ArgumentRole::constant:
    return place(member(constants), info.stream->constantOffsets);
  case ArgumentRole::state:
    return place(member(state), info.stream->stateOffsets);
  case ArgumentRole::nextState:
    return place(member(nextState), info.stream->stateOffsets);
  case ArgumentRole::clock:
    return member(clock);
  }
  llvm_unreachable("a role has been forgotten");
}

Constant *EntryWriter::write(const EntryInfo &entry) {
  LLVMContext &context = module.getContext();
  auto *type = FunctionType::get(Type::getVoidTy(context),
                                 {PointerType::get(context, 0)}, false);
  auto *wrapper =
      Function::Create(type, GlobalValue::InternalLinkage,
                       "itera_" + entry.function + "_entry", module);
  Function *function = module.getFunction(entry.function);
  function->setLinkage(GlobalValue::InternalLinkage);
  IRBuilder<> b(BasicBlock::Create(context, "", wrapper));
  SmallVector<Value *> arguments;
  for (auto [role, parameter] : zip(entry.arguments, function->args())) {
    arguments.push_back(argument(b, wrapper->getArg(0), role));
    // What the runtime promises of the buffers.
    if (role.kind != ArgumentRole::input)
      parameter.addAttr(Attribute::NoAlias);
    if (role.kind != ArgumentRole::input && role.kind != ArgumentRole::output &&
        role.kind != ArgumentRole::clock)
      parameter.addAttr(Attribute::getWithAlignment(context, Align(64)));
  }
  b.CreateCall(function, arguments);
  b.CreateRetVoid();
  return wrapper;
}

/// The itera_stream of program.h.
static Constant *streamTable(ConstantWriter &w, EntryWriter &entries,
                             const ProgramInfo &info) {
  if (!info.stream)
    return ConstantPointerNull::get(w.pointer);
  const StreamInfo &stream = *info.stream;
  SmallVector<Constant *> chunks;
  for (const StreamInfo::Chunk &chunk : stream.chunks)
    chunks.push_back(
        w.structure({w.u64(chunk.frames), entries.write(chunk.entry)}));
  auto counts = [&](const std::vector<CountSteps> &list) {
    SmallVector<Constant *> records;
    for (const CountSteps &steps : list) {
      SmallVector<Constant *> numbers;
      for (const auto &[add, divide, multiply] : steps)
        numbers.push_back(
            w.structure({w.u64(add), w.u64(divide), w.u64(multiply)}));
      records.push_back(
          w.structure({w.array(numbers, "steps"), w.u64(steps.size())}));
    }
    return w.array(records, "counts");
  };
  SmallVector<Constant *> offsets, flags, bases;
  for (uint64_t offset : stream.stateOffsets)
    offsets.push_back(w.u64(offset));
  for (uint32_t flag : stream.stateFlags)
    flags.push_back(w.u32(flag));
  if (stream.rollbackWindow > 0)
    for (uint32_t base : stream.stateBases)
      bases.push_back(w.u32(int32_t(base)));
  Constant *table = w.structure(
      {w.u32(184), w.u32(chunks.size()), w.array(chunks, "chunks"),
       w.u64(stream.warmup), w.u64(stream.alignment), w.u64(stream.maxFrames),
       w.u64(stream.flushFrames), entries.write(stream.begin),
       entries.write(stream.reset), entries.write(stream.flush),
       entries.write(stream.final), w.u64(stream.constantBytes),
       w.u64(stream.stateBytes), w.tensors(stream.states, "states"),
       w.array(offsets, "state_offsets"), w.u32(stream.states.size()), w.u32(0),
       w.u64(stream.stateHash[0]), w.u64(stream.stateHash[1]),
       counts(stream.counts), counts(stream.totals),
       w.array(flags, "state_flags"), w.u64(stream.rollbackWindow),
       entries.write(stream.rollback), w.array(bases, "state_bases")});
  return w.global(table, "stream");
}

void itera::addProgramTable(Module &module, const ProgramInfo &info,
                            const TargetSpec &target) {
  ConstantWriter w{module};
  EntryWriter entries(module, info);
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
      {w.u32(136), w.u32(3), w.text(info.name, "name"),
       w.text(info.compilerVersion, "compiler_version"),
       w.text(info.flags, "flags"),
       w.text(target.triple + " " + target.cpu, "target"),
       w.text(info.sourceHash, "source_hash"), w.tensors(info.inputs, "inputs"),
       w.tensors(info.outputs, "outputs"), w.u32(info.inputs.size()),
       w.u32(info.outputs.size()), w.u64(info.scratchBytes), w.u64(64), weights,
       w.u64(info.weightBytes), w.u64(info.requiredCpuFeatures),
       entries.write(info.forward), streamTable(w, entries, info),
       w.text(info.streamProblem, "stream_problem")});
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
