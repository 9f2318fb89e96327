# SPDX-License-Identifier: Apache-2.0
# The helpers through which every target of the project is declared.

include_guard(GLOBAL)

separate_arguments(ITERA_LLVM_DEFINITIONS NATIVE_COMMAND "${LLVM_DEFINITIONS}")

# What every C++ target of ours compiles and links with.
function(itera_target_defaults name)
  target_include_directories(${name} PRIVATE
    ${PROJECT_SOURCE_DIR}/include ${PROJECT_BINARY_DIR}/include)
  target_include_directories(${name} SYSTEM PRIVATE
    ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
  target_compile_definitions(${name} PRIVATE ${ITERA_LLVM_DEFINITIONS})
  target_compile_options(${name} PRIVATE
    -Wall -Wextra -Wno-unused-parameter -ffunction-sections -fdata-sections
    $<$<BOOL:${ITERA_WERROR}>:-Werror>
    $<$<AND:$<CONFIG:Debug>,$<COMPILE_LANGUAGE:CXX>>:-include${PROJECT_SOURCE_DIR}/cmake/LLVMStatistics.h>)
  target_link_options(${name} PRIVATE -fuse-ld=lld -Wl,--gc-sections)
  if(ITERA_SANITIZERS)
    # Not a generator expression: the list has commas in it.
    target_compile_options(${name} PRIVATE
      -fsanitize=${ITERA_SANITIZERS} -fno-sanitize=vptr
      -fno-sanitize-recover=undefined
      -fno-omit-frame-pointer)
    target_link_options(${name} PRIVATE -fsanitize=${ITERA_SANITIZERS})
  endif()
endfunction()

# A program of a sanitizer build brings its own options.
function(itera_program_defaults name)
  itera_target_defaults(${name})
  if(ITERA_SANITIZERS)
    target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/SanitizerOptions.c)
  endif()
endfunction()

# add_itera_library(NAME SOURCES... [DEPENDS target...] [LINK_LIBS lib...] [EXCEPTIONS])
# A static library. LINK_LIBS are public: whoever links it gets them.
# EXCEPTIONS is for the sources that talk to Halide.
function(add_itera_library name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "EXCEPTIONS" "" "DEPENDS;LINK_LIBS")
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  itera_target_defaults(${name})
  if(NOT ARG_EXCEPTIONS)
    target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions>)
  endif()
  target_link_libraries(${name} PUBLIC ${ARG_LINK_LIBS})
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
endfunction()

# add_itera_tool(NAME SOURCES... [LINK_LIBS lib...]): an installed program in build/bin.
function(add_itera_tool name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "LINK_LIBS")
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  itera_program_defaults(${name})
  target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions>)
  target_link_libraries(${name} PRIVATE ${ARG_LINK_LIBS})
  set_target_properties(${name} PROPERTIES
    INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# add_itera_unittest(NAME SOURCES... [LINK_LIBS lib...]): a GoogleTest program,
# one ctest entry, label unit.
function(add_itera_unittest name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "LINK_LIBS")
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/unittests)
  itera_program_defaults(${name})
  target_link_libraries(${name} PRIVATE ${ARG_LINK_LIBS} GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 600)
endfunction()
