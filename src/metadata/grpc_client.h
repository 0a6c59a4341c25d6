// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/message_lite.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "metadata/lines.h"

namespace snoop::metadata {

/// Calls of gRPC services at a unix socket, by their names and with messages of our own, so that no generated service
/// is needed. Hides gRPC's headers, which take the compiler seconds.
class GrpcClient {
 public:
  /// `max_answer_bytes`: of one message.
  GrpcClient(const std::string& socket, std::chrono::milliseconds timeout, size_t max_answer_bytes);
  ~GrpcClient();
  GrpcClient(const GrpcClient&) = delete;
  GrpcClient& operator=(const GrpcClient&) = delete;

  struct Outcome {
    /// kAnswered: with an error of the method's own, too.
    SourceState state;
    bool is_ok = false;
    bool is_unknown_method = false;
  };

  /// `ns`: containerd's namespace, where not empty.
  Outcome call(const std::string& method, const google::protobuf::MessageLite& request,
               google::protobuf::MessageLite& response, const std::string& ns = {});

  /// Messages without an end: `response` is read anew, and `received` called, for each.
  Outcome follow(const std::string& method, const google::protobuf::MessageLite& request,
                 google::protobuf::MessageLite& response, const std::function<void()>& connected,
                 const std::function<void()>& received);

 private:
  struct Channel;
  std::string socket_;
  std::chrono::milliseconds timeout_;
  std::unique_ptr<Channel> channel_;
};

}  // namespace snoop::metadata
