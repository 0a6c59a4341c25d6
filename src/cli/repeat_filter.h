// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spdlog/sinks/sink.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>

namespace snoop {

/// In front of another sink: a warning or an error that comes again within a minute
/// is not passed on but counted, and the count is passed on with what is logged
/// next, once the minute is over, or with flush(). Needs no timer, so that idle costs nothing.
class RepeatFilter final : public spdlog::sinks::sink {
 public:
  static constexpr std::chrono::seconds kWindow{60};
  /// Most messages that are remembered; beyond, the oldest is forgotten.
  static constexpr size_t kMaxRemembered = 64;

  explicit RepeatFilter(std::shared_ptr<spdlog::sinks::sink> behind) : behind_(std::move(behind)) {}
  ~RepeatFilter() override;

  void log(const spdlog::details::log_msg& message) override;
  /// Tells of all repeats until now, and forgets them: what they are about is over.
  void flush() override;
  void set_pattern(const std::string& pattern) override { behind_->set_pattern(pattern); }
  void set_formatter(std::unique_ptr<spdlog::formatter> formatter) override {
    behind_->set_formatter(std::move(formatter));
  }

 private:
  struct Remembered {
    spdlog::log_clock::time_point first;
    spdlog::level::level_enum level = spdlog::level::warn;
    uint64_t repeats = 0;
  };

  void forget_before(spdlog::log_clock::time_point time);
  void tell(const std::string& text, const Remembered& remembered);

  std::shared_ptr<spdlog::sinks::sink> behind_;
  std::map<std::string, Remembered, std::less<>> remembered_;
};

}  // namespace snoop
