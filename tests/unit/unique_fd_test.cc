// SPDX-License-Identifier: Apache-2.0
#include "base/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace snoop {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

int open_null() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

TEST(UniqueFd, ClosesAtTheEnd) {
  int fd = -1;
  {
    const UniqueFd owner(open_null());
    ASSERT_TRUE(owner);
    fd = owner.get();
  }
  EXPECT_FALSE(is_open(fd));
}

TEST(UniqueFd, OwnsDescriptorZeroToo) {
  UniqueFd none;
  EXPECT_FALSE(none);
  UniqueFd zero(0);
  EXPECT_TRUE(zero);
  EXPECT_EQ(zero.release(), 0);
  EXPECT_FALSE(zero);
}

TEST(UniqueFd, MovesOwnership) {
  UniqueFd first(open_null());
  const int fd = first.get();
  UniqueFd second(std::move(first));
  EXPECT_EQ(second.get(), fd);
  UniqueFd third;
  third = std::move(second);
  EXPECT_EQ(third.get(), fd);
  EXPECT_TRUE(is_open(fd));
  third.reset();
  EXPECT_FALSE(third);
  EXPECT_FALSE(is_open(fd));
}

}  // namespace
}  // namespace snoop
