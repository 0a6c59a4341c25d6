// SPDX-License-Identifier: Apache-2.0
#include "cli/repeat_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace snoop {

RepeatFilter::~RepeatFilter() { forget_before(spdlog::log_clock::time_point::max()); }

void RepeatFilter::flush() {
  forget_before(spdlog::log_clock::time_point::max());
  behind_->flush();
}

void RepeatFilter::log(const spdlog::details::log_msg& message) {
  forget_before(message.time - kWindow);
  if (message.level < spdlog::level::warn) {
    behind_->log(message);
    return;
  }
  const std::string_view text(message.payload.data(), message.payload.size());
  if (const auto found = remembered_.find(text); found != remembered_.end()) {
    found->second.repeats++;
    return;
  }
  if (remembered_.size() >= kMaxRemembered) {
    const auto oldest = std::min_element(remembered_.begin(), remembered_.end(),
                                         [](const auto& a, const auto& b) { return a.second.first < b.second.first; });
    tell(oldest->first, oldest->second);
    remembered_.erase(oldest);
  }
  remembered_.emplace(text, Remembered{message.time, message.level, 0});
  behind_->log(message);
}

void RepeatFilter::forget_before(spdlog::log_clock::time_point time) {
  for (auto at = remembered_.begin(); at != remembered_.end();) {
    if (at->second.first > time) {
      at++;
      continue;
    }
    tell(at->first, at->second);
    at = remembered_.erase(at);
  }
}

void RepeatFilter::tell(const std::string& text, const Remembered& remembered) {
  if (remembered.repeats == 0) {
    return;
  }
  const std::string repeated =
      fmt::format("repeated {} time{}: {}", remembered.repeats, remembered.repeats == 1 ? "" : "s", text);
  behind_->log(spdlog::details::log_msg("snoop", remembered.level, repeated));
}

}  // namespace snoop
