// SPDX-License-Identifier: Apache-2.0
#include "probe/kernel_types.h"

#include <bpf/btf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "base/unique_fd.h"

namespace snoop {

namespace {

using Names = std::unordered_set<std::string_view>;

/// Bytes behind the head of a type (Documentation/bpf/btf.rst).
std::optional<size_t> size_of_rest(const btf_type* type) {
  const size_t count = btf_vlen(type);
  switch (btf_kind(type)) {
    case BTF_KIND_PTR:
    case BTF_KIND_FWD:
    case BTF_KIND_TYPEDEF:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_CONST:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_FUNC:
    case BTF_KIND_FLOAT:
    case BTF_KIND_TYPE_TAG:
      return 0;
    case BTF_KIND_INT:
      return sizeof(uint32_t);
    case BTF_KIND_VAR:
      return sizeof(struct btf_var);
    case BTF_KIND_DECL_TAG:
      return sizeof(struct btf_decl_tag);
    case BTF_KIND_ARRAY:
      return sizeof(struct btf_array);
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
      return count * sizeof(struct btf_member);
    case BTF_KIND_ENUM:
      return count * sizeof(struct btf_enum);
    case BTF_KIND_ENUM64:
      return count * sizeof(struct btf_enum64);
    case BTF_KIND_FUNC_PROTO:
      return count * sizeof(struct btf_param);
    case BTF_KIND_DATASEC:
      return count * sizeof(struct btf_var_secinfo);
    default:
      return std::nullopt;
  }
}

/// What a BTF is made of.
class BtfBuilder {
 public:
  template <typename T>
  void add(const T& part) {
    add(&part, sizeof(part));
  }
  void add(const void* bytes, size_t size) { types_.append(static_cast<const char*>(bytes), size); }
  /// Its offset.
  uint32_t add_name(std::string_view name) {
    if (name.empty()) {
      return 0;
    }
    const auto at = static_cast<uint32_t>(names_.size());
    names_.append(name).push_back('\0');
    return at;
  }
  [[nodiscard]] std::string build() const {
    btf_header header = {};
    header.magic = BTF_MAGIC;
    header.version = BTF_VERSION;
    header.hdr_len = sizeof(header);
    header.type_len = static_cast<uint32_t>(types_.size());
    header.str_off = header.type_len;
    header.str_len = static_cast<uint32_t>(names_.size());
    return std::string(reinterpret_cast<const char*>(&header), sizeof(header)) + types_ + names_;
  }

 private:
  std::string types_;
  std::string names_ = std::string(1, '\0');
};

}  // namespace

KernelTypes::KernelTypes() {
  const UniqueFd file(::open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC));
  struct stat status = {};
  if (!file || ::fstat(file.get(), &status) != 0) {
    return;
  }
  const auto size = static_cast<size_t>(status.st_size);
  // Since 6.16, and a private one only; a read gets a page at a time.
  if (!mapping_.map(file.get(), size, 0, PROT_READ, MAP_PRIVATE) && !read_all(file.get(), size)) {
    return;
  }
  const std::string_view all =
      mapping_.as<char>().empty() ? std::string_view(copy_) : std::string_view(mapping_.as<char>().data(), size);
  btf_header header = {};
  if (size < sizeof(header)) {
    return;
  }
  std::memcpy(&header, all.data(), sizeof(header));
  if (header.magic == BTF_MAGIC && header.hdr_len <= size &&
      size - header.hdr_len >= std::max(header.type_off, header.str_off)) {
    names_ = all.substr(header.hdr_len + header.str_off, header.str_len);
    find_types(all.substr(header.hdr_len + header.type_off, header.type_len));
  }
}

bool KernelTypes::read_all(int file, size_t size) {
  copy_.resize(size);
  size_t have = 0;
  while (have < size) {
    const ssize_t got = ::read(file, copy_.data() + have, size - have);
    if (got <= 0) {
      return false;
    }
    have += static_cast<size_t>(got);
  }
  return true;
}

void KernelTypes::find_types(std::string_view section) {
  std::vector<const btf_type*> types = {nullptr};
  types.reserve(section.size() / (2 * sizeof(btf_type)));
  while (!section.empty()) {
    const auto* type = reinterpret_cast<const btf_type*>(section.data());
    const std::optional<size_t> rest = section.size() < sizeof(*type) ? std::nullopt : size_of_rest(type);
    if (!rest || section.size() - sizeof(*type) < *rest) {
      return;  // from a later kernel
    }
    types.push_back(type);
    section.remove_prefix(sizeof(*type) + *rest);
  }
  types_ = std::move(types);
}

std::string_view KernelTypes::name_at(uint32_t offset) const {
  if (offset >= names_.size()) {
    return {};
  }
  return {names_.data() + offset, ::strnlen(names_.data() + offset, names_.size() - offset)};
}

bool KernelTypes::has(std::string_view name) const {
  const std::string whole = fmt::format("{0}{1}{0}", '\0', name);
  // Without the file there are none.
  return !names_.empty() && ::memmem(names_.data(), names_.size(), whole.data(), whole.size()) != nullptr;
}

bool KernelTypes::has_tracepoint(std::string_view name) const { return has(fmt::format("btf_trace_{}", name)); }

std::optional<int32_t> KernelTypes::enumerator(std::string_view type, std::string_view name) const {
  for (size_t id = 1; id < types_.size(); id++) {
    if (btf_is_enum(types_[id]) && name_at(types_[id]->name_off) == type) {
      const struct btf_enum* values = btf_enum(types_[id]);
      for (uint32_t i = 0; i < btf_vlen(types_[id]); i++) {
        if (name_at(values[i].name_off) == name) {
          return values[i].val;
        }
      }
    }
  }
  return std::nullopt;
}

std::string KernelTypes::excerpt(const btf* local) const {
  Names wanted;
  Names wanted_members;
  for (uint32_t id = 1; id < btf__type_cnt(local); id++) {
    const btf_type* type = btf__type_by_id(local, id);
    if (btf_is_composite(type) && type->name_off != 0) {
      wanted.insert(btf__name_by_offset(local, type->name_off));
    }
    for (uint32_t i = 0; btf_is_composite(type) && i < btf_vlen(type); i++) {
      wanted_members.insert(btf__name_by_offset(local, btf_members(type)[i].name_off));
    }
  }
  // Without a name, it may hold what is wanted.
  wanted_members.insert("");

  // Those, and what they consist of; not what they point to.
  std::vector<uint32_t> open;
  for (uint32_t id = 1; id < types_.size(); id++) {
    if (btf_is_composite(types_[id]) && wanted.contains(name_at(types_[id]->name_off))) {
      open.push_back(id);
    }
  }
  std::vector<bool> chosen(types_.size());
  uint32_t last = 0;
  while (!open.empty()) {
    const uint32_t id = open.back();
    open.pop_back();
    if (id == 0 || id >= types_.size() || chosen[id] || btf_is_ptr(types_[id]) || btf_is_func_proto(types_[id])) {
      continue;
    }
    const btf_type* type = types_[id];
    chosen[id] = true;
    last = std::max(last, id);
    if (btf_is_composite(type)) {
      for (uint32_t i = 0; i < btf_vlen(type); i++) {
        const btf_member& member = btf_members(type)[i];
        if (wanted_members.contains(name_at(member.name_off))) {
          open.push_back(member.type);
        }
      }
    } else if (btf_is_array(type)) {
      open.push_back(btf_array(type)->type);
      open.push_back(btf_array(type)->index_type);
    } else if (btf_is_mod(type) || btf_is_typedef(type)) {
      open.push_back(type->type);
    }
  }
  if (last == 0) {
    return {};
  }

  // Stands for all others; a pointer is as good as any other.
  BtfBuilder builder;
  btf_type pointer = {};
  pointer.info = BTF_KIND_PTR << 24U;
  const uint32_t any_pointer = last + 1;
  const auto here = [&](uint32_t id) -> uint32_t {
    if (id == 0 || id >= types_.size()) {
      return 0;
    }
    if (chosen[id]) {
      return id;
    }
    return btf_is_ptr(types_[id]) ? any_pointer : 0;
  };
  for (uint32_t id = 1; id <= any_pointer; id++) {
    if (id == any_pointer || !chosen[id]) {
      builder.add(pointer);
      continue;
    }
    const btf_type* type = types_[id];
    btf_type head = *type;
    head.name_off = builder.add_name(name_at(type->name_off));
    if (btf_is_any_enum(type)) {
      head.info &= ~0xffffU;  // nobody asks for its values
    } else if (btf_is_mod(type) || btf_is_typedef(type)) {
      head.type = here(type->type);
    }
    builder.add(head);
    if (btf_is_array(type)) {
      struct btf_array array = *btf_array(type);
      array.type = here(array.type);
      builder.add(array);
    } else if (btf_is_composite(type)) {
      for (uint32_t i = 0; i < btf_vlen(type); i++) {
        btf_member member = btf_members(type)[i];
        const std::string_view name = name_at(member.name_off);
        const bool is_wanted = wanted_members.contains(name);
        member.name_off = builder.add_name(is_wanted ? name : std::string_view());
        member.type = is_wanted ? here(member.type) : 0;
        builder.add(member);
      }
    } else {
      builder.add(type + 1, size_of_rest(&head).value_or(0));
    }
  }
  return builder.build();
}

}  // namespace snoop
