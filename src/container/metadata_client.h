// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "container/identity.h"
#include "container/launcher.h"

namespace snoop {

/// The program that asks runtimes, beside this one or in ../libexec/snoop; empty: there is none.
[[nodiscard]] std::string find_metadata_program();

/// What to say of a source that does not answer as it was meant to; `arguments`: those of the program. Empty: nothing,
/// it answers, or nobody has named it.
[[nodiscard]] std::string trouble_with(const MetadataSource& source, const std::vector<std::string>& arguments);

/// Runs snoop-metadata, asks it, and hands on what it tells. Never waits for it: what it does not take is kept, up to a
/// bound, and if it ends it is started again.
class MetadataClient {
 public:
  struct Handlers {
    /// It runs, for the first time or again: it knows of no question yet.
    std::function<void()> on_started;
    std::function<void(const KnownContainer&)> on_container;
    /// All that was there when it was started has been told.
    std::function<void()> on_listed;
    /// It has ended, and is not started again.
    std::function<void()> on_ended;
    /// Around the fork, so that the kernel side knows that the child is no target.
    std::function<void(bool)> while_forking;
  };

  /// `once`: it was told to list what there is and to end, and is not started again.
  [[nodiscard]] static Result<std::unique_ptr<MetadataClient>> start(EventLoop& loop, Launcher launcher,
                                                                     Handlers handlers, bool once = false);
  ~MetadataClient();
  MetadataClient(const MetadataClient&) = delete;
  MetadataClient& operator=(const MetadataClient&) = delete;

  /// The answer comes by on_container, at once or much later, or never.
  void ask(std::string_view cgroup_path, std::string_view id);

  /// With one for the program itself while it does not run.
  [[nodiscard]] std::vector<MetadataSource> sources() const;
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  MetadataClient(EventLoop& loop, Launcher launcher, bool once, Handlers handlers, Timer timer);

  [[nodiscard]] Result<void> spawn();
  void spawn_or_retry();
  void on_readable();
  void on_bytes(std::string_view bytes);
  void on_line(std::string_view line);
  void on_source(MetadataSource&& source);
  void on_timer();
  void send();
  void end(const std::string& why);
  std::optional<int> kill();
  void reap();

  EventLoop& loop_;
  Launcher launcher_;
  bool once_;
  Handlers handlers_;
  /// Until the next start while it does not run, or until the next try to write.
  Timer timer_;
  UniqueFd socket_;
  pid_t pid_ = 0;
  /// Killed, and not waited for yet.
  std::vector<pid_t> dying_;
  std::chrono::steady_clock::time_point started_at_;
  std::chrono::milliseconds delay_;
  /// A line without its end; what is longer than a line may be is passed over.
  std::string line_;
  bool passing_over_ = false;
  size_t nonsense_ = 0;
  std::string to_write_;
  std::vector<MetadataSource> sources_;
  std::set<std::string> told_trouble_;
  /// Why it does not run; empty: it does.
  std::string down_;
};

}  // namespace snoop
