/* Runs a program whose disk says no: refusing CONTROL LOG FOLDER... -- PROGRAM ARGUMENT...
 *
 * Every call of the program (not of what it starts) that writes, syncs, renames or makes something below one of the
 * folders is counted, by a supervisor that the kernel asks before it does it (seccomp's user notification: no call is
 * missed, however it is made, and the program runs nearly as fast as without). Every so manieth call whose number is in
 * [from, to) of CONTROL fails with its errno and is written into LOG. CONTROL is five numbers of 64 bits that both sides
 * see: seen, from, to, errno, every. The supervisor ends with the last process that descends from the program. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a call names: a descriptor (FD), or a path beside a descriptor (AT) or alone (PATH), in this argument. Of those
 * that make a file or a folder (flags in the argument `made`, or always where it is -1), only what is not there counts. */
enum { FD, AT, PATH };
static const struct { int number; const char *name; int kind, argument, made; } CALLS[] = {
    { __NR_write, "write", FD, 0, 0 }, { __NR_pwrite64, "pwrite64", FD, 0, 0 },
    { __NR_writev, "writev", FD, 0, 0 }, { __NR_pwritev, "pwritev", FD, 0, 0 }, { __NR_pwritev2, "pwritev2", FD, 0, 0 },
    { __NR_fsync, "fsync", FD, 0, 0 }, { __NR_fdatasync, "fdatasync", FD, 0, 0 },
    { __NR_ftruncate, "ftruncate", FD, 0, 0 }, { __NR_fallocate, "fallocate", FD, 0, 0 },
    { __NR_copy_file_range, "copy_file_range", FD, 2, 0 }, { __NR_sendfile, "sendfile", FD, 0, 0 },
    { __NR_renameat2, "renameat2", AT, 2, 0 }, { __NR_mkdirat, "mkdirat", AT, 0, -1 }, { __NR_openat, "openat", AT, 0, 2 },
#ifdef __NR_renameat
    { __NR_renameat, "renameat", AT, 2, 0 },
#endif
#ifdef __NR_rename
    { __NR_rename, "rename", PATH, 1, 0 }, { __NR_mkdir, "mkdir", PATH, 0, -1 }, { __NR_open, "open", PATH, 0, 1 },
#endif
};
#define COUNT (sizeof CALLS / sizeof *CALLS)

static volatile uint64_t *control;
static FILE *told;
static char **folders;
static pid_t program;

static void die(const char *what) {
    perror(what);
    exit(125);
}

static void link_of(char *out, size_t len, const char *format, pid_t pid, int fd) {
    char at[64];
    snprintf(at, sizeof at, format, pid, fd);
    ssize_t n = readlink(at, out, len - 1);
    out[n < 0 ? 0 : n] = 0;
}

/* Not further than the page: what is behind it may not be mapped. */
static void text_of(char *out, size_t len, pid_t pid, uint64_t address) {
    size_t got = 0;
    while (got < len - 1) {
        size_t step = 4096 - (address + got) % 4096;
        if (step > len - 1 - got) step = len - 1 - got;
        struct iovec here = { out + got, step }, there = { (void *)(uintptr_t)(address + got), step };
        ssize_t n = process_vm_readv(pid, &here, 1, &there, 1, 0);
        if (n <= 0) break;
        if (memchr(out + got, 0, (size_t)n)) return;
        got += (size_t)n;
    }
    out[got] = 0;
}

static void path_of(char *out, size_t len, const struct seccomp_notif *ask, size_t call) {
    const uint64_t *args = (const uint64_t *)ask->data.args;
    int at = CALLS[call].argument, kind = CALLS[call].kind;
    if (kind == FD) {
        link_of(out, len, "/proc/%d/fd/%d", (pid_t)ask->pid, (int)args[at]);
        return;
    }
    char name[2048], folder[2048];
    text_of(name, sizeof name, (pid_t)ask->pid, args[kind == AT ? at + 1 : at]);
    if (name[0] == '/') {
        snprintf(out, len, "%s", name);
        return;
    }
    int fd = kind == AT ? (int)args[at] : AT_FDCWD;
    link_of(folder, sizeof folder, fd == AT_FDCWD ? "/proc/%d/cwd" : "/proc/%d/fd/%d", (pid_t)ask->pid, fd);
    snprintf(out, len, "%s/%s", folder, name);
}

static int counts(const struct seccomp_notif *ask, size_t call, const char *path) {
    char task[64];
    snprintf(task, sizeof task, "/proc/%d/task/%d", program, (int)ask->pid);
    if (access(task, F_OK) != 0) return 0;
    int made = CALLS[call].made;
    if (made > 0 && !(ask->data.args[made] & O_CREAT)) return 0;
    if (made != 0 && access(path, F_OK) == 0) return 0;
    for (char **folder = folders; *folder; folder++)
        if (strncmp(path, *folder, strlen(*folder)) == 0) return 1;
    return 0;
}

static void supervise(int listener) {
    struct seccomp_notif ask;
    struct seccomp_notif_resp answer;
    char path[4200];
    for (;;) {
        struct pollfd one = { .fd = listener, .events = POLLIN };
        if (poll(&one, 1, -1) < 0 && errno != EINTR) exit(0);
        if (one.revents & POLLHUP) exit(0); /* Nobody is left. */
        if (!(one.revents & POLLIN)) continue;
        memset(&ask, 0, sizeof ask);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &ask) != 0) {
            if (errno == EINTR || errno == ENOENT) continue; /* Whoever asked is gone. */
            exit(0);
        }
        size_t call = 0;
        while (call < COUNT && CALLS[call].number != ask.data.nr) call++;
        memset(&answer, 0, sizeof answer);
        answer.id = ask.id;
        answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        path_of(path, sizeof path, &ask, call);
        if (counts(&ask, call, path) && ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &ask.id) == 0) {
            uint64_t number = ++control[0];
            uint64_t from = control[1];
            if (from && number >= from && number < control[2] && (number - from) % control[4] == 0) {
                answer.flags = 0;
                answer.error = -(int)control[3];
                fprintf(told, "%llu %s %s: %s\n", (unsigned long long)number, CALLS[call].name, path, strerror((int)control[3]));
                fflush(told);
            }
        }
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
}

/* The kernel asks the supervisor about CALLS, and lets everything else pass. Gives the descriptor it asks by. */
static int filter(void) {
    struct sock_filter code[COUNT + 5];
    size_t n = 0;
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < COUNT; i++)
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)CALLS[i].number, (unsigned char)(COUNT - i), 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    struct sock_fprog whole = { (unsigned short)n, code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) die("no_new_privs");
    unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    int fd = (int)syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &whole);
    if (fd < 0) die("seccomp");
    return fd;
}

/* One descriptor over a socket: `fd` is sent, or (-1) one is received. */
static int pass(int socket, int fd) {
    char byte = 0, space[CMSG_SPACE(sizeof fd)] = { 0 };
    struct iovec data = { &byte, 1 };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space };
    if (fd < 0) {
        if (recvmsg(socket, &message, 0) != 1 || !CMSG_FIRSTHDR(&message)) exit(0);
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
        return fd;
    }
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    if (sendmsg(socket, &message, 0) != 1) die("sendmsg");
    return fd;
}

int main(int argc, char **argv) {
    int gap = 3, ends[2];
    while (gap < argc && strcmp(argv[gap], "--") != 0) gap++;
    if (gap + 1 >= argc) return 125;
    argv[gap] = NULL;
    folders = argv + 3;
    int fd = open(argv[1], O_RDWR | O_CLOEXEC);
    control = fd < 0 ? MAP_FAILED : mmap(NULL, 40, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    told = fopen(argv[2], "ae");
    if (control == MAP_FAILED || !told) die("control or log");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) die("socketpair");
    program = getpid();
    pid_t between = fork();
    if (between < 0) die("fork");
    if (between == 0) { /* Nobody's child: the program waits for its own only. */
        if (fork() != 0) _exit(0);
        setsid();
        for (fd = 0; fd < 3; fd++) dup2(open("/dev/null", O_RDWR), fd);
        close(ends[0]);
        int listener = pass(ends[1], -1);
        close(ends[1]);
        supervise(listener);
    }
    waitpid(between, NULL, 0);
    int listener = filter();
    pass(ends[0], listener);
    close(listener);
    execvp(argv[gap + 1], argv + gap + 1);
    die("exec");
}
