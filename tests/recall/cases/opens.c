/* SPDX-License-Identifier: Apache-2.0 */
/* Every way to open a file by name, and what the name may begin at. */
#include <dirent.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "recall.h"

static void one_file(void) { make_file("file"); }

static void tree(void) {
  make_directory("dir");
  make_directory("dir/sub");
  make_file("dir/file");
  make_file("dir/sub/file");
}

static void open_raw(void) {
  did("open", syscall(SYS_open, "file", O_RDONLY), "file");
  failed("open", ENOENT, syscall(SYS_open, "none", O_RDONLY), "none");
}

static void openat_raw(void) {
  did("open", syscall(SYS_openat, AT_FDCWD, path_of("file"), O_RDONLY), "file");
  failed("open", ENOENT, syscall(SYS_openat, AT_FDCWD, "none", O_RDONLY), "none");
}

static void openat2_raw(void) {
  struct open_how how = {.flags = O_RDONLY};
  did("open", syscall(SYS_openat2, AT_FDCWD, "file", &how, sizeof(how)), "file");
  failed("open", ENOENT, syscall(SYS_openat2, AT_FDCWD, "none", &how, sizeof(how)), "none");
}

static void creat_raw(void) { did("open", syscall(SYS_creat, "made", 0644), "made"); }

static void open_path(void) { did("open", open("file", O_PATH), "file"); }

static void open_tmpfile(void) { did("open", open("dir", O_TMPFILE | O_RDWR, 0600), "dir"); }

static void open_create(void) {
  did("open", open("made", O_WRONLY | O_CREAT | O_EXCL, 0644), "made");
  failed("open", EEXIST, open("file", O_WRONLY | O_CREAT | O_EXCL, 0644), "file");
}

static void relative_to_descriptor(void) {
  const int dir = (int)did("open", open("dir", O_RDONLY | O_DIRECTORY), "dir");
  did("open", openat(dir, "sub/file", O_RDONLY), "dir/sub/file");
  did("open", openat(dir, "../dir/file", O_RDONLY), "dir/file");
}

static void relative_to_path_descriptor(void) {
  const int dir = (int)did("open", open("dir", O_PATH), "dir");
  did("open", openat(dir, "file", O_RDONLY), "dir/file");
}

static void relative_to_renamed(void) {
  const int dir = (int)did("open", open("dir", O_RDONLY | O_DIRECTORY), "dir");
  did("change", rename("dir", "new"), "dir");
  used("change", "ok", "new");
  did("open", openat(dir, "file", O_RDONLY), "new/file");
}

static void low_descriptors(void) {
  /* stdout and stderr are needed afterwards. */
  static const char* const kNames[] = {"dir", "dir/sub", "other"};
  static const char* const kFiles[] = {"dir/file", "dir/sub/file", "other/file"};
  for (int fd = 0; fd < 3; fd++) {
    const int kept = dup(fd);
    const int dir = (int)did("open", open(kNames[fd], O_RDONLY | O_DIRECTORY), kNames[fd]);
    must(dup2(dir, fd), "dup2");
    did("open", openat(fd, "file", O_RDONLY), kFiles[fd]);
    must(dup2(kept, fd), "dup2");
  }
}

static void low_tree(void) {
  tree();
  make_directory("other");
  make_file("other/file");
}

static void after_chdir(void) {
  did("stat", chdir("dir"), "dir");
  did("open", open("file", O_RDONLY), "dir/file");
  did("stat", chdir("sub"), "dir/sub");
  did("open", open("../file", O_RDONLY), "dir/file");
  did("open", open("file", O_RDONLY), "dir/sub/file");
  failed("stat", ENOENT, chdir("none"), "dir/sub/none");
}

static void after_fchdir(void) {
  const int dir = (int)did("open", open("dir/sub", O_RDONLY | O_DIRECTORY), "dir/sub");
  must(fchdir(dir), "fchdir");
  did("open", open("file", O_RDONLY), "dir/sub/file");
  did("open", openat(AT_FDCWD, "../file", O_RDONLY), "dir/file");
}

static void absolute_with_descriptor(void) {
  /* The descriptor says nothing where the path is absolute; it need not be open. */
  did("open", openat(12345, path_of("file"), O_RDONLY), "file");
}

static void directory_listed(void) {
  DIR* dir = opendir("dir");
  did("open", dir ? 0 : -1, "dir");
  while (readdir(dir)) continue;
  closedir(dir);
}

static void mapped(void) {
  const int fd = (int)did("open", open("file", O_RDONLY), "file");
  const char* memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  must(memory == MAP_FAILED || *memory != 't' ? -1 : 0, "mmap");
}

static void sent(void) {
  int pair[2];
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
  must(sendfile(pair[0], (int)did("open", open("file", O_RDONLY), "file"), NULL, 5), "sendfile");
}

static void refused_body(void) {
  must(setgid(65534), "setgid");
  must(setuid(65534), "setuid");
  failed("open", EACCES, open("secret", O_RDONLY), "secret");
  failed("open", EACCES, open("closed/file", O_RDONLY), "closed/file");
  failed("exec", EACCES, execl("secret", "secret", (char*)NULL), "secret");
  did("open", open("file", O_RDONLY), "file");
}

static void refused(void) { in_child(refused_body); }

static void refused_files(void) {
  make_file("file");
  make_text("secret", "x", 0600);
  make_directory("closed");
  make_file("closed/file");
  must(chmod("closed", 0700), "chmod");
}

static void not_a_directory(void) {
  failed("open", ENOTDIR, open("file/below", O_RDONLY), "file/below");
  failed("stat", ENOTDIR, syscall(SYS_stat, "file/stat", &(struct stat){0}), "file/stat");
}

static void hard_links(void) {
  did("open", open("second", O_RDONLY), "second");
  did("open", open("first", O_RDONLY), "first");
}

static void hard_linked(void) {
  make_file("first");
  must(link("first", "second"), "link");
  must(link("first", "third"), "link");
}

static void deleted_file(void) {
  did("open", open("file", O_RDONLY), "file");
  did("change", unlink("file"), "file");
  failed("open", ENOENT, open("file", O_RDONLY), "file");
}

static void replaced_file(void) {
  /* The same name, two files; "new" was never opened by that name. */
  did("open", open("file", O_RDONLY), "file");
  did("change", rename("new", "file"), "new");
  used("change", "ok", "file");
  did("open", open("file", O_RDONLY), "file");
}

static void two_files(void) {
  make_file("file");
  make_file("new");
}

static void deleted_directory(void) {
  did("stat", chdir("dir"), "dir");
  did("change", rmdir("../dir"), "dir");
  failed("open", ENOENT, open("file", O_RDONLY), "dir/file");
  did("open", open(".", O_RDONLY | O_DIRECTORY), "dir");
}

static void empty_directory(void) { make_directory("dir"); }

static void reopened(void) {
  /* Through /proc: the name is /proc's, the file is ours. */
  char name[64];
  snprintf(name, sizeof(name), "/proc/self/fd/%ld", did("open", open("file", O_RDONLY), "file"));
  led("open", open(name, O_RDONLY), name, "file");
}

static void many_times(void) {
  for (int i = 0; i < 10000; i++) {
    const int fd = open("file", O_RDONLY);
    if (fd < 0) must(-1, "file");
    close(fd);
  }
  used("open", "ok", "file");
  did("open", open("last", O_RDONLY), "last");
}

static void file_and_last(void) {
  make_file("file");
  make_file("last");
}

static void fifo_and_device(void) {
  did("change", mkfifo("fifo", 0600), "fifo");
  did("open", open("fifo", O_RDONLY | O_NONBLOCK), "fifo");
  did("open", open("/dev/null", O_RDONLY), "/dev/null");
}

const struct recall_case recall_cases[] = {
    {"open", open_raw, one_file, RECALL_NEW},
    {"openat", openat_raw, one_file, RECALL_NEW},
    {"openat2", openat2_raw, one_file, RECALL_NEW},
    {"creat", creat_raw, NULL, RECALL_NEW},
    {"o_path", open_path, one_file, RECALL_NEW},
    {"o_tmpfile", open_tmpfile, empty_directory, RECALL_NEW},
    {"o_creat", open_create, one_file, RECALL_NEW},
    {"dirfd", relative_to_descriptor, tree, RECALL_NEW},
    {"dirfd_o_path", relative_to_path_descriptor, tree, RECALL_NEW},
    {"dirfd_renamed", relative_to_renamed, tree, RECALL_NEW},
    {"dirfd_0_1_2", low_descriptors, low_tree, RECALL_NEW},
    {"dirfd_of_absolute", absolute_with_descriptor, one_file, RECALL_NEW},
    {"chdir", after_chdir, tree, RECALL_NEW},
    {"fchdir", after_fchdir, tree, RECALL_NEW},
    {"getdents", directory_listed, tree, RECALL_NEW},
    {"mmap", mapped, one_file, RECALL_NEW},
    {"sendfile", sent, one_file, RECALL_NEW},
    {"refused", refused, refused_files, RECALL_NEW},
    {"not_a_directory", not_a_directory, one_file, RECALL_NEW},
    {"hard_links", hard_links, hard_linked, RECALL_NEW},
    {"deleted_file", deleted_file, one_file, RECALL_NEW},
    {"replaced_file", replaced_file, two_files, RECALL_NEW},
    {"deleted_directory", deleted_directory, empty_directory, RECALL_NEW},
    {"proc_self_fd", reopened, one_file, RECALL_NEW},
    {"ten_thousand_opens", many_times, file_and_last, RECALL_NEW},
    {"fifo_and_device", fifo_and_device, NULL, RECALL_NEW},
    {0},
};
