// SPDX-License-Identifier: Apache-2.0
#include "metadata/grpc_client.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <string>
#include <utility>

#include "base/unique_fd.h"
#include "metadata/connection.h"

namespace snoop::metadata {

namespace {

using Kind = SourceState::Kind;

/// A message as it is on the wire, so that one template serves all.
bool to_buffer(const google::protobuf::MessageLite& message, grpc::ByteBuffer& buffer) {
  std::string bytes;
  if (!message.SerializeToString(&bytes)) {
    return false;
  }
  const grpc::Slice slice(bytes);
  buffer = grpc::ByteBuffer(&slice, 1);
  return true;
}

bool from_buffer(const grpc::ByteBuffer& buffer, google::protobuf::MessageLite& message) {
  grpc::Slice slice;
  return buffer.DumpToSingleSlice(&slice).ok() && message.ParseFromArray(slice.begin(), static_cast<int>(slice.size()));
}

/// Whether anybody listens: gRPC says "unavailable" to everything, and waits before it tries again.
SourceState knock(const std::string& socket) {
  int fd = -1;
  SourceState state = connect_socket(socket, fd);
  const UniqueFd closed_again(fd);
  return state;
}

/// Errors of the method itself are answers of a runtime that is well.
GrpcClient::Outcome outcome_of(const grpc::Status& status) {
  GrpcClient::Outcome outcome{.state = {Kind::kAnswered}, .is_ok = status.ok(), .is_unknown_method = false};
  switch (status.error_code()) {
    case grpc::StatusCode::UNIMPLEMENTED:
      outcome.is_unknown_method = true;
      break;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      outcome.state = {Kind::kTimedOut, "no answer in time"};
      break;
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::INTERNAL:
      outcome.state = {Kind::kFailed, status.error_message().substr(0, 300)};
      break;
    default:
      break;
  }
  return outcome;
}

GrpcClient::Outcome failed(std::string why) { return {.state = {Kind::kFailed, std::move(why)}}; }

}  // namespace

struct GrpcClient::Channel {
  explicit Channel(std::shared_ptr<grpc::Channel> channel) : stub(std::move(channel)) {}
  grpc::GenericStub stub;
};

GrpcClient::GrpcClient(const std::string& socket, std::chrono::milliseconds timeout, size_t max_answer_bytes)
    : socket_(socket), timeout_(timeout) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(max_answer_bytes));
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Each source has a connection of its own: one that hangs holds nobody else.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // containerd does not like the socket's path as the name of its host.
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  channel_ = std::make_unique<Channel>(
      grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments));
}

GrpcClient::~GrpcClient() = default;

GrpcClient::Outcome GrpcClient::call(const std::string& method, const google::protobuf::MessageLite& request,
                                     google::protobuf::MessageLite& response, const std::string& ns) {
  if (const SourceState state = knock(socket_); state.kind != Kind::kAnswered) {
    return {.state = state};
  }
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout_);
  // Is there, but not yet connected to, or again.
  context.set_wait_for_ready(true);
  if (!ns.empty()) {
    context.AddMetadata("containerd-namespace", ns);
  }
  grpc::ByteBuffer sent;
  if (!to_buffer(request, sent)) {
    return failed("the question is too large");
  }
  grpc::CompletionQueue queue;
  grpc::ByteBuffer received;
  grpc::Status status;
  const auto rpc = channel_->stub.PrepareUnaryCall(&context, method, sent, &queue);
  rpc->StartCall();
  rpc->Finish(&received, &status, nullptr);
  void* tag = nullptr;
  bool is_done = false;
  queue.Next(&tag, &is_done);
  Outcome outcome = outcome_of(status);
  if (outcome.is_ok && !from_buffer(received, response)) {
    return failed("the answer cannot be read");
  }
  return outcome;
}

GrpcClient::Outcome GrpcClient::follow(const std::string& method, const google::protobuf::MessageLite& request,
                                       google::protobuf::MessageLite& response, const std::function<void()>& connected,
                                       const std::function<void()>& received) {
  if (const SourceState state = knock(socket_); state.kind != Kind::kAnswered) {
    return {.state = state};
  }
  grpc::ClientContext context;
  grpc::ByteBuffer sent;
  if (!to_buffer(request, sent)) {
    return failed("the question is too large");
  }
  grpc::CompletionQueue queue;
  const auto wait = [&queue] {
    void* tag = nullptr;
    bool is_ok = false;
    return queue.Next(&tag, &is_ok) && is_ok;
  };
  const auto rpc = channel_->stub.PrepareCall(&context, method, &queue);
  rpc->StartCall(nullptr);
  bool is_open = wait();
  if (is_open) {
    rpc->Write(sent, nullptr);
    is_open = wait();
  }
  if (is_open) {
    rpc->WritesDone(nullptr);
    is_open = wait();
  }
  if (is_open) {
    connected();
  }
  while (is_open) {
    grpc::ByteBuffer bytes;
    rpc->Read(&bytes, nullptr);
    is_open = wait();
    if (is_open) {
      response.Clear();
      if (!from_buffer(bytes, response)) {
        context.TryCancel();
        break;
      }
      received();
    }
  }
  grpc::Status status;
  rpc->Finish(&status, nullptr);
  (void)wait();
  Outcome outcome = outcome_of(status);
  if (outcome.is_ok) {
    outcome.state = {Kind::kFailed, "the stream ended"};
  }
  return outcome;
}

}  // namespace snoop::metadata
