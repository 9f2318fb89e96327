// SPDX-License-Identifier: Apache-2.0
//
// For tests only: links object files into a model as itera-compile would.

#include "itera/CodeGen/Link/Link.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/WithColor.h"

using namespace llvm;

static cl::list<std::string> objects(cl::Positional, cl::desc("OBJECT..."));
static cl::opt<std::string> output("o", cl::Required, cl::desc("output file"));
static cl::opt<std::string> name("name", cl::Required, cl::desc("model name"));
static cl::opt<std::string> target("target",
                                   cl::init("x86_64-unknown-linux-gnu"));
static cl::opt<std::string> weights("weights", cl::desc("file of raw weights"));

static int fail(const Twine &text) {
  WithColor::error(errs(), "itera-link-model") << text << '\n';
  return 1;
}

int main(int argc, char **argv) {
  InitLLVM init(argc, argv);
  cl::ParseCommandLineOptions(argc, argv);
  itera::LinkRequest request;
  request.target = Triple(target);
  request.modelName = name;
  std::vector<std::unique_ptr<MemoryBuffer>> buffers;
  auto open = [&](StringRef path) {
    auto buffer = MemoryBuffer::getFile(path);
    if (buffer)
      buffers.push_back(std::move(*buffer));
    return bool(buffer);
  };
  for (const std::string &path : objects) {
    if (!open(path))
      return fail("cannot read '" + path + "'");
    request.objects.push_back(buffers.back()->getMemBufferRef());
  }
  if (!weights.empty()) {
    if (!open(weights))
      return fail("cannot read '" + weights + "'");
    StringRef bytes = buffers.back()->getBuffer();
    request.weights = itera::WeightImage{
        bytes.size(), {{0, ArrayRef<char>(bytes.data(), bytes.size())}}};
  }
  if (Error error = itera::linkSharedToFile(request, output))
    return fail(toString(std::move(error)));
  return 0;
}
