// SPDX-License-Identifier: Apache-2.0
#include "cli/resume.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <utility>

#include "base/text.h"
#include "base/unique_fd.h"

namespace snoop {

namespace {

/// A report about a million files of long names is no larger.
constexpr off_t kMaxReportBytes = 1LL << 30;

/// The first line of a file if it is an id: hexadecimal digits and dashes.
std::string read_id(const char* path) {
  std::ifstream file(path);
  std::string id;
  std::getline(file, id);
  const bool is_id =
      id.size() >= 32 && id.size() <= 36 && id.find_first_not_of("0123456789abcdefABCDEF-") == std::string::npos;
  return is_id ? id : std::string();
}

/// "2026-11-25T10:00:00Z" to "20261125T100000Z".
std::string compact(std::string time) {
  std::erase_if(time, [](char c) { return c == '-' || c == ':'; });
  return time;
}

/// 0, or why `from` could not become `to`; EEXIST: there is one.
int rename_to_new(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS) {
    return errno;
  }
  // A file system that cannot: a link never replaces anything either.
  if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0) != 0) {
    return errno;
  }
  return ::unlink(from.c_str()) == 0 ? 0 : errno;
}

void sync_directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd) {
    ::fsync(fd.get());
  }
}

/// Why it is not a recording of this machine; empty: it is.
std::string difference(const Options& options, const ReportHeader& former) {
  if (!former.merged_from.empty()) {
    return "it was merged from other reports";
  }
  ReportHeader here;
  name_host(options, here);
  if (former.hostname != here.hostname) {
    return fmt::format("it is of another host, {}", former.hostname);
  }
  if (former.machine_id != here.machine_id) {
    return "it is of another machine of the same name";
  }
  return {};
}

Result<ReportContents> read_file(const Options& options) {
  const std::string& path = options.report;
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd) {
    return errno == ELOOP ? fail(0, "it is a symbolic link") : fail(errno, "it cannot be opened");
  }
  // It may be another one by now than the one that was looked at.
  struct stat info = {};
  if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return fail(0, "it is no file");
  }
  if (info.st_size > kMaxReportBytes) {
    return fail(0, fmt::format("it is larger than {} MiB", kMaxReportBytes >> 20));
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(::fdopen(fd.get(), "r"), &std::fclose);
  if (!stream) {
    return fail(errno, "it cannot be read");
  }
  [[maybe_unused]] const int owned_by_stream = fd.release();
  Result<ReportContents> contents = read_report(stream.get());
  if (contents) {
    if (const std::string why = difference(options, contents->header); !why.empty()) {
      return fail(0, why);
    }
  }
  return contents;
}

/// Whether two of what is said of an image, or of its digest, may be of one. What only a runtime tells may not have
/// been told to the other.
bool agree(const std::string& former, bool is_former_told, const std::string& now, bool is_told) {
  return former == now || (now.empty() && is_former_told) || (former.empty() && is_told);
}

enum class Sameness { kNo, kWhenTold, kYes };

/// A container is known by where its cgroup is, by its id, and by its image. Where the path was lost there is the
/// cgroup's number, which means something until the next boot.
Sameness compare(const Container& former, const Container& container, bool same_boot) {
  const bool is_former_told = !former.identity.source.empty();
  const bool is_told = !container.identity.source.empty();
  const std::string& former_id = former.identity.id;
  const std::string& id = container.identity.id;
  const bool same_cgroup = same_boot && former.cgroup_id == container.cgroup_id;
  if (former.cgroup_path != container.cgroup_path || (container.cgroup_path.empty() && !same_cgroup) ||
      (!former_id.empty() && !id.empty() && former_id != id) ||
      !agree(former.image, is_former_told, container.image, is_told) ||
      !agree(former.image_digest, is_former_told, container.image_digest, is_told)) {
    return Sameness::kNo;
  }
  // Else it may be another one with the same name.
  const bool is_certain = same_cgroup || is_unique_id(id) || is_told || !is_former_told;
  return is_certain ? Sameness::kYes : Sameness::kWhenTold;
}

}  // namespace

void name_host(const Options& options, ReportHeader& header) {
  utsname system = {};
  ::uname(&system);
  header.hostname = options.host_name.empty() ? system.nodename : options.host_name;
  header.kernel = system.release;
  header.arch = system.machine;
  header.machine_id = read_id("/etc/machine-id");
  header.boot_id = read_id("/proc/sys/kernel/random/boot_id");
}

Result<std::string> keep_aside(const std::string& path) {
  const std::string base = fmt::format("{}.kept-{}", path, compact(rfc3339_seconds(wall_now())));
  std::string kept = base;
  int code = rename_to_new(path, kept);
  for (int number = 2; code == EEXIST && number < 1000; number++) {
    kept = fmt::format("{}-{}", base, number);
    code = rename_to_new(path, kept);
  }
  if (code != 0) {
    return fail(
        code, fmt::format("cannot keep {} aside as {}", path, kept),
        "move it away, or name another file with --report: snoop overwrites no report that it cannot go on from");
  }
  sync_directory_of(path);
  return kept;
}

Result<std::optional<ReportContents>> take_up_report(const Options& options) {
  std::optional<ReportContents> nothing;
  const std::string& path = options.report;
  struct stat info = {};
  // What is no file is not replaced by a report anyway (atomic_file.h).
  if (path == "-" || ::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return nothing;
  }
  std::string why = "--fresh";
  if (!options.fresh) {
    Result<ReportContents> former = read_file(options);
    if (former) {
      spdlog::info("going on from the report of {} run{} in {}, last written at {}", former->header.runs,
                   former->header.runs == 1 ? "" : "s", printable(path), rfc3339(former->header.updated_at));
      return std::optional(std::move(*former));
    }
    why = former.error().message();
  }
  const Result<std::string> kept = keep_aside(path);
  if (!kept) {
    return fail(kept.error(), fmt::format("not going on from {}: {}", path, why));
  }
  const std::string line = fmt::format("not going on from {}: {}; kept as {}", path, why, *kept);
  if (options.fresh) {
    spdlog::info("{}", printable(line));
  } else {
    spdlog::warn("{}", printable(line));
  }
  return nothing;
}

void mark_ended(ReportContents& former, const CgroupTree& tree, const std::string& boot_id) {
  const bool same_boot = !boot_id.empty() && former.header.boot_id == boot_id;
  for (Container& container : former.containers) {
    const Result<Cgroup> cgroup = tree.at(container.cgroup_path);
    const bool is_there = same_boot && !container.cgroup_path.empty() && cgroup && cgroup->id == container.cgroup_id;
    if (container.ended_at == 0 && !is_there) {
      container.ended_at = container.observed.back().to;
    }
  }
}

bool go_on_from(ReportContents& former, Container& container, const std::string& boot_id, bool can_wait) {
  const bool same_boot = !boot_id.empty() && former.header.boot_id == boot_id;
  // The very cgroup; else the one that was seen last.
  const auto rank = [&](const Container& one) {
    return std::pair(same_boot && one.cgroup_id == container.cgroup_id, one.observed.back().to);
  };
  auto best = former.containers.end();
  bool may_come = false;
  for (auto one = former.containers.begin(); one != former.containers.end(); one++) {
    const Sameness sameness = compare(*one, container, same_boot);
    if (sameness == Sameness::kWhenTold && can_wait) {
      may_come = true;
    } else if (sameness != Sameness::kNo && (best == former.containers.end() || rank(*best) < rank(*one))) {
      best = one;
    }
  }
  if (best == former.containers.end()) {
    return !may_come;
  }
  container.go_on_from(std::move(*best));
  former.containers.erase(best);
  return true;
}

void add_former(const ReportHeader& former, ReportHeader& header) {
  header.runs += former.runs;
  header.gaps = former.gaps;
  // The clock may be set back.
  add_gap(header.gaps, {former.updated_at, std::max(former.updated_at, to_whole_milliseconds(header.started_at))});
  header.started_at = former.started_at;
  header.only_image = header.only_image || former.only_image;
  for (const std::string& one : former.not_seen) {
    if (std::find(header.not_seen.begin(), header.not_seen.end(), one) == header.not_seen.end()) {
      header.not_seen.push_back(one);
    }
  }
  header.undecodable += former.undecodable;
  header.skipped_runs += former.skipped_runs;
  header.targets_over_limit += former.targets_over_limit;
}

}  // namespace snoop
