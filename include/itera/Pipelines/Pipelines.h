// SPDX-License-Identifier: Apache-2.0
// The stages between a model file and an object, each one pipeline.

#ifndef ITERA_PIPELINES_PIPELINES_H
#define ITERA_PIPELINES_PIPELINES_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace itera {

/// The stages in order. `import` has no pipeline: it reads a file.
enum class Stage { import, raise, quantize, stream, fuse, plan, emit };

/// All stage names, in order, and their inverse.
llvm::ArrayRef<llvm::StringRef> stageNames();
std::optional<Stage> stageFromName(llvm::StringRef name);

/// raise: tensor ops -> ssm ops.
void populateRaisePipeline(mlir::OpPassManager &manager);

struct QuantizeOptions : mlir::PassPipelineOptions<QuantizeOptions> {
  Option<unsigned> bits{*this, "bits",
                        llvm::cl::desc("Bits of the weights: 4, 8, 16 or 32"),
                        llvm::cl::init(32)};
  Option<int64_t> group{
      *this, "group",
      llvm::cl::desc("Elements that share a scale of 4 bits: 16 to 128"),
      llvm::cl::init(32)};
  ListOption<std::string> precisions{
      *this, "precisions",
      llvm::cl::desc("Precisions of single weights, as NAME=TYPE")};
  Option<std::string> statistics{
      *this, "statistics",
      llvm::cl::desc("Second moments of the inputs of linears, an .npz file"),
      llvm::cl::init("")};
  Option<bool> rotate{
      *this, "rotate",
      llvm::cl::desc("Rotate what linears of integer weights read from "
                     "recurrences"),
      llvm::cl::init(false)};
  Option<double> prune{
      *this, "prune",
      llvm::cl::desc("Part of the channels of the scans to remove"),
      llvm::cl::init(0)};
};

/// The first part of stage quantize, up to what each weight is to become.
void populatePrecisionPipeline(mlir::OpPassManager &manager,
                               const QuantizeOptions &options);

/// quantize: weights of less bytes. Before streams are derived, so that every
/// function gets the same ones.
void populateQuantizePipeline(mlir::OpPassManager &manager,
                              const QuantizeOptions &options);

struct StreamOptions : mlir::PassPipelineOptions<StreamOptions> {
  ListOption<std::string> timeDims{
      *this, "time-dims",
      llvm::cl::desc("The time dimension of an input, as NAME=DIM")};
  ListOption<std::string> states{
      *this, "states",
      llvm::cl::desc("An input and the output that is its next value, as "
                     "IN=OUT")};
  Option<int64_t> chunk{
      *this, "chunk",
      llvm::cl::desc("Frames of @prefill; 0: chosen for the model"),
      llvm::cl::init(0)};
  Option<int64_t> maxLookahead{
      *this, "max-lookahead",
      llvm::cl::desc("Refuse an output that needs more frames ahead; -1: any"),
      llvm::cl::init(-1)};
  Option<int64_t> rollback{
      *this, "rollback",
      llvm::cl::desc("How many frames the stream can take back"),
      llvm::cl::init(0)};
  Option<bool> required{
      *this, "required",
      llvm::cl::desc("A model that cannot stream is an error"),
      llvm::cl::init(false)};
};

/// stream: @forward -> also functions over a few frames with states.
void populateStreamPipeline(mlir::OpPassManager &manager,
                            const StreamOptions &options);

struct FuseOptions : mlir::PassPipelineOptions<FuseOptions> {
  ListOption<int64_t> rows{
      *this, "rows",
      llvm::cl::desc("Heights of a block of weight rows, best first; none: "
                     "weights are not packed")};
};

/// fuse: -> ssm.kernel.
void populateFusePipeline(mlir::OpPassManager &manager,
                          const FuseOptions &options);
struct PlanOptions : mlir::PassPipelineOptions<PlanOptions> {
  Option<bool> optimize{*this, "optimize",
                        llvm::cl::desc("Spend time on fewer copies"),
                        llvm::cl::init(true)};
  Option<bool> fuseMultiplyAdd{
      *this, "fuse-multiply-add",
      llvm::cl::desc("Add products up with one rounding each"),
      llvm::cl::init(false)};
};

/// plan: -> buffers at fixed places.
void populatePlanPipeline(mlir::OpPassManager &manager,
                          const PlanOptions &options);

} // namespace itera

#endif // ITERA_PIPELINES_PIPELINES_H
