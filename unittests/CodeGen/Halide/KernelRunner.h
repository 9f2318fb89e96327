// SPDX-License-Identifier: Apache-2.0
// Compiles a kernel's text, loads the code into this process and calls it.

#ifndef ITERA_UNITTESTS_CODEGEN_HALIDE_KERNELRUNNER_H
#define ITERA_UNITTESTS_CODEGEN_HALIDE_KERNELRUNNER_H

#include "itera/CodeGen/Halide/Kernels.h"
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace itera::test {

/// The CPUs of this host's architecture that this host can run.
std::vector<std::string> runnableCpus();

/// And more sets of instructions that it can run; those without a fused
/// multiply-add give floats of other bits.
std::vector<std::string> allCpus();

/// `cpu` may name more features: "x86-64-v3+avx512f,avx512vl".
TargetSpec targetFor(const std::string &arch, const std::string &cpu);

class LoadedKernel {
public:
  LoadedKernel(const std::string &text, const std::string &cpu,
               const std::string &symbol = "kernel");
  LoadedKernel(const CompiledKernel &kernel, const std::string &symbol);
  LoadedKernel(const LoadedKernel &) = delete;
  ~LoadedKernel();

  /// A call with its buffers filled in, to be made many times.
  class Call {
  public:
    void operator()();

  private:
    friend class LoadedKernel;
    struct Buffers;
    std::shared_ptr<Buffers> buffers;
    void *function = nullptr;
  };
  /// One pointer per argument, then one per result.
  Call prepare(const std::vector<const void *> &tensors) const;
  void operator()(const std::vector<const void *> &tensors) const {
    prepare(tensors)();
  }

  CompiledKernel kernel;

private:
  void load(const std::string &symbol);
  void *library = nullptr;
  void *function = nullptr;
};

/// A tensor whose neighbourhood is watched: reading past its end gives NaN,
/// writing there is found by intact().
class Guarded {
public:
  explicit Guarded(size_t count, float value = 0.0f);
  float *data() { return storage.data() + kPad; }
  const float *data() const { return storage.data() + kPad; }
  float &operator[](size_t i) { return storage[kPad + i]; }
  float operator[](size_t i) const { return storage[kPad + i]; }
  size_t size() const { return storage.size() - 2 * kPad; }
  bool intact() const;
  operator const void *() const { return data(); }

private:
  static constexpr size_t kPad = 64;
  std::vector<float> storage;
};

Guarded randomTensor(size_t count, unsigned seed, float low = -1.0f,
                     float high = 1.0f);

/// Text of a kernel `func @kernel` from its signature and body.
std::string kernelText(const std::string &arguments, const std::string &results,
                       const std::string &body);

/// "2x3xf32" inside tensor<>.
std::string tensorType(std::initializer_list<int> shape);

} // namespace itera::test

#endif // ITERA_UNITTESTS_CODEGEN_HALIDE_KERNELRUNNER_H
