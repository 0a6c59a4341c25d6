// SPDX-License-Identifier: Apache-2.0
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <memory>

#include "base/clock.h"
#include "base/text.h"
#include "cli/repeat_filter.h"
#include "cli/session.h"

namespace snoop {

namespace {

/// One JSON object a line.
class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> json(buffer);
    const auto put = [&](const char* key, std::string_view value) {
      json.Key(key);
      json.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
    };
    const auto since = message.time.time_since_epoch();
    const auto level = spdlog::level::to_string_view(message.level);
    json.StartObject();
    put("time", rfc3339(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count()));
    put("level", {level.data(), level.size()});
    put("message", to_utf8({message.payload.data(), message.payload.size()}));
    json.EndObject();
    const std::string_view text(buffer.GetString(), buffer.GetSize());
    out.append(text.data(), text.data() + text.size());
    out.push_back('\n');
  }

  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }
};

/// The message, in which nothing talks to a terminal or looks like another line, whoever it comes from.
class SafeMessage final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm& /*time*/, spdlog::memory_buf_t& out) override {
    const std::string text = without_controls({message.payload.data(), message.payload.size()});
    out.append(text.data(), text.data() + text.size());
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<SafeMessage>();
  }
};

}  // namespace

void set_up_logging(const Options& options) {
  auto logger = std::make_shared<spdlog::logger>(
      "snoop", std::make_shared<RepeatFilter>(std::make_shared<spdlog::sinks::stderr_color_sink_st>()));
  if (options.log_format == "json") {
    logger->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<SafeMessage>('*').set_pattern("snoop: %^%l%$: %*");
    logger->set_formatter(std::move(formatter));
  }
  logger->set_level(spdlog::level::from_str(options.log_level == "warn" ? "warning" : options.log_level));
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace snoop
