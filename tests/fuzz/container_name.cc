// SPDX-License-Identifier: Apache-2.0
// Paths of cgroups: below a container they are the container's to choose.
#include "container/container_name.h"

#include "container/cgroup_path.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view path = snoop::text_of(data, size);
  const std::optional<snoop::ContainerName> name = snoop::parse_container_name(path);
  if (!name) {
    return 0;
  }
  snoop::expect(path.starts_with(name->top), "top is how the path begins");
  snoop::expect(name->top.starts_with(name->outer), "outer is how top begins");
  snoop::expect(!name->outer.empty() || name->top.size() <= path.size(), "top is a part of the path");
  snoop::expect(name->id.find('/') == std::string::npos, "an id is no path");
  snoop::expect(name->pod_uid.find('/') == std::string::npos, "a uid is no path");
  snoop::expect(name->kind == snoop::ContainerName::Kind::kPod || !name->id.empty(), "a container has an id");
  return 0;
}
