/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Paths in the addresses of unix sockets. */
#ifndef SNOOP_SOCKET_PATH_BPF_H
#define SNOOP_SOCKET_PATH_BPF_H

#include "maps.bpf.h"
#include "uapi.bpf.h"

/* include/uapi/linux/net.h */
#define SYS_BIND 2
#define SYS_CONNECT 3
#define SYS_SENDTO 11
#define SYS_SENDMSG 16

/* The start of struct msghdr. */
struct msg_name {
  __u64 address;
  __u32 length;
};

/* The start of struct compat_msghdr. */
struct msg_name32 {
  __u32 address;
  __u32 length;
};

static __always_inline void read_msg_name(struct msg_name *name, __u64 from, int abi)
{
  struct msg_name32 name32 = {};

  if (abi == ABI_NATIVE) {
    bpf_probe_read_user(name, sizeof(*name), (const void *)from);
    return;
  }
  bpf_probe_read_user(&name32, sizeof(name32), (const void *)from);
  name->address = name32.address;
  name->length = name32.length;
}

/*
 * Where the path of a socket address begins and how long it can be; false: there
 * is no address, or one that is no path (abstract ones begin with a NUL, so they
 * look like an empty path later on).
 */
static __always_inline bool set_socket_path(struct access *access, const struct msg_name *name)
{
  __u32 length = name->length;
  __u16 family = 0;

  if (!name->address || length <= sizeof(family))
    return false;
  bpf_probe_read_user(&family, sizeof(family), (const void *)name->address);
  if (family != AF_UNIX)
    return false;
  length -= sizeof(family);
  access->user_path = name->address + sizeof(family);
  access->max_len = length < UNIX_PATH_MAX ? length : UNIX_PATH_MAX;
  return true;
}

/* The same of a call with one address, or the first one. */
static __noinline bool socket_path(struct scratch *scratch, const volatile struct snoop_syscall_rule *rule)
{
  const struct call *call = &scratch->call;
  struct meaning *meaning = &scratch->meaning;
  struct msg_name name = {};
  __u64 first = arg_of(call, rule->path);

  if (meaning->op == SNOOP_OP_SOCKETCALL) {
    __u32 args[6] = {};
    __u64 which = arg_of(call, rule->extra);

    if (which != SYS_BIND && which != SYS_CONNECT && which != SYS_SENDTO && which != SYS_SENDMSG)
      return false;
    bpf_probe_read_user(args, sizeof(args), (const void *)first);
    if (which == SYS_SENDMSG) {
      read_msg_name(&name, args[1], abi_of(call));
    } else {
      name.address = which == SYS_SENDTO ? args[4] : args[1];
      name.length = which == SYS_SENDTO ? args[5] : args[2];
    }
    meaning->op = which == SYS_BIND ? SNOOP_OP_BIND : SNOOP_OP_CONNECT;
  } else if (meaning->op == SNOOP_OP_SENDMSG || meaning->op == SNOOP_OP_SENDMMSG) {
    read_msg_name(&name, first, abi_of(call));
  } else {
    name.address = first;
    name.length = arg_of(call, rule->extra);
  }
  return set_socket_path(&scratch->access, &name);
}

/* The path of a socket address ends with a NUL or with the address, behind which
 * there may be no memory. Returns its length with a NUL. */
static __always_inline long read_socket_path(struct scratch *scratch)
{
  __u32 size = scratch->access.max_len;

  if (size > UNIX_PATH_MAX)
    size = UNIX_PATH_MAX;
  if (bpf_probe_read_user(scratch->data, size, (const void *)scratch->access.user_path))
    return -EFAULT;
  scratch->data[size] = '\0';
  /* For its length only: the copy is overwritten. */
  return bpf_probe_read_kernel_str(scratch->data + NAME_ROOM, UNIX_PATH_MAX + 1, scratch->data);
}

#endif
