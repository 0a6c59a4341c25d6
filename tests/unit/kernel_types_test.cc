// SPDX-License-Identifier: Apache-2.0
#include "probe/kernel_types.h"

#include <bpf/btf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace snoop {
namespace {

using Btf = std::unique_ptr<btf, void (*)(btf*)>;

/// The running kernel's, as libbpf takes it apart, is what the excerpt is compared with.
class KernelTypesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::access("/sys/kernel/btf/vmlinux", R_OK) != 0) {
      GTEST_SKIP() << "this kernel does not describe its types";
    }
    whole_.reset(btf__load_vmlinux_btf());
    ASSERT_NE(whole_, nullptr);
  }

  void want(const std::string& type, const std::vector<const char*>& members) {
    btf__add_struct(local_.get(), type.c_str(), 8);
    for (const char* member : members) {
      btf__add_field(local_.get(), member, 1, 0, 0);
    }
  }

  [[nodiscard]] Btf excerpt() {
    const std::string content = kernel_.excerpt(local_.get());
    return {btf__new(content.data(), static_cast<uint32_t>(content.size())), &btf__free};
  }

  /// Of the members with names, those within ones without a name too.
  static std::map<std::string, uint32_t> offsets(const btf* types, uint32_t id, uint32_t base = 0) {
    std::map<std::string, uint32_t> found;
    const btf_type* type = btf__type_by_id(types, id);
    for (uint32_t i = 0; btf_is_composite(type) && i < btf_vlen(type); i++) {
      const uint32_t at = base + btf_member_bit_offset(type, i);
      const char* name = btf__name_by_offset(types, btf_members(type)[i].name_off);
      if (*name != '\0') {
        found.emplace(name, at);
      } else {
        found.merge(offsets(types, btf_members(type)[i].type, at));
      }
    }
    return found;
  }

  KernelTypes kernel_;
  Btf whole_{nullptr, &btf__free};
  Btf local_{btf__new_empty(), &btf__free};
};

TEST_F(KernelTypesTest, ExcerptHasWhatWasWantedWhereTheKernelHasIt) {
  btf__add_int(local_.get(), "int", 4, BTF_INT_SIGNED);
  const std::map<std::string, std::vector<const char*>> wanted = {
      {"task_struct", {"thread_info", "pid", "fs"}},
      {"dentry", {"d_name", "d_parent"}},
      {"qstr", {"hash_len", "name"}},
      {"inode", {"i_ino", "i_sb"}},
      {"vm_area_struct", {"vm_start", "vm_file"}},
  };
  for (const auto& [type, members] : wanted) {
    want(type, members);
  }
  const Btf types = excerpt();
  ASSERT_NE(types, nullptr);
  EXPECT_LE(btf__type_cnt(types.get()), btf__type_cnt(whole_.get()));
  for (const auto& [type, members] : wanted) {
    SCOPED_TRACE(type);
    const int32_t id = btf__find_by_name_kind(whole_.get(), type.c_str(), BTF_KIND_STRUCT);
    ASSERT_GT(id, 0);
    ASSERT_EQ(btf__find_by_name_kind(types.get(), type.c_str(), BTF_KIND_STRUCT), id);
    EXPECT_EQ(btf__resolve_size(types.get(), static_cast<uint32_t>(id)),
              btf__resolve_size(whole_.get(), static_cast<uint32_t>(id)));
    const auto expected = offsets(whole_.get(), static_cast<uint32_t>(id));
    const auto found = offsets(types.get(), static_cast<uint32_t>(id));
    for (const char* member : members) {
      ASSERT_TRUE(found.contains(member)) << member;
      EXPECT_EQ(found.at(member), expected.at(member)) << member;
    }
  }
}

TEST_F(KernelTypesTest, ExcerptRefersToNothingOutside) {
  btf__add_int(local_.get(), "int", 4, BTF_INT_SIGNED);
  want("dentry", {"d_parent", "d_name"});
  const Btf types = excerpt();
  ASSERT_NE(types, nullptr);
  const uint32_t count = btf__type_cnt(types.get());
  for (uint32_t id = 1; id < count; id++) {
    const btf_type* type = btf__type_by_id(types.get(), id);
    if (btf_is_array(type)) {
      EXPECT_LT(btf_array(type)->type, count);
      EXPECT_LT(btf_array(type)->index_type, count);
    } else if (btf_is_mod(type) || btf_is_typedef(type) || btf_is_ptr(type)) {
      EXPECT_LT(type->type, count);
    }
    for (uint32_t i = 0; btf_is_composite(type) && i < btf_vlen(type); i++) {
      EXPECT_LT(btf_members(type)[i].type, count);
    }
  }
}

TEST_F(KernelTypesTest, ExcerptHasNothingElse) {
  btf__add_int(local_.get(), "int", 4, BTF_INT_SIGNED);
  want("dentry", {"d_parent"});
  const Btf types = excerpt();
  ASSERT_NE(types, nullptr);
  EXPECT_LT(btf__find_by_name_kind(types.get(), "task_struct", BTF_KIND_STRUCT), 0);
  const int32_t id = btf__find_by_name_kind(types.get(), "dentry", BTF_KIND_STRUCT);
  ASSERT_GT(id, 0);
  EXPECT_FALSE(offsets(types.get(), static_cast<uint32_t>(id)).contains("d_inode"));
}

TEST_F(KernelTypesTest, ThereIsNoExcerptOfNothing) {
  want("no_such_structure_of_the_kernel", {});
  EXPECT_EQ(kernel_.excerpt(local_.get()), "");
}

TEST_F(KernelTypesTest, KnowsNamesAndEnumerators) {
  EXPECT_TRUE(kernel_.has("task_struct"));
  EXPECT_FALSE(kernel_.has("task_struc"));
  EXPECT_TRUE(kernel_.has_tracepoint("sys_exit"));
  const auto* type = btf__type_by_id(
      whole_.get(), static_cast<uint32_t>(btf__find_by_name_kind(whole_.get(), "cgroup_subsys_id", BTF_KIND_ENUM)));
  ASSERT_NE(type, nullptr);
  for (uint32_t i = 0; i < btf_vlen(type); i++) {
    const char* name = btf__name_by_offset(whole_.get(), btf_enum(type)[i].name_off);
    EXPECT_EQ(kernel_.enumerator("cgroup_subsys_id", name), btf_enum(type)[i].val) << name;
  }
  EXPECT_EQ(kernel_.enumerator("cgroup_subsys_id", "none_cgrp_id"), std::nullopt);
}

}  // namespace
}  // namespace snoop
