// SPDX-License-Identifier: Apache-2.0
// What the evaluator refuses, why, what it may cost, and what it keeps.

#include "Evaluated.h"

using namespace itera::ssm;

namespace {

const std::string kAddArgument = constant("a", "2", Floats{1, 2}) +
                                 "%y = arith.addf %x, %a : tensor<2xf32>";

TEST(Evaluate, AnArgumentIsInTheWay) {
  Evaluated e(kAddArgument, {}, "%x: tensor<2xf32>");
  EXPECT_EQ(e.refusal(), "a value that is only known at run time");
}

// What is bound to an argument stands for it until it is forgotten, and a
// result that was computed meanwhile until that is forgotten too.
TEST(Evaluate, ABoundArgumentIsKnown) {
  Evaluated e(kAddArgument, {}, "%x: tensor<2xf32>");
  mlir::Value x = e.block().getArgument(0);
  auto bind = [&](double first) {
    char *data;
    HostTensor tensor = HostTensor::allocate(
        llvm::cast<mlir::RankedTensorType>(x.getType()), ElementKind::F32, data);
    const double values[] = {first, 20};
    storeFloats(ElementKind::F32, data, 0, 2, values);
    e.evaluator.bind(x, tensor);
  };
  bind(10);
  EXPECT_EQ(e.floats(), (Floats{11, 22}));
  bind(30);
  EXPECT_EQ(e.floats(), (Floats{11, 22}));
  e.evaluator.forget(e.value());
  EXPECT_EQ(e.floats(), (Floats{31, 22}));
  e.evaluator.forget(e.value());
  e.evaluator.forget(x);
  EXPECT_EQ(e.refusal(), "a value that is only known at run time");
}

// The op in the way is named, however far up it stands.
TEST(Evaluate, AnUnknownOpIsNamed) {
  Evaluated e(constant("a", "2", Floats{1, 2}) +
              "%b = \"other.op\"(%a) : (tensor<2xf32>) -> tensor<2xf32>\n"
              "%c = arith.negf %b : tensor<2xf32>\n"
              "%y = arith.addf %c, %a : tensor<2xf32>");
  EXPECT_EQ(e.refusal(), "op 'other.op'");
}

TEST(Evaluate, AnUnknownOpInAScanIsNamed) {
  Evaluated e(constant("h", "2", Floats{1, 2}) + R"(
    %y = ssm.scan init(%h : tensor<2xf32>) length 3 {
    ^bb0(%s: tensor<2xf32>):
      %n = "other.op"(%s) : (tensor<2xf32>) -> tensor<2xf32>
      ssm.yield %n : tensor<2xf32>
    } {sequence_dims = array<i64>, stack_dims = array<i64>} -> tensor<2xf32>)");
  EXPECT_EQ(e.refusal(), "op 'ssm.scan'");
}

// A division that has no result is left to the run time.
TEST(Evaluate, ADivisionByZeroIsRefused) {
  for (const char *op : {"divsi", "divui", "remsi", "floordivsi", "ceildivsi"}) {
    Evaluated e(constant("a", "2", Ints{4, 5}) + constant("b", "2", Ints{2, 0}) +
                "%y = arith." + op + " %a, %b : tensor<2xi64>");
    EXPECT_EQ(e.refusal(), std::string("op 'arith.") + op + "'");
  }
}

TEST(Evaluate, ATypeWithoutHostDataIsRefused) {
  Evaluated e("%y = tensor.empty() : tensor<2xi7>");
  EXPECT_EQ(e.refusal(), "a value of a type that cannot be evaluated");
}

// One value may have as many elements as the limit, and no more.
TEST(Evaluate, TheElementLimitIsExact) {
  Evaluator::Limits limits;
  limits.elements = 6;
  std::string body = constant("a", "2x3", someFloats(6)) +
                     "%y = arith.negf %a : tensor<2x3xf32>";
  EXPECT_EQ(Evaluated(body, limits).refusal(), "");
  limits.elements = 5;
  EXPECT_EQ(Evaluated(body, limits).refusal(),
            "a value that is too large to evaluate");
}

// Work adds up over the evaluator's life; what is kept costs nothing again.
TEST(Evaluate, WorkAddsUp) {
  Evaluator::Limits limits;
  limits.work = 12;
  Evaluated e(constant("a", "4", someFloats(4)) + R"(
    %b = arith.negf %a : tensor<4xf32>
    %c = arith.addf %a, %b : tensor<4xf32>
    %d = arith.addf %c, %b : tensor<4xf32>)", limits);
  mlir::Value c = e.value().getDefiningOp()->getOperand(0);
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(e.evaluator.evaluate(c));
  EXPECT_EQ(e.refusal(), "a value that is too large to evaluate");
}

// Ops that do more than one step per element are charged for them.
TEST(Evaluate, AContractionCostsItsLoops) {
  Evaluator::Limits limits;
  limits.work = 4096;
  auto contract = [&](int64_t k) {
    std::string size = std::to_string(k);
    return Evaluated("%x = arith.constant dense<1.0> : tensor<2x" + size + "xf32>\n"
                     "%c = arith.constant dense<0.0> : tensor<2x2xf32>\n"
                     "%y = linalg.contract indexing_maps = [affine_map<(i, j, k) -> (i, k)>,"
                     " affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>]"
                     " ins(%x, %x : tensor<2x" + size + "xf32>, tensor<2x" + size +
                     "xf32>) outs(%c : tensor<2x2xf32>) -> tensor<2x2xf32>", limits)
        .refusal();
  };
  EXPECT_EQ(contract(32), "");
  EXPECT_EQ(contract(128), "a value that takes too long to evaluate");
}

// Chains as long as those of unrolled steps do not exhaust the stack.
TEST(Evaluate, ALongChainIsWalkedWithoutRecursion) {
  constexpr int kLength = 50000;
  std::string body = constant("v0", "1", Ints{0}) + constant("one", "1", Ints{1});
  for (int i = 0; i < kLength; ++i)
    body += "%v" + std::to_string(i + 1) + " = arith.addi %v" +
            std::to_string(i) + ", %one : tensor<1xi64>\n";
  EXPECT_EQ(Evaluated(body).ints(), Ints{kLength});
}

// Constants go back into the IR inline when they are small or one number.
TEST(Evaluate, ConstantsAreBuiltInTheirForm) {
  Evaluated e("%a = arith.constant dense<3.0> : tensor<100xf32>\n" +
              constant("b", "65", someFloats(65)) +
              "%y = arith.negf %b : tensor<65xf32>");
  e.context.loadDialect<SSMDialect>();
  mlir::OpBuilder builder(&e.context);
  builder.setInsertionPoint(e.block().getTerminator());
  auto build = [&](mlir::Value value) {
    return buildConstant(builder, value.getLoc(), *e.evaluator.evaluate(value),
                         "name")
        .getDefiningOp();
  };
  mlir::Value splat = e.block().front().getResult(0), y = e.value();
  EXPECT_TRUE(llvm::isa<mlir::arith::ConstantOp>(build(splat)));
  auto weight = llvm::dyn_cast<WeightOp>(build(y));
  ASSERT_TRUE(weight);
  EXPECT_EQ(weight.getName(), "name");
  std::optional<HostTensor> again = readAttribute(weight.getValue());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->getFloat(64), -someFloats(65)[64]);
}

} // namespace
