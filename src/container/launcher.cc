// SPDX-License-Identifier: Apache-2.0
#include "container/launcher.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace snoop {

namespace {

/// What the program may need of the environment: where to find runtimes and the API server.
constexpr std::array kPassedOn = {
    "CONTAINER_HOST", "CONTAINER_RUNTIME_ENDPOINT", "CONTAINERD_ADDRESS",      "DOCKER_HOST",
    "HOSTNAME",       "KUBERNETES_SERVICE_HOST",    "KUBERNETES_SERVICE_PORT", "KUBERNETES_SERVICE_PORT_HTTPS",
    "XDG_RUNTIME_DIR"};

struct Request {
  /// To be killed; 0: the program is to be run, and its socket comes along.
  pid_t kill = 0;
  bool keeps_stderr = false;
};

/// The pid of what runs, or an errno.
struct Answer {
  pid_t pid = 0;
  int error = 0;
};

/// A message with room for one descriptor.
struct Message {
  iovec data = {};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control = {};
  msghdr header = {};

  template <typename T>
  explicit Message(T& body) {
    data = {&body, sizeof(body)};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
  }
  void attach(int fd) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(fd));
    std::memcpy(CMSG_DATA(part), &fd, sizeof(fd));
  }
  [[nodiscard]] int attached() {
    int fd = -1;
    const cmsghdr* part = CMSG_FIRSTHDR(&header);
    if (part != nullptr && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS) {
      std::memcpy(&fd, CMSG_DATA(part), sizeof(fd));
    }
    return fd;
  }
};

std::vector<std::string> environment_of_program() {
  std::vector<std::string> environment = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8"};
  for (const char* name : kPassedOn) {
    if (const char* value = std::getenv(name)) {
      environment.push_back(fmt::format("{}={}", name, value));
    }
  }
  for (char** variable = ::environ; *variable != nullptr; variable++) {
    if (std::string_view(*variable).starts_with("SNOOP_METADATA_")) {
      environment.emplace_back(*variable);
    }
  }
  return environment;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (std::string& text : texts) {
    result.push_back(text.data());
  }
  result.push_back(nullptr);
  return result;
}

/// In the new process: only async-signal-safe calls.
[[noreturn]] void become(char* const* arguments, char* const* environment, int socket, bool keeps_stderr,
                         pid_t parent) {
  sigset_t none = {};
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  struct sigaction usual = {};
  usual.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; number++) {
    ::sigaction(number, &usual, nullptr);
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The terminal's signals are for snoop, which ends it in its own time.
  ::setsid();
  // snoop may have died before that.
  if (::getppid() == parent && ::dup2(socket, STDIN_FILENO) >= 0 && ::dup2(socket, STDOUT_FILENO) >= 0) {
    const int nowhere = keeps_stderr ? -1 : ::open("/dev/null", O_WRONLY);
    if (nowhere >= 0) {
      ::dup2(nowhere, STDERR_FILENO);
    }
    ::close_range(STDERR_FILENO + 1, ~0U, 0);
    ::execve(arguments[0], arguments, environment);
  }
  ::_exit(127);
}

/// The launcher itself, until nobody is left who could ask it. It holds nothing of snoop's
/// but its log.
[[noreturn]] void serve(int asked_at, Launcher::Program& program, pid_t snoop) {
  ::prctl(PR_SET_NAME, "snoop-launcher");
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (cap_t none = ::cap_init(); none != nullptr) {
    ::cap_set_proc(none);
    ::cap_free(none);
  }
  // ^C is for snoop, which has more to do then.
  sigset_t all = {};
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  std::vector<std::string> environment = environment_of_program();
  std::vector<std::string> arguments = program.arguments;
  arguments.insert(arguments.begin(), program.path);
  const std::vector<char*> environment_pointers = pointers(environment);
  const std::vector<char*> argument_pointers = pointers(arguments);
  constexpr int kSocket = STDERR_FILENO + 1;
  const int nowhere = ::open("/dev/null", O_RDWR);
  ::dup2(nowhere, STDIN_FILENO);
  ::dup2(nowhere, STDOUT_FILENO);
  ::dup2(asked_at, kSocket);
  ::close_range(kSocket + 1, ~0U, 0);

  pid_t last = 0;
  Request request;
  for (;;) {
    Message message(request);
    message.header.msg_control = message.control.data();
    message.header.msg_controllen = message.control.size();
    if (::recvmsg(kSocket, &message.header, MSG_CMSG_CLOEXEC) != sizeof(request)) {
      ::_exit(0);
    }
    const UniqueFd socket(message.attached());
    if (request.kill != 0) {
      if (request.kill == last) {
        ::kill(last, SIGKILL);
      }
      continue;
    }
    // A child of snoop's, not of this process.
    const auto child = static_cast<pid_t>(::syscall(SYS_clone, CLONE_PARENT | SIGCHLD, nullptr, nullptr, nullptr, 0));
    if (child == 0) {
      become(argument_pointers.data(), environment_pointers.data(), socket.get(), request.keeps_stderr, snoop);
    }
    const Answer answer = {child < 0 ? 0 : child, child < 0 ? errno : 0};
    last = answer.pid;
    ::send(kSocket, &answer, sizeof(answer), MSG_NOSIGNAL);
  }
}

}  // namespace

Result<Launcher> Launcher::start(Program program) {
  if (::access(program.path.c_str(), X_OK) != 0) {
    return fail(errno, program.path);
  }
  int ends[2] = {};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail(errno, "socketpair");
  }
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  const pid_t self = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) {
    return fail(errno, "fork");
  }
  if (pid == 0) {
    serve(theirs.get(), program, self);
  }
  return Launcher(std::move(program), std::move(ours), pid);
}

Launcher::~Launcher() {
  if (socket_) {
    socket_.reset();
    ::waitpid(pid_, nullptr, 0);
  }
}

Result<pid_t> Launcher::launch(int socket, bool keeps_stderr) {
  Request request = {.kill = 0, .keeps_stderr = keeps_stderr};
  Message message(request);
  message.attach(socket);
  Answer answer;
  if (::sendmsg(socket_.get(), &message.header, MSG_NOSIGNAL) < 0 ||
      ::recv(socket_.get(), &answer, sizeof(answer), 0) != sizeof(answer)) {
    return fail(EPIPE, "the process that starts programs is gone");
  }
  if (answer.error != 0) {
    return fail(answer.error, "fork");
  }
  return answer.pid;
}

void Launcher::kill(pid_t pid) {
  const Request request = {.kill = pid, .keeps_stderr = false};
  ::send(socket_.get(), &request, sizeof(request), MSG_NOSIGNAL);
}

}  // namespace snoop
