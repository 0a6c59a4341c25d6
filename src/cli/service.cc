// SPDX-License-Identifier: Apache-2.0
#include "cli/service.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "base/text.h"
#include "cli/session.h"
#include "service/container_list.h"
#include "service/listener.h"

namespace snoop {

namespace {

constexpr std::chrono::seconds kMetricsAge{1};

HttpResponse plain(int status, std::string text) { return {.status = status, .body = std::move(text) + "\n"}; }

}  // namespace

Service::Service(const Options& options, EventLoop& loop, Notifier notifier, Timer alive_timer)
    : options_(options), loop_(loop), notifier_(std::move(notifier)), alive_timer_(std::move(alive_timer)) {}

Service::~Service() { loop_.unwatch(alive_timer_.fd()); }

Result<std::unique_ptr<Service>> Service::open(const Options& options, EventLoop& loop) {
  Result<Timer> timer = Timer::create();
  if (!timer) {
    return tl::unexpected(timer.error());
  }
  // A command of `snoop run` may be a service itself.
  Notifier notifier = options.command == Command::kRecord ? Notifier::from_environment() : Notifier();
  std::unique_ptr<Service> service(new Service(options, loop, std::move(notifier), std::move(*timer)));
  Service* self = service.get();
  const auto on_alive = [self] {
    self->alive_timer_.acknowledge();
    self->notifier_.alive();
  };
  if (Result<void> watched = loop.watch(self->alive_timer_.fd(), on_alive); !watched) {
    return tl::unexpected(watched.error());
  }
  if (Result<void> listening = self->listen(); !listening) {
    if (options.metrics_addr_given) {
      return tl::unexpected(listening.error());
    }
    self->retries_ = true;
    spdlog::warn("no metrics yet: {}; trying again with each report", listening.error().message());
  }
  return service;
}

Result<void> Service::listen() {
  const Result<ListenAddress> address = parse_listen_address(options_.metrics_addr);
  if (!address) {
    return tl::unexpected(address.error());
  }
  if (address->kind == ListenAddress::Kind::kOff) {
    return {};
  }
  Result<Listener> listener = Listener::open(*address);
  if (!listener) {
    return tl::unexpected(listener.error());
  }
  Result<std::unique_ptr<HttpServer>> server =
      HttpServer::start(loop_, std::move(*listener), [this](const HttpRequest& request) { return answer(request); });
  if (!server) {
    return tl::unexpected(server.error());
  }
  server_ = std::move(*server);
  spdlog::info("metrics and health at {}", server_->name());
  return {};
}

void Service::begin(Session& session) {
  session_ = &session;
  notifier_.ready();
  if (const auto interval = notifier_.alive_interval(); interval.count() > 0) {
    alive_timer_.start(interval, interval);
  }
}

void Service::tell(std::string_view status) {
  notifier_.status(printable(status));
  if (retries_ && listen()) {
    retries_ = false;
  }
}

void Service::end() {
  notifier_.stopping();
  alive_timer_.stop();
  server_.reset();
  session_ = nullptr;
}

const std::string& Service::metrics() {
  const auto now = std::chrono::steady_clock::now();
  if (metrics_.empty() || now >= metrics_until_) {
    metrics_ = session_->metrics();
    metrics_until_ = now + kMetricsAge;
  }
  return metrics_;
}

HttpResponse Service::report() const {
  if (options_.report == "-") {
    return plain(404, "the report goes to stdout, once, at the end");
  }
  HttpResponse response{.content_type = "application/json", .file = session_->open_report()};
  return response.file ? std::move(response) : plain(503, "no report could be written yet, or it is gone");
}

HttpResponse Service::answer(const HttpRequest& request) {
  // Whoever gets this has it from the loop, which therefore runs.
  if (request.path == "/healthz") {
    return plain(200, "alive");
  }
  if (session_ == nullptr) {
    return plain(503, "starting");
  }
  if (request.path == "/readyz") {
    return plain(200, "ready");
  }
  if (request.path == "/metrics") {
    return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics()};
  }
  if (request.path == "/report" || request.path == "/containers") {
    if (!request.is_local && !options_.expose_report) {
      return plain(
          403, "for this machine only: ask at its loopback address or a unix socket, or give snoop --expose-report");
    }
    if (request.path == "/report") {
      return report();
    }
    return {.content_type = "application/json", .body = container_list(session_->recorder().containers())};
  }
  return plain(404, "there is /metrics, /healthz, /readyz, /report and /containers");
}

}  // namespace snoop
