// SPDX-License-Identifier: Apache-2.0
#include "container/metadata_client.h"

#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <utility>

#include "base/text.h"
#include "container/cgroup.h"
#include "container/metadata_message.h"
#include "container/runtime_socket.h"

namespace snoop {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kMaxLine = 1UL << 20;
/// Who reads nothing for so long that this much waits has hung.
constexpr size_t kMaxToWrite = 8UL << 20;
/// Of one turn, so that whoever floods does not have the loop for itself.
constexpr int kMaxReads = 8;
constexpr size_t kReadBytes = 32UL * 1024;
constexpr milliseconds kWriteAgain{100};
constexpr milliseconds kFirstDelay{1'000};
constexpr milliseconds kLastDelay{60'000};
constexpr size_t kMaxSources = 64;
/// In milliseconds, at the end.
constexpr int kMostWaits = 200;
constexpr const char* kName = "snoop-metadata";

std::string ending(int status) {
  if (WIFSIGNALED(status)) {
    return fmt::format("it was ended by SIG{}", ::sigabbrev_np(WTERMSIG(status)));
  }
  return fmt::format("it ended with exit code {}", WEXITSTATUS(status));
}

}  // namespace

std::string find_metadata_program() {
  std::array<char, PATH_MAX> self = {};
  const ssize_t size = ::readlink("/proc/self/exe", self.data(), self.size());
  if (size <= 0 || static_cast<size_t>(size) >= self.size()) {
    return {};
  }
  const std::string directory = parent_path({self.data(), static_cast<size_t>(size)});
  for (const std::string& path : {directory + "/" + kName, parent_path(directory) + "/libexec/snoop/" + kName}) {
    if (::access(path.c_str(), X_OK) == 0) {
      return path;
    }
  }
  return {};
}

std::string trouble_with(const MetadataSource& source, const std::vector<std::string>& arguments) {
  const bool is_missing = source.state == "missing";
  if (source.state == "answered" || source.state == "untried" || source.name == "oci") {
    return {};
  }
  std::string trouble;
  for (const std::string& argument : arguments) {
    for (const RuntimeSocket& socket : parse_socket(argument)) {
      if (socket.path != source.endpoint) {
        continue;
      }
      trouble = is_missing ? fmt::format("there is no socket {}", source.endpoint) : trouble;
      if (socket.is_guess) {
        trouble = fmt::format(
            "{}{} is taken for one of {}, since its name does not say what it is: else give podman:{} "
            "or docker:{}",
            trouble, trouble.empty() ? source.endpoint : ", which", source.name, socket.path, socket.path);
      }
    }
  }
  return trouble;
}

MetadataClient::MetadataClient(EventLoop& loop, Launcher launcher, bool once, Handlers handlers, Timer timer)
    : loop_(loop),
      launcher_(std::move(launcher)),
      once_(once),
      handlers_(std::move(handlers)),
      timer_(std::move(timer)),
      delay_(kFirstDelay) {}

Result<std::unique_ptr<MetadataClient>> MetadataClient::start(EventLoop& loop, Launcher launcher, Handlers handlers,
                                                              bool once) {
  Result<Timer> timer = Timer::create();
  if (!timer) {
    return tl::unexpected(timer.error());
  }
  std::unique_ptr<MetadataClient> client(
      new MetadataClient(loop, std::move(launcher), once, std::move(handlers), std::move(*timer)));
  MetadataClient* self = client.get();
  if (Result<void> watched = loop.watch(self->timer_.fd(), [self] { self->on_timer(); }); !watched) {
    return tl::unexpected(watched.error());
  }
  if (Result<void> spawned = self->spawn(); !spawned) {
    return tl::unexpected(spawned.error());
  }
  return client;
}

MetadataClient::~MetadataClient() {
  loop_.unwatch(timer_.fd());
  if (pid_ > 0) {
    loop_.unwatch(socket_.get());
    static_cast<void>(kill());
  }
  // So that nobody else has to, unless it does not end.
  for (int i = 0; i < kMostWaits && !dying_.empty(); i++) {
    reap();
    ::usleep(dying_.empty() ? 0 : 1'000);
  }
}

/// Ends it if it has not ended; how it did, as far as that is known at once.
std::optional<int> MetadataClient::kill() {
  socket_.reset();
  int status = 0;
  const pid_t pid = std::exchange(pid_, 0);
  if (::waitpid(pid, &status, WNOHANG) == pid) {
    return status;
  }
  launcher_.kill(pid);
  // It may be in a call that cannot be interrupted: not waited for.
  dying_.push_back(pid);
  return std::nullopt;
}

void MetadataClient::reap() {
  std::erase_if(dying_, [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; });
}

Result<void> MetadataClient::spawn() {
  int ends[2] = {};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail(errno, "socketpair");
  }
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  if (handlers_.while_forking) {
    handlers_.while_forking(true);
  }
  const Result<pid_t> child = launcher_.launch(theirs.get(), spdlog::should_log(spdlog::level::debug));
  if (handlers_.while_forking) {
    handlers_.while_forking(false);
  }
  if (!child) {
    return tl::unexpected(child.error());
  }
  pid_ = *child;
  socket_ = std::move(ours);
  started_at_ = steady_clock::now();
  down_.clear();
  line_.clear();
  to_write_.clear();
  passing_over_ = false;
  if (Result<void> watched = loop_.watch(socket_.get(), [this] { on_readable(); }); !watched) {
    static_cast<void>(kill());
    return watched;
  }
  if (handlers_.on_started) {
    handlers_.on_started();
  }
  return {};
}

void MetadataClient::spawn_or_retry() {
  if (const Result<void> spawned = spawn(); !spawned) {
    down_ = spawned.error().message();
    timer_.start(kLastDelay);
  }
}

void MetadataClient::on_timer() {
  timer_.acknowledge();
  reap();
  if (pid_ == 0) {
    spawn_or_retry();
  } else {
    send();
  }
}

void MetadataClient::ask(std::string_view cgroup_path, std::string_view id) {
  // While it does not run, on_started will ask for all.
  if (pid_ == 0) {
    return;
  }
  const bool is_waiting = !to_write_.empty();
  to_write_ += metadata_question(cgroup_path, id, 0);
  if (to_write_.size() > kMaxToWrite) {
    end("it reads nothing any more");
  } else if (!is_waiting) {
    send();
  }
}

void MetadataClient::send() {
  while (!to_write_.empty()) {
    const ssize_t sent = ::send(socket_.get(), to_write_.data(), to_write_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      // Anything but a full socket is found out by whoever reads from it.
      timer_.start(kWriteAgain);
      return;
    }
    to_write_.erase(0, static_cast<size_t>(sent));
  }
}

void MetadataClient::on_readable() {
  std::array<char, kReadBytes> buffer = {};
  for (int i = 0; i < kMaxReads; i++) {
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) {
      on_bytes({buffer.data(), static_cast<size_t>(got)});
      // A handler may have asked, and found out that it has hung.
      if (pid_ == 0) {
        return;
      }
    } else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
      return;
    } else {
      end({});
      return;
    }
  }
}

void MetadataClient::on_bytes(std::string_view bytes) {
  while (!bytes.empty() && pid_ != 0) {
    const size_t newline = bytes.find('\n');
    const std::string_view part = bytes.substr(0, newline);
    if (line_.size() + part.size() > kMaxLine) {
      passing_over_ = true;
      line_.clear();
    }
    if (!passing_over_) {
      line_ += part;
    }
    if (newline == std::string_view::npos) {
      return;
    }
    bytes.remove_prefix(newline + 1);
    const std::string line = std::exchange(line_, {});
    if (!std::exchange(passing_over_, false)) {
      on_line(line);
    }
  }
}

void MetadataClient::on_line(std::string_view line) {
  std::optional<MetadataMessage> message = parse_metadata_line(line);
  if (!message) {
    if (nonsense_++ == 0) {
      spdlog::warn("{} says what makes no sense: {}", kName, printable(line.substr(0, 200)));
    }
    return;
  }
  if (const auto* container = std::get_if<KnownContainer>(&*message)) {
    if (handlers_.on_container) {
      handlers_.on_container(*container);
    }
  } else if (auto* source = std::get_if<MetadataSource>(&*message)) {
    on_source(std::move(*source));
  } else if (std::holds_alternative<AllListed>(*message) && handlers_.on_listed) {
    handlers_.on_listed();
  }
}

void MetadataClient::on_source(MetadataSource&& source) {
  const auto known = std::find_if(sources_.begin(), sources_.end(), [&](const MetadataSource& other) {
    return other.name == source.name && other.endpoint == source.endpoint;
  });
  if (known == sources_.end() && sources_.size() >= kMaxSources) {
    return;
  }
  if (known == sources_.end() || known->state != source.state) {
    const auto level =
        source.state == "missing" || source.state == "untried" ? spdlog::level::debug : spdlog::level::info;
    spdlog::log(level, "containers' names by {} ({}): {}{}{}", printable(source.name), printable(source.endpoint),
                source.state, source.error.empty() ? "" : ": ", printable(source.error));
  }
  if (known == sources_.end() || known->state != source.state) {
    if (const std::string trouble = trouble_with(source, launcher_.program().arguments);
        !trouble.empty() && told_trouble_.insert(trouble).second) {
      spdlog::warn("{}", printable(trouble));
    }
  }
  if (known == sources_.end()) {
    sources_.push_back(std::move(source));
  } else {
    *known = std::move(source);
  }
}

void MetadataClient::end(const std::string& why) {
  loop_.unwatch(socket_.get());
  timer_.stop();
  const std::optional<int> status = kill();
  if (once_) {
    if (handlers_.on_ended) {
      handlers_.on_ended();
    }
    return;
  }
  down_ = !why.empty() ? why : status ? ending(*status) : "it closed its output";
  if (steady_clock::now() - started_at_ > kLastDelay) {
    delay_ = kFirstDelay;
  }
  spdlog::warn("{}: {}; starting it again in {} s", kName, down_, delay_.count() / 1'000);
  timer_.start(delay_);
  delay_ = std::min(2 * delay_, kLastDelay);
}

std::vector<MetadataSource> MetadataClient::sources() const {
  std::vector<MetadataSource> sources = sources_;
  if (!down_.empty()) {
    sources.push_back({.name = kName, .endpoint = launcher_.program().path, .state = "failed", .error = down_});
  }
  return sources;
}

}  // namespace snoop
