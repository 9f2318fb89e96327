// SPDX-License-Identifier: Apache-2.0

#include "itera/Support/AtomicFile.h"
#include "TempFolder.h"
#include "gtest/gtest.h"
#include <unistd.h>

using namespace llvm;
using namespace itera;

TEST(AtomicFile, WritesAndReplaces) {
  TempFolder folder;
  ASSERT_FALSE(errorToBool(writeFileAtomically(folder.path("f"), "one")));
  EXPECT_EQ(folder.read("f"), "one");
  ASSERT_FALSE(errorToBool(writeFileAtomically(folder.path("f"), "two two")));
  EXPECT_EQ(folder.read("f"), "two two");
  EXPECT_EQ(folder.count(), 1u);
}

TEST(AtomicFile, LeavesNothingWhenTheFolderIsMissing) {
  TempFolder folder;
  std::string path = folder.path("missing/f");
  EXPECT_EQ(toString(writeFileAtomically(path, "x")),
            "cannot write '" + path + "': No such file or directory");
  EXPECT_EQ(folder.count(), 0u);
}

TEST(AtomicFile, RefusesAFolder) {
  TempFolder folder;
  ASSERT_FALSE(sys::fs::create_directory(folder.path("d")));
  EXPECT_EQ(toString(writeFileAtomically(folder.path("d"), "x")),
            "cannot write '" + folder.path("d") + "': Is a directory");
  EXPECT_EQ(folder.count(), 1u);
}

TEST(AtomicFile, KeepsASymbolicLink) {
  TempFolder folder;
  folder.write("f", "old");
  ASSERT_EQ(symlink("f", folder.path("link").c_str()), 0);
  ASSERT_FALSE(errorToBool(writeFileAtomically(folder.path("link"), "new")));
  EXPECT_EQ(folder.read("f"), "new");
  EXPECT_TRUE(sys::fs::is_symlink_file(folder.path("link")));
}

TEST(AtomicFile, WritesIntoADeviceInsteadOfReplacingIt) {
  ASSERT_FALSE(errorToBool(writeFileAtomically("/dev/null", "gone")));
  EXPECT_FALSE(sys::fs::is_regular_file("/dev/null"));
  std::string text = toString(writeFileAtomically("/dev/full", "x"));
  EXPECT_EQ(text, "cannot write '/dev/full': No space left on device");
}
