/* SPDX-License-Identifier: Apache-2.0 */
/* What was there before snoop, what comes into the cgroup, and cgroups that are made later. */
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "recall.h"

static void files(void) {
  make_file("opened");
  make_file("mapped");
  make_file("deleted");
  make_file("passed");
  make_file("later");
  make_directory("dir");
  make_file("dir/file");
  copy_program("tiny", "prog");
}

static void map(const char* name) {
  const int fd = (int)must(open(name, O_RDONLY), name);
  must(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0, name);
  close(fd);
}

/* The end of both: what follows is an access like any other. */
static void afterwards(void) {
  used("baseline", "ok", "opened");
  used("baseline", "ok", "mapped");
  used("baseline", "ok", "dir");
  did("open", open("later", O_RDONLY), "later");
  did("stat", chdir("dir"), "dir");
  did("open", open("file", O_RDONLY), "dir/file");
}

static void open_and_mapped(void) {
  must(open("opened", O_RDONLY), "opened");
  map("mapped");
  must(open("dir", O_RDONLY | O_DIRECTORY), "dir");
  meet();
  afterwards();
}

static void deleted_and_open(void) {
  must(open("deleted", O_RDONLY), "deleted");
  must(unlink("deleted"), "deleted");
  meet();
  used("baseline", "ok", "deleted");
}

/* A child of a process that was there, in a directory that was entered before. */
static void directory_from_before(void) {
  must(chdir("dir"), "dir");
  meet();
  may("baseline", "ok", "dir");
  did("open", open("file", O_RDONLY), "dir/file");
  did("open", open("../later", O_RDONLY), "later");
}

static void gone_before(void) {
  /* Closed before snoop came: nobody can know. */
  close((int)must(open("opened", O_RDONLY), "opened"));
  meet();
  did("open", open("later", O_RDONLY), "later");
}

static void running_program(void) {
  int in[2];
  must(pipe(in), "pipe");
  const pid_t pid = fork();
  if (pid == 0) {
    /* tiny blocks in its open of a fifo until the other end is opened. */
    execl("prog", "prog", "fifo", (char*)NULL);
    _exit(99);
  }
  must(pid, "fork");
  /* Until it runs: /proc says what. */
  char link[64], text[4096];
  snprintf(link, sizeof(link), "/proc/%d/exe", pid);
  for (;;) {
    const ssize_t length = readlink(link, text, sizeof(text) - 1);
    must(length, link);
    text[length] = '\0';
    if (strcmp(text, path_of("prog")) == 0) break;
    usleep(1000);
  }
  meet();
  used("baseline", "ok", "prog");
  did("open", open("fifo", O_WRONLY), "fifo");
  wait_for(pid, 0);
}

static void running_files(void) {
  copy_program("tiny", "prog");
  must(mkfifo("fifo", 0644), "fifo");
}

/* --- descriptors that come from elsewhere --- */

static int pair[2];

static void send_one(void) {
  char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 'x';
  struct iovec data = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  const int fd = (int)did("open", open("passed", O_RDONLY), "passed");
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  must(sendmsg(pair[0], &message, 0), "sendmsg");
}

static int received(void) {
  char control[CMSG_SPACE(sizeof(int))] = {0}, byte;
  struct iovec data = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  int fd = -1;
  must(recvmsg(pair[1], &message, 0), "recvmsg");
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
  return fd;
}

static void passed(void) {
  char byte;
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
  in_child(send_one);
  must(read(received(), &byte, 1), "passed");
}

/* A directory that was passed is a base of relative paths. */
static void send_directory(void) { did("open", open("dir", O_RDONLY | O_DIRECTORY), "dir"); }

static void inherited_directory(void) {
  in_child(send_directory);
  const int dir = (int)did("open", open("dir", O_RDONLY | O_DIRECTORY), "dir");
  const pid_t pid = fork();
  if (pid == 0) {
    did("open", openat(dir, "file", O_RDONLY), "dir/file");
    _exit(0);
  }
  wait_for(must(pid, "fork"), 0);
}

/* --- cgroups that are made later --- */

static void move_to(const char* cgroup) {
  char path[4096];
  snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
  const int fd = (int)must(open(path, O_WRONLY), path);
  must(write(fd, "0", 1), path);
  close(fd);
}

static void in_new_cgroup(void) {
  char path[4096];
  const char* top = getenv("RECALL_CGROUP");
  if (!top) skip("RECALL_CGROUP is not set");
  snprintf(path, sizeof(path), "%s", top);
  for (int level = 0; level < 3; level++) {
    strcat(path, "/nested");
    must(mkdir(path, 0755), path);
  }
  move_to(path);
  did("open", open("dir/file", O_RDONLY), "dir/file");
  execl("prog", "prog", "later", (char*)NULL);
  _exit(99);
}

static void new_cgroup(void) {
  in_child(in_new_cgroup);
  used("exec", "ok", "prog");
  used("open", "ok", "later");
}

static void in_short_cgroup(void) {
  char path[4096];
  snprintf(path, sizeof(path), "%s/short", getenv("RECALL_CGROUP"));
  must(mkdir(path, 0755), path);
  move_to(path);
  execl("prog", "prog", "later", (char*)NULL);
  _exit(99);
}

/* A cgroup that lives for a moment, and is gone before the report. */
static void short_cgroup(void) {
  char path[4096];
  if (!getenv("RECALL_CGROUP")) skip("RECALL_CGROUP is not set");
  in_child(in_short_cgroup);
  used("exec", "ok", "prog");
  used("open", "ok", "later");
  snprintf(path, sizeof(path), "%s/short", getenv("RECALL_CGROUP"));
  while (rmdir(path) != 0) must(errno == EBUSY ? 0 : -1, path);
}

/* --- processes that are special --- */

static void killed(void) {
  const pid_t pid = fork();
  int status = 0;
  if (pid == 0) {
    if (open("opened", O_RDONLY) >= 0) raise(SIGKILL);
    _exit(1);
  }
  must(waitpid(pid, &status, 0), "waitpid");
  must(WIFSIGNALED(status) ? 0 : -1, "SIGKILL");
  used("open", "ok", "opened");
}

static void open_later(void) { did("open", open("later", O_RDONLY), "later"); }

static void other_namespaces(void) {
  must(unshare(CLONE_NEWPID | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET), "unshare");
  did("open", open("opened", O_RDONLY), "opened");
  in_child(open_later);
}

static void user_namespace(void) {
  if (unshare(CLONE_NEWUSER) != 0) skip("no user namespaces here");
  did("open", open("opened", O_RDONLY), "opened");
}

const struct recall_case recall_cases[] = {
    {"baseline", open_and_mapped, files, RECALL_BEFORE},
    {"baseline_deleted", deleted_and_open, files, RECALL_BEFORE},
    {"baseline_directory", directory_from_before, files, RECALL_BEFORE},
    {"baseline_program", running_program, running_files, RECALL_BEFORE},
    {"closed_before", gone_before, files, RECALL_BEFORE},
    {"moved", open_and_mapped, files, RECALL_MOVED},
    {"moved_deleted", deleted_and_open, files, RECALL_MOVED},
    {"moved_directory", directory_from_before, files, RECALL_MOVED},
    {"descriptor_passed", passed, files, RECALL_NEW},
    {"descriptor_inherited", inherited_directory, files, RECALL_NEW},
    {"cgroup_at_depth_3", new_cgroup, files, RECALL_NEW},
    {"cgroup_for_a_moment", short_cgroup, files, RECALL_NEW},
    {"killed", killed, files, RECALL_NEW},
    {"namespaces", other_namespaces, files, RECALL_NEW},
    {"user_namespace", user_namespace, files, RECALL_NEW},
    {0},
};
