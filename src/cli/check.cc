// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <string_view>
#include <vector>

#include "cli/commands.h"
#include "cli/privileges.h"
#include "cli/session.h"
#include "container/cgroup.h"
#include "probe/probe.h"
#include "version.h"

namespace snoop {

namespace {

/// What cannot be written is told of by main(), by the stream's error.
template <typename... Values>
void say(fmt::format_string<Values...> format, Values&&... values) {
  std::fputs(fmt::format(format, std::forward<Values>(values)...).c_str(), stdout);
}

/// One line for each finding.
class Findings {
 public:
  void good(std::string_view what, std::string_view detail) { say("ok    {:<12} {}\n", what, detail); }
  void note(std::string_view what, std::string_view detail) { say("note  {:<12} {}\n", what, detail); }
  void bad(std::string_view what, std::string_view detail, std::string_view hint) {
    say("FAIL  {:<12} {}\n", what, detail);
    if (!hint.empty()) {
      say("      {:<12} -> {}\n", "", hint);
    }
    all_good_ = false;
  }
  [[nodiscard]] bool all_good() const { return all_good_; }

 private:
  bool all_good_ = true;
};

void check_privileges(Findings& findings) {
  const bool admin = has_capability(CAP_SYS_ADMIN);
  const bool bpf = has_capability(CAP_BPF) && has_capability(CAP_PERFMON);
  if (admin || bpf) {
    findings.good("privileges", bpf ? "CAP_BPF and CAP_PERFMON" : "CAP_SYS_ADMIN");
  } else {
    findings.bad("privileges",
                 fmt::format("no {}, nor CAP_SYS_ADMIN: BPF programs cannot be loaded",
                             has_capability(CAP_BPF)       ? "CAP_PERFMON"
                             : has_capability(CAP_PERFMON) ? "CAP_BPF"
                                                           : "CAP_BPF and CAP_PERFMON"),
                 "run as root, or give the container these two capabilities");
  }
  for (const Capability& capability : useful_capabilities()) {
    if (!has_capability(capability.value)) {
      findings.note("privileges", fmt::format("without {} {}", capability.name, capability.cost));
    }
  }
}

void check_cgroups(Findings& findings, const Result<CgroupTree>& tree) {
  if (!tree) {
    findings.bad("cgroups", tree.error().message(), tree.error().hint);
    return;
  }
  findings.good("cgroups", layout_name(cgroup_layout()));
  findings.good("hierarchy", fmt::format("{}, mounted at {}", tree->hierarchy(), tree->mount_point()));
  if (cgroup_layout() == CgroupLayout::kHybrid) {
    findings.note("hierarchy", "a --cgroup in a version 1 hierarchy is traced by that one");
  }
  const Result<Cgroup> own = tree->own();
  if (!own) {
    findings.bad("own cgroup", own.error().message(), "mount the hierarchy that this process is in");
    return;
  }
  findings.good("own cgroup", own->path);
  if (own->path == "/") {
    findings.note("targets", "no siblings here: name targets with --cgroup, or take --all");
  }
  const std::string directory = tree->directory(*own);
  const std::string procs = directory + "/cgroup.procs";
  if (::access(directory.c_str(), W_OK) != 0 || ::access(procs.c_str(), W_OK) != 0) {
    findings.note(
        "snoop run",
        fmt::format("cannot make a cgroup below {}: 'run' will not work, 'record' and 'trace' do", own->path));
  }
}

/// Each of them, by trying. `used`: by whoever does not ask for one.
void check_tiers(Findings& findings, ProbeOptions probe_options, Tier used) {
  for (const Tier tier : kTiers) {
    if (tier == used) {
      findings.good("tier", fmt::format("capture tier {}: in use, unless --tier names another", tier_name(tier)));
      continue;
    }
    probe_options.tier = tier;
    Result<Probe> probe = Probe::load(probe_options);
    const Result<void> attached = probe ? probe->attach() : tl::unexpected(probe.error());
    if (!attached) {
      findings.note("tier", attached.error().message());
    } else if (tier == Tier::kFexit) {
      findings.note("tier", fmt::format("capture tier {}: only if --tier names it: {}", tier_name(tier), kMaySkip));
    } else {
      findings.good("tier", fmt::format("capture tier {}: can be attached", tier_name(tier)));
    }
  }
}

}  // namespace

int check_command(const Options& options) {
  Findings findings;
  utsname system = {};
  ::uname(&system);
  findings.good("kernel", fmt::format("{} {}", system.release, system.machine));
  if (::access("/sys/kernel/btf/vmlinux", R_OK) == 0) {
    findings.good("BTF", "/sys/kernel/btf/vmlinux");
  } else {
    findings.bad("BTF", "no /sys/kernel/btf/vmlinux",
                 "needs a kernel with CONFIG_DEBUG_INFO_BTF=y; a container needs /sys/kernel/btf of the host");
  }
  check_privileges(findings);
  const Result<CgroupTree> tree = CgroupTree::find();
  check_cgroups(findings, tree);

  // No guess: the real programs.
  ProbeOptions probe_options;
  probe_options.ring_size_bytes = options.ring_size_bytes;
  if (tree) {
    probe_options.cgroup_controller = tree->controller();
    probe_options.hierarchy_id = tree->hierarchy_id().value_or(0);
  }
  Result<Probe> probe = Probe::load(probe_options);
  if (!probe) {
    findings.bad("load", probe.error().message(), probe.error().hint);
  } else {
    findings.good("load", "the kernel takes the BPF programs");
    if (const Result<void> attached = probe->attach(); !attached) {
      findings.bad("attach", attached.error().message(), attached.error().hint);
    } else {
      findings.good("attach", fmt::format("capture tier: {}", tier_name(probe->tier())));
      check_tiers(findings, probe_options, probe->tier());
    }
    if (!probe->has_iterators()) {
      findings.note("baseline", "this kernel has no iterators over tasks: what is open at the start comes from /proc");
      if (!has_capability(CAP_CHECKPOINT_RESTORE) && !has_capability(CAP_SYS_ADMIN)) {
        findings.note("privileges",
                      "without CAP_CHECKPOINT_RESTORE what is mapped and deleted at the start is not seen here");
      }
    }
    if (!probe->sees_same_pids()) {
      findings.note("pids", "another pid namespace than the host's: pids in 'trace' are the host's");
    }
  }
  say("\n{}\n", findings.all_good() ? "snoop can run here." : "snoop cannot run here: see FAIL above.");
  return findings.all_good() ? kExitOk : kExitFailure;
}

int config_command(const Options& options) {
  say("# A flag beats the environment, the environment beats the file.\n{}",
      settings_text(options.command == Command::kRun     ? "run"
                    : options.command == Command::kTrace ? "trace"
                                                         : "record",
                    options.settings));
  return kExitOk;
}

int version_command() {
  std::vector<std::string_view> tiers;
  std::transform(kTiers.begin(), kTiers.end(), std::back_inserter(tiers), tier_name);
  say("snoop {}\nlibbpf {}\ncapture tiers: {}\n", kVersion, libbpf_version(), fmt::join(tiers, ", "));
  return kExitOk;
}

}  // namespace snoop
