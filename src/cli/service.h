// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/event_loop.h"
#include "base/result.h"
#include "cli/options.h"
#include "service/http_server.h"
#include "service/notify.h"

namespace snoop {

class Session;

/// What a capture offers while it runs: HTTP, and word to systemd (record). All in
/// the event loop: that an answer comes at all is what says that the loop is alive.
class Service {
 public:
  /// Takes the address that the options name. If it is in use that is an error,
  /// unless nobody asked for it: then there is a warning, and retry() may get it later.
  [[nodiscard]] static Result<std::unique_ptr<Service>> open(const Options& options, EventLoop& loop);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// Capture is on, and its targets are known.
  void begin(Session& session);
  /// After each report, with how it stands.
  void tell(std::string_view status);
  /// The capture ends: nothing is answered any more.
  void end();

 private:
  Service(const Options& options, EventLoop& loop, Notifier notifier, Timer alive_timer);

  [[nodiscard]] Result<void> listen();
  [[nodiscard]] HttpResponse answer(const HttpRequest& request);
  [[nodiscard]] HttpResponse report() const;
  const std::string& metrics();

  const Options& options_;
  EventLoop& loop_;
  Session* session_ = nullptr;
  Notifier notifier_;
  Timer alive_timer_;
  std::unique_ptr<HttpServer> server_;
  /// The default address was not to be had.
  bool retries_ = false;
  /// Whoever asks all the time gets the same again.
  std::string metrics_;
  std::chrono::steady_clock::time_point metrics_until_;
};

}  // namespace snoop
