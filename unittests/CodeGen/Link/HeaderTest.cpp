// SPDX-License-Identifier: Apache-2.0

#include "TempFolder.h"
#include "itera/CodeGen/Link/Link.h"
#include "itera/abi.h"
#include "gtest/gtest.h"
#include <cstdlib>

using namespace itera;

static HeaderSpec makeSpec() {
  HeaderSpec spec;
  spec.modelName = "mamba-130m";
  spec.compilerVersion = "0.1";
  spec.target = "x86_64";
  spec.sourceHash = "abc";
  spec.inputs = {{"input_ids", ITERA_INT64, {1, 32}, 256}};
  spec.outputs = {{"logits", ITERA_FLOAT32, {1, 32, 10}, 1280},
                  {"n", ITERA_INT8, {}, 1}};
  spec.scratchBytes = 512;
  return spec;
}

static bool compiles(const TempFolder &folder, const std::string &source,
                     const char *options) {
  std::string path = folder.write("use.c", source);
  std::string command = std::string(ITERA_TEST_CLANG) + " -fsyntax-only " +
                        options + " -Wall -Wextra -Werror -pedantic " + path;
  return std::system(command.c_str()) == 0;
}

TEST(Header, StatesTheInterface) {
  std::string text = writeHeader(makeSpec());
  for (const char *line :
       {"#ifndef ITERA_MODEL_MAMBA_130M_H\n",
        "const itera_model_api *itera_model_query_mamba_130m(",
        "#define ITERA_MODEL_MAMBA_130M_NAME \"mamba-130m\"\n",
        "#define ITERA_MODEL_MAMBA_130M_SCRATCH_BYTES 512\n",
        "#define ITERA_MODEL_MAMBA_130M_INPUT_COUNT 1\n",
        "#define ITERA_MODEL_MAMBA_130M_INPUT_0_NAME \"input_ids\"\n",
        "#define ITERA_MODEL_MAMBA_130M_INPUT_0_DTYPE ITERA_INT64\n",
        "#define ITERA_MODEL_MAMBA_130M_INPUT_0_RANK 2\n",
        "#define ITERA_MODEL_MAMBA_130M_INPUT_0_DIM_1 32\n",
        "#define ITERA_MODEL_MAMBA_130M_INPUT_0_BYTES 256\n",
        "#define ITERA_MODEL_MAMBA_130M_OUTPUT_COUNT 2\n",
        "#define ITERA_MODEL_MAMBA_130M_OUTPUT_1_RANK 0\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

TEST(Header, CompilesAloneAsC99AndCxx) {
  TempFolder folder;
  folder.write("m.h", writeHeader(makeSpec()));
  std::string use =
      "#include \"m.h\"\n#include \"m.h\"\n"
      "const itera_model_api *f(void) { return "
      "itera_model_query_mamba_130m(ITERA_ABI_VERSION, 0); }\n"
      "char check[ITERA_MODEL_MAMBA_130M_INPUT_0_BYTES == 256 ? 1 : -1];\n";
  EXPECT_TRUE(compiles(folder, use, "-x c -std=c99"));
  EXPECT_TRUE(compiles(folder, use, "-x c++ -std=c++17"));
}

TEST(Header, NamesCannotInjectCode) {
  HeaderSpec spec = makeSpec();
  std::string evil = "*/ int pwned; /*\n#error \"x\"\\ ?\?/\n\xc3\xa9\x01"
                     "7%s";
  spec.modelName = evil;
  spec.target = spec.sourceHash = spec.compilerVersion = evil;
  spec.inputs[0].name = spec.outputs[0].name = evil;
  std::string text = writeHeader(spec);
  TempFolder folder;
  folder.write("m.h", text);
  // The name comes through the preprocessor as it was.
  std::string use =
      "#include \"m.h\"\nint pwned(void);\n"
      "char check[sizeof " +
      ("ITERA_MODEL_" + llvm::StringRef(sanitizeModelName(evil)).upper()) +
      "_INPUT_0_NAME == " + std::to_string(evil.size() + 1) + " ? 1 : -1];\n";
  EXPECT_TRUE(compiles(folder, use, "-x c -std=c99 -trigraphs"));
  EXPECT_NE(text.find("\\303\\251\\0017%s"), std::string::npos);
}
