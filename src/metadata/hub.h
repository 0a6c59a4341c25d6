// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "metadata/container.h"
#include "metadata/lines.h"
#include "metadata/source.h"
#include "metadata/store.h"

namespace snoop::metadata {

class Worker;

/// Between those who know and the one who asks. Its calls may come from any thread.
class Hub {
 public:
  using Clock = std::chrono::steady_clock;

  /// `write` takes whole lines; one call at a time.
  explicit Hub(std::function<void(const std::string&)> write);
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;
  /// Never reached: threads may be within calls that do not end, so the program ends by _exit.
  ~Hub();

  void add(std::unique_ptr<Source> source);
  /// Once all are added.
  void start();
  void ask(Ask ask);
  /// Asks again what is due. When to come back; nothing: not before the next ask.
  std::optional<Clock::time_point> tick();
  /// Until each source was listed, or could not be.
  void wait_until_listed();

 private:
  friend class Worker;

  /// An ask that nobody could answer yet.
  struct Pending {
    Ask ask;
    Clock::time_point due;
    Clock::time_point give_up;
    std::chrono::milliseconds delay;
    /// Sources that are looking.
    size_t looking = 0;
    bool is_answered = false;
    bool told_unknown = false;
  };
  using AskKey = std::pair<std::string, std::string>;

  // What workers call.
  void put(const Source& source, Container container, bool is_part);
  void replace(const Source& source, std::vector<Container> containers);
  void source_changed(const Source& source, const SourceState& state);
  void looked_up(const Ask& ask);
  void listed();
  void container_changed(const Source& source, const Container& container);

  std::mutex mutex_;
  std::condition_variable all_listed_;
  std::function<void(const std::string&)> write_;
  Store store_;
  std::list<std::unique_ptr<Worker>> workers_;
  size_t listed_ = 0;
  std::map<AskKey, Pending> pending_;
};

}  // namespace snoop::metadata
