/* Tries to reach out of a container: prints what it could do, and nothing else. Arguments: a directory of the host that
   no container has, and a process of the host's. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

static int found;

static void could(const char *what) {
    printf("could: %s\n", what);
    found = 1;
}

#define TRY(what, call) do { if ((long)(call) >= 0) could(what); } while (0)

static void open_device(const char *what, mode_t kind, unsigned high, unsigned low) {
    unlink("/tmp/node");
    if (mknod("/tmp/node", kind | 0666, makedev(high, low)) == 0) {
        TRY(what, open("/tmp/node", O_RDONLY));
        TRY(what, open("/tmp/node", O_WRONLY));
    }
    unlink("/tmp/node");
}

static void open_for_writing(const char *path) {
    TRY(path, open(path, O_WRONLY));
}

/* The root directory of a file system by its number, as if it had been handed out before. */
static void open_by_handle(void) {
    struct { struct file_handle head; unsigned number[2]; } handle;
    memset(&handle, 0, sizeof handle);
    handle.head.handle_bytes = 8;
    handle.head.handle_type = 1;
    handle.number[0] = 2;
    int here = open("/", O_RDONLY);
    TRY("open_by_handle_at", syscall(SYS_open_by_handle_at, here, &handle, O_RDONLY));
}

static void leave_by_chroot(const char *canary) {
    int here = open("/", O_RDONLY);
    mkdir("/tmp/cell", 0755);
    if (chroot("/tmp/cell") == 0) {
        if (fchdir(here)) could("lose the root");
        for (int up = 0; up < 64; up++)
            if (chdir("..")) break;
        if (chroot(".") == 0 && access(canary, F_OK) == 0) could("leave by chroot");
        if (fchdir(here) || chroot(".")) could("lose the root");
    }
    rmdir("/tmp/cell");
}

int main(int count, char **words) {
    if (count < 5) return 2;
    const char *canary = words[1];
    pid_t process = atoi(words[2]);
    unsigned high = atoi(words[3]), low = atoi(words[4]);

    if (access(canary, F_OK) == 0) could("see the host's files");
    mkdir("/tmp/place", 0755);
    TRY("mount", mount("none", "/tmp/place", "tmpfs", 0, 0));
    TRY("bind", mount("/", "/tmp/place", 0, MS_BIND, 0));
    TRY("mount control groups", mount("none", "/tmp/place", "cgroup", 0, "memory"));
    TRY("mount control groups 2", mount("none", "/tmp/place", "cgroup2", 0, 0));
    TRY("remount /proc/sys", mount(0, "/proc/sys", 0, MS_REMOUNT | MS_BIND, 0));
    TRY("remount /sys", mount(0, "/sys", 0, MS_REMOUNT | MS_BIND, 0));
    TRY("unmount", umount2("/proc/sys", MNT_DETACH));
    TRY("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    TRY("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    TRY("move_mount", syscall(SYS_move_mount, AT_FDCWD, "/proc", AT_FDCWD, "/tmp/place", 0));
    TRY("pivot_root", syscall(SYS_pivot_root, "/tmp/place", "/tmp/place"));
    rmdir("/tmp/place");
    leave_by_chroot(canary);

    open_device("the disk", S_IFBLK, high, low);
    open_device("/dev/mem", S_IFCHR, 1, 1);
    open_device("/dev/kmsg", S_IFCHR, 1, 11);
    open_device("/dev/fuse", S_IFCHR, 10, 229);
    for (int i = 0; i < 3; i++) {
        const char *paths[] = {"/dev/mem", "/dev/kmsg", "/dev/kvm"};
        TRY(paths[i], open(paths[i], O_RDWR));
    }
    open_by_handle();

    TRY("ptrace", ptrace(PTRACE_ATTACH, process, 0, 0));
    TRY("signal", kill(process, SIGKILL));
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
    TRY("read memory", process_vm_readv(process, &here, 1, &there, 1, 0));
    TRY("pidfd", syscall(SYS_pidfd_open, process, 0));

    TRY("keyctl", syscall(SYS_keyctl, 0, -3, 1));
    TRY("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
    TRY("request_key", syscall(SYS_request_key, "user", "x", 0, 0));
    TRY("bpf", syscall(SYS_bpf, 5, 0, 0));
    TRY("perf_event_open", syscall(SYS_perf_event_open, 0, 0, -1, -1, 0));
    TRY("userfaultfd", syscall(SYS_userfaultfd, 0));
    TRY("io_uring", syscall(SYS_io_uring_setup, 1, 0));
    TRY("kexec_load", syscall(SYS_kexec_load, 0, 0, 0, 0));
    TRY("kexec_file_load", syscall(SYS_kexec_file_load, 0, 0, 1, "", 0));
    TRY("init_module", syscall(SYS_init_module, 0, 0, ""));
    TRY("finit_module", syscall(SYS_finit_module, 0, "", 0));
    TRY("delete_module", syscall(SYS_delete_module, "none", 0));
    TRY("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0));
    TRY("swapon", syscall(SYS_swapon, "/tmp", 0));
    TRY("acct", syscall(SYS_acct, 0));
    TRY("read the kernel's log", syscall(SYS_syslog, 3, &found, 0));
    TRY("iopl", syscall(SYS_iopl, 3));
    TRY("ioperm", syscall(SYS_ioperm, 0x80, 1, 1));
    TRY("reach the hypervisor", socket(AF_VSOCK, SOCK_STREAM, 0));
    TRY("clone3", syscall(SYS_clone3, 0, 0));
    TRY("mount_setattr", syscall(SYS_mount_setattr, -1, "/proc/sys", 0, 0, 0));
    TRY("fsmount", syscall(SYS_fsmount, 0, 0, 0));
    TRY("fanotify", syscall(SYS_fanotify_init, 0, 0));
    TRY("nfsservctl", syscall(SYS_nfsservctl, 0, 0, 0));
    TRY("quotactl", syscall(SYS_quotactl, 0, 0, 0, 0));
    TRY("sethostname", sethostname("x", 1));
    TRY("set the clock", syscall(SYS_clock_settime, 0, 0));
    TRY("vhangup", syscall(SYS_vhangup));

    TRY("new user namespace", unshare(CLONE_NEWUSER));
    TRY("new mount namespace", unshare(CLONE_NEWNS));
    TRY("new network", unshare(CLONE_NEWNET));
    const char *kinds[] = {"mnt", "pid", "net", "user", "uts", "ipc", "cgroup"};
    for (int i = 0; i < 7; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/1/ns/%s", kinds[i]);
        int namespace = open(path, O_RDONLY);
        if (namespace >= 0) TRY("join a namespace", setns(namespace, 0));
    }

    open_for_writing("/proc/sys/kernel/core_pattern");
    open_for_writing("/proc/sys/kernel/modprobe");
    open_for_writing("/proc/sys/kernel/hostname");
    open_for_writing("/proc/sys/vm/panic_on_oom");
    open_for_writing("/proc/sys/fs/binfmt_misc/register");
    open_for_writing("/proc/sysrq-trigger");
    open_for_writing("/proc/kcore");
    open_for_writing("/sys/kernel/uevent_helper");
    open_for_writing("/sys/fs/cgroup/release_agent");
    open_for_writing("/sys/fs/cgroup/memory/release_agent");
    open_for_writing("/sys/power/state");
    open_for_writing("/proc/self/exe");
    open_for_writing("/proc/1/exe");
    TRY("new control group", mkdir("/sys/fs/cgroup/escaped", 0755));
    TRY("new memory group", mkdir("/sys/fs/cgroup/memory/escaped", 0755));
    byte = 0;
    int core = open("/proc/kcore", O_RDONLY);
    if (core >= 0 && read(core, &byte, 1) > 0) could("read the kernel's memory");

    /* What was open in the host must not be a way there. */
    for (int number = 3; number < 64; number++) {
        char path[4200];
        snprintf(path, sizeof path, "/proc/self/fd/%d/%s", number, canary);
        if (access(path, F_OK) == 0) could("reach the host by a descriptor");
    }
    printf("tried\n");
    return found;
}
