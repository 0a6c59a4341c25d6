// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>

#include "probe/probe.h"

namespace snoop {
namespace {

TEST(RingSize, IsAPowerOfTwoOfWholePages) {
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  struct Row {
    uint64_t asked;
    uint64_t expected;
  };
  for (const Row& row : {
           Row{0, page},
           Row{1, page},
           Row{page, page},
           Row{page + 1, 2 * page},
           Row{3 * page, 4 * page},
           Row{16ULL << 20, 16ULL << 20},
           Row{(16ULL << 20) + 1, 32ULL << 20},
           Row{1ULL << 30, 1ULL << 30},
       }) {
    EXPECT_EQ(ring_size_at_least(row.asked), row.expected) << row.asked;
  }
}

TEST(LibbpfVersion, IsTwoNumbers) { EXPECT_NE(libbpf_version().find('.'), std::string::npos) << libbpf_version(); }

}  // namespace
}  // namespace snoop
