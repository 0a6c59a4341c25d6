/* SPDX-License-Identifier: Apache-2.0 */
/* What asks about a file or changes it without opening it. */
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <utime.h>

#include "recall.h"

static struct stat info;

static void files(void) {
  static const char* const kNames[] = {"a", "b", "c", "d", "e", "f", "g"};
  for (size_t i = 0; i < sizeof(kNames) / sizeof(*kNames); i++) make_file(kNames[i]);
  make_directory("dir");
  make_file("dir/file");
}

static void stats(void) {
  char statx_buffer[256];
  struct statfs fs;
  did("stat", syscall(SYS_stat, "a", &info), "a");
  did("stat", syscall(SYS_lstat, "b", &info), "b");
  did("stat", syscall(SYS_newfstatat, AT_FDCWD, "c", &info, 0), "c");
  did("stat", syscall(SYS_statx, AT_FDCWD, "d", 0, STATX_BASIC_STATS, statx_buffer), "d");
  did("stat", statfs("e", &fs), "e");
  failed("stat", ENOENT, syscall(SYS_statx, AT_FDCWD, "none", 0, 0, statx_buffer), "none");
}

static void stat_of_directory(void) {
  const int dir = (int)did("open", open("dir", O_PATH), "dir");
  did("stat", syscall(SYS_newfstatat, dir, "file", &info, 0), "dir/file");
  /* About the descriptor itself: no path, no access. */
  must(syscall(SYS_newfstatat, dir, "", &info, AT_EMPTY_PATH), "fstat");
}

static void accesses(void) {
  did("access", syscall(SYS_access, "a", R_OK), "a");
  did("access", syscall(SYS_faccessat, AT_FDCWD, "b", R_OK), "b");
  did("access", syscall(SYS_faccessat2, AT_FDCWD, "c", R_OK, AT_EACCESS), "c");
  failed("access", EACCES, syscall(SYS_access, "d", X_OK), "d");
  failed("access", ENOENT, syscall(SYS_faccessat2, AT_FDCWD, "none", R_OK, 0), "none");
}

static void readlinks(void) {
  char text[64];
  did("readlink", syscall(SYS_readlink, "link", text, sizeof(text)), "link");
  did("readlink", syscall(SYS_readlinkat, AT_FDCWD, "second", text, sizeof(text)), "second");
  failed("readlink", EINVAL, syscall(SYS_readlink, "file", text, sizeof(text)), "file");
}

static void links(void) {
  make_link("text-that-leads-nowhere", "link");
  make_link("text", "second");
  make_file("file");
}

static void over_its_own_path(void) {
  /* The answer overwrites the question. */
  union {
    struct stat info;
    char path[4096];
  } both;
  strcpy(both.path, "a");
  must(syscall(SYS_stat, both.path, &both.info), "a");
  may("stat", "ok", "a"); /* it is counted as path_unreadable where it is not seen */
}

static void renames(void) {
  did("change", syscall(SYS_rename, "a", "a2"), "a");
  used("change", "ok", "a2");
  did("change", syscall(SYS_renameat, AT_FDCWD, "b", AT_FDCWD, "dir/b2"), "b");
  used("change", "ok", "dir/b2");
  did("change", syscall(SYS_renameat2, AT_FDCWD, "c", AT_FDCWD, "d", 2 /* RENAME_EXCHANGE */), "c");
  used("change", "ok", "d");
}

static void makes(void) {
  did("change", syscall(SYS_link, "a", "hard"), "a");
  used("change", "ok", "hard");
  did("change", syscall(SYS_linkat, AT_FDCWD, "b", AT_FDCWD, "dir/hard", 0), "b");
  used("change", "ok", "dir/hard");
  did("change", syscall(SYS_symlink, "anything", "soft"), "soft");
  did("change", syscall(SYS_symlinkat, "anything", AT_FDCWD, "dir/soft"), "dir/soft");
  did("change", syscall(SYS_mkdir, "made", 0755), "made");
  did("change", syscall(SYS_mkdirat, AT_FDCWD, "dir/made", 0755), "dir/made");
  did("change", syscall(SYS_mknod, "node", S_IFREG | 0644, 0), "node");
  did("change", syscall(SYS_mknodat, AT_FDCWD, "dir/node", S_IFREG | 0644, 0), "dir/node");
}

static void removes(void) {
  did("change", syscall(SYS_unlink, "a"), "a");
  did("change", syscall(SYS_unlinkat, AT_FDCWD, "dir/file", 0), "dir/file");
  did("change", syscall(SYS_rmdir, "dir"), "dir");
  failed("change", ENOENT, syscall(SYS_unlink, "none"), "none");
}

static void attributes(void) {
  const struct timespec times[2] = {{1, 0}, {1, 0}};
  did("change", syscall(SYS_chmod, "a", 0600), "a");
  did("change", syscall(SYS_fchmodat, AT_FDCWD, "b", 0600), "b");
  did("change", syscall(SYS_chown, "c", 0, 0), "c");
  did("change", syscall(SYS_fchownat, AT_FDCWD, "d", 0, 0, 0), "d");
  did("change", syscall(SYS_utimensat, AT_FDCWD, "e", times, 0), "e");
  did("change", syscall(SYS_utime, "f", NULL), "f");
  did("change", syscall(SYS_truncate, "g", 2), "g");
}

static void extended_attributes(void) {
  char value[16];
  if (setxattr("a", "user.x", "1", 1, 0) != 0 && errno == ENOTSUP) skip("no extended attributes here");
  used("change", "ok", "a");
  did("stat", getxattr("a", "user.x", value, sizeof(value)), "a");
  did("change", lsetxattr("b", "user.x", "1", 1, 0), "b");
  did("stat", lgetxattr("b", "user.x", value, sizeof(value)), "b");
  did("stat", listxattr("c", NULL, 0), "c");
  did("stat", llistxattr("d", NULL, 0), "d");
  did("change", removexattr("a", "user.x"), "a");
  failed("stat", ENODATA, getxattr("e", "user.none", value, sizeof(value)), "e");
}

static void inotify(void) {
  const int fd = (int)must(inotify_init(), "inotify_init");
  did("stat", inotify_add_watch(fd, "dir", IN_CREATE), "dir");
}

static struct sockaddr_un address(const char* name) {
  struct sockaddr_un it = {.sun_family = AF_UNIX};
  strcpy(it.sun_path, name);
  return it;
}

static int listener(const char* name, int type) {
  const struct sockaddr_un it = address(name);
  const int fd = (int)must(socket(AF_UNIX, type, 0), "socket");
  did("change", bind(fd, (const struct sockaddr*)&it, sizeof(it)), name);
  return fd;
}

static void sockets(void) {
  const struct sockaddr_un it = address("stream"), gone = address("none");
  must(listen(listener("stream", SOCK_STREAM), 1), "listen");
  const int fd = (int)must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
  did("connect", connect(fd, (const struct sockaddr*)&it, sizeof(it)), "stream");
  failed("connect", ENOENT, connect(socket(AF_UNIX, SOCK_STREAM, 0), (const struct sockaddr*)&gone, sizeof(gone)),
         "none");
}

static void datagrams(void) {
  struct sockaddr_un it[4];
  static const char* const kNames[] = {"one", "two", "three", "four"};
  for (int i = 0; i < 4; i++) {
    listener(kNames[i], SOCK_DGRAM);
    it[i] = address(kNames[i]);
  }
  const int fd = (int)must(socket(AF_UNIX, SOCK_DGRAM, 0), "socket");
  did("connect", sendto(fd, "x", 1, 0, (const struct sockaddr*)&it[0], sizeof(it[0])), "one");
  struct msghdr message = {.msg_name = &it[1], .msg_namelen = sizeof(it[1])};
  did("connect", sendmsg(fd, &message, 0), "two");
}

static void many_datagrams(void) {
  struct sockaddr_un it[3];
  struct mmsghdr messages[3] = {0};
  static const char* const kNames[] = {"first", "second", "third"};
  for (int i = 0; i < 3; i++) {
    listener(kNames[i], SOCK_DGRAM);
    it[i] = address(kNames[i]);
    messages[i].msg_hdr.msg_name = &it[i];
    messages[i].msg_hdr.msg_namelen = sizeof(it[i]);
  }
  const int fd = (int)must(socket(AF_UNIX, SOCK_DGRAM, 0), "socket");
  must(sendmmsg(fd, messages, 3, 0) == 3 ? 0 : -1, "sendmmsg");
  for (int i = 0; i < 3; i++) used("connect", "ok", kNames[i]);
}

const struct recall_case recall_cases[] = {
    {"stat", stats, files, RECALL_NEW},
    {"stat_dirfd", stat_of_directory, files, RECALL_NEW},
    {"access", accesses, files, RECALL_NEW},
    {"readlink", readlinks, links, RECALL_NEW},
    {"answer_over_question", over_its_own_path, files, RECALL_NEW},
    {"rename", renames, files, RECALL_NEW},
    {"make", makes, files, RECALL_NEW},
    {"remove", removes, files, RECALL_NEW},
    {"chmod_chown_times", attributes, files, RECALL_NEW},
    {"xattr", extended_attributes, files, RECALL_NEW},
    {"inotify", inotify, files, RECALL_NEW},
    {"unix_stream", sockets, NULL, RECALL_NEW},
    {"unix_datagram", datagrams, NULL, RECALL_NEW},
    {"sendmmsg", many_datagrams, NULL, RECALL_NEW},
    {0},
};
