// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_TOOLS_ITERA_RUN_OPTIONS_H
#define ITERA_TOOLS_ITERA_RUN_OPTIONS_H

#include "llvm/Support/CommandLine.h"

namespace itera {

enum class Mode { Forward, Prefill, Stream };

inline llvm::StringRef getModeName(Mode mode) {
  return mode == Mode::Forward   ? "forward"
         : mode == Mode::Prefill ? "prefill"
                                 : "stream";
}

struct Options {
  llvm::cl::OptionCategory category{"itera-run options"};
  llvm::cl::opt<std::string> model{llvm::cl::Positional, llvm::cl::Required, llvm::cl::desc("MODEL.so"),
                             llvm::cl::cat(category)};
  llvm::cl::opt<std::string> input{"input", llvm::cl::value_desc("X.npz"),
                             llvm::cl::desc("Arrays named as the model's inputs"),
                             llvm::cl::cat(category)};
  llvm::cl::opt<Mode> mode{
      "mode", llvm::cl::desc("How to run the model"), llvm::cl::init(Mode::Forward),
      llvm::cl::values(
          clEnumValN(Mode::Forward, "forward", "Whole inputs (default)"),
          clEnumValN(Mode::Prefill, "prefill",
                     "A stream, in calls of --chunk frames"),
          clEnumValN(Mode::Stream, "stream", "A stream, one frame at a time")),
      llvm::cl::cat(category)};
  llvm::cl::opt<unsigned> chunk{
      "chunk", llvm::cl::value_desc("N"),
      llvm::cl::desc("Frames per call in mode prefill (default: all; 512 with "
                     "--eval)"),
      llvm::cl::cat(category)};
  llvm::cl::opt<unsigned> caseIndex{
      "case", llvm::cl::value_desc("K"), llvm::cl::init(0),
      llvm::cl::desc("Use the arrays NAME@caseK (0: plain NAME)"), llvm::cl::cat(category)};
  llvm::cl::opt<std::string> output{"output", llvm::cl::value_desc("Y.npz"),
                              llvm::cl::desc("Write the outputs"), llvm::cl::cat(category)};
  llvm::cl::opt<std::string> compare{
      "compare", llvm::cl::value_desc("REF.npz"),
      llvm::cl::desc("Compare the outputs; exit with 3 on a mismatch"),
      llvm::cl::cat(category)};
  llvm::cl::opt<bool> compareStream{
      "compare-stream", llvm::cl::cat(category),
      llvm::cl::desc("Run the input whole and as a stream, by steps or --chunk "
                     "frames, and name the first node (itera-compile --taps) "
                     "or output that differs; exit with 3 if one does")};
  llvm::cl::opt<double> atol{"atol", llvm::cl::init(1e-4), llvm::cl::cat(category),
                       llvm::cl::desc("Absolute tolerance (default 1e-4; 0 with "
                                      "--compare-stream)")};
  llvm::cl::opt<double> rtol{"rtol", llvm::cl::init(1e-4), llvm::cl::cat(category),
                       llvm::cl::desc("Relative tolerance (default 1e-4; 0 with "
                                      "--compare-stream)")};
  llvm::cl::opt<bool> bench{"bench", llvm::cl::cat(category),
                      llvm::cl::desc("Measure the time of a run, of a step (mode "
                               "stream) or of a frame (mode prefill)")};
  llvm::cl::opt<unsigned> repeat{"repeat", llvm::cl::value_desc("N"), llvm::cl::init(100),
                           llvm::cl::desc("Runs to measure (default 100)"),
                           llvm::cl::cat(category)};
  llvm::cl::opt<unsigned> threads{"threads", llvm::cl::value_desc("N"), llvm::cl::init(1),
                            llvm::cl::desc("Threads that the model may use"),
                            llvm::cl::cat(category)};
  llvm::cl::opt<bool> json{
      "json", llvm::cl::cat(category),
      llvm::cl::desc("Print the measurement, what --generate made or what "
                     "--eval found, as one line of JSON")};

  llvm::cl::opt<unsigned> generate{
      "generate", llvm::cl::value_desc("N"), llvm::cl::cat(category),
      llvm::cl::desc("Continue a text by N tokens: a language model")};
  llvm::cl::opt<std::string> prompt{"prompt", llvm::cl::value_desc("TEXT"),
                                    llvm::cl::desc("The text to continue"),
                                    llvm::cl::cat(category)};
  llvm::cl::opt<std::string> promptFile{
      "prompt-file", llvm::cl::value_desc("F"),
      llvm::cl::desc("A file with the text to continue; - for stdin"),
      llvm::cl::cat(category)};
  llvm::cl::opt<std::string> tokenizer{
      "tokenizer", llvm::cl::value_desc("FILE"), llvm::cl::cat(category),
      llvm::cl::desc("tokenizer.json of the model (default: tokens are bytes)")};
  llvm::cl::opt<unsigned> ahead{
      "ahead", llvm::cl::value_desc("N"), llvm::cl::cat(category),
      llvm::cl::init(1),
      llvm::cl::desc("The model predicts the Nth token after each (default 1)")};
  llvm::cl::opt<std::string> eval{
      "eval", llvm::cl::value_desc("FILE"), llvm::cl::cat(category),
      llvm::cl::desc("Bits per byte and perplexity of a text (- for stdin): a "
                     "language model, as a stream, or with --mode=forward in "
                     "windows of its length, and so if it cannot stream")};
  llvm::cl::opt<uint64_t> evalBytes{
      "eval-bytes", llvm::cl::value_desc("N"), llvm::cl::cat(category),
      llvm::cl::desc("Only the first N bytes of the text; with a tokenizer its "
                     "whole characters (default: all)")};
  llvm::cl::opt<std::string> evalTrace{
      "eval-trace", llvm::cl::value_desc("Y.npz"), llvm::cl::cat(category),
      llvm::cl::desc("Write of each scored token its negative log-likelihood "
                     "'nll' in nats and its 'place' in the text")};
  llvm::cl::opt<std::string> evalAgainst{
      "eval-against", llvm::cl::value_desc("OTHER.so"),
      llvm::cl::cat(category),
      llvm::cl::desc("Run another model on the text too, and tell how far "
                     "MODEL.so is from it: KL divergence, likeliest tokens, "
                     "logits")};
  llvm::cl::opt<double> temperature{
      "temperature", llvm::cl::cat(category), llvm::cl::init(0),
      llvm::cl::desc("0: the likeliest token (default); 1: by probability")};
  llvm::cl::opt<unsigned> topK{
      "top-k", llvm::cl::value_desc("K"), llvm::cl::cat(category),
      llvm::cl::init(0),
      llvm::cl::desc("Pick among the K likeliest tokens (default: all)")};
  llvm::cl::opt<double> topP{
      "top-p", llvm::cl::value_desc("P"), llvm::cl::cat(category),
      llvm::cl::init(1),
      llvm::cl::desc("Pick among the likeliest tokens that together have this "
                     "probability (default 1)")};
  llvm::cl::opt<uint64_t> seed{
      "seed", llvm::cl::cat(category), llvm::cl::init(0),
      llvm::cl::desc("Of the random numbers (default 0)")};
};

} // namespace itera

#endif // ITERA_TOOLS_ITERA_RUN_OPTIONS_H
