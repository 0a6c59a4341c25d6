// SPDX-License-Identifier: Apache-2.0
#include "cli/session.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>

#include "base/text.h"
#include "container/proc_files.h"
#include "output/atomic_file.h"
#include "pipeline/path.h"
#include "version.h"

namespace snoop {

namespace {

/// From a move to the look at the process: who starts a container moves itself
/// into it first and then becomes the container's program.
constexpr std::chrono::milliseconds kMovedDelay{50};
/// From one look to the next, as a multiple of what the last one took.
constexpr int kMovedRest = 20;
/// With more at a time, one look at all processes costs less.
constexpr size_t kMostMoved = 64;

std::string last_component(const std::string& path) { return path == "/" ? path : path.substr(path.rfind('/') + 1); }

}  // namespace

Session::Session(const Options& options, CgroupTree tree, Probe probe, AccessHandler on_access)
    : options_(options),
      tree_(std::move(tree)),
      probe_(std::move(probe)),
      on_access_(std::move(on_access)),
      recorder_({.exclude = options.exclude, .max_files = options.max_files}),
      resolver_(
          [this](int fd) {
            const Probe::Described described = probe_.describe(fd);
            return Roots::Described{described.identity, described.magic};
          },
          probe_.sees_same_pids(), options.command != Command::kTrace),
      moved_delay_(kMovedDelay),
      started_at_(wall_now()) {
  if (!probe_.sees_io_uring()) {
    not_seen_.emplace_back("io_uring requests");
  } else if (!probe_.sees_io_uring_sockets()) {
    not_seen_.emplace_back("io_uring requests with the path of a socket");
  }
  not_seen_.emplace_back("x32 system calls");
  if (options.command != Command::kTrace) {
    not_seen_.emplace_back("symbolic links that were gone, out of reach, or changed before snoop could look at them");
  }
  for (uint32_t slot = 0; slot < Probe::max_targets(); slot++) {
    free_slots_.push_back(slot);
  }
}

Result<std::unique_ptr<Session>> Session::start(const Options& options, EventLoop& loop, AccessHandler on_access,
                                                EventLoop::Callback on_drained) {
  Result<CgroupTree> tree = CgroupTree::find_for(options.cgroups);
  if (!tree) {
    return tl::unexpected(tree.error());
  }
  ProbeOptions probe_options;
  probe_options.ring_size_bytes = options.ring_size_bytes;
  probe_options.first_sight_only = options.command != Command::kTrace || options.trace_unique;
  const Result<int> hierarchy_id = tree->hierarchy_id();
  if (!hierarchy_id) {
    return tl::unexpected(hierarchy_id.error());
  }
  probe_options.cgroup_controller = tree->controller();
  probe_options.hierarchy_id = *hierarchy_id;
  probe_options.iterators = options.iterators;
  Result<Probe> probe = Probe::load(probe_options);
  if (!probe) {
    return tl::unexpected(probe.error());
  }
  std::unique_ptr<Session> session(new Session(options, std::move(*tree), std::move(*probe), std::move(on_access)));
  Session* self = session.get();
  if (Result<void> attached = self->probe_.attach(); !attached) {
    return tl::unexpected(attached.error());
  }
  Result<std::unique_ptr<RingReader>> reader = RingReader::start(
      loop, self->probe_, [self](std::span<const std::byte> bytes) { self->on_bytes(bytes); },
      [self, on_drained = std::move(on_drained)] {
        self->on_round();
        if (on_drained) {
          on_drained();
        }
      });
  if (!reader) {
    return tl::unexpected(reader.error());
  }
  self->reader_ = std::move(*reader);
  self->resolver_.hold_own_root();
  self->last_round_ = self->started_at_;
  if (Result<void> watched = self->watch_moved(loop); !watched) {
    return tl::unexpected(watched.error());
  }
  return session;
}

void Session::go_on_from(ReportContents former) {
  ReportHeader here;
  name_host(here);
  boot_id_ = here.boot_id;
  former_ = std::move(former);
  mark_ended(*former_, tree_, boot_id_);
}

Result<snoop_target> Session::next_target() {
  if (free_slots_.empty()) {
    return fail(E2BIG, fmt::format("more than {} targets", Probe::max_targets()),
                "name a cgroup further up with --cgroup: all below it is one target");
  }
  snoop_target target = {};
  target.slot = free_slots_.front();
  target.id = ++last_target_;
  free_slots_.pop_front();
  slot_of_target_[target.id] = target.slot;
  return target;
}

void Session::return_target(const snoop_target& target) {
  slot_of_target_.erase(target.id);
  free_slots_.push_front(target.slot);
}

Result<void> Session::set_targets_aside() {
  while (adopts_ && !free_slots_.empty()) {
    const Result<snoop_target> target = next_target();
    if (!target) {
      return tl::unexpected(target.error());
    }
    const Result<bool> added = probe_.add_free_target(*target);
    if (added && *added) {
      continue;
    }
    return_target(*target);
    return added ? Result<void>() : tl::unexpected(added.error());
  }
  return {};
}

Result<void> Session::add_subtree(const Cgroup& cgroup, const snoop_target& target, bool replace) {
  // The parent first: what is made below it from now on inherits in the kernel.
  if (const Result<bool> added = probe_.add_cgroup(cgroup.id, target, replace); !added) {
    return tl::unexpected(added.error());
  }
  snoop_target below = target;
  below.flags &= ~static_cast<uint32_t>(SNOOP_TARGET_TOP);
  for (const Cgroup& child : tree_.children(cgroup)) {
    if (Result<void> added = add_subtree(child, below, replace); !added) {
      return added;
    }
  }
  forget_if_gone(cgroup);
  return {};
}

/// What was removed before it had an entry leaves no other trace.
void Session::forget_if_gone(const Cgroup& cgroup) {
  const Result<Cgroup> now = tree_.at(cgroup.path);
  if (!now || now->id != cgroup.id) {
    probe_.remove_cgroup(cgroup.id);
  }
}

Result<void> Session::add_target(const Cgroup& cgroup, const std::string& name) {
  Result<snoop_target> target = next_target();
  if (!target) {
    return tl::unexpected(target.error());
  }
  target->flags = SNOOP_TARGET_TOP;
  add_container(name.empty() ? last_component(cgroup.path) : name, cgroup, *target);
  return add_subtree(cgroup, *target, true);
}

Result<void> Session::add_targets() {
  if (options_.cgroups.empty()) {
    return options_.all ? add_all() : add_siblings();
  }
  std::vector<Cgroup> cgroups;
  std::set<uint64_t> seen;
  for (const std::string& name : options_.cgroups) {
    Result<Cgroup> cgroup = tree_.named(name);
    if (!cgroup) {
      return tl::unexpected(cgroup.error());
    }
    if (seen.insert(cgroup->id).second) {
      cgroups.push_back(std::move(*cgroup));
    }
  }
  if (!options_.container_name.empty() && cgroups.size() > 1) {
    return fail(0, fmt::format("--container-name names one container, but there are {} targets", cgroups.size()));
  }
  // From the outside in: a target within another one keeps its own list.
  std::sort(cgroups.begin(), cgroups.end(), [](const Cgroup& a, const Cgroup& b) { return a.path < b.path; });
  for (const Cgroup& cgroup : cgroups) {
    if (Result<void> added = add_target(cgroup, options_.container_name); !added) {
      return added;
    }
  }
  return {};
}

void Session::add_baseline() {
  wants_baseline_ = options_.baseline;
  const bool by_proc = options_.baseline && !probe_.has_iterators();
  const Result<void> scanned = options_.baseline && !by_proc ? probe_.scan_baseline() : Result<void>();
  if (!scanned) {
    spdlog::warn("{}", scanned.error().message());
  }
  if (!scanned || !options_.baseline) {
    not_seen_.emplace_back("files open, mapped or running before capture started");
  } else if (!probe_.sees_same_pids()) {
    // Neither the iterators nor /proc show more.
    not_seen_.emplace_back(
        "files open, mapped or running before capture started, of processes outside of snoop's pid namespace");
  } else if (by_proc) {
    not_seen_.emplace_back(
        "of what was open before capture started: descriptors that a thread has for itself, and files of processes "
        "that snoop may not look into");
  }
  reader_->drain();
  if (by_proc) {
    std::map<uint32_t, Cgroup> tops;
    for (const Container& container : recorder_.containers()) {
      tops[container.target] = {container.cgroup_id, container.cgroup_path};
    }
    for (const auto& [target, cgroup] : tops) {
      scan_proc(cgroup, target);
    }
  }
}

void Session::scan_proc(const Cgroup& cgroup, uint32_t target) {
  for (const pid_t pid : tree_.processes(cgroup)) {
    scan_proc(pid, target, cgroup.id);
  }
  for (const Cgroup& child : tree_.children(cgroup)) {
    // A target within a target has its own list.
    const auto& containers = recorder_.containers();
    if (std::none_of(containers.begin(), containers.end(),
                     [&](const Container& container) { return container.cgroup_id == child.id; })) {
      scan_proc(child, target);
    }
  }
}

void Session::scan_proc(pid_t pid, uint32_t target, uint64_t cgroup_id) {
  if (pid <= 0 || pid == ::getpid() || !probe_.sees_same_pids()) {
    return;
  }
  for (std::string& path : files_in_use(pid)) {
    Access access;
    access.path = path;
    access.resolved = std::move(path);
    access.seen = uint64_t{1} << SNOOP_KIND_BASELINE;
    access.pid = pid;
    access.tid = pid;
    access.target = target;
    access.cgroup_id = cgroup_id;
    access.time = wall_now();
    recorder_.add(access);
  }
}

Result<void> Session::watch_moved(EventLoop& loop) {
  Result<Timer> timer = Timer::create();
  if (!timer) {
    return tl::unexpected(timer.error());
  }
  moved_timer_ = std::make_unique<Timer>(std::move(*timer));
  return loop.watch(moved_timer_->fd(), [this] {
    moved_timer_->acknowledge();
    scan_moved();
  });
}

void Session::on_moved(const Record& record) {
  if (!wants_baseline_) {
    return;
  }
  if (moved_.empty()) {
    moved_timer_->start(moved_delay_);
  }
  moved_[static_cast<pid_t>(record.event.pid)] = {record.event.target, record.event.cgroup_id};
}

void Session::scan_moved() {
  const std::map<pid_t, Moved> moved = std::exchange(moved_, {});
  if (moved.empty()) {
    return;
  }
  const auto began = std::chrono::steady_clock::now();
  Result<void> scanned;
  if (!probe_.has_iterators()) {
    for (const auto& [pid, where] : moved) {
      scan_proc(pid, where.target, where.cgroup_id);
    }
  } else if (moved.size() > kMostMoved || !probe_.sees_same_pids()) {
    scanned = probe_.scan_baseline();
  } else {
    std::vector<pid_t> pids;
    pids.reserve(moved.size());
    for (const auto& [pid, where] : moved) {
      pids.push_back(pid);
    }
    scanned = probe_.scan_baseline(pids);
  }
  moved_delay_ =
      std::max<std::chrono::nanoseconds>(kMovedDelay, kMovedRest * (std::chrono::steady_clock::now() - began));
  if (!scanned) {
    spdlog::warn("{}", scanned.error().message());
  }
}

Result<void> Session::add_all() {
  const Result<Cgroup> root = tree_.at("/");
  const Result<Cgroup> own = tree_.own();
  if (!root || !own) {
    return tl::unexpected(root ? own.error() : root.error());
  }
  adopts_ = true;
  if (Result<void> aside = set_targets_aside(); !aside) {
    return aside;
  }
  return adopt_below(*root, *own);
}

/// Makes a target of this cgroup and of each below. An empty one too: a process
/// may be moved into it later. What never used anything is left out of reports.
Result<void> Session::adopt_below(const Cgroup& cgroup, const Cgroup& own) {
  if (cgroup.id == own.id && cgroup.path != "/") {
    return {};
  }
  snoop_target target = {};
  if (cgroup.id != own.id) {
    const Result<snoop_target> next = next_target();
    if (!next) {
      return tl::unexpected(next.error());
    }
    target = *next;
    target.flags = SNOOP_TARGET_TOP;
  }
  target.flags |= SNOOP_TARGET_ADOPT | SNOOP_TARGET_ADOPT_DEEP;
  // Not replaced: the kernel side may have adopted it a moment ago.
  const Result<bool> added = probe_.add_cgroup(cgroup.id, target, false);
  if (!added) {
    return tl::unexpected(added.error());
  }
  if (target.id != 0 && !*added) {
    return_target(target);
  } else if (target.id != 0) {
    add_container(last_component(cgroup.path), cgroup, target).only_if_used = true;
  }
  for (const Cgroup& child : tree_.children(cgroup)) {
    if (Result<void> adopted = adopt_below(child, own); !adopted) {
      return adopted;
    }
  }
  forget_if_gone(cgroup);
  return {};
}

Result<void> Session::add_siblings() {
  const Result<Cgroup> own = tree_.own();
  if (!own) {
    return tl::unexpected(own.error());
  }
  if (own->path == "/") {
    return fail(
        0, "no target: snoop's own cgroup is the root, so it has no siblings",
        "name targets with --cgroup, or take --all; a container needs the host's /sys/fs/cgroup to see its siblings");
  }
  const Result<Cgroup> parent = tree_.at(parent_path(own->path));
  if (!parent) {
    return tl::unexpected(parent.error());
  }
  adopts_ = true;
  if (Result<void> aside = set_targets_aside(); !aside) {
    return aside;
  }
  snoop_target adopting = {};
  adopting.flags = SNOOP_TARGET_ADOPT;
  if (const Result<bool> added = probe_.add_cgroup(parent->id, adopting, true); !added) {
    return tl::unexpected(added.error());
  }
  for (const Cgroup& sibling : tree_.children(*parent)) {
    if (sibling.id == own->id) {
      continue;
    }
    if (Result<void> added = add_target(sibling); !added) {
      return added;
    }
  }
  return {};
}

void Session::on_bytes(std::span<const std::byte> bytes) {
  const std::optional<Record> record = decode(bytes);
  if (!record) {
    undecodable_++;
    return;
  }
  switch (record->event.type) {
    case SNOOP_EVENT_ACCESS:
    case SNOOP_EVENT_ELF_INTERPRETER:
      on_access(*record);
      return;
    case SNOOP_EVENT_CGROUP:
      on_new_cgroup(*record);
      return;
    case SNOOP_EVENT_CGROUP_GONE:
      resolver_.forget_roots(record->event.cgroup_id);
      if (record->event.inode == 1) {
        end_target(record->event.target, wall_from_boottime(record->event.time_ns));
      }
      return;
    case SNOOP_EVENT_MOVED:
      on_moved(*record);
      return;
    case SNOOP_EVENT_ROOT:
      resolver_.learn_root(*record);
      return;
    case SNOOP_EVENT_FILE:
      on_file(*record);
      return;
    default:
      return;
  }
}

void Session::on_access(const Record& record) {
  const auto wanted = [&](std::string_view path) { return !is_excluded(path, options_.exclude); };
  const std::optional<Resolver::Resolved> resolved = resolver_.resolve(record, wanted);
  if (!resolved) {
    return;
  }
  Container& container = container_of(resolved->access);
  if (on_access_) {
    on_access_(resolved->access, container);
    return;
  }
  if (resolved->no_root && container.unresolved.empty()) {
    container.unresolved = resolver_.no_root_reason();
    spdlog::info("{}: links on the way are not known for some paths: {}", printable(container.name),
                 container.unresolved);
  }
  const std::optional<uint32_t> index = keep(record, resolved->access);
  // What is only open or mapped is no use of it, however often it is looked at.
  if (index && record.event.seen != 1ULL << SNOOP_KIND_BASELINE) {
    use_counts_.learn(record.event.entry, record.event.target, *index, recorder_);
  }
  for (const Access& link : resolved->links) {
    keep(record, link);
  }
}

std::optional<uint32_t> Session::keep(const Record& record, const Access& access) {
  const Container* container = recorder_.find(access.target);
  const size_t known = container == nullptr ? 0 : container->files.size();
  const std::optional<uint32_t> index = recorder_.add(access);
  if (!index) {
    return std::nullopt;
  }
  // A call that gives no file does not tell where it comes from, nor does a link.
  const bool is_asked = kinds_with(access.seen, SNOOP_OUTCOME_OK) != 0 && record.event.fs_magic == 0;
  const bool is_new_link = access.seen != record.event.seen && *index >= known;
  if ((is_asked || is_new_link) && container->files.entries()[*index].origin() == FileOrigin::kUnknown) {
    const Resolver::Opened opened = resolver_.open(record, access);
    if (opened.file) {
      probe_.ask_file(opened.file.get(), opened.root_fd, access.target, *index);
    }
  }
  return index;
}

void Session::on_file(const Record& record) {
  Container* container = recorder_.find(record.event.target);
  if (container == nullptr || record.event.entry >= container->files.size()) {
    return;
  }
  Access answer;
  set_origin(answer, record);
  const AccessStore::Entry& entry = container->files.entries()[record.event.entry];
  container->files.add({.path = entry.path(),
                        .first_seen = entry.first_seen(),
                        .last_seen = entry.last_seen(),
                        .origin = answer.origin,
                        .mount = answer.mount});
}

/// After each round of the reader. Where the ring buffer was full, what came then
/// is lost; what of it is still open or mapped can be had.
void Session::on_round() {
  resolver_.begin_batch();
  if (on_access_) {
    return;
  }
  if (!note_ring_losses() && std::exchange(rescan_due_, false)) {
    if (const Result<void> scanned = probe_.scan_baseline(); !scanned) {
      spdlog::warn("{}", scanned.error().message());
    }
  }
}

/// Whether there were any since the last time.
bool Session::note_ring_losses() {
  const WallTime now = wall_now();
  const WallTime from = std::exchange(last_round_, now);
  const uint64_t losses = probe_.global_stats().ring_full;
  if (losses == std::exchange(ring_losses_, losses)) {
    return false;
  }
  for (Container& container : recorder_.containers()) {
    if (container.target == 0 || container.ended_at != 0) {
      continue;
    }
    const uint64_t lost = probe_.target_stats(container.slot).ring_full;
    if (lost != container.losses.ring_full) {
      container.add_loss_window(from, now, lost - container.losses.ring_full, "ring_full");
      container.losses.ring_full = lost;
    }
  }
  rescan_due_ = options_.baseline && !on_access_;
  return true;
}

/// How often each file was used, as the kernel side has counted.
void Session::collect_uses() { use_counts_.collect(probe_.use_counts(), probe_.recents(), recorder_, wall_now()); }

void Session::on_new_cgroup(const Record& record) {
  if (const Result<void> aside = set_targets_aside(); !aside) {
    spdlog::warn("{}", aside.error().message());
  }
  if (recorder_.find(record.event.target) != nullptr) {
    return;
  }
  std::string path(record.path);
  if (const Result<Cgroup> cgroup = tree_.at_kernel_path(path, record.event.cgroup_id)) {
    above_mount_ = path.substr(0, path.size() - cgroup->path.size());
  }
  // What is gone already stood below the same directory as the others.
  if (path.starts_with(above_mount_ + "/")) {
    path.erase(0, above_mount_.size());
  }
  snoop_target target = {};
  target.id = record.event.target;
  target.slot = slot_of(target.id);
  add_container(last_component(path), {record.event.cgroup_id, path}, target).only_if_used = options_.all;
  spdlog::debug("new target {}", printable(path));
}

uint32_t Session::slot_of(uint32_t target) const {
  const auto found = slot_of_target_.find(target);
  return found == slot_of_target_.end() ? Probe::max_targets() : found->second;
}

Container& Session::add_container(std::string name, const Cgroup& cgroup, const snoop_target& target) {
  Container& container = recorder_.add_container(std::move(name), cgroup.id, cgroup.path, target);
  container.image = options_.image;
  container.image_digest = options_.image_digest;
  if (former_) {
    snoop::go_on_from(*former_, container, boot_id_);
  }
  return container;
}

Container& Session::container_of(const Access& access) {
  if (Container* container = recorder_.find(access.target)) {
    return *container;
  }
  // The record of its cgroup was lost; the access was not.
  snoop_target target = {};
  target.id = access.target;
  target.slot = slot_of(target.id);
  const std::string name = fmt::format("cgroup-{}", access.cgroup_id);
  return add_container(name, {access.cgroup_id, ""}, target);
}

void Session::end_target(uint32_t target, WallTime at) {
  const auto found = slot_of_target_.find(target);
  if (found == slot_of_target_.end()) {
    return;
  }
  const uint32_t slot = found->second;
  note_ring_losses();
  if (Container* container = recorder_.find(target)) {
    read_stats(*container);
    container->ended_at = at;
    spdlog::debug("target {} has ended", printable(container->cgroup_path));
    if (container->only_if_used && container->total_events == 0 && container->files.size() == 0) {
      recorder_.remove(target);
    }
  }
  probe_.clear_target_stats(slot);
  slot_of_target_.erase(found);
  free_slots_.push_back(slot);
  if (const Result<void> aside = set_targets_aside(); !aside) {
    spdlog::warn("{}", aside.error().message());
  }
}

void Session::end_gone_targets() {
  std::vector<uint32_t> gone;
  for (const Container& container : recorder_.containers()) {
    // One without a path is known by an access below its top cgroup.
    if (container.ended_at == 0 && !container.cgroup_path.empty() && !probe_.has_cgroup(container.cgroup_id)) {
      gone.push_back(container.target);
    }
  }
  std::vector<uint64_t> gone_cgroups;
  for (const uint64_t cgroup_id : resolver_.cgroups_with_roots()) {
    if (!probe_.has_cgroup(cgroup_id)) {
      gone_cgroups.push_back(cgroup_id);
    }
  }
  if (gone.empty() && gone_cgroups.empty()) {
    return;
  }
  // What they did last may still wait there.
  reader_->drain();
  for (const uint32_t target : gone) {
    end_target(target, wall_now());
  }
  for (const uint64_t cgroup_id : gone_cgroups) {
    resolver_.forget_roots(cgroup_id);
  }
}

void Session::finish() {
  probe_.detach();
  probe_.flush_requests();
  reader_->drain();
  scan_moved();
  reader_->drain();
}

void Session::read_stats(Container& container) {
  const snoop_target_stats stats = probe_.target_stats(container.slot);
  container.total_events = stats.events;
  container.losses.ring_full = stats.ring_full;
  container.losses.path_unreadable = stats.path_unreadable;
  container.losses.path_truncated = stats.path_truncated;
  container.losses.base_unknown = stats.base_unknown + container.base_unknown_here;
}

void Session::collect_stats() {
  end_gone_targets();
  note_ring_losses();
  for (Container& container : recorder_.containers()) {
    // The slot of one that has ended may be another's.
    if (container.ended_at == 0) {
      read_stats(container);
    }
  }
}

ReportHeader Session::header(bool final) {
  ReportHeader header;
  header.snoop_version = kVersion;
  name_host(header);
  header.tier = "tracepoint";
  header.hierarchy = tree_.hierarchy();
  header.not_seen = not_seen_;
  header.only_image = options_.only_image;
  header.pod_name = options_.pod_name;
  header.namespace_name = options_.namespace_name;
  header.labels = options_.labels;
  header.started_at = started_at_;
  header.updated_at = wall_now();
  header.final = final;
  header.undecodable = undecodable_;
  header.skipped_runs = probe_.skipped_runs();
  header.targets_over_limit = probe_.global_stats().targets_over_limit;
  if (former_) {
    add_former(former_->header, header);
  }
  return header;
}

void Session::put_report(std::FILE* stream, const ReportHeader& report_header) {
  const std::vector<Container> none;
  snoop::write_report(stream, report_header, recorder_.containers(), former_ ? former_->containers : none);
}

Result<void> Session::write_report(bool final) {
  probe_.flush_requests();
  reader_->drain();
  scan_moved();
  reader_->drain();
  collect_stats();
  collect_uses();
  const ReportHeader report_header = header(final);
  if (options_.report == "-") {
    if (!final) {
      return {};
    }
    put_report(stdout, report_header);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      return fail(errno, "cannot write the report to stdout");
    }
    return {};
  }
  return write_atomically(options_.report, [&](std::FILE* stream) { put_report(stream, report_header); });
}

Result<void> Session::write_final_report() {
  Result<void> written = write_report(true);
  if (written || options_.report == "-") {
    return written;
  }
  const char* directory = std::getenv("TMPDIR");
  const std::string instead = fmt::format("{}/snoop-report-{}.json",
                                          directory != nullptr && *directory != '\0' ? directory : "/tmp", ::getpid());
  const ReportHeader report_header = header(true);
  const Result<void> saved = write_atomically(instead, [&](std::FILE* stream) { put_report(stream, report_header); });
  Error error = written.error();
  error.hint = saved ? fmt::format("the report is in {} instead", instead)
                     : fmt::format("and not in {} either: the report is lost", instead);
  return tl::unexpected(error);
}

Session::Totals Session::totals() {
  collect_stats();
  Totals totals;
  totals.lost = undecodable_ + probe_.skipped_runs();
  for (const Container& container : recorder_.containers()) {
    totals.files += container.files.size();
    totals.events += container.all_events();
    totals.lost += container.all_losses().sum();
  }
  return totals;
}

std::string Session::summary() {
  const Totals sums = totals();
  const size_t count = recorder_.containers().size();
  return fmt::format("{} paths of {} container{}, {} accesses, {} lost", sums.files, count, count == 1 ? "" : "s",
                     sums.events, sums.lost);
}

void log_error(const Error& error) {
  spdlog::error("{}", printable(error.message()));
  if (!error.hint.empty()) {
    spdlog::error("hint: {}", printable(error.hint));
  }
}

}  // namespace snoop
