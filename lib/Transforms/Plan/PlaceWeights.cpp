// SPDX-License-Identifier: Apache-2.0

#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Plan/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/MapVector.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/xxhash.h"

namespace itera {
#define GEN_PASS_DEF_PLACEWEIGHTSPASS
#include "itera/Transforms/Plan/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

/// Bytes of a dense tensor in memory; i1 takes a byte.
static int64_t bytesOf(ShapedType type) {
  int64_t bits = type.getElementTypeBitWidth();
  return type.getNumElements() * llvm::divideCeil(bits, 8);
}

/// The bytes of a resource, none of another attribute.
static ArrayRef<char> bytesIn(Attribute value) {
  auto resource = dyn_cast<DenseResourceElementsAttr>(value);
  AsmResourceBlob *blob = resource ? resource.getRawHandle().getBlob() : nullptr;
  return blob ? blob->getData() : ArrayRef<char>();
}

namespace {

struct PlaceWeights : itera::impl::PlaceWeightsPassBase<PlaceWeights> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    llvm::MapVector<Attribute, int64_t> offsets;
    // What has the same bytes has one place, in whatever shape it is read.
    llvm::DenseMap<uint64_t, SmallVector<std::pair<ArrayRef<char>, int64_t>, 1>>
        contents;
    SmallVector<Attribute> stored;
    int64_t end = 0;
    for (auto function : module.getOps<func::FuncOp>())
      function.walk([&](ssm::WeightOp weight) {
        Attribute value = weight.getValue();
        auto [entry, isNew] = offsets.insert({value, end});
        if (!isNew)
          return;
        ArrayRef<char> bytes = bytesIn(value);
        auto &alike = contents[llvm::xxh3_64bits(
            llvm::arrayRefFromStringRef(StringRef(bytes.data(), bytes.size())))];
        auto same = llvm::find_if(alike, [&](auto &known) {
          return !bytes.empty() && known.first == bytes;
        });
        if (same != alike.end()) {
          entry->second = same->second;
          return;
        }
        alike.push_back({bytes, end});
        stored.push_back(value);
        end = llvm::alignTo(end + bytesOf(cast<ShapedType>(weight.getType())),
                            kPlacementAlignment);
      });
    OpBuilder b(&getContext());
    SmallVector<Attribute> placed;
    for (Attribute value : stored)
      placed.push_back(b.getDictionaryAttr(
          {b.getNamedAttr("value", value),
           b.getNamedAttr("offset",
                          b.getI64IntegerAttr(offsets.lookup(value)))}));
    module->setAttr(ssm::kWeightsAttr, b.getArrayAttr(placed));
    module->setAttr(ssm::kWeightBytesAttr, b.getI64IntegerAttr(end));

    auto image = MemRefType::get({end}, b.getI8Type());
    for (auto function : module.getOps<func::FuncOp>())
      rewrite(function, image, offsets);
  }

  void rewrite(func::FuncOp function, MemRefType image,
               const llvm::MapVector<Attribute, int64_t> &offsets) {
    SmallVector<ssm::WeightOp> weights;
    function.walk([&](ssm::WeightOp weight) { weights.push_back(weight); });
    if (weights.empty())
      return;
    OpBuilder b(&getContext());
    unsigned last = function.getNumArguments();
    (void)function.insertArgument(
        last, image,
        b.getDictionaryAttr(b.getNamedAttr(ssm::kWeightImageAttr, b.getUnitAttr())),
        function.getLoc());
    Value argument = function.getArgument(last);
    for (ssm::WeightOp weight : weights) {
      b.setInsertionPoint(weight);
      Location loc = weight.getLoc();
      auto type = cast<RankedTensorType>(weight.getType());
      Value offset = arith::ConstantIndexOp::create(
          b, loc, offsets.lookup(weight.getValue()));
      Value view = memref::ViewOp::create(
          b, loc, MemRefType::get(type.getShape(), type.getElementType()),
          argument, offset, ValueRange{});
      Value tensor = bufferization::ToTensorOp::create(b, loc, type, view,
                                                       /*restrict=*/true);
      weight.replaceAllUsesWith(tensor);
      weight.erase();
    }
  }
};

} // namespace
