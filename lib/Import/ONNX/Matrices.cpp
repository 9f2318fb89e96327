// SPDX-License-Identifier: Apache-2.0
// MatMul, Gemm, Einsum.

#include "Common.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

static LogicalResult matMul(Node &n) {
  Value a = n.in(0), b = n.in(1);
  Dims s = n.b.shapeOf(a), t = n.b.shapeOf(b);
  if (failed(n.expectSameElement(0, 1)))
    return failure();
  if (s.empty() || t.empty())
    return n.error() << "expected tensors of rank 1 or more, but got "
                     << a.getType() << " and " << b.getType();
  int64_t k = s.back(), other = t.size() == 1 ? t[0] : t[t.size() - 2];
  if (k != other)
    return n.mismatch(k, other)
           << "expected the same inner size, but got " << a.getType() << " and "
           << b.getType();
  Dims batchA = s.size() > 2 ? s.drop_back(2) : Dims(),
       batchB = t.size() > 2 ? t.drop_back(2) : Dims();
  std::optional<Shape> shape = broadcastShapes(batchA, batchB);
  if (!shape)
    return n.shapeMismatch(batchA, batchB)
           << "expected batch dimensions that broadcast, but got "
           << a.getType() << " and " << b.getType();
  if (s.size() > 1)
    shape->push_back(s[s.size() - 2]);
  if (t.size() > 1)
    shape->push_back(t.back());
  if (failed(n.checkShape(*shape)))
    return failure();
  Value result = n.b.matmul(a, b);
  // Rows and batches of the left operand may be counted.
  std::optional<Counted> counted = n.counted(a);
  if (n.counted(b))
    return n.refuseCounted();
  if (counted) {
    int64_t rank = s.size();
    if (counted->dim == rank - 1 || t.size() != 2)
      return n.refuseCounted();
    n.setCounted(result, *counted);
  }
  n.out(result);
  return success();
}

static LogicalResult gemm(Node &n) {
  Value a = n.in(0), b = n.in(1);
  if (failed(n.expectSameElement(0, 1)))
    return failure();
  if (n.b.rankOf(a) != 2 || n.b.rankOf(b) != 2)
    return n.error() << "expected two matrices, but got " << a.getType()
                     << " and " << b.getType();
  bool transA = n.intAttr("transA", 0), transB = n.intAttr("transB", 0);
  Dims s = n.b.shapeOf(a), t = n.b.shapeOf(b);
  int64_t m = s[transA ? 1 : 0], k = s[transA ? 0 : 1];
  int64_t other = t[transB ? 1 : 0], columns = t[transB ? 0 : 1];
  if (k != other)
    return n.mismatch(k, other)
           << "expected the same inner size, but got " << a.getType() << " and "
           << b.getType();
  enum : int64_t { M, N, K };
  SmallVector<int64_t> labelsA{M, K}, labelsB{K, N};
  if (transA)
    std::swap(labelsA[0], labelsA[1]);
  if (transB)
    std::swap(labelsB[0], labelsB[1]);
  Value result = n.b.contract(a, labelsA, b, labelsB, {M, N});
  double alpha = n.floatAttr("alpha", 1), beta = n.floatAttr("beta", 1);
  if (alpha != 1)
    result = n.b.mul(result, n.b.splatLike(result, alpha));
  if (n.has(2)) {
    if (failed(n.expectSameElement(0, 2)))
      return failure();
    Value c = n.in(2);
    std::optional<Shape> shape = broadcastShapes({m, columns}, n.b.shapeOf(c));
    if (!shape || Dims(*shape) != Dims({m, columns}))
      return n.error() << "expected a bias that broadcasts to [" << m << ", "
                       << columns << "], but got " << c.getType();
    if (beta != 1)
      c = n.b.mul(c, n.b.splatLike(c, beta));
    result = n.b.add(result, n.b.broadcast(c, *shape));
  }
  if (std::optional<Counted> counted = n.counted(a)) {
    if (counted->dim != (transA ? 1 : 0) || n.counted(b) ||
        (n.has(2) && n.counted(n.in(2))))
      return n.refuseCounted();
    n.setCounted(result, {0, counted->count});
  } else if (failed(n.refuseCounted())) {
    return failure();
  }
  n.out(result);
  return success();
}

//===----------------------------------------------------------------------===//
// Einsum
//===----------------------------------------------------------------------===//

namespace {
/// One operand with a label per dimension. A letter's label is its character;
/// dimension i of an ellipsis, from the right, has label -1 - i.
struct Labelled {
  Value value;
  SmallVector<int64_t> labels;
};

class Einsum {
public:
  explicit Einsum(Node &n) : n(n) {}
  LogicalResult run();

private:
  LogicalResult parseOperand(StringRef text, size_t input);
  LogicalResult parseResult(StringRef text);
  /// Sums labels of an operand that nothing else needs.
  void sumUnused(Labelled &operand, ArrayRef<Labelled> others);
  /// Views the operand with the given labels, in that order.
  Value permute(const Labelled &operand, ArrayRef<int64_t> labels);
  FailureOr<Labelled> combine(Labelled a, Labelled b,
                              ArrayRef<Labelled> others);
  Shape shapeFor(ArrayRef<int64_t> labels);
  bool isNeeded(int64_t label, ArrayRef<Labelled> others);

  Node &n;
  SmallVector<Labelled> operands;
  SmallVector<int64_t> result;
  llvm::DenseMap<int64_t, int64_t> sizes;
};
} // namespace

LogicalResult Einsum::parseOperand(StringRef text, size_t input) {
  Labelled operand;
  operand.value = n.in(input);
  int64_t rank = n.b.rankOf(operand.value);
  int64_t letters = llvm::count_if(text, llvm::isAlpha);
  size_t dots = text.find("...");
  int64_t inEllipsis = dots == StringRef::npos ? 0 : rank - letters;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i == dots) {
      for (int64_t k = inEllipsis; k > 0; --k)
        operand.labels.push_back(-k);
      i += 2;
    } else if (llvm::isAlpha(text[i])) {
      operand.labels.push_back(text[i]);
    } else {
      return n.error() << "expected letters and '...' in the equation, but got '"
                       << text.take_front(64) << "'";
    }
  }
  if (inEllipsis < 0 || static_cast<int64_t>(operand.labels.size()) != rank)
    return n.error() << "expected " << operand.labels.size()
                     << " dimensions as input " << input << ", but got "
                     << operand.value.getType();
  for (auto [i, label] : llvm::enumerate(operand.labels)) {
    if (llvm::is_contained(ArrayRef(operand.labels).take_front(i), label))
      return n.error() << "expected each letter once per operand; a diagonal is "
                          "not supported";
    int64_t size = n.b.shapeOf(operand.value)[i];
    int64_t &known = sizes.try_emplace(label, size).first->second;
    // Sizes of one stretch, in an ellipsis and elsewhere alike.
    if (known == 1)
      known = size;
    else if (size != 1 && size != known)
      return n.mismatch(size, known)
             << "expected one size per letter, but got " << known << " and "
             << size;
  }
  operands.push_back(std::move(operand));
  return success();
}

LogicalResult Einsum::parseResult(StringRef text) {
  size_t dots = text.find("...");
  for (size_t i = 0; i < text.size(); ++i) {
    if (i == dots) {
      for (int64_t k = 8; k > 0; --k)
        if (sizes.contains(-k))
          result.push_back(-k);
      i += 2;
    } else if (sizes.contains(text[i]) && !llvm::is_contained(result, text[i])) {
      result.push_back(text[i]);
    } else {
      return n.error() << "expected the result's letters once and from the "
                          "operands, but got '"
                       << text.take_front(64) << "'";
    }
  }
  return success();
}

bool Einsum::isNeeded(int64_t label, ArrayRef<Labelled> others) {
  return llvm::is_contained(result, label) ||
         llvm::any_of(others, [&](const Labelled &other) {
           return llvm::is_contained(other.labels, label);
         });
}

Shape Einsum::shapeFor(ArrayRef<int64_t> labels) {
  Shape shape;
  for (int64_t label : labels)
    shape.push_back(sizes[label]);
  return shape;
}

void Einsum::sumUnused(Labelled &operand, ArrayRef<Labelled> others) {
  Shape dims;
  SmallVector<int64_t> kept;
  for (auto [i, label] : llvm::enumerate(operand.labels)) {
    if (isNeeded(label, others))
      kept.push_back(label);
    else
      dims.push_back(i);
  }
  if (dims.empty())
    return;
  operand.value = n.b.reduce(operand.value, dims, Reduction::Sum, false);
  operand.labels = kept;
}

Value Einsum::permute(const Labelled &operand, ArrayRef<int64_t> labels) {
  Shape permutation;
  for (int64_t label : labels)
    if (llvm::is_contained(operand.labels, label))
      permutation.push_back(llvm::find(operand.labels, label) -
                            operand.labels.begin());
  return n.b.transpose(operand.value, permutation);
}

FailureOr<Labelled> Einsum::combine(Labelled a, Labelled b,
                                    ArrayRef<Labelled> others) {
  SmallVector<Labelled> rest(others);
  rest.push_back(b);
  sumUnused(a, rest);
  rest.back() = a;
  sumUnused(b, rest);
  Labelled product;
  bool sums = false;
  for (int64_t label : a.labels) {
    bool isKept = isNeeded(label, others);
    sums |= !isKept;
    if (isKept)
      product.labels.push_back(label);
  }
  for (int64_t label : b.labels)
    if (!llvm::is_contained(product.labels, label) && isNeeded(label, others))
      product.labels.push_back(label);
  // The last product comes in the order of the result.
  if (others.empty() && product.labels.size() == result.size())
    product.labels = result;
  int64_t total = 1;
  for (int64_t size : shapeFor(product.labels))
    if (llvm::MulOverflow(total, size, total) || total > kMaxElements)
      return n.error() << "expected intermediate products of a sane size";
  if (sums) {
    product.value =
        n.b.contract(a.value, a.labels, b.value, b.labels, product.labels);
    return product;
  }
  // No sum: an elementwise product.
  auto widen = [&](const Labelled &operand) {
    Shape added;
    for (auto [i, label] : llvm::enumerate(product.labels))
      if (!llvm::is_contained(operand.labels, label))
        added.push_back(i);
    return n.b.broadcastInto(permute(operand, product.labels),
                             shapeFor(product.labels), added);
  };
  product.value = n.b.mul(widen(a), widen(b));
  return product;
}

LogicalResult Einsum::run() {
  std::string equation = n.stringAttr("equation", "");
  llvm::erase(equation, ' ');
  StringRef text(equation);
  auto [left, right] = text.split("->");
  bool isExplicit = text.contains("->");
  SmallVector<StringRef> parts;
  left.split(parts, ',');
  if (parts.size() != n.numInputs())
    return n.error() << "expected an equation of " << n.numInputs()
                     << " operands, but got " << parts.size();
  for (auto [i, part] : llvm::enumerate(parts)) {
    if (!n.has(i))
      return n.error() << "expected input " << i << " to be given";
    if (failed(n.expectSameElement(0, i)) || failed(parseOperand(part, i)))
      return failure();
  }
  std::string implied;
  if (!isExplicit) {
    // What occurs once, in alphabetical order, after the ellipsis.
    if (text.contains("..."))
      implied = "...";
    for (char c = 'A'; c <= 'z'; ++c)
      if (llvm::isAlpha(c) && left.count(c) == 1)
        implied += c;
    right = implied;
  }
  if (failed(parseResult(right)))
    return failure();
  if (failed(n.checkShape(shapeFor(result))))
    return failure();
  // Unit dimensions that other operands stretch do not take part.
  for (Labelled &operand : operands) {
    Shape dropped;
    SmallVector<int64_t> kept;
    for (auto [i, label] : llvm::enumerate(operand.labels)) {
      bool stretched =
          n.b.shapeOf(operand.value)[i] == 1 && sizes[label] != 1;
      if (stretched)
        dropped.push_back(i);
      else
        kept.push_back(label);
    }
    operand.value = n.b.squeeze(operand.value, dropped);
    operand.labels = kept;
  }
  // Pairwise, from the left.
  Labelled current = operands.front();
  ArrayRef<Labelled> rest = ArrayRef(operands).drop_front();
  while (!rest.empty()) {
    Labelled next = rest.front();
    rest = rest.drop_front();
    FailureOr<Labelled> product = combine(current, next, rest);
    if (failed(product))
      return failure();
    current = *product;
  }
  sumUnused(current, {});
  n.out(permute(current, result));
  return success();
}

static LogicalResult einsum(Node &n) { return Einsum(n).run(); }

ArrayRef<OpEntry> onnx_import::matrixOps() {
  constexpr int kOld = kOldestOpset, kNew = kNewestOpset;
  static const OpEntry kOps[] = {
      {"", "Einsum", 12, kNew, 1, 16, einsum, false, "no diagonals"},
      {"", "Gemm", kOld, kNew, 2, 3, gemm, true},
      {"", "MatMul", kOld, kNew, 2, 2, matMul, true},
  };
  return kOps;
}
