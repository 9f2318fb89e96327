// SPDX-License-Identifier: Apache-2.0
// Walks a graph in order and hands each node to the builder of its operator.
//
// What a node computes from constants alone is folded at once, by the
// evaluator, so that shapes are known when the next node asks for them; the
// ops it leaves behind are erased at the end in one sweep. Weights of the file
// are never folded here.

#include "Importer.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/ScopeExit.h"

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

/// Graphs in graphs, functions in functions.
static constexpr int kMaxDepth = 64;
/// Nodes after functions are inlined: they could double with every level.
static constexpr int64_t kMaxNodes = int64_t(1) << 21;
/// Most elements of a value that is folded while importing.
static constexpr int64_t kMaxFolded = 4096;

static std::string normalDomain(StringRef domain) {
  return domain == "ai.onnx" ? "" : domain.str();
}

static std::string qualified(StringRef domain, StringRef name) {
  return normalDomain(domain) + "::" + name.str();
}

SmallVector<OpEntry> onnx_import::allOps() {
  SmallVector<OpEntry> result;
  for (ArrayRef<OpEntry> family :
       {elementwiseOps(), activationOps(), shapeOps(), sliceOps(), indexOps(),
        reductionOps(), matrixOps(), convolutionOps(), normalizationOps(),
        sequenceOps(), controlOps(), signalOps(), recurrentOps(),
        quantizedOps(), blockQuantizedOps(), resamplingOps()})
    llvm::append_range(result, family);
  return result;
}

Importer::Importer(std::shared_ptr<Model> model, MLIRContext *context)
    : model(std::move(model)), context(context), builder(context) {
  context->loadDialect<arith::ArithDialect, func::FuncDialect,
                       linalg::LinalgDialect, math::MathDialect,
                       ssm::SSMDialect, tensor::TensorDialect>();
  for (const OpEntry &entry : allOps())
    table[qualified(entry.domain, entry.name)].push_back(entry);
}

InFlightDiagnostic Importer::error(Location loc) const {
  return emitError(loc) << model->fileName << ": ";
}

std::string onnx_import::cleanName(StringRef name) {
  std::string result;
  for (char c : name.take_front(200))
    result += llvm::isPrint(c) ? c : '?';
  return result;
}

Location Importer::nodeLoc(const onnx::NodeProto &proto, int64_t index) const {
  std::string name = proto.name();
  if (name.empty() && proto.output_size() > 0)
    name = proto.output(0);
  if (name.empty())
    name = proto.op_type() + "_" + std::to_string(index);
  return NameLoc::get(StringAttr::get(context, cleanName(name)));
}

//===----------------------------------------------------------------------===//
// Tensors and names
//===----------------------------------------------------------------------===//

FailureOr<Value> Importer::getTensor(const onnx::TensorProto &tensor,
                                     Location loc, StringRef name) {
  Value &known = tensors[&tensor];
  if (known)
    return known;
  FileRange range;
  llvm::Expected<ssm::HostTensor> data =
      readTensor(model, tensor, context, &range);
  if (!data)
    return error(loc) << "tensor '" << cleanName(name)
                      << "': " << llvm::toString(data.takeError());
  // All of a file's tensors stand at the head of the function, where they
  // serve every region.
  OpBuilder::InsertionGuard guard(builder);
  if (lastWeight)
    builder.setInsertionPointAfter(lastWeight);
  else
    builder.setInsertionPointToStart(entry);
  bool isInline =
      data->size() <= ssm::kMaxInlineElements || ssm::isSplat(*data);
  if (isInline) {
    known = arith::ConstantOp::create(builder, loc,
                                      ssm::toDenseAttribute(*data));
  } else {
    TypedAttr &attribute = model->weights[&tensor];
    if (!attribute)
      attribute = ssm::toResourceAttribute(*data, cleanName(name));
    StringAttr file;
    IntegerAttr offset;
    if (!range.file.empty()) {
      file = builder.getStringAttr(range.file);
      offset = builder.getI64IntegerAttr(range.offset);
    }
    known = ssm::WeightOp::create(
        builder, loc, builder.getStringAttr(cleanName(name)), attribute, file,
        offset);
  }
  lastWeight = known.getDefiningOp();
  if (isUnsignedType(tensor.data_type()))
    unsignedValues.insert(known);
  return known;
}

Value Importer::buildWeight(const ssm::HostTensor &value, Location loc,
                            StringRef name) {
  OpBuilder::InsertionGuard guard(builder);
  if (lastWeight)
    builder.setInsertionPointAfter(lastWeight);
  else
    builder.setInsertionPointToStart(entry);
  Value result = ssm::buildConstant(builder, loc, value, cleanName(name));
  lastWeight = result.getDefiningOp();
  return result;
}

Value Importer::buildConstant(const ssm::HostTensor &value, Location loc) {
  Value result = ssm::buildConstant(
      builder, loc, value, "folded_" + std::to_string(foldedCount));
  if (result.getDefiningOp<ssm::WeightOp>()) {
    ++foldedCount;
    foldedWeights.insert(result);
  }
  return result;
}

void Importer::forget(Operation *op) {
  for (Value result : op->getResults()) {
    counted.erase(result);
    unsignedValues.erase(result);
    foldedWeights.erase(result);
  }
}

bool Importer::isFoldable(Value value) const {
  return value.getDefiningOp<arith::ConstantOp>() ||
         foldedWeights.contains(value);
}

FailureOr<std::optional<Entry>> Importer::lookup(Scope &scope,
                                                 StringRef name) {
  for (Scope *s = &scope; s; s = s->parent) {
    auto found = s->entries.find(name);
    if (found != s->entries.end())
      return std::optional<Entry>(found->second);
    auto initializer = s->initializers.find(name);
    if (initializer == s->initializers.end())
      continue;
    Location tensorLoc =
        NameLoc::get(StringAttr::get(context, cleanName(name)));
    FailureOr<Value> value =
        getTensor(*initializer->second, tensorLoc, name);
    if (failed(value))
      return failure();
    Entry &bound = s->entries[name];
    bound.value = *value;
    return std::optional<Entry>(bound);
  }
  return std::optional<Entry>();
}

LogicalResult Importer::bindInitializers(const onnx::GraphProto &graph,
                                         Scope &scope, Location loc) {
  for (const onnx::TensorProto &tensor : graph.initializer()) {
    if (tensor.name().empty())
      return error(loc) << "expected every initializer to have a name";
    if (!scope.initializers.try_emplace(tensor.name(), &tensor).second)
      return error(loc) << "expected different initializer names, but got '"
                        << cleanName(tensor.name()) << "' twice";
  }
  if (graph.sparse_initializer_size() > 0)
    return error(loc) << "expected dense initializers, but got a sparse one; "
                         "export the model with dense weights";
  return success();
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

/// Adds every name that the node reads, in its subgraphs too.
static LogicalResult collectReads(const onnx::NodeProto &node,
                                  llvm::StringSet<> &names, int depth) {
  if (depth > kMaxDepth)
    return failure();
  for (const std::string &name : node.input())
    names.insert(name);
  for (const onnx::AttributeProto &attribute : node.attribute()) {
    auto visit = [&](const onnx::GraphProto &graph) -> LogicalResult {
      for (const onnx::NodeProto &inner : graph.node())
        if (failed(collectReads(inner, names, depth + 1)))
          return failure();
      for (const onnx::ValueInfoProto &output : graph.output())
        names.insert(output.name());
      return success();
    };
    if (attribute.has_g() && failed(visit(attribute.g())))
      return failure();
    for (const onnx::GraphProto &graph : attribute.graphs())
      if (failed(visit(graph)))
        return failure();
  }
  return success();
}

LogicalResult Importer::importNodes(
    const google::protobuf::RepeatedPtrField<onnx::NodeProto> &nodes,
    Scope &scope, llvm::StringSet<> needed) {
  // Backward: which nodes reach an output. What does not is not imported, so
  // it cannot fail either.
  std::vector<bool> isLive(nodes.size(), false);
  for (int i = nodes.size() - 1; i >= 0; --i) {
    for (const std::string &output : nodes[i].output())
      isLive[i] = isLive[i] || (!output.empty() && needed.contains(output));
    if (isLive[i] && failed(collectReads(nodes[i], needed, depth)))
      return error(nodeLoc(nodes[i], i))
             << "expected at most " << kMaxDepth << " graphs in each other";
  }
  for (int i = 0; i < nodes.size(); ++i)
    if (isLive[i] && failed(importNode(nodes[i], scope, i)))
      return failure();
  return success();
}

static std::string opText(const onnx::NodeProto &proto) {
  std::string domain = normalDomain(proto.domain());
  return cleanName(domain.empty() ? proto.op_type()
                                  : domain + "::" + proto.op_type());
}

LogicalResult Importer::importNode(const onnx::NodeProto &proto, Scope &scope,
                                   int64_t index) {
  Location loc = nodeLoc(proto, index);
  std::string domain = normalDomain(proto.domain());
  std::string key = qualified(domain, proto.op_type());
  auto opset = opsets.find(domain);
  int version = opset == opsets.end() ? 1 : opset->second;
  Node node(*this, proto, scope, loc, version);
  if (++nodeCount > kMaxNodes)
    return node.error() << "expected at most " << kMaxNodes
                        << " nodes once functions are inlined";

  // The inputs, as named so far.
  for (const std::string &name : proto.input()) {
    if (name.empty()) {
      node.inputs.push_back({});
      continue;
    }
    FailureOr<std::optional<Entry>> entry = lookup(scope, name);
    if (failed(entry))
      return failure();
    if (!*entry)
      return node.error() << "expected input '" << cleanName(name)
                          << "' to be defined by the graph before this node";
    node.inputs.push_back(**entry);
  }

  auto known = table.find(key);
  auto function = functions.find(key);
  const OpEntry *op = nullptr;
  if (known != table.end())
    for (const OpEntry &candidate : known->second)
      if (version >= candidate.since && version <= candidate.until)
        op = &candidate;
  if (op) {
    // A list is an input only of the ops on lists, which ask for it.
    for (int i = 0; i < op->minInputs; ++i)
      if (!node.has(i))
        return node.error() << "expected at least " << op->minInputs
                            << " inputs, but input " << i << " is missing";
    if (proto.input_size() > op->maxInputs)
      return node.error() << "expected at most " << op->maxInputs
                          << " inputs, but got " << proto.input_size();
    bool takesLists = llvm::StringRef(op->name).contains("Sequence") ||
                      StringRef(op->name) == "Loop" ||
                      StringRef(op->name) == "If" ||
                      StringRef(op->name) == "Identity";
    for (auto [i, input] : llvm::enumerate(node.inputs))
      if (input.isList() && !takesLists)
        return node.error() << "expected a tensor as input " << i
                            << ", but got a sequence";
    if (!op->handlesCounted && failed(node.refuseCounted()))
      return failure();
    if (failed(op->build(node)))
      return failure();
    foldOutputs(node);
  } else if (function != functions.end()) {
    if (failed(importFunction(node, *function->second)))
      return failure();
  } else if (known != table.end()) {
    return node.error() << "expected opset " << known->second.front().since
                        << " to " << known->second.front().until
                        << ", but the model uses " << version
                        << "; convert it with onnx.version_converter";
  } else {
    return error(loc) << "node '"
                      << cast<NameLoc>(loc).getName().getValue()
                      << "': expected a supported operator, but got '" << opText(proto)
                      << "' (opset " << version
                      << "); see the list of supported operators";
  }
  if (static_cast<int>(node.outputs.size()) < proto.output_size())
    for (int i = node.outputs.size(); i < proto.output_size(); ++i)
      if (!proto.output(i).empty())
        return node.error() << "expected at most " << node.outputs.size()
                            << " outputs, but got " << proto.output_size();
  for (auto [name, output] : llvm::zip(proto.output(), node.outputs)) {
    if (name.empty() || !output)
      continue;
    if (scope.initializers.contains(name) ||
        !scope.entries.try_emplace(name, output).second)
      return node.error() << "expected every name to be defined once, but '"
                          << cleanName(name) << "' is defined again";
  }
  return success();
}

void Importer::foldOutputs(Node &node) {
  for (const Entry &input : node.inputs)
    if (input.isList() || (input.value && !isFoldable(input.value)))
      return;
  if (node.inputs.empty())
    return;
  ssm::Evaluator::Limits limits;
  limits.elements = 4 * kMaxFolded;
  limits.work = 64 * kMaxFolded;
  ssm::Evaluator evaluator(limits);
  for (Entry &output : node.outputs) {
    Value value = output.value;
    if (!value || isFoldable(value) || counted.contains(value) ||
        cast<RankedTensorType>(value.getType()).getNumElements() > kMaxFolded)
      continue;
    std::optional<ssm::HostTensor> data = evaluator.evaluate(value);
    if (!data)
      continue;
    output.value = buildConstant(*data, node.loc);
    if (unsignedValues.contains(value))
      unsignedValues.insert(output.value);
  }
}

//===----------------------------------------------------------------------===//
// Graphs and functions
//===----------------------------------------------------------------------===//

LogicalResult Importer::importGraph(const onnx::GraphProto &graph,
                                    Scope *parent, ArrayRef<Entry> arguments,
                                    SmallVectorImpl<Entry> &results,
                                    Location loc) {
  if (depth >= kMaxDepth)
    return error(loc) << "expected at most " << kMaxDepth
                      << " graphs in each other";
  ++depth;
  llvm::scope_exit leave([&] { --depth; });
  Scope scope;
  scope.parent = parent;
  if (failed(bindInitializers(graph, scope, loc)))
    return failure();
  if (static_cast<int>(arguments.size()) > graph.input_size())
    return error(loc) << "expected a graph with " << arguments.size()
                      << " inputs, but got " << graph.input_size();
  for (auto [input, argument] : llvm::zip(graph.input(), arguments))
    if (!input.name().empty() &&
        !scope.entries.try_emplace(input.name(), argument).second)
      return error(loc) << "expected different input names, but got '"
                        << cleanName(input.name()) << "' twice";
  llvm::StringSet<> needed;
  for (const onnx::ValueInfoProto &output : graph.output())
    needed.insert(output.name());
  if (failed(importNodes(graph.node(), scope, needed)))
    return failure();
  for (const onnx::ValueInfoProto &output : graph.output()) {
    FailureOr<std::optional<Entry>> entry = lookup(scope, output.name());
    if (failed(entry))
      return failure();
    if (!*entry || !**entry)
      return error(loc) << "expected the graph's output '"
                        << cleanName(output.name())
                        << "' to be defined by a node";
    results.push_back(**entry);
  }
  return success();
}

/// Inlines a function: its body sees its parameters only, its own opsets, and
/// the call's attributes under the names it refers to.
LogicalResult Importer::importFunction(Node &call,
                                       const onnx::FunctionProto &function) {
  if (depth >= kMaxDepth)
    return call.error() << "expected at most " << kMaxDepth
                        << " functions in each other";
  ++depth;
  Scope scope;
  llvm::StringMap<const onnx::AttributeProto *> attributes;
  for (const onnx::AttributeProto &attribute : function.attribute_proto())
    attributes[attribute.name()] = &attribute;
  for (const onnx::AttributeProto &attribute : call.proto.attribute())
    if (const onnx::AttributeProto *resolved = call.attribute(attribute.name()))
      attributes[attribute.name()] = resolved;
  llvm::StringMap<int64_t> outerOpsets = opsets;
  for (const onnx::OperatorSetIdProto &set : function.opset_import())
    opsets[normalDomain(set.domain())] = set.version();
  const llvm::StringMap<const onnx::AttributeProto *> *outerAttributes =
      callAttributes;
  callAttributes = &attributes;
  llvm::scope_exit leave([&] {
    --depth;
    opsets = std::move(outerOpsets);
    callAttributes = outerAttributes;
  });

  if (call.proto.input_size() > function.input_size())
    return call.error() << "expected at most " << function.input_size()
                        << " inputs, but got " << call.proto.input_size();
  for (int i = 0; i < function.input_size(); ++i) {
    // An absent optional input stays a name that stands for nothing.
    Entry argument =
        i < static_cast<int>(call.inputs.size()) ? call.inputs[i] : Entry();
    if (!scope.entries.try_emplace(function.input(i), argument).second)
      return call.error() << "expected a function with different input names";
  }
  llvm::StringSet<> needed;
  for (const std::string &output : function.output())
    needed.insert(output);
  if (failed(importNodes(function.node(), scope, needed)))
    return failure();
  for (const std::string &output : function.output()) {
    FailureOr<std::optional<Entry>> entry = lookup(scope, output);
    if (failed(entry))
      return failure();
    call.outputs.push_back(entry->value_or(Entry()));
  }
  return success();
}

LogicalResult Importer::readOpsets() {
  Location loc = NameLoc::get(StringAttr::get(context, model->fileName));
  for (const onnx::OperatorSetIdProto &set : model->proto.opset_import()) {
    std::string domain = normalDomain(set.domain());
    opsets[domain] = set.version();
    if (domain.empty() &&
        (set.version() < kOldestOpset || set.version() > kNewestOpset))
      return error(loc) << "expected opset " << kOldestOpset << " to "
                        << kNewestOpset << ", but got " << set.version()
                        << "; convert the model with onnx.version_converter";
  }
  for (const onnx::FunctionProto &function : model->proto.functions())
    if (!functions
             .try_emplace(qualified(function.domain(), function.name()),
                          &function)
             .second)
      return error(loc) << "expected different function names, but got '"
                        << cleanName(function.name()) << "' twice";
  return success();
}

void Importer::eraseDeadOps(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
    if (op.use_empty() && isMemoryEffectFree(&op) &&
        !op.hasTrait<OpTrait::IsTerminator>()) {
      op.erase();
      continue;
    }
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        eraseDeadOps(inner);
  }
}

OwningOpRef<ModuleOp>
Importer::importModel(const llvm::StringMap<Shape> &inputShapes) {
  Location loc = NameLoc::get(StringAttr::get(context, model->fileName));
  if (failed(readOpsets()))
    return {};
  const onnx::GraphProto &graph = model->proto.graph();
  OwningOpRef<ModuleOp> module(ModuleOp::create(loc));
  (*module)->setAttr("ssm.model_name",
                     builder.getStringAttr(cleanName(graph.name())));
  (*module)->setAttr("ssm.source_hash", builder.getStringAttr(model->hash));

  // The arguments: inputs that are not constants.
  llvm::StringSet<> initializers;
  for (const onnx::TensorProto &tensor : graph.initializer())
    initializers.insert(tensor.name());
  SmallVector<Type> types;
  SmallVector<DictionaryAttr> names;
  SmallVector<const onnx::ValueInfoProto *> inputs;
  auto interfaceAttrs = [&](StringRef name, bool isUnsigned) {
    NamedAttrList attrs;
    attrs.set("ssm.name", builder.getStringAttr(cleanName(name)));
    if (isUnsigned)
      attrs.set("ssm.unsigned", builder.getUnitAttr());
    return attrs.getDictionary(context);
  };
  for (const onnx::ValueInfoProto &input : graph.input()) {
    if (initializers.contains(input.name()))
      continue;
    types.push_back(RankedTensorType::get(
        inputShapes.lookup(input.name()),
        getElementType(input.type().tensor_type().elem_type(), context)));
    names.push_back(interfaceAttrs(
        input.name(), isUnsignedType(input.type().tensor_type().elem_type())));
    inputs.push_back(&input);
  }
  builder.setInsertionPointToStart(module->getBody());
  auto function = func::FuncOp::create(builder, loc, "forward",
                                       builder.getFunctionType(types, {}));
  entry = function.addEntryBlock();
  builder.setInsertionPointToStart(entry);

  Scope outer;
  for (auto [input, argument] : llvm::zip(inputs, entry->getArguments())) {
    Entry bound;
    bound.value = argument;
    if (!outer.entries.try_emplace(input->name(), bound).second) {
      error(loc) << "expected different input names, but got '"
                 << cleanName(input->name()) << "' twice";
      return {};
    }
    if (isUnsignedType(input->type().tensor_type().elem_type()))
      unsignedValues.insert(argument);
  }
  SmallVector<Entry> results;
  if (failed(importGraph(graph, &outer, {}, results, loc)))
    return {};
  SmallVector<Value> values;
  SmallVector<DictionaryAttr> resultNames;
  llvm::StringSet<> seen;
  for (auto [output, entry] : llvm::zip(graph.output(), results)) {
    if (!entry.value || counted.contains(entry.value)) {
      error(loc) << "expected output '" << cleanName(output.name())
                 << "' to be a tensor of a static shape, but got "
                 << (entry.value ? "one whose length depends on the data"
                                 : "a sequence");
      return {};
    }
    if (!seen.insert(output.name()).second) {
      error(loc) << "expected different output names, but got '"
                 << cleanName(output.name()) << "' twice";
      return {};
    }
    values.push_back(entry.value);
    resultNames.push_back(
        interfaceAttrs(output.name(), unsignedValues.contains(entry.value)));
  }
  func::ReturnOp::create(builder, loc, values);
  function.setFunctionType(
      builder.getFunctionType(types, ValueRange(values).getTypes()));
  function.setAllArgAttrs(names);
  function.setAllResultAttrs(resultNames);
  eraseDeadOps(*entry);
  return module;
}
