// SPDX-License-Identifier: Apache-2.0
#include "probe/ring_reader.h"

#include <utility>

namespace snoop {

namespace {

/// Longest delay of a record while others come.
constexpr std::chrono::milliseconds kRound{25};
/// Lets signals and timers have their turn when there is no end of records.
constexpr std::chrono::nanoseconds kAtOnce{1};

}  // namespace

RingReader::RingReader(EventLoop& loop, Probe& probe, Probe::RawHandler handler, EventLoop::Callback drained,
                       Timer timer)
    : loop_(loop),
      probe_(probe),
      handler_(std::move(handler)),
      drained_(std::move(drained)),
      timer_(std::move(timer)) {}

RingReader::~RingReader() {
  loop_.unwatch(probe_.ring_fd());
  loop_.unwatch(timer_.fd());
}

Result<std::unique_ptr<RingReader>> RingReader::start(EventLoop& loop, Probe& probe, Probe::RawHandler handler,
                                                      EventLoop::Callback drained) {
  Result<Timer> timer = Timer::create();
  if (!timer) {
    return fail(timer.error(), "ring reader");
  }
  std::unique_ptr<RingReader> reader(
      new RingReader(loop, probe, std::move(handler), std::move(drained), std::move(*timer)));
  RingReader* self = reader.get();
  const auto on_wakeup = [self] {
    self->drain();
    self->empty_rounds_ = 0;
    self->timer_.start(self->more_ ? kAtOnce : kRound);
  };
  if (Result<void> done = loop.watch(probe.ring_fd(), on_wakeup, true); !done) {
    return fail(done.error(), "ring reader");
  }
  if (Result<void> done = loop.watch(self->timer_.fd(), [self] { self->on_timer(); }); !done) {
    return fail(done.error(), "ring reader");
  }
  self->timer_.start(kRound);
  return reader;
}

size_t RingReader::drain() {
  const Probe::Drained drained = probe_.drain(handler_);
  more_ = drained.more;
  if (drained_) {
    drained_();
  }
  return drained.count;
}

void RingReader::on_timer() {
  timer_.acknowledge();
  if (drain() > 0) {
    empty_rounds_ = 0;
    timer_.start(more_ ? kAtOnce : kRound);
    return;
  }
  // Twice: a record that was being written while the wake-up was asked for may
  // not have seen the request, and is there a round later.
  if (empty_rounds_++ < 2) {
    probe_.ask_for_wakeup();
    timer_.start(kRound);
  }
}

}  // namespace snoop
