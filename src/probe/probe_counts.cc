// SPDX-License-Identifier: Apache-2.0
// What the kernel side counts.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "probe/probe.h"
#include "probe/rules.h"
#include "snoop_bpf.skel.h"

namespace snoop {

namespace {

uint64_t recursion_misses(const bpf_program* program) {
  bpf_prog_info info = {};
  __u32 size = sizeof(info);
  const int fd = bpf_program__fd(program);
  return fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 ? info.recursion_misses : 0;
}

/// A part of an array that can be mapped. All that is mapped counts as memory of this
/// process, so it is never much at a time.
bool map_part(Mapping& mapping, const bpf_map* map, size_t size, size_t offset, int protection = PROT_READ) {
  if (mapping.map(bpf_map__fd(map), size, offset, protection)) {
    return true;
  }
  spdlog::error("cannot map {}: {}", bpf_map__name(map), strerrordesc_np(errno));
  return false;
}

}  // namespace

void Probe::read_use_counts(size_t count,
                            const std::function<void(size_t first, std::span<const uint64_t> counts)>& on_part) const {
  constexpr size_t kPart = 256UL * 1024 / sizeof(uint64_t);
  count = std::min<size_t>(count, SNOOP_USE_COUNTS);
  Mapping mapping;
  for (size_t first = 0; first < count; first += kPart) {
    if (!map_part(mapping, skeleton_->maps.use_counts, std::min(kPart, count - first) * sizeof(uint64_t),
                  first * sizeof(uint64_t))) {
      return;
    }
    on_part(first, mapping.as<uint64_t>());
  }
}

void Probe::read_recents(const std::function<void(std::span<const snoop_recent>)>& on_part) const {
  Mapping mapping;
  for (size_t cpu = 0; cpu < bpf_map__max_entries(skeleton_->maps.recents); cpu++) {
    if (!map_part(mapping, skeleton_->maps.recents, sizeof(snoop_recents::slots),
                  cpu * bpf_map__value_size(skeleton_->maps.recents) + offsetof(snoop_recents, slots))) {
      return;
    }
    on_part(mapping.as<snoop_recent>());
  }
}

std::vector<uint64_t*> Probe::repeats(uint32_t slot) const {
  const size_t part = slot / kSlotsAtOnce;
  constexpr size_t kPartSize = kSlotsAtOnce * sizeof(uint64_t);
  std::vector<Mapping>& cpus = repeats_.at(part);
  std::vector<uint64_t*> counters;
  cpus.resize(bpf_map__max_entries(skeleton_->maps.recents));
  for (size_t cpu = 0; cpu < cpus.size(); cpu++) {
    const size_t offset =
        cpu * bpf_map__value_size(skeleton_->maps.recents) + offsetof(snoop_recents, events) + part * kPartSize;
    if (cpus[cpu].address() == nullptr &&
        !map_part(cpus[cpu], skeleton_->maps.recents, kPartSize, offset, PROT_READ | PROT_WRITE)) {
      break;
    }
    counters.push_back(static_cast<uint64_t*>(cpus[cpu].address()) + slot % kSlotsAtOnce);
  }
  return counters;
}

snoop_target_stats Probe::target_stats(uint32_t slot) const {
  std::vector<snoop_target_stats> per_cpu(static_cast<size_t>(libbpf_num_possible_cpus()));
  snoop_target_stats sum = {};
  if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.target_stats), &slot, per_cpu.data()) != 0) {
    return sum;
  }
  for (const snoop_target_stats& stats : per_cpu) {
    sum.events += stats.events;
    sum.ring_full += stats.ring_full;
    sum.path_unreadable += stats.path_unreadable;
    sum.path_truncated += stats.path_truncated;
    sum.base_unknown += stats.base_unknown;
  }
  for (const uint64_t* count : repeats(slot)) {
    sum.events += __atomic_load_n(count, __ATOMIC_RELAXED);
  }
  return sum;
}

void Probe::clear_target_stats(uint32_t slot) {
  const std::vector<snoop_target_stats> none(static_cast<size_t>(libbpf_num_possible_cpus()));
  bpf_map_update_elem(bpf_map__fd(skeleton_->maps.target_stats), &slot, none.data(), BPF_ANY);
  for (uint64_t* count : repeats(slot)) {
    __atomic_store_n(count, 0, __ATOMIC_RELAXED);
  }
}

snoop_global_stats Probe::global_stats() const { return skeleton_->bss->global_stats; }

bool Probe::has_changed_mounts(uint32_t slot) const {
  return skeleton_->bss->mount_changes[slot % SNOOP_MAX_TARGETS] != 0;
}

uint64_t Probe::skipped_runs() const {
  const auto& progs = skeleton_->progs;
  return recursion_misses(progs.on_sys_exit) + recursion_misses(progs.on_call_end) + recursion_misses(progs.on_exec) +
         recursion_misses(progs.on_cgroup_mkdir) + recursion_misses(progs.on_uring_submit_req) +
         recursion_misses(progs.on_uring_submit_sqe) + recursion_misses(progs.on_uring_complete);
}

}  // namespace snoop
