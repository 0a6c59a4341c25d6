// SPDX-License-Identifier: Apache-2.0
#include "probe/kernel_names.h"

#include <bpf/btf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "base/unique_fd.h"

namespace snoop {

KernelNames::KernelNames() {
  const UniqueFd file(::open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC));
  struct stat status = {};
  if (!file || ::fstat(file.get(), &status) != 0) {
    return;
  }
  const auto size = static_cast<size_t>(status.st_size);
  // Since 6.16; a read gets a page at a time.
  if (!mapping_.map(file.get(), size) && !read_all(file.get(), size)) {
    return;
  }
  const std::string_view all =
      mapping_.as<char>().empty() ? std::string_view(copy_) : std::string_view(mapping_.as<char>().data(), size);
  btf_header header = {};
  if (size < sizeof(header)) {
    return;
  }
  std::memcpy(&header, all.data(), sizeof(header));
  if (header.magic == BTF_MAGIC && size - header.hdr_len >= header.str_off) {
    names_ = all.substr(header.hdr_len + header.str_off, header.str_len);
  }
}

bool KernelNames::has(std::string_view name) const {
  const std::string whole = fmt::format("{0}{1}{0}", '\0', name);
  return ::memmem(names_.data(), names_.size(), whole.data(), whole.size()) != nullptr;
}

bool KernelNames::has_tracepoint(std::string_view name) const { return has(fmt::format("btf_trace_{}", name)); }

bool KernelNames::read_all(int file, size_t size) {
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

}  // namespace snoop
