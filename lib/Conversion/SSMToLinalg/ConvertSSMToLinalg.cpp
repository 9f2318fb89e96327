// SPDX-License-Identifier: Apache-2.0

#include "Patterns.h"
#include "itera/Conversion/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Transforms/DialectConversion.h"

namespace itera {
#define GEN_PASS_DEF_CONVERTSSMTOLINALGPASS
#include "itera/Conversion/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

namespace {

struct ConvertSSMToLinalg
    : itera::impl::ConvertSSMToLinalgPassBase<ConvertSSMToLinalg> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateActivationPatterns(patterns);
    populateGatherScatterPatterns(patterns);
    populateIntegerProductPatterns(patterns);
    populateLayerPatterns(patterns);
    populateQuantizedLayerPatterns(patterns);
    populateRecurrencePatterns(patterns);
    populateScanPatterns(patterns);
    populateSelectionPatterns(patterns);
    populateTensorPatterns(patterns);

    ConversionTarget target(getContext());
    target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    target.addIllegalDialect<ssm::SSMDialect>();
    target.addLegalOp<ssm::KernelOp, ssm::WeightOp>();
    target.addIllegalOp<linalg::SoftmaxOp>();
    target.addDynamicallyLegalOp<linalg::ContractOp>(
        [](linalg::ContractOp op) { return !isIntegerProduct(op); });
    if (failed(applyPartialConversion(getOperation(), target,
                                      std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
