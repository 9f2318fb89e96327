// SPDX-License-Identifier: Apache-2.0

#include "KernelRunner.h"

#include "HalideRuntime.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>
#include <cstring>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <limits>

using namespace itera;
using namespace itera::test;

std::vector<std::string> itera::test::runnableCpus() {
#if defined(__x86_64__)
  std::vector<std::string> cpus;
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    cpus.push_back("x86-64-v3");
  if (__builtin_cpu_supports("avx512vbmi2") &&
      __builtin_cpu_supports("avx512bf16"))
    cpus.push_back("znver4");
  else if (__builtin_cpu_supports("avx512vnni") &&
           __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq"))
    cpus.push_back("cascadelake");
  if (__builtin_cpu_supports("avxvnni") && __builtin_cpu_supports("gfni"))
    cpus.push_back("alderlake");
  return cpus;
#else
  return {"generic"};
#endif
}

std::vector<std::string> itera::test::allCpus() {
  std::vector<std::string> cpus = runnableCpus();
#if defined(__x86_64__)
  cpus.push_back("x86-64");
  if (__builtin_cpu_supports("sse4.2"))
    cpus.push_back("x86-64-v2");
  if (__builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
    cpus.push_back("x86-64-v4");
  // The code that Alder Lake gets, but for the encoding of vpdpbusd.
  if (__builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512vnni"))
    cpus.push_back("x86-64-v3+avx512f,avx512vl,avx512vnni");
#endif
  return cpus;
}

TargetSpec itera::test::targetFor(const std::string &arch,
                                  const std::string &cpu) {
  auto [name, more] = llvm::StringRef(cpu).split('+');
  TargetSpec target = llvm::cantFail(resolveTarget(arch, name));
  llvm::SmallVector<llvm::StringRef> features;
  more.split(features, ',', /*MaxSplit=*/-1, /*KeepEmpty=*/false);
  target.features.insert(target.features.end(), features.begin(),
                         features.end());
  llvm::sort(target.features);
  return target;
}

LoadedKernel::LoadedKernel(const std::string &text, const std::string &cpu,
                           const std::string &symbol) {
  auto compiled = compileKernelInProcess({symbol, text}, targetFor("", cpu));
  if (!compiled) {
    ADD_FAILURE() << llvm::toString(compiled.takeError()) << "\n" << text;
    return;
  }
  kernel = std::move(*compiled);
  load(symbol);
}

LoadedKernel::LoadedKernel(const CompiledKernel &kernel,
                           const std::string &symbol)
    : kernel(kernel) {
  load(symbol);
}

void LoadedKernel::load(const std::string &symbol) {
  llvm::SmallString<128> object, shared;
  llvm::sys::fs::createTemporaryFile("kernel", "o", object);
  llvm::sys::fs::createTemporaryFile("kernel", "so", shared);
  {
    std::error_code error;
    llvm::raw_fd_ostream out(object, error);
    out.write(kernel.object.data(), kernel.object.size());
  }
  int rc = llvm::sys::ExecuteAndWait(
      ITERA_LLD, {"ld.lld", "-shared", "-o", shared, object});
  EXPECT_EQ(rc, 0);
  library = dlopen(shared.c_str(), RTLD_NOW);
  EXPECT_NE(library, nullptr) << dlerror();
  if (library)
    function = dlsym(library, symbol.c_str());
  EXPECT_NE(function, nullptr);
  llvm::sys::fs::remove(object);
  llvm::sys::fs::remove(shared);
}

LoadedKernel::~LoadedKernel() {
  if (library)
    dlclose(library);
}

/// Calls function(p[0], ..., p[count - 1]).
static int callWithPointers(void *function, void **p, size_t count) {
  using P = void *;
  auto at = [&](size_t i) { return i < count ? p[i] : nullptr; };
  // Surplus arguments are harmless in the calling conventions at hand.
  auto f = reinterpret_cast<int (*)(P, P, P, P, P, P, P, P, P, P, P, P, P, P, P,
                                    P, P, P, P, P, P, P, P, P)>(function);
  return f(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7), at(8), at(9),
           at(10), at(11), at(12), at(13), at(14), at(15), at(16), at(17),
           at(18), at(19), at(20), at(21), at(22), at(23));
}

struct LoadedKernel::Call::Buffers {
  std::vector<halide_buffer_t> buffers;
  std::vector<std::vector<halide_dimension_t>> dims;
  std::vector<void *> pointers;
};

LoadedKernel::Call
LoadedKernel::prepare(const std::vector<const void *> &tensors) const {
  Call call;
  EXPECT_LE(kernel.buffers.size(), 24u);
  call.function = function;
  call.buffers = std::make_shared<Call::Buffers>();
  auto &[buffers, dims, pointers] = *call.buffers;
  buffers.resize(kernel.buffers.size());
  dims.resize(kernel.buffers.size());
  for (size_t i = 0; i < buffers.size(); ++i) {
    const KernelBuffer &from = kernel.buffers[i];
    for (const KernelBuffer::Dim &dim : from.dims)
      dims[i].push_back({dim.min, dim.extent, dim.stride});
    std::memset(&buffers[i], 0, sizeof(halide_buffer_t));
    buffers[i].host =
        static_cast<uint8_t *>(const_cast<void *>(tensors.at(from.argument))) +
        from.byteOffset;
    buffers[i].type =
        halide_type_t(halide_type_code_t(from.typeCode), from.bits);
    buffers[i].dimensions = dims[i].size();
    buffers[i].dim = dims[i].data();
    pointers.push_back(&buffers[i]);
  }
  return call;
}

void LoadedKernel::Call::operator()() {
  if (function)
    EXPECT_EQ(callWithPointers(function, buffers->pointers.data(),
                               buffers->pointers.size()),
              0);
}

Guarded::Guarded(size_t count, float value)
    : storage(count + 2 * kPad, std::numeric_limits<float>::quiet_NaN()) {
  std::fill_n(data(), count, value);
}

bool Guarded::intact() const {
  for (size_t i = 0; i < kPad; ++i)
    if (!std::isnan(storage[i]) || !std::isnan(storage[storage.size() - 1 - i]))
      return false;
  return true;
}

Guarded itera::test::randomTensor(size_t count, unsigned seed, float low,
                                  float high) {
  Guarded tensor(count);
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  for (size_t i = 0; i < count; ++i)
    tensor[i] = uniform(generator);
  return tensor;
}

std::string itera::test::kernelText(const std::string &arguments,
                                    const std::string &results,
                                    const std::string &body) {
  return "func.func @kernel(" + arguments + ") -> (" + results + ") {\n" +
         body + "\n}\n";
}

std::string itera::test::tensorType(std::initializer_list<int> shape) {
  std::string text = "tensor<";
  for (int extent : shape)
    text += std::to_string(extent) + "x";
  return text + "f32>";
}
