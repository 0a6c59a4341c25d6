// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/event_loop.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "container/cgroup.h"
#include "container/container_list.h"
#include "container/metadata_client.h"
#include "output/container_table.h"

namespace snoop {

namespace {

/// For all runtimes together; one that hangs must not keep the others from being shown.
constexpr std::chrono::milliseconds kDeadline{2'500};

struct Told {
  std::vector<KnownContainer> containers;
  std::vector<MetadataSource> sources;
};

Result<Told> ask_runtimes(const Options& options) {
  Told told;
  Launcher::Program program{.path = options.metadata_program, .arguments = options.metadata_arguments()};
  if (program.path.empty()) {
    program.path = find_metadata_program();
  }
  if (program.path.empty() || program.path == "none") {
    return told;
  }
  program.arguments.insert(program.arguments.end(), {"--list", "--timeout", "2"});
  Result<Launcher> launcher = Launcher::start(std::move(program));
  if (!launcher) {
    return tl::unexpected(launcher.error());
  }
  Result<EventLoop> loop = EventLoop::create();
  if (!loop) {
    return tl::unexpected(loop.error());
  }
  Result<Timer> deadline = Timer::create();
  if (!deadline) {
    return tl::unexpected(deadline.error());
  }
  if (Result<void> watched = loop->watch(deadline->fd(), [&] { loop->stop(); }); !watched) {
    return tl::unexpected(watched.error());
  }
  deadline->start(kDeadline);
  const Result<std::unique_ptr<MetadataClient>> client =
      MetadataClient::start(*loop, std::move(*launcher),
                            {.on_started = {},
                             .on_container = [&](const KnownContainer& known) { told.containers.push_back(known); },
                             .on_listed = {},
                             .on_ended = [&] { loop->stop(); },
                             .while_forking = {}},
                            true);
  if (!client) {
    return tl::unexpected(client.error());
  }
  if (Result<void> ran = loop->run(); !ran) {
    return tl::unexpected(ran.error());
  }
  told.sources = (*client)->sources();
  return told;
}

/// Lines of one container may come from several sources: the last has all that is known.
std::vector<KnownContainer> last_of_each(std::vector<KnownContainer> told) {
  std::map<std::pair<std::string, std::string>, KnownContainer> last;
  for (KnownContainer& one : told) {
    const std::string& id = one.identity.id;
    const std::pair key(id, is_unique_id(id) ? std::string() : one.cgroup_path);
    last[key] = std::move(one);
  }
  std::vector<KnownContainer> containers;
  containers.reserve(last.size());
  for (auto& [key, one] : last) {
    containers.push_back(std::move(one));
  }
  return containers;
}

}  // namespace

int containers_command(const Options& options) {
  const Result<CgroupTree> tree = CgroupTree::find();
  if (!tree) {
    log_error(tree.error());
    return kExitFailure;
  }
  Result<Told> told = ask_runtimes(options);
  if (!told) {
    log_error(told.error());
    told = Told();
  }
  for (const MetadataSource& source : told->sources) {
    if (source.state == "refused" || source.state == "timed_out" || source.state == "failed") {
      spdlog::warn("{} ({}): {}{}{}", printable(source.name), printable(source.endpoint), source.state,
                   source.error.empty() ? "" : ": ", printable(source.error));
    }
  }
  const std::vector<KnownContainer> containers = list_containers(*tree, last_of_each(std::move(told->containers)));
  const std::string text = options.list_json ? container_json(containers, told->sources) : container_table(containers);
  std::fputs(text.c_str(), stdout);
  return kExitOk;
}

}  // namespace snoop
