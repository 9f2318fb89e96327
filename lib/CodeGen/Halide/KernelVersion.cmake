# Writes OUT, which defines kKernelVersion: Halide's version and a hash of the
# sources that turn a kernel's text into code.
set(hashes "")
foreach(source IN LISTS SOURCES)
  file(SHA256 ${source} hash)
  string(APPEND hashes ${hash})
endforeach()
string(SHA256 hash "${hashes}")
file(CONFIGURE OUTPUT ${OUT} @ONLY CONTENT
  "static constexpr char kKernelVersion[] = \"halide @HALIDE_VERSION@ @hash@\";\n")
