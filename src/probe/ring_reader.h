// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/event_loop.h"
#include "probe/probe.h"

namespace snoop {

/// Empties the ring buffer from the event loop, in few wake-ups: after a first
/// record it comes back by timer as long as more arrive, and sleeps for good
/// only when nothing does. The kernel side wakes it in between when much has
/// gathered. Idle, it costs nothing.
class RingReader {
 public:
  /// `drained` is called after each round, also one that brought nothing.
  [[nodiscard]] static Result<std::unique_ptr<RingReader>> start(EventLoop& loop, Probe& probe,
                                                                 Probe::RawHandler handler,
                                                                 EventLoop::Callback drained);
  ~RingReader();
  RingReader(const RingReader&) = delete;
  RingReader& operator=(const RingReader&) = delete;

  /// Everything that is there at the call; returns how many records that was.
  size_t drain();

 private:
  RingReader(EventLoop& loop, Probe& probe, Probe::RawHandler handler, EventLoop::Callback drained, Timer timer);
  void on_timer();

  EventLoop& loop_;
  Probe& probe_;
  Probe::RawHandler handler_;
  EventLoop::Callback drained_;
  Timer timer_;
  /// The last round ended before the records did.
  bool more_ = false;
  /// Timer rounds that found nothing, in a row.
  int empty_rounds_ = 0;
};

}  // namespace snoop
