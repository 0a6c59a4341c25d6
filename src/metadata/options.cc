// SPDX-License-Identifier: Apache-2.0
#include "metadata/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <string>
#include <utility>

#include "metadata/host.h"
#include "version.h"

namespace snoop::metadata {

namespace {

constexpr const char* kDefaultSockets[] = {
    "containerd:/run/containerd/containerd.sock",
    "containerd:/run/k3s/containerd/containerd.sock",
    "containerd:/run/k0s/containerd.sock",
    "containerd:/var/snap/microk8s/common/run/containerd.sock",
    "cri:/run/crio/crio.sock",
    "cri:/run/cri-dockerd.sock",
    "docker:/run/docker.sock",
    "podman:/run/podman/podman.sock",
};

constexpr const char* kFooter =
    "Reads lines like {\"ask\":{\"cgroup\":\"/...\",\"id\":\"...\",\"pid\":1}} from the standard input until it ends, "
    "and "
    "writes\nlines like {\"container\":{...}}, {\"source\":{...}}, {\"unknown\":{...}} and {\"listed\":true}.";

constexpr const char* kServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options;
  CLI::App app("snoop-metadata: tells snoop which containers there are, and of which images");
  app.set_version_flag("--version", std::string("snoop-metadata ") + kVersion);
  app.footer(kFooter);

  std::vector<std::string> sockets;
  app.add_option("--runtime-socket", sockets,
                 "A runtime's socket, instead of the usual ones: [cri|containerd|docker|podman:]PATH; 'none' for none")
      ->check([](const std::string& text) { return wrong_with_socket(text); });
  app.add_option("--host-root", options.host_root, "Where the host's files are mounted; the usual sockets are below")
      ->check(CLI::ExistingDirectory)
      ->capture_default_str();
  double timeout = 5;
  app.add_option("--timeout", timeout, "How long to wait for an answer, in seconds")
      ->check(CLI::Range(0.05, 600.0))
      ->capture_default_str();
  app.add_flag("--list", options.list_only, "Lists what there is, and ends");

  KubernetesSettings kubernetes;
  kubernetes.host = from_environment("KUBERNETES_SERVICE_HOST");
  kubernetes.port = from_environment("KUBERNETES_SERVICE_PORT_HTTPS");
  kubernetes.service_account = kServiceAccount;
  kubernetes.ns = from_environment("POD_NAMESPACE");
  kubernetes.pod = from_environment("POD_NAME");
  app.add_option("--kubernetes-host", kubernetes.host, "Of the Kubernetes API; empty: it is not asked")
      ->capture_default_str();
  app.add_option("--kubernetes-port", kubernetes.port, "Its port")->capture_default_str();
  app.add_option("--service-account", kubernetes.service_account, "Directory with token, ca.crt and namespace")
      ->capture_default_str();
  app.add_option("--namespace", kubernetes.ns, "Of our own pod [$POD_NAMESPACE, or that of the service account]");
  app.add_option("--pod-name", kubernetes.pod, "Our own pod [$POD_NAME, or $HOSTNAME]");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    options.exit_status = app.exit(error) == 0 ? 0 : 2;
    return options;
  }

  options.timeout = std::chrono::milliseconds(static_cast<int64_t>(timeout * 1000));
  const Host host(options.host_root);
  if (sockets.empty()) {
    for (const char* text : kDefaultSockets) {
      for (RuntimeSocket& socket : parse_socket(text)) {
        options.sockets.push_back({socket.kind, host.path(socket.path), socket.is_guess});
      }
    }
  }
  for (const std::string& text : sockets) {
    for (RuntimeSocket& socket : parse_socket(text)) {
      options.sockets.push_back(std::move(socket));
    }
  }
  if (!kubernetes.host.empty()) {
    if (kubernetes.port.empty()) {
      kubernetes.port = "443";
    }
    if (kubernetes.ns.empty()) {
      kubernetes.ns = Host("/").read(kubernetes.service_account + "/namespace", 4096).value_or(std::string());
    }
    if (kubernetes.pod.empty()) {
      kubernetes.pod = from_environment("HOSTNAME");
    }
    if (!kubernetes.ns.empty() && !kubernetes.pod.empty()) {
      options.kubernetes = kubernetes;
    }
  }
  return options;
}

}  // namespace snoop::metadata
