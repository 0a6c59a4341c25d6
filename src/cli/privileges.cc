// SPDX-License-Identifier: Apache-2.0
#include "cli/privileges.h"

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>

namespace snoop {

namespace {

constexpr Capability kUseful[] = {
    {CAP_SYS_PTRACE, "CAP_SYS_PTRACE",
     "the root directories of containers cannot be opened: links on the way, some origins and names of loaders stay "
     "unknown"},
    {CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH",
     "directories that only their owner may search cannot be looked into: links and origins below them stay unknown"},
};

using Capabilities = std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void*)>;

Capabilities own_capabilities() { return {::cap_get_proc(), &::cap_free}; }

}  // namespace

std::span<const Capability> useful_capabilities() { return kUseful; }

bool has_capability(cap_value_t capability) {
  const Capabilities own = own_capabilities();
  cap_flag_value_t value = CAP_CLEAR;
  return own && ::cap_get_flag(own.get(), capability, CAP_EFFECTIVE, &value) == 0 && value == CAP_SET;
}

bool works_without(std::span<const cap_value_t> capabilities, const std::function<bool()>& works) {
  const Capabilities former = own_capabilities();
  const Capabilities without = own_capabilities();
  if (!former || !without ||
      ::cap_set_flag(without.get(), CAP_EFFECTIVE, static_cast<int>(capabilities.size()), capabilities.data(),
                     CAP_CLEAR) != 0 ||
      ::cap_set_proc(without.get()) != 0) {
    return false;
  }
  const bool it_works = works();
  // What is permitted can always be taken up again.
  ::cap_set_proc(former.get());
  return it_works;
}

Result<void> keep_capabilities(std::span<const cap_value_t> kept) {
  const Capabilities own = own_capabilities();
  const Capabilities next(::cap_init(), &::cap_free);
  if (!own || !next) {
    return fail(errno, "cannot read the capabilities");
  }
  for (cap_value_t capability = 0; capability < ::cap_max_bits(); capability++) {
    const bool is_kept = std::find(kept.begin(), kept.end(), capability) != kept.end();
    cap_flag_value_t value = CAP_CLEAR;
    ::cap_get_flag(own.get(), capability, CAP_PERMITTED, &value);
    if (is_kept && value == CAP_SET) {
      for (const cap_flag_t flag : {CAP_PERMITTED, CAP_EFFECTIVE}) {
        ::cap_set_flag(next.get(), flag, 1, &capability, CAP_SET);
      }
    } else if (!is_kept) {
      // Without CAP_SETPCAP it stays where it is; no_new_privs keeps it from being taken up.
      ::cap_drop_bound(capability);
    }
  }
  if (::cap_set_proc(next.get()) != 0) {
    return fail(errno, "cannot give capabilities up");
  }
  return {};
}

}  // namespace snoop
