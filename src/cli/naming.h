// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/event_loop.h"
#include "cli/options.h"
#include "container/identity.h"
#include "container/metadata_client.h"
#include "pipeline/recorder.h"

namespace snoop {

/// What snoop-metadata is started with, later; nothing: there is none. As early as possible: it forks.
[[nodiscard]] std::optional<Launcher> prepare_naming(const Options& options);

/// Finds out who the containers of the recorder are: from the paths of their cgroups at once, and from runtimes, by
/// snoop-metadata, when they answer. What the options say stands above both.
class Naming {
 public:
  struct Handlers {
    /// A runtime has told of this one.
    std::function<void(Container&)> on_named;
    /// A runtime tells of one that is in no list; true: now it is.
    std::function<bool(const KnownContainer&)> on_other;
    /// See MetadataClient.
    std::function<void(bool)> while_forking;
  };

  Naming(const Options& options, Recorder& recorder, Handlers handlers);

  /// Starts snoop-metadata. Whether that works is not awaited, and without it the paths are all there is.
  void start(EventLoop& loop, std::optional<Launcher> launcher);
  /// A container that was just made.
  void on_added(Container& container);
  /// It goes on as another target.
  void on_revived(const Container& container);
  /// It will be in no list any more.
  void forget(const Container& container);

  /// Nobody will ever tell more.
  [[nodiscard]] bool is_mute() const { return client_ == nullptr; }
  [[nodiscard]] std::vector<MetadataSource> sources() const;

 private:
  void ask(const Container& container);
  void on_known(const KnownContainer& known, bool is_again = false);
  [[nodiscard]] bool names_itself(std::string_view cgroup_path) const;
  void apply(Container& container, const KnownContainer& known) const;

  const Options& options_;
  Recorder& recorder_;
  Handlers handlers_;
  std::unique_ptr<MetadataClient> client_;
  /// Targets by the id in the path of their cgroup, and those without one by the path.
  std::multimap<std::string, uint32_t> by_id_;
  std::multimap<std::string, uint32_t> by_path_;
};

}  // namespace snoop
