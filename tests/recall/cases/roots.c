/* SPDX-License-Identifier: Apache-2.0 */
/* Other roots, other mounts, and files without a path. A path is as the process sees it at that time. */
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>

#include "recall.h"

static void private_mounts(void) {
  must(unshare(CLONE_NEWNS), "unshare");
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount");
}

static void tree(void) {
  make_directory("root");
  make_directory("root/dir");
  make_file("root/file");
  make_file("root/dir/file");
  make_link("/dir/file", "root/absolute");
  make_directory("mnt");
}

static void chrooted(void) {
  did("stat", chroot(path_of("root")), "root");
  did("stat", chdir("/"), "/");
  did("open", open("/file", O_RDONLY), "/file");
  did("open", open("dir/../dir/file", O_RDONLY), "/dir/file");
  failed("open", ENOENT, open("/none", O_RDONLY), "/none");
}

static void link_in_chroot(void) {
  did("stat", chroot(path_of("root")), "root");
  did("stat", chdir("/"), "/");
  led("open", open("/absolute", O_RDONLY), "/absolute", "/dir/file");
  walked("/absolute");
}

static void pivoted(void) {
  private_mounts();
  did("change", mount(path_of("root"), path_of("root"), NULL, MS_BIND, NULL), "root");
  did("change", mkdir(path_of("root/old"), 0755), "root/old");
  must(syscall(SYS_pivot_root, path_of("root"), path_of("root/old")), "pivot_root");
  used("stat", "ok", "root");
  used("stat", "ok", "root/old");
  did("stat", chdir("/"), "/");
  did("open", open("/file", O_RDONLY), "/file");
  did("open", open("dir/file", O_RDONLY), "/dir/file");
  did("change", umount2("/old", MNT_DETACH), "/old");
  did("open", open("/dir", O_RDONLY), "/dir");
}

static void bind_mounted(void) {
  private_mounts();
  did("change", mount("root", "mnt", NULL, MS_BIND, NULL), "root");
  used("change", "ok", "mnt");
  did("open", open("mnt/file", O_RDONLY), "mnt/file");
  did("stat", chdir("mnt/dir"), "mnt/dir");
  did("open", open("file", O_RDONLY), "mnt/dir/file");
  did("open", open("../file", O_RDONLY), "mnt/file");
}

static void file_bind_mounted(void) {
  private_mounts();
  did("change", mount("root/dir/file", "root/file", NULL, MS_BIND, NULL), "root/dir/file");
  used("change", "ok", "root/file");
  did("open", open("root/file", O_RDONLY), "root/file");
}

static void tmpfs(void) {
  private_mounts();
  did("change", mount("tmpfs", "mnt", "tmpfs", 0, NULL), "mnt");
  did("open", open("mnt/file", O_RDWR | O_CREAT, 0644), "mnt/file");
  did("stat", chdir("mnt"), "mnt");
  did("open", open("file", O_RDONLY), "mnt/file");
}

static void mounted_and_unmounted(void) {
  private_mounts();
  did("change", mount("tmpfs", "mnt", "tmpfs", 0, NULL), "mnt");
  did("change", umount2("mnt", 0), "mnt");
  failed("change", EINVAL, umount2("root", 0), "root");
}

static void overlay(void) {
  private_mounts();
  /* On a tmpfs: an overlay does not stand on every file system. */
  did("change", mount("tmpfs", "mnt", "tmpfs", 0, NULL), "mnt");
  did("stat", chdir("mnt"), "mnt");
  did("change", mkdir("lower", 0755), "mnt/lower");
  did("change", mkdir("upper", 0755), "mnt/upper");
  did("change", mkdir("work", 0755), "mnt/work");
  did("change", mkdir("merged", 0755), "mnt/merged");
  did("open", open("lower/below", O_RDWR | O_CREAT, 0644), "mnt/lower/below");
  did("open", open("lower/changed", O_RDWR | O_CREAT, 0644), "mnt/lower/changed");
  did("open", open("upper/above", O_RDWR | O_CREAT, 0644), "mnt/upper/above");
  if (mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work") != 0) {
    if (errno == ENODEV) skip("this kernel has no overlay file system");
    must(-1, "overlay");
  }
  used("change", "ok", "mnt/merged");
  /* The overlay opens the files of its layers itself: that is no use by the program. */
  did("open", open("merged/below", O_RDONLY), "mnt/merged/below");
  did("open", open("merged/above", O_RDONLY), "mnt/merged/above");
  did("open", open("merged/changed", O_RDONLY), "mnt/merged/changed");
  did("open", open("merged/changed", O_RDWR), "mnt/merged/changed");
  did("open", open("merged/new", O_RDWR | O_CREAT, 0644), "mnt/merged/new");
  did("change", unlink("merged/below"), "mnt/merged/below");
}

static void open_in_root(const char* name, const char* seen, const char* resolved, bool link) {
  struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_IN_ROOT};
  const int root = (int)did("open", open("root", O_PATH | O_DIRECTORY), "root");
  led("open", syscall(SYS_openat2, root, name, &how, sizeof(how)), seen, resolved);
  if (link) walked(seen);
}

static void in_root(void) {
  open_in_root("/dir/file", "root/dir/file", NULL, false);
  open_in_root("../../file", "root/file", NULL, false);
}

static void in_root_link(void) { open_in_root("absolute", "root/absolute", "root/dir/file", true); }

static void beneath(void) {
  struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_BENEATH};
  const int root = (int)did("open", open("root", O_PATH | O_DIRECTORY), "root");
  did("open", syscall(SYS_openat2, root, "dir/file", &how, sizeof(how)), "root/dir/file");
}

static void handles(void) {
  union {
    struct file_handle handle;
    char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
  } both = {.handle = {.handle_bytes = MAX_HANDLE_SZ}};
  int mount_id = 0;
  if (name_to_handle_at(AT_FDCWD, "root/file", &both.handle, &mount_id, 0) != 0 && errno == EOPNOTSUPP)
    skip("no file handles on this file system");
  used("stat", "ok", "root/file");
  const int mount_point = (int)did("open", open("root", O_RDONLY | O_DIRECTORY), "root");
  did("open", open_by_handle_at(mount_point, &both.handle, O_RDONLY), "root/file");
}

/* By handle only: no call in the cgroup ever names it. */
static union {
  struct file_handle handle;
  char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
} kept = {.handle = {.handle_bytes = MAX_HANDLE_SZ}};

static void handle_only_tree(void) {
  tree();
  int mount_id = 0;
  const int fd = (int)must(open("handle", O_WRONLY | O_CREAT, 0644), "handle");
  if (name_to_handle_at(AT_FDCWD, "root/dir/file", &kept.handle, &mount_id, 0) == 0)
    must(write(fd, &kept, sizeof(kept)), "handle");
  close(fd);
}

static void handle_only(void) {
  const int fd = (int)did("open", open("handle", O_RDONLY), "handle");
  if (read(fd, &kept, sizeof(kept)) != sizeof(kept)) skip("no file handles on this file system");
  did("open", open_by_handle_at(fd, &kept.handle, O_RDONLY), "root/dir/file");
}

const struct recall_case recall_cases[] = {
    {"chroot", chrooted, tree, RECALL_NEW},
    {"chroot_absolute_link", link_in_chroot, tree, RECALL_NEW},
    {"pivot_root", pivoted, tree, RECALL_NEW},
    {"bind_mount", bind_mounted, tree, RECALL_NEW},
    {"bind_mount_of_a_file", file_bind_mounted, tree, RECALL_NEW},
    {"tmpfs", tmpfs, tree, RECALL_NEW},
    {"mount_umount", mounted_and_unmounted, tree, RECALL_NEW},
    {"overlay", overlay, tree, RECALL_NEW},
    {"resolve_in_root", in_root, tree, RECALL_NEW},
    {"resolve_in_root_link", in_root_link, tree, RECALL_NEW},
    {"resolve_beneath", beneath, tree, RECALL_NEW},
    {"name_to_handle", handles, tree, RECALL_NEW},
    {"open_by_handle_only", handle_only, handle_only_tree, RECALL_NEW},
    {0},
};
