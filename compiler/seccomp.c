#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "compiler/sandbox.h"

/*
 * What no compiler needs and kernels have had holes in. Everything else is left to the namespaces: a list of what is
 * allowed would break with the next C library. An unknown call answers EPERM like a forbidden one would.
 */
static const int forbidden[] = {
    /* other processes */
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_pidfd_open,
#ifdef SYS_pidfd_getfd
    SYS_pidfd_getfd,
#endif
    /* namespaces and mounts */
    SYS_unshare, SYS_setns, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_move_mount, SYS_open_tree,
    SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick,
#ifdef SYS_mount_setattr
    SYS_mount_setattr,
#endif
    /* programmable parts of the kernel */
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
    /* talking to anyone */
    SYS_socket, SYS_socketpair, SYS_connect, SYS_bind, SYS_listen, SYS_accept, SYS_accept4,
    /* keys, handles, the machine */
    SYS_keyctl, SYS_add_key, SYS_request_key, SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_kexec_load,
    SYS_kexec_file_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_swapon, SYS_swapoff, SYS_reboot,
    SYS_acct, SYS_quotactl, SYS_syslog, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_iopl, SYS_ioperm,
    SYS_modify_ldt, SYS_vhangup, SYS_lookup_dcookie, SYS_personality, SYS_mbind, SYS_set_mempolicy,
    SYS_migrate_pages, SYS_move_pages,
};

#define FORBIDDEN (sizeof(forbidden) / sizeof(forbidden[0]))
#define NAMESPACES                                                                                 \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)
#define JUMP(test, value, yes, no) BPF_JUMP(BPF_JMP | (test) | BPF_K, value, yes, no)

_Static_assert(FORBIDDEN < 200, "jumps are a byte");

int tf_sandbox_filter(void)
{
    struct sock_filter program[FORBIDDEN + 16];
    size_t count = 0;
    program[count++] = (struct sock_filter)LOAD(arch);
    program[count++] = (struct sock_filter)JUMP(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0);
    program[count++] = (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS);
    program[count++] = (struct sock_filter)LOAD(nr);
    /* The x32 calls are the same calls by other numbers. */
    program[count++] = (struct sock_filter)JUMP(BPF_JGE, 0x40000000, 0, 1);
    program[count++] = (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS);
    /* clone3 takes its flags by reference: the C library falls back to clone. */
    program[count++] = (struct sock_filter)JUMP(BPF_JEQ, SYS_clone3, 0, 1);
    program[count++] = (struct sock_filter)RETURN(SECCOMP_RET_ERRNO | ENOSYS);
    for (size_t i = 0; i < FORBIDDEN; i++) {
        /* To the refusal behind the list and the check of clone. */
        uint8_t const distance = (uint8_t)(FORBIDDEN - 1 - i + 4);
        program[count++] = (struct sock_filter)JUMP(BPF_JEQ, (uint32_t)forbidden[i], distance, 0);
    }
    program[count++] = (struct sock_filter)JUMP(BPF_JEQ, SYS_clone, 0, 2);
    program[count++] = (struct sock_filter)LOAD(args[0]);
    program[count++] = (struct sock_filter)JUMP(BPF_JSET, NAMESPACES, 1, 0);
    program[count++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    program[count++] = (struct sock_filter)RETURN(SECCOMP_RET_ERRNO | EPERM);

    int const fd = memfd_create("terrafirma-filter", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    if (tf_file_write_all(fd, program, count * sizeof(program[0]), NULL) != 0 || lseek(fd, 0, SEEK_SET) != 0) {
        int const saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}
