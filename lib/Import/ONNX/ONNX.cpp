// SPDX-License-Identifier: Apache-2.0
// The entry point, and the resolution of dimensions that the file leaves open.
//
// Problem: exporters declare dimensions as dynamic that the graph has fixed. An
// unrolled loop over time has one slice per step; its number is the only length
// that works. Everything after the import needs static shapes.
//
// Idea: import is cheap, so try. Every open dimension stands for a prime that
// no real model has as a size. If the import succeeds, the dimension is free.
// If it fails, the error says which two sizes should have been equal; where
// one is made of the prime, the other tells the length. Then import again.
// Graphs that index every step with constants but never compare lengths are
// caught by the indices: they cover exactly 0 .. length-1.

#include "itera/Import/ONNX.h"

#include "Importer.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

namespace {
/// Most imports tried for one model.
constexpr int kMaxTries = 24;

/// An open dimension: a name that may occur in several inputs.
struct Symbol {
  std::string name;
  /// Where it occurs first.
  std::string input;
  int64_t dim = 0;
  /// The length it has in the coming import; 0 while unknown.
  int64_t size = 0;
  bool isGiven = false;   // by --shape
  bool isDefault = false; // a batch size nobody gave
};

/// The shape of an input: sizes, or symbols as -1 - index.
struct InputShape {
  std::string name;
  Shape dims;
};

class Resolver {
public:
  Resolver(std::shared_ptr<Model> model, const ONNXImportOptions &options,
           MLIRContext *context)
      : model(std::move(model)), options(options), context(context),
        loc(NameLoc::get(StringAttr::get(context, this->model->fileName))) {}

  OwningOpRef<ModuleOp> run();

private:
  InFlightDiagnostic error() { return emitError(loc) << model->fileName << ": "; }
  LogicalResult readInputs();
  LogicalResult readInput(const onnx::ValueInfoProto &input);
  int64_t prime(size_t index) const { return primes[index % primes.size()]; }
  /// Primes above `least`, and above every number of inputs of a node.
  void choosePrimes(int64_t least);

  /// One import with the symbols as they are; unknown ones as primes.
  OwningOpRef<ModuleOp> attempt();
  /// Sizes that the last attempt suggests for unknown symbols.
  SmallVector<std::pair<size_t, int64_t>> getSuggestions();
  std::optional<int64_t> getIndexedLength(int64_t size);
  /// Finds sizes for all unknown symbols, depth first.
  OwningOpRef<ModuleOp> search();
  OwningOpRef<ModuleOp> searchAll();
  LogicalResult checkGiven();
  LogicalResult checkIndexed();
  LogicalResult reportFixed(const Symbol &symbol, int64_t size);
  void replayErrors();
  void report();

  std::shared_ptr<Model> model;
  const ONNXImportOptions &options;
  MLIRContext *context;
  Location loc;
  SmallVector<Symbol> symbols;
  SmallVector<InputShape> inputs;
  SmallVector<int64_t> primes;
  int tries = 0;

  // What the last attempt left.
  std::vector<Diagnostic> diagnostics;
  SmallVector<std::pair<int64_t, int64_t>> mismatches;
  llvm::DenseMap<int64_t, llvm::DenseSet<int64_t>> takenIndices;
};
} // namespace

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

LogicalResult Resolver::readInput(const onnx::ValueInfoProto &input) {
  const std::string &name = input.name();
  if (name.empty() || !input.type().has_tensor_type())
    return error() << "expected input '" << name << "' to be a tensor";
  const onnx::TypeProto::Tensor &type = input.type().tensor_type();
  if (!getElementType(type.elem_type(), context))
    return error() << "expected input '" << name
                   << "' of floats, integers or bool, but got "
                   << describeType(type.elem_type());
  auto given = options.shapes.find(name);
  bool isGiven = given != options.shapes.end();
  InputShape shape{name, {}};
  if (!type.has_shape()) {
    if (!isGiven)
      return error() << "expected input '" << name
                     << "' to declare a shape; give it as --shape " << name
                     << "=...";
    shape.dims = given->second;
    inputs.push_back(std::move(shape));
    return success();
  }
  int64_t rank = type.shape().dim_size();
  if (isGiven && static_cast<int64_t>(given->second.size()) != rank)
    return error() << "expected --shape for input '" << name << "' with "
                   << rank << " dimensions, but got " << given->second.size();
  for (int64_t i = 0; i < rank; ++i) {
    const onnx::TensorShapeProto::Dimension &dim = type.shape().dim(i);
    if (dim.has_dim_value() && dim.dim_value() >= 0) {
      if (isGiven && given->second[i] != dim.dim_value())
        return error() << "input '" << name << "' dimension " << i
                       << ": expected " << dim.dim_value()
                       << ", which the file fixes, but --shape gives "
                       << given->second[i];
      shape.dims.push_back(dim.dim_value());
      continue;
    }
    size_t index = symbols.size();
    if (!dim.dim_param().empty())
      for (auto [k, symbol] : llvm::enumerate(symbols))
        if (symbol.name == dim.dim_param())
          index = k;
    if (index == symbols.size()) {
      Symbol symbol;
      symbol.name = dim.dim_param();
      symbol.input = name;
      symbol.dim = i;
      symbols.push_back(symbol);
    }
    Symbol &symbol = symbols[index];
    if (isGiven) {
      int64_t size = given->second[i];
      if (symbol.isGiven && symbol.size != size)
        return error() << "input '" << name << "' dimension " << i << " '"
                       << symbol.name << "': expected " << symbol.size
                       << ", as in input '" << symbol.input
                       << "', but --shape gives " << size;
      symbol.size = size;
      symbol.isGiven = true;
    }
    shape.dims.push_back(-1 - static_cast<int64_t>(index));
  }
  inputs.push_back(std::move(shape));
  return success();
}

LogicalResult Resolver::readInputs() {
  const onnx::GraphProto &graph = model->proto.graph();
  llvm::StringSet<> initializers;
  for (const onnx::TensorProto &tensor : graph.initializer())
    initializers.insert(tensor.name());
  for (const onnx::ValueInfoProto &input : graph.input())
    if (!initializers.contains(input.name()) && failed(readInput(input)))
      return failure();
  for (const auto &given : options.shapes)
    if (llvm::none_of(inputs, [&](const InputShape &input) {
          return StringRef(input.name) == given.getKey();
        }))
      return error() << "expected --shape to name an input, but the model has "
                        "no input '"
                     << given.getKey() << "'";
  return success();
}

//===----------------------------------------------------------------------===//
// Resolution
//===----------------------------------------------------------------------===//

void Resolver::choosePrimes(int64_t least) {
  // An unrolled loop stacks its steps in one node: its length is no more than
  // the inputs of that node.
  for (const onnx::NodeProto &node : model->proto.graph().node())
    least = std::max<int64_t>(least, 2 * int64_t(node.input_size()));
  auto isPrime = [](int64_t number) {
    for (int64_t d = 3; d * d <= number; d += 2)
      if (number % d == 0)
        return false;
    return true;
  };
  primes.clear();
  for (int64_t number = least | 1; primes.size() < 16; number += 2)
    if (isPrime(number) && (primes.empty() || number > primes.back() + 32))
      primes.push_back(number);
}

OwningOpRef<ModuleOp> Resolver::attempt() {
  ++tries;
  llvm::StringMap<Shape> shapes;
  for (const InputShape &input : inputs) {
    Shape &shape = shapes[input.name];
    for (int64_t dim : input.dims) {
      size_t index = -1 - dim;
      if (dim < 0)
        dim = symbols[index].size ? symbols[index].size : prime(index);
      shape.push_back(dim);
    }
    if (!countElements(shape)) {
      diagnostics.clear();
      error() << "expected input '" << input.name
              << "' of at most 8 dimensions and a sane size";
      return {};
    }
  }
  diagnostics.clear();
  Importer importer(model, context);
  OwningOpRef<ModuleOp> module;
  {
    ScopedDiagnosticHandler handler(context, [&](Diagnostic &diagnostic) {
      diagnostics.push_back(std::move(diagnostic));
      return success();
    });
    module = importer.importModel(shapes);
  }
  mismatches = std::move(importer.mismatches);
  takenIndices = std::move(importer.takenIndices);
  return module;
}

std::optional<int64_t> Resolver::getIndexedLength(int64_t size) {
  auto found = takenIndices.find(size);
  if (found == takenIndices.end() || found->second.size() < 2)
    return std::nullopt;
  int64_t length = found->second.size();
  for (int64_t i = 0; i < length; ++i)
    if (!found->second.contains(i))
      return std::nullopt;
  return length;
}

SmallVector<std::pair<size_t, int64_t>> Resolver::getSuggestions() {
  SmallVector<std::pair<size_t, int64_t>> result;
  auto suggest = [&](size_t index, int64_t size) {
    std::pair<size_t, int64_t> entry(index, size);
    if (size > 0 && size < 1000 * 1000 && size != prime(index) &&
        !llvm::is_contained(result, entry))
      result.push_back(entry);
  };
  for (auto [index, symbol] : llvm::enumerate(symbols)) {
    if (symbol.size)
      continue;
    int64_t p = prime(index);
    for (auto [a, b] : mismatches)
      for (auto [x, y] : {std::pair(a, b), std::pair(b, a)}) {
        // x is what the prime became: itself, a little more or less after
        // padding, or a multiple after a merge of dimensions.
        if (x == p)
          suggest(index, y);
        else if (std::abs(x - p) <= 16)
          suggest(index, y - (x - p));
        else if (x > 0 && x % p == 0 && y % (x / p) == 0)
          suggest(index, y / (x / p));
      }
    if (std::optional<int64_t> length = getIndexedLength(p))
      suggest(index, *length);
  }
  return result;
}

OwningOpRef<ModuleOp> Resolver::search() {
  OwningOpRef<ModuleOp> module = attempt();
  SmallVector<std::pair<size_t, int64_t>> suggestions;
  if (module) {
    // It works with primes; are they free, or only never compared?
    for (auto [index, symbol] : llvm::enumerate(symbols))
      if (!symbol.size)
        if (std::optional<int64_t> length = getIndexedLength(prime(index)))
          suggestions.push_back({index, *length});
    if (suggestions.empty())
      return module;
    module = {};
  } else {
    suggestions = getSuggestions();
  }
  std::vector<Diagnostic> kept = std::move(diagnostics);
  for (auto [index, size] : suggestions) {
    if (tries >= kMaxTries)
      break;
    symbols[index].size = size;
    if (OwningOpRef<ModuleOp> found = search())
      return found;
    symbols[index].size = 0;
  }
  // The first error is the one that tells most.
  diagnostics = std::move(kept);
  return {};
}

void Resolver::replayErrors() {
  for (Diagnostic &diagnostic : diagnostics)
    context->getDiagEngine().emit(std::move(diagnostic));
  diagnostics.clear();
}

/// After a failure with sizes from --shape: is there one that would work if
/// only it were another? Lengths are asked before batch sizes.
LogicalResult Resolver::checkGiven() {
  SmallVector<Symbol> given = symbols;
  std::vector<Diagnostic> kept = std::move(diagnostics);
  SmallVector<size_t> order;
  for (bool isBatch : {false, true})
    for (auto [i, symbol] : llvm::enumerate(symbols))
      if (symbol.isGiven && (symbol.dim == 0) == isBatch)
        order.push_back(i);
  for (size_t i : order) {
    if (tries >= kMaxTries)
      break;
    symbols = given;
    symbols[i].size = 0;
    if (search() && symbols[i].size && symbols[i].size != given[i].size)
      return reportFixed(given[i], symbols[i].size);
  }
  symbols = given;
  diagnostics = std::move(kept);
  return success();
}

/// A length from --shape that the graph never compares with its own: it takes
/// the first entries and would ignore the others.
LogicalResult Resolver::checkIndexed() {
  for (const Symbol &symbol : symbols) {
    if (!symbol.isGiven || symbol.dim == 0)
      continue;
    std::optional<int64_t> length = getIndexedLength(symbol.size);
    if (length && *length >= 8 && *length < symbol.size)
      return reportFixed(symbol, *length);
  }
  return success();
}

LogicalResult Resolver::reportFixed(const Symbol &symbol, int64_t size) {
  return error() << "input '" << symbol.input << "' dimension " << symbol.dim
                 << " '" << symbol.name << "': expected " << size
                 << ", to which the graph is fixed, but --shape gives "
                 << symbol.size;
}

void Resolver::report() {
  for (const Symbol &symbol : symbols) {
    if (symbol.isGiven)
      continue;
    if (symbol.isDefault)
      emitRemark(loc) << model->fileName << ": input '" << symbol.input
                      << "' dimension " << symbol.dim << " '" << symbol.name
                      << "': not fixed by the file; using 1, or give --shape";
    else
      emitWarning(loc) << model->fileName << ": input '" << symbol.input
                       << "' dimension " << symbol.dim << " '" << symbol.name
                       << "': declared dynamic, but the graph is fixed to "
                       << symbol.size << "; using " << symbol.size;
  }
}

/// Searches with batch sizes of one, then for all open dimensions alike.
OwningOpRef<ModuleOp> Resolver::searchAll() {
  bool hasDefaults = false;
  for (Symbol &symbol : symbols)
    if (!symbol.isGiven) {
      symbol.isDefault = symbol.dim == 0;
      symbol.size = symbol.isDefault ? 1 : 0;
      hasDefaults |= symbol.isDefault;
    }
  OwningOpRef<ModuleOp> module = search();
  if (module || !hasDefaults)
    return module;
  SmallVector<Symbol> before = symbols;
  std::vector<Diagnostic> kept = std::move(diagnostics);
  for (Symbol &symbol : symbols)
    if (symbol.isDefault) {
      symbol.size = 0;
      symbol.isDefault = false;
    }
  module = search();
  if (!module) {
    symbols = before;
    diagnostics = std::move(kept);
  }
  return module;
}

OwningOpRef<ModuleOp> Resolver::run() {
  if (failed(readInputs()))
    return {};
  choosePrimes(1009);
  OwningOpRef<ModuleOp> module = searchAll();
  if (!module && tries < kMaxTries &&
      llvm::any_of(symbols, [](const Symbol &s) { return !s.isGiven; })) {
    // Once more with primes above any length that a chain of steps could have.
    std::vector<Diagnostic> kept = std::move(diagnostics);
    choosePrimes(1 << 17);
    module = searchAll();
    if (!module)
      diagnostics = std::move(kept);
  }
  if (!module) {
    if (llvm::any_of(symbols, [](const Symbol &s) { return s.isGiven; }) &&
        failed(checkGiven()))
      return {};
    replayErrors();
    return {};
  }
  for (const Symbol &symbol : symbols)
    if (!symbol.size) {
      error() << "input '" << symbol.input << "' dimension " << symbol.dim
              << " '" << symbol.name
              << "': expected a size, but the file leaves it open; give "
                 "--shape "
              << symbol.input << "=... with a size for every dimension";
      return {};
    }
  if (failed(checkIndexed()))
    return {};
  replayErrors();
  report();
  return module;
}

OwningOpRef<ModuleOp> itera::importONNX(StringRef path,
                                        const ONNXImportOptions &options,
                                        MLIRContext *context) {
  Location loc = NameLoc::get(StringAttr::get(context, path));
  llvm::Expected<std::shared_ptr<Model>> model =
      loadModel(path, options.allowLinks);
  if (!model) {
    emitError(loc) << path << ": " << llvm::toString(model.takeError());
    return {};
  }
  OwningOpRef<ModuleOp> module = Resolver(*model, options, context).run();
  if (module && failed(verify(*module)))
    return {};
  return module;
}

void itera::printSupportedOps(llvm::raw_ostream &os) {
  os << "| operator | opsets | notes |\n|---|---|---|\n";
  SmallVector<OpEntry> ops = allOps();
  llvm::sort(ops, [](const OpEntry &a, const OpEntry &b) {
    return std::pair(StringRef(a.domain), StringRef(a.name)) <
           std::pair(StringRef(b.domain), StringRef(b.name));
  });
  for (const OpEntry &op : ops) {
    os << "| ";
    if (*op.domain)
      os << op.domain << "::";
    os << op.name << " | " << op.since << " to " << op.until << " | "
       << op.note << " |\n";
  }
}
