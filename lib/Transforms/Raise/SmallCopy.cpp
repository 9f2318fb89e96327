// SPDX-License-Identifier: Apache-2.0

#include "SmallCopy.h"

#include "Match.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/Hashing.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/raw_ostream.h"
#include <cstring>

using namespace mlir;
using namespace itera;
using namespace itera::raise;

void CutRegion::sort() {
  llvm::sort(ops,
             [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
}

/// For each dimension, whether the elements differ along it.
static SmallVector<bool> variesAlong(const ssm::HostTensor &value) {
  int64_t bytes = ssm::getElementBytes(value.kind);
  SmallVector<int64_t> strides = ssm::getRowMajorStrides(value.shape());
  SmallVector<bool> varies(value.shape().size(), false);
  const char *data = value.bytes.data();
  for (int64_t i = 0; i < value.size(); ++i)
    for (auto [d, stride] : llvm::enumerate(strides)) {
      // Compare with the first entry along the dimension.
      int64_t entry = i / stride % value.shape()[d];
      if (entry > 0 && !varies[d])
        varies[d] =
            std::memcmp(data + i * bytes, data + (i - entry * stride) * bytes,
                        bytes) != 0;
    }
  return varies;
}

bool itera::raise::relateRegion(const CutRegion &region, RegionAxes &axes,
                                ssm::Evaluator &evaluator) {
  for (OpOperand *use : region.constants) {
    axes.addConstant(*use);
    if (matchSplat(use->get()) || matchIntegerSplat(use->get()))
      continue;
    std::optional<ssm::HostTensor> data = evaluator.evaluate(use->get());
    if (!data)
      return false;
    for (auto [d, varies] : llvm::enumerate(variesAlong(*data)))
      if (varies)
        axes.pin(axes.placeOf(*use), d);
  }
  return llvm::all_of(region.ops,
                      [&](Operation *op) { return axes.relate(op); });
}

//===----------------------------------------------------------------------===//
// Building
//===----------------------------------------------------------------------===//

RankedTensorType SmallCopy::typeFor(RegionAxes::Place place) {
  RankedTensorType type = typeOf(place.value);
  SmallVector<int64_t> shape;
  for (const AxisList &list : axes.of(place)) {
    int64_t size = 1;
    for (int axis : list)
      size *= sizes.of(axis);
    shape.push_back(size);
  }
  Type element = type.getElementType();
  if (isa<FloatType>(element))
    element = Float64Type::get(type.getContext());
  return RankedTensorType::get(shape, element);
}

SmallCopy::SmallCopy(const CutRegion &region, RegionAxes &axes, int64_t most,
                     ssm::Evaluator &evaluator)
    : region(region), axes(axes), sizes{axes.table, most} {
  MLIRContext *context = region.root.getContext();
  Location loc = UnknownLoc::get(context);
  module = ModuleOp::create(loc);
  OpBuilder builder(module->getBodyRegion());
  SmallVector<Type> types;
  for (Value leaf : region.leaves)
    types.push_back(typeFor(leaf));
  for (OpOperand *use : region.constants)
    types.push_back(typeFor(axes.placeOf(*use)));
  auto function = func::FuncOp::create(
      builder, loc, "region",
      builder.getFunctionType(types, {typeFor(region.root)}));
  Block *block = function.addEntryBlock();
  for (auto [value, argument] : llvm::zip(region.leaves, block->getArguments()))
    copies[value] = argument;
  for (auto [use, argument] :
       llvm::zip(region.constants,
                 block->getArguments().drop_front(region.leaves.size()))) {
    constantCopies[use] = argument;
    copyConstant(*use, argument, evaluator);
  }
  builder.setInsertionPointToStart(block);
  for (Operation *op : region.ops)
    copies[op->getResult(0)] = build(builder, op);
  func::ReturnOp::create(builder, loc, copies.lookup(region.root));
}

Value SmallCopy::get(OpOperand &use) const {
  auto it = constantCopies.find(&use);
  return it == constantCopies.end() ? copies.lookup(use.get()) : it->second;
}

/// The first entries of a constant along free axes, where all are the same.
void SmallCopy::copyConstant(OpOperand &use, Value argument,
                             ssm::Evaluator &evaluator) {
  Value value = use.get();
  auto type = cast<RankedTensorType>(argument.getType());
  char *data;
  auto small = ssm::HostTensor::allocate(
      type, *ssm::getElementKind(type.getElementType()), data);
  auto fill = [&](auto splat) {
    std::vector<decltype(splat)> values(small.size(), splat);
    if constexpr (std::is_same_v<decltype(splat), double>)
      ssm::storeFloats(small.kind, data, 0, values.size(), values.data());
    else
      ssm::storeInts(small.kind, data, 0, values.size(), values.data());
  };
  if (std::optional<double> number = matchSplat(value)) {
    fill(*number);
  } else if (std::optional<int64_t> integer = matchIntegerSplat(value)) {
    fill(*integer);
  } else if (std::optional<ssm::HostTensor> whole = evaluator.evaluate(value)) {
    // A dimension holds pinned axes, which stay, and free ones, along which
    // the constant does not vary: any entries that keep the pinned do.
    SmallVector<SmallVector<int64_t>> from(type.getRank());
    for (auto [d, list] : llvm::enumerate(axes.of(axes.placeOf(use)))) {
      from[d] = {0};
      for (int axis : list) {
        SmallVector<int64_t> next;
        for (int64_t outer : from[d])
          for (int64_t i = 0; i < sizes.of(axis); ++i)
            next.push_back(outer * axes.table.sizeOf(axis) + i);
        from[d] = next;
      }
    }
    SmallVector<int64_t> strides = ssm::getRowMajorStrides(whole->shape());
    SmallVector<int64_t> own = ssm::getRowMajorStrides(type.getShape());
    for (int64_t i = 0; i < small.size(); ++i) {
      int64_t source = 0;
      for (int64_t d = 0; d < type.getRank(); ++d)
        source += from[d][i / own[d] % type.getDimSize(d)] * strides[d];
      if (ssm::isFloat(small.kind)) {
        double number = whole->getFloat(source);
        ssm::storeFloats(small.kind, data, i, 1, &number);
      } else {
        int64_t integer = whole->getInt(source);
        ssm::storeInts(small.kind, data, i, 1, &integer);
      }
    }
  }
  constants.push_back({argument, small});
}

/// Ops that have sizes, or scalars of the old element type, in them are built
/// anew; of the others only the result gets another type.
Value SmallCopy::build(OpBuilder &builder, Operation *op) {
  RankedTensorType type = typeFor(op->getResult(0));
  largest = std::max(largest, type.getNumElements());
  Location loc = builder.getUnknownLoc();
  SmallVector<Value> inputs;
  for (OpOperand *operand : getRegionOperands(op))
    inputs.push_back(get(*operand));
  auto empty = [&] {
    return tensor::EmptyOp::create(builder, loc, type.getShape(),
                                   type.getElementType());
  };
  auto zeros = [&]() -> Value {
    Value zero = arith::ConstantOp::create(
        builder, loc, builder.getZeroAttr(type.getElementType()));
    return linalg::FillOp::create(builder, loc, zero, empty().getResult())
        .getResult(0);
  };
  auto sizesOf = [&](ArrayRef<int64_t> small,
                     const llvm::SmallBitVector &dropped) {
    SmallVector<OpFoldResult> sizes;
    for (int64_t d = 0, kept = 0; d < static_cast<int64_t>(dropped.size()); ++d)
      sizes.push_back(
          builder.getIndexAttr(dropped.test(d) ? 1 : small[kept++]));
    return sizes;
  };
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](linalg::BroadcastOp broadcast) {
        return linalg::BroadcastOp::create(builder, loc, inputs[0], empty(),
                                           broadcast.getDimensions())
            ->getResult(0);
      })
      .Case([&](linalg::TransposeOp transpose) {
        return linalg::TransposeOp::create(builder, loc, inputs[0], empty(),
                                           transpose.getPermutation())
            ->getResult(0);
      })
      .Case([&](linalg::ContractOp contract) {
        return linalg::ContractOp::create(builder, loc, TypeRange(type), inputs,
                                          ValueRange(zeros()),
                                          contract.getIndexingMaps())
            .getResult(0);
      })
      .Case([&](linalg::ReduceOp reduce) {
        return linalg::ReduceOp::create(
                   builder, loc, inputs, ValueRange(zeros()),
                   reduce.getDimensions(),
                   [](OpBuilder &b, Location loc, ValueRange v) {
                     Value sum = arith::AddFOp::create(b, loc, v[0], v[1]);
                     linalg::YieldOp::create(b, loc, sum);
                   })
            .getResult(0);
      })
      .Case([&](tensor::ExpandShapeOp expand) {
        return tensor::ExpandShapeOp::create(builder, loc, type, inputs[0],
                                             expand.getReassociationIndices());
      })
      .Case([&](tensor::CollapseShapeOp collapse) {
        return tensor::CollapseShapeOp::create(
            builder, loc, type, inputs[0], collapse.getReassociationIndices());
      })
      .Case([&](tensor::ExtractSliceOp slice) {
        return tensor::ExtractSliceOp::create(
            builder, loc, type, inputs[0], slice.getMixedOffsets(),
            sizesOf(type.getShape(), slice.getDroppedDims()),
            slice.getMixedStrides());
      })
      .Case([&](tensor::InsertSliceOp insert) {
        return tensor::InsertSliceOp::create(
            builder, loc, inputs[0], inputs[1], insert.getMixedOffsets(),
            sizesOf(shapeOf(inputs[0]), insert.getDroppedDims()),
            insert.getMixedStrides());
      })
      .Case([&](tensor::PadOp pad) {
        Value scalar =
            arith::ConstantOp::create(builder, loc,
                                      builder.getF64FloatAttr(*matchSplat(
                                          pad.getConstantPaddingValue())));
        return tensor::PadOp::create(builder, loc, type, inputs[0],
                                     pad.getMixedLowPad(),
                                     pad.getMixedHighPad(), scalar);
      })
      .Default([&](Operation *) {
        Operation *copy = builder.clone(*op);
        copy->setLoc(loc);
        copy->setOperands(inputs);
        copy->getResult(0).setType(type);
        return copy->getResult(0);
      });
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

std::string SmallCopy::describe() {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream);
  for (auto &[value, data] : constants)
    stream << llvm::hash_combine_range(data.bytes.begin(), data.bytes.end())
           << ' ';
  return text;
}

std::optional<std::vector<double>>
SmallCopy::run(ArrayRef<std::vector<double>> leaves) {
  ssm::Evaluator evaluator({/*elements=*/int64_t(1) << 25,
                            /*work=*/int64_t(1) << 32});
  for (auto [leaf, values] : llvm::zip(region.leaves, leaves)) {
    Value argument = copies.lookup(leaf);
    char *data;
    auto tensor =
        ssm::HostTensor::allocate(cast<RankedTensorType>(argument.getType()),
                                  ssm::ElementKind::F64, data);
    ssm::storeFloats(tensor.kind, data, 0, values.size(), values.data());
    evaluator.bind(argument, std::move(tensor));
  }
  for (auto &[argument, data] : constants)
    evaluator.bind(argument, data);
  std::optional<ssm::HostTensor> result =
      evaluator.evaluate(copies.lookup(region.root));
  if (!result)
    return std::nullopt;
  std::vector<double> values(result->size());
  ssm::loadFloats(*result, 0, values.size(), values.data());
  return values;
}
