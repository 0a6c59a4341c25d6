// SPDX-License-Identifier: Apache-2.0
#include "probe/probe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "base/unique_fd.h"
#include "probe/kernel_types.h"
#include "probe/rules.h"
#include "snoop_bpf.skel.h"
#include "snoop_plain_bpf.skel.h"

namespace snoop {

namespace {

/// What libbpf said last as a warning: the best reason there is for a failure.
std::string& last_libbpf_warning() {
  static std::string text;
  return text;
}

int on_libbpf_message(enum libbpf_print_level level, const char* format, va_list args) {
  if (level == LIBBPF_DEBUG && !spdlog::should_log(spdlog::level::trace)) {
    return 0;
  }
  // The verifier's log comes as one message.
  std::string text(64UL * 1024, '\0');
  const int length = std::vsnprintf(text.data(), text.size(), format, args);
  text.resize(std::clamp<size_t>(length < 0 ? 0 : static_cast<size_t>(length), 0, text.size() - 1));
  while (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  if (level == LIBBPF_WARN) {
    last_libbpf_warning() = text.substr(0, text.find('\n'));
  }
  const spdlog::level::level_enum severity = level == LIBBPF_WARN ? spdlog::level::debug : spdlog::level::trace;
  for (std::string_view rest = text; spdlog::should_log(severity) && !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    spdlog::log(severity, "{}", line);
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  return 0;
}

constexpr const char* kTypesFile = "/sys/kernel/btf/vmlinux";

std::string hint_for(int code) {
  if (code == EPERM || code == EACCES) {
    return "snoop needs root, or CAP_BPF and CAP_PERFMON, and in a container a seccomp profile that allows bpf() "
           "(--security-opt seccomp=unconfined); 'snoop check' tells what is missing";
  }
  if (code == ENOMEM || code == E2BIG) {
    return "try a smaller --ring-size, or a higher memory limit";
  }
  return "'snoop check' tells what this kernel allows; --log-level debug shows the verifier's words";
}

/// What a call means is all in its arguments, and its path is one.
bool is_plain(const SyscallRow& row) {
  return (row.op == SNOOP_OP_OPEN || row.op == SNOOP_OP_STAT || row.op == SNOOP_OP_ACCESS ||
          row.op == SNOOP_OP_READLINK) &&
         row.path != SNOOP_NO_ARG && row.path2 == SNOOP_NO_ARG;
}

/// What lets it succeed with an empty path: nothing (SNOOP_NAMED), a flag (SNOOP_NAMED_UNLESS_TOLD), or something else
/// (0).
uint8_t needs_name(const SyscallRow& row) {
  switch (row.op) {
    case SNOOP_OP_OPEN:
    case SNOOP_OP_CREAT:
    case SNOOP_OP_OPENAT2:
    case SNOOP_OP_CHDIR:
    case SNOOP_OP_CHROOT:
    case SNOOP_OP_UMOUNT:
      return SNOOP_NAMED;
    case SNOOP_OP_STAT:
    case SNOOP_OP_ACCESS:
    case SNOOP_OP_CHANGE: {
      const bool has_flags = std::any_of(follow_rows().begin(), follow_rows().end(), [&](const FollowRow& follow) {
        return follow.name == row.name && follow.argument != SNOOP_NO_ARG;
      });
      // Their flags for it are others.
      const bool is_special = row.name == "fspick" || row.name == "move_mount";
      return is_special ? 0 : has_flags ? SNOOP_NAMED_UNLESS_TOLD : SNOOP_NAMED;
    }
    default:
      return 0;
  }
}

/// Where it succeeds, paths may lead elsewhere than before.
bool changes_mounts(const SyscallRow& row) {
  return row.op == SNOOP_OP_MOUNT || row.op == SNOOP_OP_UMOUNT || row.name == "move_mount" || row.name == "pivot_root";
}

/// `plain`: whether plain calls are treated as such.
template <typename Rules>
void fill_rules(Rules& rules, bool plain) {
  for (const SyscallRow& row : syscall_rows()) {
    const int numbers[] = {native_number(row), compat_number(row)};
    for (size_t abi = 0; abi < std::size(numbers); abi++) {
      if (numbers[abi] >= 0 && numbers[abi] < SNOOP_MAX_SYSCALL) {
        auto& rule = rules[abi][numbers[abi]];
        rule.op = row.op;
        rule.path = row.path;
        rule.dirfd = row.dirfd;
        rule.extra = row.extra;
        rule.path2 = row.path2;
        rule.dirfd2 = row.dirfd2;
        rule.result = SNOOP_NO_ARG;
        rule.follow_arg = SNOOP_NO_ARG;
        rule.traits = static_cast<__u8>((plain && is_plain(row) ? SNOOP_PLAIN : 0) | needs_name(row) |
                                        (changes_mounts(row) ? SNOOP_MOUNTS : 0));
        rules[0][numbers[abi]].elsewhere = 1;
        rule.flags = row.extra;
        for (const FollowRow& follow : follow_rows()) {
          if (follow.name == row.name) {
            rule.follow = follow.follow;
            rule.follow_arg = follow.argument;
            if (rule.flags == SNOOP_NO_ARG) {
              rule.flags = follow.argument;
            }
          }
        }
      }
    }
    for (const ResultRow& result : result_rows()) {
      for (size_t abi = 0; abi < std::size(numbers) && result.name == row.name; abi++) {
        if (numbers[abi] >= 0 && numbers[abi] < SNOOP_MAX_SYSCALL) {
          auto& rule = rules[abi][numbers[abi]];
          rule.result = result.argument;
          rule.result_words = static_cast<__u8>(result.size_bytes[abi] / 8);
          if ((result.argument & SNOOP_BEHIND) != 0) {
            rule.traits &= static_cast<__u8>(~SNOOP_PLAIN);
          }
        }
      }
    }
  }
}

/// Runs a program of the kind raw_tp here and now; false: the kernel did not.
bool run_once(const bpf_program* program, std::array<uint64_t, 4> arguments) {
  bpf_test_run_opts run = {};
  run.sz = sizeof(run);
  run.ctx_in = arguments.data();
  run.ctx_size_in = sizeof(arguments);
  return bpf_prog_test_run_opts(bpf_program__fd(program), &run) == 0;
}

/// How far up the last of the memory may lie: with the holes that there are on most machines.
uint64_t memory_span_gib() {
  constexpr uint64_t kHolesGib = 64;
  constexpr uint64_t kMostGib = 16384;
  const auto pages = static_cast<uint64_t>(std::max(::sysconf(_SC_PHYS_PAGES), 0L));
  const uint64_t gib = pages / ((uint64_t{1} << 30) / static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)));
  return std::min(2 * gib + kHolesGib, kMostGib);
}

/// With the object file for this kind of kernel (bpf/read.bpf.h).
snoop_bpf* open_skeleton(bool typed_reads, const bpf_object_open_opts* options) {
  if (typed_reads) {
    return snoop_bpf__open_opts(options);
  }
  // Programs, maps and variables are found by name; the variables lie where they lie in the other one.
  static_assert(sizeof(*snoop_bpf::rodata) == sizeof(*snoop_plain_bpf::rodata));
  static_assert(sizeof(*snoop_bpf::bss) == sizeof(*snoop_plain_bpf::bss));
  static_assert(sizeof(*snoop_bpf::data) == sizeof(*snoop_plain_bpf::data));
  auto* skeleton = static_cast<snoop_bpf*>(std::calloc(1, sizeof(snoop_bpf)));
  if (skeleton == nullptr) {
    return nullptr;
  }
  int error = snoop_bpf__create_skeleton(skeleton);
  if (error == 0) {
    skeleton->skeleton->data = snoop_plain_bpf__elf_bytes(&skeleton->skeleton->data_sz);
    error = bpf_object__open_skeleton(skeleton->skeleton, options);
  }
  if (error != 0) {
    snoop_bpf__destroy(skeleton);
    errno = -error;
    return nullptr;
  }
  return skeleton;
}

/// The programs, to be loaded while `excerpt` is open. For each type that they use,
/// libbpf goes through all types of the kernel, and those of its modules if there is
/// none: so it gets a description with no more than these.
snoop_bpf* open_programs(const KernelTypes& kernel, const UniqueFd& excerpt) {
  const bool typed_reads = kernel.has("bpf_rdonly_cast");
  const std::string path = fmt::format("/proc/self/fd/{}", excerpt.get());
  bpf_object_open_opts options = {};
  options.sz = sizeof(options);
  options.btf_custom_path = path.c_str();
  snoop_bpf* skeleton = open_skeleton(typed_reads, &options);
  if (skeleton == nullptr) {
    return nullptr;
  }
  const std::string types = kernel.excerpt(bpf_object__btf(skeleton->obj));
  if (!types.empty() && ::write(excerpt.get(), types.data(), types.size()) == static_cast<ssize_t>(types.size())) {
    return skeleton;
  }
  snoop_bpf__destroy(skeleton);
  return open_skeleton(typed_reads, nullptr);
}

/// What of io_uring this kernel lets see.
struct UringSupport {
  bool submit_req = false;
  bool submit_sqe = false;
  bool sockets = false;
};

UringSupport uring_support(const KernelTypes& kernel) {
  UringSupport support;
  // Requests have the form that bpf/hook_uring.bpf.h knows since 6.0; learn_self looks closer.
  if (!kernel.has("io_cmd_data") || !kernel.has_tracepoint("io_uring_complete") ||
      !kernel.has_tracepoint("io_uring_fail_link")) {
    return support;
  }
  support.submit_req = kernel.has_tracepoint("io_uring_submit_req");
  support.submit_sqe = !support.submit_req && kernel.has_tracepoint("io_uring_submit_sqe");
  support.sockets = (support.submit_req || support.submit_sqe) && kernel.has("io_bind");
  return support;
}

/// Leaves out the programs for io_uring that this kernel has nothing for.
void choose_uring_programs(const snoop_bpf& skeleton, const UringSupport& support) {
  bpf_program__set_autoload(skeleton.progs.on_uring_submit_req, support.submit_req);
  bpf_program__set_autoload(skeleton.progs.on_uring_submit_sqe, support.submit_sqe);
  for (bpf_program* program :
       {skeleton.progs.on_uring_complete, skeleton.progs.on_uring_fail_link, skeleton.progs.flush_requests}) {
    bpf_program__set_autoload(program, support.submit_req || support.submit_sqe);
  }
}

/// Index of a version 1 controller in the kernel's css_set.subsys.
Result<int> controller_index(const KernelTypes& kernel, const std::string& controller) {
  // Its name in version 1 is another one (kernel/cgroup: legacy_name).
  const std::string name = (controller == "blkio" ? "io" : controller) + "_cgrp_id";
  if (const std::optional<int32_t> index = kernel.enumerator("cgroup_subsys_id", name)) {
    return *index;
  }
  return fail(ENOENT, fmt::format("this kernel does not describe a cgroup controller {}", controller));
}

}  // namespace

void Probe::SkeletonDeleter::operator()(snoop_bpf* skeleton) const { snoop_bpf__destroy(skeleton); }

Probe::Probe(std::unique_ptr<snoop_bpf, SkeletonDeleter> skeleton) : skeleton_(std::move(skeleton)) {}
Probe::Probe(Probe&&) noexcept = default;
Probe& Probe::operator=(Probe&&) noexcept = default;
Probe::~Probe() = default;

Result<Probe> Probe::load(const ProbeOptions& options) {
  libbpf_set_print(on_libbpf_message);
  std::optional<KernelTypes> kernel(std::in_place);
  if (options.tier != Tier::kTracepoint) {
    Result<Probe> probe = load_fexit(options, kernel);
    if (probe || options.tier == Tier::kFexit) {
      return probe;
    }
    spdlog::debug("{}", probe.error().message());
  }
  return load_tier(options, kernel, Tier::kTracepoint);
}

Result<Probe> Probe::load_fexit(const ProbeOptions& options, std::optional<KernelTypes>& kernel) {
  const std::string context = fmt::format("capture tier {}", tier_name(Tier::kFexit));
  std::string reason = no_fexit_reason(*kernel);
  const bool may_skip = reason.empty() && trampolines_may_skip();
  if (may_skip && options.tier == Tier::kAuto) {
    reason = kMaySkip;
  }
  if (!reason.empty()) {
    return fail({0, reason, "leave --tier out; 'snoop check' tells which tiers there are here"}, context);
  }
  Result<Probe> probe = load_tier(options, kernel, Tier::kFexit);
  if (!probe) {
    return fail(probe.error(), context);
  }
  if (may_skip) {
    spdlog::warn("{}: {}", context, kMaySkip);
  }
  return probe;
}

Result<Probe> Probe::load_tier(const ProbeOptions& options, std::optional<KernelTypes>& kernel, Tier tier) {
  if (!kernel) {
    kernel.emplace();
  }
  const UniqueFd excerpt(::memfd_create("kernel-types", MFD_CLOEXEC));
  Probe probe{std::unique_ptr<snoop_bpf, SkeletonDeleter>(open_programs(*kernel, excerpt))};
  if (!probe.skeleton_) {
    return fail(errno, "cannot open the BPF programs");
  }
  snoop_bpf& skeleton = *probe.skeleton_;
  probe.tier_ = tier;
  bpf_program__set_autoload(skeleton.progs.on_call_end, tier == Tier::kFexit);
  bpf_program__set_autoload(skeleton.progs.on_sys_exit, tier == Tier::kTracepoint);

  // What is known is not looked for where every access makes a record.
  fill_rules(skeleton.rodata->cfg_rules, options.first_sight_only);
  skeleton.rodata->cfg_first_sight_only = options.first_sight_only ? 1 : 0;
  skeleton.rodata->cfg_wakeup_bytes = options.ring_size_bytes / 4;
  if (::getrandom(skeleton.rodata->cfg_hash_seed, sizeof(skeleton.rodata->cfg_hash_seed), 0) < 0) {
    return fail(errno, "getrandom");
  }
  skeleton.rodata->cfg_hash_seed[1] |= 1;
  bpf_map__set_max_entries(skeleton.maps.events, static_cast<__u32>(options.ring_size_bytes));
  bpf_map__set_max_entries(skeleton.maps.free_targets, max_free_targets());
  bpf_map__set_max_entries(skeleton.maps.recents, static_cast<__u32>(libbpf_num_possible_cpus()));
  if (Result<void> chosen = probe.choose_hierarchy(options, *kernel); !chosen) {
    return tl::unexpected(chosen.error());
  }
  probe.choose_iterators(options.iterators && kernel->has("bpf_iter__task") && kernel->has("bpf_iter__task_file") &&
                         kernel->has("bpf_iter__task_vma"));
  const UringSupport uring = uring_support(*kernel);
  choose_uring_programs(skeleton, uring);
  probe.io_uring_sockets_ = uring.sockets;
  // Before libbpf reads the same: both together would be the most memory of all.
  kernel.reset();

  last_libbpf_warning().clear();
  if (const int error = snoop_bpf__load(&skeleton); error != 0) {
    // libbpf has other places to look at; what it says of them does not help.
    if (::access(kTypesFile, R_OK) != 0) {
      return fail(errno, fmt::format("the kernel's types (BTF) are not to be had: {}", kTypesFile),
                  "needs a kernel with CONFIG_DEBUG_INFO_BTF=y; a container needs /sys/kernel/btf of the host");
    }
    std::string what = "the kernel does not take the BPF programs";
    if (!last_libbpf_warning().empty()) {
      what += " (" + last_libbpf_warning() + ")";
    }
    return fail(-error, what, hint_for(-error));
  }
  // Whether it can be attached is known when it is. Without a target it takes nothing.
  if (tier == Tier::kFexit) {
    skeleton.links.on_call_end = bpf_program__attach(skeleton.progs.on_call_end);
    if (skeleton.links.on_call_end == nullptr) {
      return fail(errno, "cannot attach a BPF trampoline to the end of system calls", hint_for(errno));
    }
  }

  // Which process snoop is, as the kernel counts, from whatever pid namespace.
  const UniqueFd path_fd(::open("/", O_PATH | O_CLOEXEC));
  const uint64_t word = skeleton.rodata->cfg_hash_seed[0];
  if (!run_once(skeleton.progs.learn_self, {static_cast<uint64_t>(path_fd.get()), std::bit_cast<uint64_t>(&word), word,
                                            options.direct_text ? memory_span_gib() : 0})) {
    skeleton.bss->self_pid = static_cast<__u32>(::getpid());
  }
  spdlog::debug("paths are read {}", probe.reads_directly() ? "directly" : "by a helper");

  Result<Ring> ring = Ring::open(probe.ring_fd(), bpf_map__max_entries(skeleton.maps.events));
  if (!ring) {
    return fail(ring.error().code, ring.error().what, hint_for(ring.error().code));
  }
  probe.ring_ = std::make_unique<Ring>(std::move(*ring));
  return probe;
}

Result<void> Probe::choose_hierarchy(const ProbeOptions& options, const KernelTypes& kernel) {
  if (options.cgroup_controller.empty()) {
    return {};
  }
  const Result<int> index = controller_index(kernel, options.cgroup_controller);
  if (!index) {
    return tl::unexpected(index.error());
  }
  skeleton_->rodata->cfg_cgroup_subsys = *index;
  skeleton_->rodata->cfg_hierarchy_id = options.hierarchy_id;
  return {};
}

void Probe::choose_iterators(bool use) {
  has_iterators_ = use;
  for (bpf_program* program :
       {skeleton_->progs.baseline_cwds, skeleton_->progs.baseline_files, skeleton_->progs.baseline_mappings}) {
    bpf_program__set_autoload(program, has_iterators_);
  }
}

Result<void> Probe::attach() {
  // Run on demand, by scan_baseline().
  for (bpf_program* program :
       {skeleton_->progs.baseline_cwds, skeleton_->progs.baseline_files, skeleton_->progs.baseline_mappings}) {
    bpf_program__set_autoattach(program, false);
  }
  if (const int error = snoop_bpf__attach(skeleton_.get()); error != 0) {
    return fail(-error, "cannot attach the BPF programs", hint_for(-error));
  }
  // Cgroups that were made while only some of the programs were attached.
  forget_fronts();
  attached_ = true;
  return {};
}

void Probe::detach() {
  snoop_bpf__detach(skeleton_.get());
  attached_ = false;
}

Result<bool> Probe::add_cgroup(uint64_t cgroup_id, const snoop_target& target, bool replace) {
  const int map = bpf_map__fd(skeleton_->maps.cgroups);
  if (bpf_map_update_elem(map, &cgroup_id, &target, replace ? BPF_ANY : BPF_NOEXIST) == 0) {
    forget_fronts();
    return true;
  }
  if (errno == EEXIST) {
    return false;
  }
  return fail(errno, fmt::format("cannot trace the cgroup with id {}", cgroup_id));
}

void Probe::remove_cgroup(uint64_t cgroup_id) {
  bpf_map_delete_elem(bpf_map__fd(skeleton_->maps.cgroups), &cgroup_id);
  forget_fronts();
}

void Probe::forget_fronts() {
  for (auto& page : skeleton_->bss->front_pages) {
    // Generations come again after 2^20 of them: no entry may be that old.
    if ((__atomic_add_fetch(&page.generation, 1, __ATOMIC_SEQ_CST) & (SNOOP_FRONT_GENERATION_MASK >> 1)) == 0) {
      for (auto& front : page.fronts) {
        __atomic_store_n(&front.check, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&front.target, 0, __ATOMIC_SEQ_CST);
      }
    }
  }
  __atomic_add_fetch(&skeleton_->bss->own_epoch, 1, __ATOMIC_SEQ_CST);
}

bool Probe::has_cgroup(uint64_t cgroup_id) const { return target_of(cgroup_id).has_value(); }

std::optional<snoop_target> Probe::target_of(uint64_t cgroup_id) const {
  snoop_target target = {};
  const bool found = bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.cgroups), &cgroup_id, &target) == 0;
  return found ? std::optional(target) : std::nullopt;
}

Result<bool> Probe::add_free_target(const snoop_target& target) {
  if (bpf_map_update_elem(bpf_map__fd(skeleton_->maps.free_targets), nullptr, &target, BPF_ANY) == 0) {
    return true;
  }
  if (errno == E2BIG) {
    return false;
  }
  return fail(errno, "cannot set a target aside");
}

Result<void> Probe::scan_baseline() { return scan_baseline_of(0); }

Result<void> Probe::scan_baseline(std::span<const pid_t> pids) {
  for (const pid_t pid : pids) {
    Result<void> scanned = scan_baseline_of(pid);
    if (!scanned && (scanned.error().code == E2BIG || scanned.error().code == EINVAL)) {
      return scan_baseline_of(0);
    }
    if (!scanned) {
      return scanned;
    }
  }
  return {};
}

Result<void> Probe::scan_baseline_of(pid_t pid) {
  bpf_iter_link_info of_process = {};
  of_process.task.pid = static_cast<__u32>(pid);
  bpf_iter_attach_opts options = {};
  options.sz = sizeof(options);
  if (pid != 0) {
    options.link_info = &of_process;
    options.link_info_len = sizeof(of_process);
  }
  for (const bpf_program* program :
       {skeleton_->progs.baseline_cwds, skeleton_->progs.baseline_files, skeleton_->progs.baseline_mappings}) {
    const std::unique_ptr<bpf_link, int (*)(bpf_link*)> link(bpf_program__attach_iter(program, &options),
                                                             &bpf_link__destroy);
    if (!link) {
      return fail(errno, fmt::format("cannot attach the iterator {}", bpf_program__name(program)));
    }
    const UniqueFd iterator(bpf_iter_create(bpf_link__fd(link.get())));
    if (!iterator) {
      return fail(errno, fmt::format("cannot run the iterator {}", bpf_program__name(program)));
    }
    // The programs write nothing here; a read runs them over some of the tasks.
    std::array<char, 64> nothing = {};
    ssize_t got = 0;
    while ((got = ::read(iterator.get(), nothing.data(), nothing.size())) > 0 || (got < 0 && errno == EINTR)) {
    }
    if (got < 0) {
      return fail(errno, fmt::format("the iterator {} stopped", bpf_program__name(program)));
    }
  }
  return {};
}

void Probe::ask_file(int fd, int root_fd, uint32_t target, uint64_t number) {
  static_cast<void>(
      run_once(skeleton_->progs.ask_file, {static_cast<uint64_t>(fd), static_cast<uint64_t>(root_fd), target, number}));
}

Probe::Described Probe::describe(int fd) const {
  if (!run_once(skeleton_->progs.identify, {static_cast<uint64_t>(fd)})) {
    return {};
  }
  return {skeleton_->bss->identified, skeleton_->bss->identified_magic};
}

size_t Probe::traced_cgroups() const {
  const int map = bpf_map__fd(skeleton_->maps.cgroups);
  size_t count = 0;
  uint64_t key = 0;
  for (const void* previous = nullptr; bpf_map_get_next_key(map, previous, &key) == 0; previous = &key) {
    count++;
  }
  return count;
}

size_t Probe::max_cgroups() const { return bpf_map__max_entries(skeleton_->maps.cgroups); }

int Probe::ring_fd() const { return bpf_map__fd(skeleton_->maps.events); }

void Probe::ask_for_wakeup() { __atomic_store_n(&skeleton_->bss->reader_waits, 1, __ATOMIC_SEQ_CST); }

bool Probe::sees_io_uring() const {
  return skeleton_->bss->knows_requests != 0 && bpf_program__fd(skeleton_->progs.on_uring_complete) >= 0;
}

void Probe::flush_requests() {
  if (!sees_io_uring()) {
    return;
  }
  __u64 all = attached_ ? 0 : 1;
  bpf_test_run_opts run = {};
  run.sz = sizeof(run);
  run.ctx_in = &all;
  run.ctx_size_in = sizeof(all);
  if (const int error = bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.flush_requests), &run); error != 0) {
    spdlog::error("cannot look for unfinished io_uring requests: {}", strerrordesc_np(-error));
  }
}

void Probe::expect_own_child(bool expected) { skeleton_->bss->own_child_expected = expected ? 1 : 0; }

bool Probe::can_be_used() const {
  const uint64_t no_cgroup = 0;
  snoop_target target = {};
  const bool can_look =
      bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.cgroups), &no_cgroup, &target) == 0 || errno == ENOENT;
  if (!can_look || !run_once(skeleton_->progs.identify, {static_cast<uint64_t>(-1)})) {
    return false;
  }
  if (!has_iterators_) {
    return true;
  }
  const std::unique_ptr<bpf_link, int (*)(bpf_link*)> link(
      bpf_program__attach_iter(skeleton_->progs.baseline_cwds, nullptr), &bpf_link__destroy);
  return link && UniqueFd(bpf_iter_create(bpf_link__fd(link.get())));
}

void Probe::forget_what_was_told() {
  // In this order: what a CPU looks up by its own copy is remembered only if the long way agrees with it.
  __atomic_add_fetch(&skeleton_->bss->seen_generation, 1, __ATOMIC_SEQ_CST);
  __atomic_add_fetch(&skeleton_->bss->own_epoch, 1, __ATOMIC_SEQ_CST);
}

bool Probe::reads_directly() const { return skeleton_->bss->direct_map != 0; }

bool Probe::sees_same_pids() const { return skeleton_->bss->self_pid == static_cast<__u32>(::getpid()); }

std::string libbpf_version() { return fmt::format("{}.{}", libbpf_major_version(), libbpf_minor_version()); }

uint64_t ring_size_at_least(uint64_t bytes) {
  return std::max(std::bit_ceil(bytes), static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)));
}

}  // namespace snoop
