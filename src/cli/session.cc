// SPDX-License-Identifier: Apache-2.0
#include "cli/session.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>

#include "base/text.h"
#include "output/atomic_file.h"
#include "version.h"

namespace snoop {

namespace {

/// Set aside for cgroups that are made while snoop runs.
constexpr uint32_t kTargetsAside = 1024;

std::string last_component(const std::string& path) { return path == "/" ? path : path.substr(path.rfind('/') + 1); }

}  // namespace

Session::Session(const Options& options, CgroupTree tree, Probe probe, AccessHandler on_access)
    : options_(options),
      tree_(std::move(tree)),
      probe_(std::move(probe)),
      on_access_(std::move(on_access)),
      recorder_({.exclude = options.exclude, .max_files = options.max_files}),
      loader_names_(probe_.sees_same_pids()),
      started_at_(wall_now()) {
  if (!probe_.sees_io_uring()) {
    not_seen_.emplace_back("io_uring requests");
  } else if (!probe_.sees_io_uring_sockets()) {
    not_seen_.emplace_back("io_uring requests with the path of a socket");
  }
  not_seen_.emplace_back("x32 system calls");
}

Result<std::unique_ptr<Session>> Session::start(const Options& options, EventLoop& loop, AccessHandler on_access,
                                                EventLoop::Callback on_drained) {
  Result<CgroupTree> tree = CgroupTree::find();
  if (!tree) {
    return tl::unexpected(tree.error());
  }
  ProbeOptions probe_options;
  probe_options.ring_size_bytes = options.ring_size_bytes;
  probe_options.first_sight_only = options.command != Command::kTrace || options.trace_unique;
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
      loop, self->probe_, [self](std::span<const std::byte> bytes) { self->on_bytes(bytes); }, std::move(on_drained));
  if (!reader) {
    return tl::unexpected(reader.error());
  }
  self->reader_ = std::move(*reader);
  return session;
}

Result<snoop_target> Session::next_target() {
  if (targets_used_ >= Probe::max_targets()) {
    return fail(E2BIG, fmt::format("more than {} targets", Probe::max_targets()),
                "name a cgroup further up with --cgroup: all below it is one target");
  }
  snoop_target target = {};
  target.slot = targets_used_;
  target.id = ++targets_used_;
  return target;
}

Result<void> Session::set_targets_aside() {
  for (uint32_t i = 0; i < kTargetsAside; i++) {
    const Result<snoop_target> target = next_target();
    if (!target) {
      return tl::unexpected(target.error());
    }
    if (Result<void> added = probe_.add_free_target(*target); !added) {
      return added;
    }
  }
  return {};
}

Result<void> Session::add_subtree(const Cgroup& cgroup, const snoop_target& target, bool replace) {
  // The parent first: what is made below it from now on inherits in the kernel.
  if (Result<void> added = probe_.add_cgroup(cgroup.id, target, replace); !added) {
    return added;
  }
  for (const Cgroup& child : tree_.children(cgroup)) {
    if (Result<void> added = add_subtree(child, target, replace); !added) {
      return added;
    }
  }
  return {};
}

Result<void> Session::add_target(const Cgroup& cgroup, const std::string& name) {
  const Result<snoop_target> target = next_target();
  if (!target) {
    return tl::unexpected(target.error());
  }
  add_container(name.empty() ? last_component(cgroup.path) : name, cgroup, *target);
  for (const pid_t pid : tree_.processes(cgroup)) {
    UniqueFd root(::open(fmt::format("/proc/{}/root", pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (root) {
      loader_names_.set_root(target->id, std::move(root));
      break;
    }
  }
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
  const Result<void> scanned = options_.baseline ? probe_.scan_baseline() : Result<void>();
  if (!scanned) {
    spdlog::warn("{}", scanned.error().message());
  }
  if (!scanned || !options_.baseline) {
    not_seen_.emplace_back("files open, mapped or running before capture started");
  }
  reader_->drain();
}

Result<void> Session::add_all() {
  const Result<Cgroup> root = tree_.at("/");
  const Result<Cgroup> own = tree_.own();
  if (!root || !own) {
    return tl::unexpected(root ? own.error() : root.error());
  }
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
    add_container(last_component(cgroup.path), cgroup, target).only_if_used = true;
  }
  target.flags = SNOOP_TARGET_ADOPT | SNOOP_TARGET_ADOPT_DEEP;
  // Not replaced: the kernel side may have adopted it a moment ago.
  if (Result<void> added = probe_.add_cgroup(cgroup.id, target, false); !added) {
    return added;
  }
  for (const Cgroup& child : tree_.children(cgroup)) {
    if (Result<void> adopted = adopt_below(child, own); !adopted) {
      return adopted;
    }
  }
  return {};
}

Result<void> Session::add_siblings() {
  const Result<Cgroup> own = tree_.own();
  if (!own) {
    return tl::unexpected(own.error());
  }
  if (own->path == "/") {
    return fail(0, "no target: snoop's own cgroup is the root, so it has no siblings",
                "name targets with --cgroup, or take --all; a container needs the host's cgroup namespace "
                "(and /sys/fs/cgroup) to see its siblings");
  }
  const Result<Cgroup> parent = tree_.at(parent_path(own->path));
  if (!parent) {
    return tl::unexpected(parent.error());
  }
  if (Result<void> aside = set_targets_aside(); !aside) {
    return aside;
  }
  snoop_target adopting = {};
  adopting.flags = SNOOP_TARGET_ADOPT;
  if (Result<void> added = probe_.add_cgroup(parent->id, adopting, true); !added) {
    return added;
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
  if (record->event.type == SNOOP_EVENT_CGROUP) {
    on_new_cgroup(*record);
    return;
  }
  if (record->event.type != SNOOP_EVENT_ACCESS && record->event.type != SNOOP_EVENT_ELF_INTERPRETER) {
    return;
  }
  const std::optional<Access> access = to_access(*record, loader_names_);
  if (!access) {
    return;
  }
  const Container& container = container_of(*access);
  if (on_access_) {
    on_access_(*access, container);
  } else {
    recorder_.add(*access);
  }
}

void Session::on_new_cgroup(const Record& record) {
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
  target.slot = target.id - 1;
  add_container(last_component(path), {record.event.cgroup_id, path}, target).only_if_used = options_.all;
  spdlog::debug("new target {}", printable(path));
}

Container& Session::add_container(std::string name, const Cgroup& cgroup, const snoop_target& target) {
  Container& container = recorder_.add_container(std::move(name), cgroup.id, cgroup.path, target);
  container.image = options_.image;
  container.image_digest = options_.image_digest;
  return container;
}

Container& Session::container_of(const Access& access) {
  if (Container* container = recorder_.find(access.target)) {
    return *container;
  }
  // The record of its cgroup was lost; the access was not.
  snoop_target target = {};
  target.id = access.target;
  target.slot = target.id - 1;
  const std::string name = fmt::format("cgroup-{}", access.cgroup_id);
  return add_container(name, {access.cgroup_id, ""}, target);
}

void Session::finish() {
  probe_.detach();
  probe_.flush_requests();
  reader_->drain();
}

void Session::collect_stats() {
  for (Container& container : recorder_.containers()) {
    const snoop_target_stats stats = probe_.target_stats(container.slot);
    container.total_events = stats.events;
    container.losses.ring_full = stats.ring_full;
    container.losses.path_unreadable = stats.path_unreadable;
    container.losses.path_truncated = stats.path_truncated;
    container.losses.base_unknown = stats.base_unknown + container.base_unknown_here;
  }
}

ReportHeader Session::header(bool final) {
  ReportHeader header;
  utsname system = {};
  ::uname(&system);
  header.snoop_version = kVersion;
  header.hostname = system.nodename;
  header.kernel = system.release;
  header.arch = system.machine;
  header.tier = "tracepoint";
  header.not_seen = not_seen_;
  header.pod_name = options_.pod_name;
  header.namespace_name = options_.namespace_name;
  header.labels = options_.labels;
  header.started_at = started_at_;
  header.updated_at = wall_now();
  header.final = final;
  header.undecodable = undecodable_;
  header.skipped_runs = probe_.skipped_runs();
  header.targets_over_limit = probe_.global_stats().targets_over_limit;
  return header;
}

Result<void> Session::write_report(bool final) {
  probe_.flush_requests();
  reader_->drain();
  collect_stats();
  const ReportHeader report_header = header(final);
  if (options_.report == "-") {
    if (!final) {
      return {};
    }
    snoop::write_report(stdout, report_header, recorder_.containers());
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      return fail(errno, "cannot write the report to stdout");
    }
    return {};
  }
  return write_atomically(
      options_.report, [&](std::FILE* stream) { snoop::write_report(stream, report_header, recorder_.containers()); });
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
  const Result<void> saved = write_atomically(
      instead, [&](std::FILE* stream) { snoop::write_report(stream, report_header, recorder_.containers()); });
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
    totals.events += container.total_events;
    totals.lost += container.losses.sum();
  }
  return totals;
}

std::string Session::summary() {
  const Totals sums = totals();
  const size_t count = recorder_.containers().size();
  return fmt::format("{} files of {} container{}, {} accesses, {} lost", sums.files, count, count == 1 ? "" : "s",
                     sums.events, sums.lost);
}

void log_error(const Error& error) {
  spdlog::error("{}", printable(error.message()));
  if (!error.hint.empty()) {
    spdlog::error("hint: {}", printable(error.hint));
  }
}

}  // namespace snoop
