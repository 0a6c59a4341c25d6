// SPDX-License-Identifier: Apache-2.0
#include "cli/session.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "base/text.h"
#include "cli/privileges.h"
#include "cli/sandbox.h"
#include "output/atomic_file.h"
#include "pipeline/path.h"
#include "version.h"

namespace snoop {

namespace {

/// A container that was there before may have another image now, under the same name.
constexpr std::chrono::seconds kWaitForImage{10};

/// Between two looks at what is undecided, while nothing happens.
constexpr std::chrono::milliseconds kIdleRound{2'000};

/// Between two looks at the kernel side's counts, at most: they are modulo 2^32.
constexpr std::chrono::minutes kCountsRound{1};

}  // namespace

Session::Session(const Options& options, CgroupTree tree, Probe probe, Timer idle, AccessHandler on_access)
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
      naming_(options, recorder_,
              {.on_named = [this](Container& container) { on_named(container); },
               .on_other = [this](const KnownContainer& known) { return targets_.on_known(known); },
               .while_forking = [this](bool forking) { probe_.expect_own_child(forking); }}),
      targets_(options, tree_, probe_, recorder_, target_handlers()),
      baseline_(tree_, probe_, recorder_),
      idle_(std::move(idle)),
      report_file_(options.report),
      statm_(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)),
      started_at_(wall_now()) {
  if (!probe_.sees_io_uring()) {
    not_seen_.emplace_back("io_uring requests");
  } else if (!probe_.sees_io_uring_sockets()) {
    not_seen_.emplace_back("io_uring requests with the path of a socket");
  }
  not_seen_.emplace_back("x32 system calls");
  if (options.command != Command::kTrace) {
    not_seen_.emplace_back("symbolic links that were gone, out of reach, or changed before snoop could look at them");
    if (!has_capability(CAP_DAC_READ_SEARCH)) {
      not_seen_.emplace_back("links and origins below directories that only their owner may search");
    }
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
  probe_options.iterators = options.iterators && options.needs_baseline();
  probe_options.tier = options.tier;
  Result<Probe> probe = Probe::load(probe_options);
  if (!probe) {
    return tl::unexpected(probe.error());
  }
  Result<Timer> idle = Timer::create();
  if (!idle) {
    return tl::unexpected(idle.error());
  }
  std::unique_ptr<Session> session(
      new Session(options, std::move(*tree), std::move(*probe), std::move(*idle), std::move(on_access)));
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
  if (Result<void> watched = self->watch_idle(loop); !watched) {
    return tl::unexpected(watched.error());
  }
  self->resolver_.hold_own_root();
  self->last_round_ = self->started_at_;
  if (Result<void> watched = self->baseline_.watch(loop); !watched) {
    return tl::unexpected(watched.error());
  }
  return session;
}

Result<void> Session::watch_idle(EventLoop& loop) {
  const bool reports_count = options_.command == Command::kTrace ||
                             (options_.command == Command::kRecord && options_.interval <= kCountsRound);
  if (!options_.selects() && reports_count) {
    return {};
  }
  const auto round = options_.selects() ? kIdleRound : std::chrono::milliseconds(kCountsRound);
  idle_.start(round);
  return loop.watch(idle_.fd(), [this, round, reports_count] {
    idle_.acknowledge();
    reader_->drain();
    if (!reports_count && wall_now() - last_counts_ >= std::chrono::nanoseconds(kCountsRound).count()) {
      collect_uses();
    }
    idle_.start(round);
  });
}

void Session::go_on_from(ReportContents former) {
  ReportHeader here;
  name_host(options_, here);
  boot_id_ = here.boot_id;
  former_ = std::move(former);
  mark_ended(*former_, tree_, boot_id_);
}

Targets::Handlers Session::target_handlers() {
  return {.on_added = [this](Container& container) { on_container(container); },
          .on_ending =
              [this](Container& container) {
                note_ring_losses();
                read_stats(container);
              },
          .on_reviving =
              [this](Container& container) {
                collect_uses();
                naming_.forget(container);
              },
          .on_revived = [this](Container& container) { naming_.on_revived(container); },
          .on_removing =
              [this](const Container& container) {
                naming_.forget(container);
                may_go_on_.erase(container.target);
              },
          .on_left_out = [this](uint64_t cgroup_id) { resolver_.forget_roots(cgroup_id); },
          .on_found_late = [this](const Container& container) { baseline_.on_found(container); }};
}

void Session::name_by_options(Container& container) const {
  container.name = options_.container_name.empty() ? container.name : options_.container_name;
  container.image = options_.image.empty() ? container.image : options_.image;
  container.image_digest = options_.image_digest.empty() ? container.image_digest : options_.image_digest;
}

void Session::on_container(Container& container) {
  name_by_options(container);
  if (options_.command != Command::kRun) {
    naming_.on_added(container);
  }
  if (former_ && !snoop::go_on_from(*former_, container, boot_id_, !naming_.is_mute())) {
    may_go_on_[container.target] = std::chrono::steady_clock::now();
  }
  name_by_options(container);
}

void Session::on_named(Container& container) {
  if (former_ && may_go_on_.erase(container.target) != 0) {
    static_cast<void>(snoop::go_on_from(*former_, container, boot_id_, false));
    name_by_options(container);
  }
  targets_.judge(container.target);
}

void Session::go_on_without_waiting(bool all) {
  const auto now = std::chrono::steady_clock::now();
  for (auto one = may_go_on_.begin(); one != may_go_on_.end();) {
    const bool is_due = all || naming_.is_mute() || now - one->second > kWaitForImage;
    Container* container = is_due ? recorder_.find(one->first) : nullptr;
    if (container != nullptr) {
      static_cast<void>(snoop::go_on_from(*former_, *container, boot_id_, false));
      name_by_options(*container);
    }
    one = is_due ? may_go_on_.erase(one) : std::next(one);
  }
}

void Session::add_baseline() {
  for (std::string& what : baseline_.take(options_.baseline, [this] { reader_->drain(); })) {
    not_seen_.push_back(std::move(what));
  }
}

void Session::on_bytes(std::span<const std::byte> bytes) {
  round_bytes_ += bytes.size();
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
      targets_.on_new_cgroup(*record);
      return;
    case SNOOP_EVENT_CGROUP_GONE:
      resolver_.forget_roots(record->event.cgroup_id);
      if (record->event.inode == 1) {
        targets_.end(record->event.target, wall_from_boottime(record->event.time_ns));
      }
      return;
    case SNOOP_EVENT_MOVED:
      if (const Container* container = targets_.container_of(record->event.target, record->event.cgroup_id)) {
        baseline_.on_moved(*record, container->target);
      }
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
  record_counts_.add(record.event.seen);
  Container* found = targets_.container_of(record.event.target, record.event.cgroup_id);
  if (found == nullptr) {
    return;
  }
  Container& container = *found;
  const auto wanted = [&](std::string_view path) { return !is_excluded(path, options_.exclude); };
  std::optional<Resolver::Resolved> resolved = resolver_.resolve(record, wanted);
  if (!resolved) {
    return;
  }
  // The kernel side may have had another target for it.
  resolved->access.target = container.target;
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
    use_counts_.learn(record.event.entry, container.target, *index, recorder_);
  }
  for (Access& link : resolved->links) {
    link.target = container.target;
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
  const FileOrigin origin = container->files.entries()[*index].origin();
  // It may have been that of what was mounted there before, and now the image's own.
  const bool may_change = origin != FileOrigin::kImage && probe_.has_changed_mounts(container->slot);
  if ((is_asked || is_new_link) && (origin == FileOrigin::kUnknown || may_change)) {
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
  most_round_bytes_ = std::max(most_round_bytes_, std::exchange(round_bytes_, 0));
  targets_.on_round(false);
  if (on_access_) {
    return;
  }
  if (!note_ring_losses() && std::exchange(rescan_due_, false)) {
    baseline_.take_again();
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
  rescan_due_ = options_.needs_baseline();
  return true;
}

/// How often each file was used, as the kernel side has counted.
void Session::collect_uses() {
  const WallTime now = wall_now();
  probe_.read_use_counts(use_counts_.counters(),
                         [this](size_t first, std::span<const uint64_t> part) { use_counts_.add_sums(first, part); });
  probe_.read_recents([this](std::span<const snoop_recent> part) { use_counts_.add_recents(part); });
  use_counts_.finish(recorder_, now);
  last_counts_ = now;
}

/// Ends targets whose record of it was lost, and lets go of the roots of such cgroups.
void Session::end_gone_targets() {
  const std::vector<uint32_t> gone = targets_.find_gone();
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
    targets_.end(target, wall_now());
  }
  for (const uint64_t cgroup_id : gone_cgroups) {
    resolver_.forget_roots(cgroup_id);
  }
}

void Session::confine() {
  for (const Capability& capability : useful_capabilities()) {
    if (!has_capability(capability.value)) {
      spdlog::info("without {} {}", capability.name, capability.cost);
    }
  }
  enter_sandbox(options_, probe_);
}

void Session::finish() {
  probe_.detach();
  probe_.flush_requests();
  reader_->drain();
  baseline_.scan_moved();
  reader_->drain();
  targets_.on_round(true);
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
    if (container.ended_at == 0 && container.target != 0) {
      read_stats(container);
    }
  }
}

uint64_t Session::undecided() const {
  uint64_t count = targets_.undecided();
  for (size_t i = 0; former_ && i < former_->containers.size(); i++) {
    count += former_->containers[i].undecided ? 1 : 0;
  }
  return count;
}

void log_error(const Error& error) {
  spdlog::error("{}", printable(error.message()));
  if (!error.hint.empty()) {
    spdlog::error("hint: {}", printable(error.hint));
  }
}

}  // namespace snoop
