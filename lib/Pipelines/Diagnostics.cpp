// SPDX-License-Identifier: Apache-2.0

#include "Diagnostics.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Location.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace itera;

DiagnosticPrinter::DiagnosticPrinter(MLIRContext &context, StringRef file,
                                     bool onlyErrors)
    : file(file.str()), onlyErrors(onlyErrors), handler(&context, [this](Diagnostic &diagnostic) {
        print(diagnostic);
      }) {}

void DiagnosticPrinter::error(const Twine &text) {
  if (errors++ == 0)
    llvm::errs() << file << ": error: " << text << "\n";
}

/// The name of the model's node at `location`, if it has one.
static std::string nodeName(Location location) {
  std::string name;
  location->walk([&](Location inner) {
    if (auto named = dyn_cast<NameLoc>(inner)) {
      name = named.getName().str();
      return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return name;
}

/// One line: what a file's author wrote must not break or colour the output.
static void printPlain(StringRef text, raw_ostream &os) {
  for (char c : text)
    os << (static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c);
}

void DiagnosticPrinter::print(Diagnostic &diagnostic) {
  if (onlyErrors && diagnostic.getSeverity() != DiagnosticSeverity::Error)
    return;
  StringRef severity = "error";
  switch (diagnostic.getSeverity()) {
  case DiagnosticSeverity::Error:
    if (errors++ > 0)
      return;
    break;
  case DiagnosticSeverity::Warning:
    severity = "warning";
    break;
  case DiagnosticSeverity::Note:
  case DiagnosticSeverity::Remark:
    severity = "note";
    break;
  }
  std::string text = diagnostic.str();
  for (Diagnostic &note : diagnostic.getNotes())
    text += "; " + note.str();
  // An importer may have put the file in front already.
  StringRef base = llvm::sys::path::filename(file);
  StringRef body = text;
  for (StringRef prefix : {StringRef(file), base})
    if (body.starts_with((prefix + ": ").str()))
      body = body.drop_front(prefix.size() + 2);
  text = body.str();
  raw_ostream &os = llvm::errs();
  printPlain(file, os);
  os << ": " << severity << ": ";
  std::string node = nodeName(diagnostic.getLocation());
  if (node == base || node == file)
    node.clear();
  if (!node.empty() && text.find(node) == std::string::npos) {
    os << "node '";
    printPlain(node, os);
    os << "': ";
  }
  printPlain(text, os);
  os << "\n";
}
