// SPDX-License-Identifier: Apache-2.0

#include "itera/CodeGen/Link/Link.h"
#include "TempFolder.h"
#include "itera/CodeGen/Link/RuntimeObjects.h"
#include "llvm/Support/CommandLine.h"
#include "gtest/gtest.h"
#include <cstdlib>
#include <dlfcn.h>
#include <thread>

using namespace llvm;
using namespace itera;

static const char *const triples[] = {"x86_64-unknown-linux-gnu",
                                      "aarch64-unknown-linux-gnu"};

static const float weightValues[6] = {1, 2, 3, 4, 5, 6};

namespace {

/// A request for a model out of test/Runtime/Inputs, which was compiled at
/// build time, or out of C text that is compiled now.
struct Request {
  LinkRequest request;
  std::vector<std::unique_ptr<MemoryBuffer>> buffers;

  explicit Request(StringRef triple, StringRef model = "affine") {
    request.target = Triple(triple);
    request.modelName = "my model";
    request.weights = WeightImage{
        24, {{0, ArrayRef(reinterpret_cast<const char *>(weightValues), 24)}}};
    if (!model.empty())
      addObject(ITERA_TEST_MODELS + model.str() + "." +
                    request.target.getArchName().str() + ".o",
                model.str());
  }

  void addObject(const std::string &path, const std::string &name) {
    auto buffer = cantFail(errorOrToExpected(MemoryBuffer::getFile(path)));
    buffers.push_back(std::move(buffer));
    names.push_back(std::make_unique<std::string>(name));
    request.objects.push_back({buffers.back()->getBuffer(), *names.back()});
  }

  void addSource(const TempFolder &folder, const std::string &name,
                 const std::string &text) {
    std::string source = folder.write(name + ".c", text);
    std::string object = folder.path(name + ".o");
    std::string command =
        std::string(ITERA_TEST_CLANG) +
        " -ffreestanding -fPIC -O1 --target=" + request.target.str() + " -c " +
        source + " -o " + object;
    ASSERT_EQ(std::system(command.c_str()), 0);
    addObject(object, name);
  }

  std::string getError() {
    Expected<std::unique_ptr<MemoryBuffer>> linked = linkShared(request);
    return linked ? "no error" : toString(linked.takeError());
  }

private:
  std::vector<std::unique_ptr<std::string>> names;
};

} // namespace

TEST(Link, EmbedsTheRuntimeOfEachTarget) {
  EXPECT_TRUE(getRuntimeObject("x86_64")->starts_with("\x7f"
                                                      "ELF"));
  EXPECT_TRUE(getRuntimeObject("aarch64")->starts_with("\x7f"
                                                       "ELF"));
  EXPECT_NE(*getRuntimeObject("x86_64"), *getRuntimeObject("aarch64"));
  EXPECT_EQ(getRuntimeObject("riscv64"), std::nullopt);
  EXPECT_TRUE(getAbiHeaderText().contains("itera_model_api"));
}

TEST(Link, SanitizesNames) {
  EXPECT_EQ(sanitizeModelName("mamba_130M"), "mamba_130M");
  EXPECT_EQ(sanitizeModelName("a-b.c/d e\n\xc3\xa9;"), "a_b_c_d_e____");
  EXPECT_EQ(sanitizeModelName(""), "_");
  EXPECT_EQ(
      getQuerySymbols("a b"),
      (std::vector<std::string>{"itera_model_query", "itera_model_query_a_b"}));
}

TEST(Link, GivesTheSameBytesEveryTimeAndInEveryWay) {
  for (const char *triple : triples) {
    Request one(triple), two(triple);
    auto first = cantFail(linkShared(one.request));
    EXPECT_EQ(first->getBuffer(),
              cantFail(linkShared(two.request))->getBuffer());
    // Another link in between, and the other way out.
    (void)cantFail(linkShared(Request(triple, "square").request));
    TempFolder folder;
    ASSERT_FALSE(
        errorToBool(linkSharedToFile(one.request, folder.path("m.so"))));
    EXPECT_EQ(first->getBuffer(), folder.read("m.so"));
    EXPECT_EQ(folder.count(), 1u);
    // No trace of the tools in the file.
    EXPECT_FALSE(first->getBuffer().contains("clang"));
    EXPECT_FALSE(first->getBuffer().contains("LLD"));
  }
}

TEST(Link, WorksFromSeveralThreads) {
  std::string expected =
      cantFail(linkShared(Request(triples[0]).request))->getBuffer().str();
  std::vector<int> wrong(3, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      Request request(triples[0]);
      for (int i = 0; i < 5; ++i)
        wrong[t] +=
            cantFail(linkShared(request.request))->getBuffer() != expected;
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, std::vector<int>(3, 0));
}

#if defined(__x86_64__) || defined(__aarch64__)
TEST(Link, TheResultLoads) {
#ifdef __x86_64__
  Request request(triples[0]);
#else
  Request request(triples[1]);
#endif
  TempFolder folder;
  std::string path = folder.path("m.so");
  ASSERT_FALSE(errorToBool(linkSharedToFile(request.request, path)));
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  EXPECT_NE(dlsym(library, "itera_model_query"), nullptr);
  EXPECT_EQ(dlsym(library, "itera_model_query"),
            dlsym(library, "itera_model_query_my_model"));
  EXPECT_EQ(dlsym(library, "itera_weights"), nullptr);
  EXPECT_EQ(dlsym(library, "itera_forward"), nullptr);
  dlclose(library);
}
#endif

TEST(Link, TellsWhatIsMissing) {
  Request none(triples[0], "");
  std::string text = none.getError();
  EXPECT_TRUE(StringRef(text).starts_with(
      "cannot link the model: undefined hidden symbol: itera_program"))
      << text;
  EXPECT_EQ(text.find('\n'), std::string::npos);

  Request noWeights(triples[0]);
  noWeights.request.weights.reset();
  text = noWeights.getError();
  EXPECT_NE(text.find("undefined hidden symbol: itera_weights"),
            std::string::npos);
  // Objects go by the names that we gave them.
  EXPECT_NE(text.find("referenced by affine"), std::string::npos) << text;
  EXPECT_EQ(text.find("/proc/"), std::string::npos) << text;

  // A failed link does no harm to the next.
  EXPECT_EQ(Request(triples[0]).getError(), "no error");
}

TEST(Link, RefusesForeignObjectsAndTargets) {
  Request mixed(triples[0]);
  mixed.addObject(std::string(ITERA_TEST_MODELS) + "square.aarch64.o", "other");
  EXPECT_EQ(mixed.getError(),
            "cannot link the model: other is incompatible with elf_x86_64");
  Request unknown(triples[0]);
  unknown.request.target = Triple("riscv64-unknown-linux-gnu");
  EXPECT_EQ(unknown.getError(),
            "expected a target of architecture x86_64 or aarch64, but got "
            "riscv64-unknown-linux-gnu");
  Request garbage(triples[0]);
  garbage.request.objects.push_back({"not an object", "junk"});
  EXPECT_TRUE(
      StringRef(garbage.getError()).starts_with("cannot link the model: junk"))
      << garbage.getError();
}

TEST(Link, LeavesNothingWhenItFails) {
  TempFolder folder;
  folder.write("m.so", "old");
  Request none(triples[0], "");
  EXPECT_TRUE(errorToBool(linkSharedToFile(none.request, folder.path("m.so"))));
  EXPECT_EQ(folder.read("m.so"), "old");
  EXPECT_EQ(folder.count(), 1u);
  std::string missing = folder.path("missing/m.so");
  EXPECT_EQ(toString(linkSharedToFile(Request(triples[0]).request, missing)),
            "cannot write '" + missing + "': No such file or directory");
  ASSERT_FALSE(
      errorToBool(linkSharedToFile(Request(triples[0]).request, "/dev/null")));
  EXPECT_FALSE(sys::fs::is_regular_file("/dev/null"));
}

/// lld resets LLVM's command line options; ours must survive it.
static cl::opt<std::string> anOption("itera-link-test-option",
                                     cl::init("default"));

TEST(Link, KeepsTheCommandLine) {
  const char *args[] = {"test", "--itera-link-test-option=value"};
  ASSERT_TRUE(cl::ParseCommandLineOptions(2, args));
  (void)cantFail(linkShared(Request(triples[0]).request));
  EXPECT_EQ(anOption, "value");
  EXPECT_EQ(anOption.getNumOccurrences(), 1);
  EXPECT_TRUE(cl::getRegisteredOptions().contains("itera-link-test-option"));
}

//===----------------------------------------------------------------------===//
// Each promise, broken by an object that breaks it.
//===----------------------------------------------------------------------===//

static std::string linkWith(const std::string &source) {
  TempFolder folder;
  Request request(triples[0]);
  request.addSource(folder, "extra", source);
  return request.getError();
}

TEST(CheckSharedObject, RefusesImports) {
  EXPECT_EQ(linkWith("float expf(float); __attribute__((used, retain)) float "
                     "f(float x) { return expf(x); }")
                .substr(0, 44),
            "cannot link the model: undefined symbol: exp");
  EXPECT_EQ(linkWith("__attribute__((weak)) float expf(float);"
                     "__attribute__((used, retain)) float f(float x) { return "
                     "expf ? expf(x) : 0; }"),
            "internal error: linked model: expected no import, but got expf");
}

TEST(CheckSharedObject, RefusesThreadLocalStorage) {
  EXPECT_EQ(linkWith("static _Thread_local int x "
                     "__attribute__((tls_model(\"local-exec\"), used, retain)) "
                     "= 3;"),
            "internal error: linked model: expected no thread-local storage, "
            "but got a TLS segment");
}

TEST(CheckSharedObject, RefusesConstructors) {
  EXPECT_EQ(linkWith("__attribute__((constructor)) static void f(void) "
                     "{ __asm__ volatile(\"nop\"); }"),
            "internal error: linked model: expected no entry of this kind, but "
            "got INIT_ARRAY");
}

TEST(CheckSharedObject, RefusesIndirectFunctions) {
  EXPECT_EQ(linkWith("static int one(void) { return 1; }"
                     "static int two(void) { return 2; }"
                     "static void *pick(void) { int x; "
                     "__asm__ volatile(\"xor %0, %0\" : \"=r\"(x)); "
                     "return x ? one : two; }"
                     "__attribute__((ifunc(\"pick\"), "
                     "visibility(\"hidden\"))) int f(void);"
                     "__attribute__((used, retain)) static int (*const p)(void)"
                     " = f;"),
            "internal error: linked model: expected no indirect function, but "
            "got one");
}

TEST(CheckSharedObject, RefusesWritableData) {
  for (const char *value : {"1", "0"}) // .data and .bss
    EXPECT_EQ(linkWith(std::string("__attribute__((used, retain)) static int "
                                   "x[5] = {") +
                       value + "};"),
              "internal error: linked model: expected no writable data, but "
              "got some");
}

TEST(CheckSharedObject, RefusesOtherExportsAndOtherFiles) {
  auto linked = cantFail(linkShared(Request(triples[0]).request));
  EXPECT_EQ(toString(checkSharedObject(*linked, getQuerySymbols("other"))),
            "internal error: linked model: expected the exports "
            "itera_model_query itera_model_query_other, but got "
            "itera_model_query itera_model_query_my_model");
  EXPECT_FALSE(
      errorToBool(checkSharedObject(*linked, getQuerySymbols("my model"))));
  EXPECT_TRUE(errorToBool(checkSharedObject({"junk", "junk"}, {})));
  EXPECT_EQ(
      toString(checkSharedObject({*getRuntimeObject("x86_64"), "runtime"}, {})),
      "internal error: linked model: expected a shared object, but got "
      "another type of file");
}

TEST(CheckSharedObject, RefusesAnExecutableStackAndWritableCode) {
  auto linked = cantFail(linkShared(Request(triples[0]).request));
  // Program headers start at 64 and take 56 bytes: type, flags, ...
  auto patched = [&](uint32_t type, uint32_t flags) {
    std::string bytes = linked->getBuffer().str();
    for (char *header = &bytes[64];; header += 56)
      if (!memcmp(header, &type, 4)) {
        memcpy(header + 4, &flags, 4);
        return toString(
            checkSharedObject({bytes, "m"}, getQuerySymbols("my model")));
      }
  };
  EXPECT_EQ(patched(/*PT_GNU_STACK*/ 0x6474e551, 7),
            "internal error: linked model: expected a plain stack, but got an "
            "executable one");
  EXPECT_EQ(patched(/*PT_LOAD*/ 1, 7),
            "internal error: linked model: expected no writable code, but got "
            "a segment with it");
}
