// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "metadata/lines.h"
#include "metadata/source.h"

namespace snoop::metadata {

class Hub;

/// The two threads of a source: one lists and looks up, one follows. A source that hangs holds these two, nobody else.
class Worker {
 public:
  using Clock = std::chrono::steady_clock;

  Worker(Hub& hub, std::unique_ptr<Source> source) : hub_(hub), source_(std::move(source)) {}

  [[nodiscard]] const Source& source() const { return *source_; }
  void start();
  /// Hub::looked_up follows.
  void look_up(const Ask& ask);
  /// For what was in the news: until the source says that it is in this state, too (empty: any), or a few times in
  /// vain.
  void refresh(const std::string& id, const std::string& state) { refresh({.id = id, .state = state, .tries = 0}); }
  void relist();

 private:
  struct Refresh {
    std::string id;
    std::string state;
    int tries = 0;
  };
  struct Work {
    bool list = false;
    std::deque<Ask> asks;
    std::deque<Refresh> refreshes;
  };

  void run();
  void run_follower();
  [[nodiscard]] Work wait_for_work();
  void list();
  void refresh(Refresh what);
  /// The state in which the one with this id is.
  std::string look_up_now(const Ask& ask);
  void set_state(const SourceState& state);
  [[nodiscard]] bool is_up() const { return state_.kind == SourceState::Kind::kAnswered; }

  Hub& hub_;
  std::unique_ptr<Source> source_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool relist_ = true;
  std::deque<Ask> asks_;
  std::multimap<Clock::time_point, Refresh> refreshes_;
  /// Whether the follower is connected: then nothing needs to be listed again.
  bool is_followed_ = false;

  // Of the thread that lists.
  SourceState state_;
  Clock::time_point next_list_;
  std::chrono::milliseconds backoff_{0};
  bool has_follower_ = false;
};

}  // namespace snoop::metadata
