// SPDX-License-Identifier: Apache-2.0
#include "metadata/store.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "container/cgroup.h"
#include "container/container_name.h"

namespace snoop::metadata {

namespace {

/// A cgroup namespace shows what is outside of it so.
bool is_outside(std::string_view cgroup) { return cgroup.substr(0, 3) == "/.."; }

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

std::string Store::key_of(const Container& container) {
  // The scope of a unique id is of no interest: sources name it differently.
  return is_unique_id(container.id) ? container.id : container.scope + '\n' + container.id;
}

std::string Store::put(Rank rank, std::string_view source, const std::string& origin, Container container,
                       bool is_part) {
  container.limit();
  if (container.id.empty()) {
    return {};
  }
  const std::string key = key_of(container);
  const auto [found, is_new] = entries_.try_emplace(key);
  if (is_new) {
    by_id_[container.id].insert(key);
  }
  Entry& entry = found->second;
  entry.used = ++puts_;
  const auto [part, is_first] = entry.parts.try_emplace(rank);
  if (is_part && !is_first && part->second.origin == origin) {
    const bool ended = container.state == "exited" || container.state == "removed";
    container.fill_from(part->second.container);
    if (ended) {
      container.pid = 0;
    }
  }
  part->second = {.container = std::move(container), .source = std::string(source), .origin = origin};
  std::string line = merge(key, entry);
  if (is_new && entries_.size() > max_containers_) {
    make_room();
  }
  return line;
}

std::string Store::replace(Rank rank, std::string_view source, const std::string& origin,
                           std::vector<Container> containers) {
  std::string lines;
  std::set<std::string> there;
  for (Container& container : containers) {
    container.limit();
    there.insert(key_of(container));
    lines += put(rank, source, origin, std::move(container));
  }
  for (auto& [key, entry] : entries_) {
    const auto part = entry.parts.find(rank);
    if (part != entry.parts.end() && part->second.origin == origin && !there.contains(key) &&
        part->second.container.state != "removed") {
      part->second.container.state = "removed";
      part->second.container.pid = 0;
      lines += merge(key, entry);
    }
  }
  return lines;
}

std::string Store::merge(const std::string& key, Entry& entry) {
  Container merged;
  merged.id = entry.parts.begin()->second.container.id;
  merged.scope = entry.parts.begin()->second.container.scope;
  for (const auto& [rank, part] : entry.parts) {
    merged.fill_from(part.container);
  }
  const std::string& state = entry.parts.begin()->second.container.state;
  if (state == "exited" || state == "removed") {
    merged.pid = 0;
  }
  if (const std::optional<ContainerName> name = parse_container_name(merged.cgroup); name && name->id == merged.id) {
    Container of_path;
    of_path.runtime = name->runtime;
    of_path.pod_uid = name->pod_uid;
    if (name->kind == ContainerName::Kind::kVirtualMachine) {
      of_path.why_not_observable = why_not_observable(name->runtime);
    }
    merged.fill_from(of_path);
  }
  if (merged.cgroup != entry.merged.cgroup) {
    if (const auto old = by_cgroup_.find(entry.merged.cgroup); old != by_cgroup_.end() && old->second == key) {
      by_cgroup_.erase(old);
    }
  }
  if (!merged.cgroup.empty()) {
    // The younger of two that had it one after the other.
    by_cgroup_[merged.cgroup] = key;
  }
  entry.merged = std::move(merged);
  std::string line = container_line(entry.merged, entry.parts.begin()->second.source);
  if (line == entry.line) {
    return {};
  }
  entry.line = line;
  return line;
}

void Store::forget(const std::string& key) {
  const auto found = entries_.find(key);
  const Container& merged = found->second.merged;
  if (const auto cgroup = by_cgroup_.find(merged.cgroup); cgroup != by_cgroup_.end() && cgroup->second == key) {
    by_cgroup_.erase(cgroup);
  }
  if (const auto ids = by_id_.find(merged.id); ids != by_id_.end()) {
    ids->second.erase(key);
    if (ids->second.empty()) {
      by_id_.erase(ids);
    }
  }
  entries_.erase(found);
}

/// A tenth at a time: those that were told of longest ago.
void Store::make_room() {
  std::vector<std::pair<uint64_t, std::string>> by_age;
  by_age.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) {
    by_age.emplace_back(entry.used, key);
  }
  const size_t count = std::max<size_t>(1, by_age.size() / 10);
  std::nth_element(by_age.begin(), by_age.begin() + static_cast<ptrdiff_t>(count) - 1, by_age.end());
  by_age.resize(count);
  for (const auto& [used, key] : by_age) {
    forget(key);
  }
}

const Store::Entry* Store::by_cgroup(const std::string& cgroup) const {
  const auto found = by_cgroup_.find(cgroup);
  return found == by_cgroup_.end() ? nullptr : &entries_.at(found->second);
}

const Store::Entry* Store::find_entry(const Ask& ask) const {
  if (!ask.cgroup.empty()) {
    if (const Entry* exact = by_cgroup(ask.cgroup)) {
      return exact;
    }
    // One above, unless a container within it is asked for.
    for (std::string above = parent_path(ask.cgroup); above.size() > 1; above = parent_path(above)) {
      const Entry* entry = by_cgroup(above);
      if (entry != nullptr && (ask.id.empty() || ask.id == entry->merged.id)) {
        return entry;
      }
    }
  }
  const auto ids = by_id_.find(ask.id);
  if (ask.id.empty() || ids == by_id_.end()) {
    return nullptr;
  }
  const Entry* fits = nullptr;
  for (const std::string& key : ids->second) {
    const Entry& entry = entries_.at(key);
    const std::string& cgroup = entry.merged.cgroup;
    // A cgroup with a container's id in its name need not be that container's: anyone may have called it so who may
    // make cgroups. Where the container is known to be elsewhere, it is not, unless that is the same place seen from
    // another cgroup namespace.
    if (!ask.cgroup.empty() && !cgroup.empty() && !is_outside(cgroup) && !ends_with(cgroup, ask.cgroup)) {
      continue;
    }
    if (fits != nullptr) {
      return nullptr;
    }
    fits = &entry;
  }
  return fits;
}

std::string Store::find(const Ask& ask) const {
  const Entry* entry = find_entry(ask);
  return entry == nullptr ? std::string() : entry->line;
}

}  // namespace snoop::metadata
