// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace snoop {

/// Tells systemd how the service fares (sd_notify(3)): a datagram to the socket that
/// $NOTIFY_SOCKET names. Without it, nothing is told.
class Notifier {
 public:
  /// Takes what the environment says.
  [[nodiscard]] static Notifier from_environment();

  void ready() { send("READY=1"); }
  void stopping() { send("STOPPING=1"); }
  void alive() { send("WATCHDOG=1"); }
  /// One line, for `systemctl status`.
  void status(std::string_view text) { send(std::string("STATUS=").append(text)); }

  /// How often to say that it is alive; 0: nobody waits for it.
  [[nodiscard]] std::chrono::microseconds alive_interval() const { return alive_interval_; }

 private:
  void send(const std::string& text);

  UniqueFd socket_;
  std::string address_;
  std::chrono::microseconds alive_interval_{0};
};

}  // namespace snoop
