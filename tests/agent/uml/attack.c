/*
 * Stands in the place of a guest's kernel, and so has all rights that code of a member's choice has in a UML process. It
 * tries to get out, and says BROKEN for each thing that worked, and what it can reach.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int tried;

static void broken(const char *what, int worked)
{
	tried++;
	if (worked)
		printf("BROKEN %s\n", what);
}

/* The call must not even be known. */
#define UNKNOWN(call, ...) \
	broken(#call, syscall(SYS_##call, ##__VA_ARGS__) >= 0 || errno != ENOSYS)

static int seen(const char *path, const struct stat *meta, int kind, struct FTW *walk)
{
	(void)walk;
	(void)kind;
	int fd = S_ISDIR(meta->st_mode) ? -1 : open(path, O_WRONLY | O_NONBLOCK);
	printf("REACHES %s%s\n", path, fd >= 0 ? " writes" : "");
	if (fd >= 0)
		close(fd);
	return 0;
}

static void files(void)
{
	static const char *const secrets[] = {
		"/etc/shadow", "/etc/passwd", "/proc/1/environ", "/proc/self/exe", "/sys/kernel", "/../etc/passwd",
		"/dev/net/tun", "/dev/mem", "/dev/vda", "/tmp", "/var", "/home", "/root", "/run", "/bin/sh", 0,
	};

	for (int at = 0; secrets[at]; at++)
		broken(secrets[at], access(secrets[at], F_OK) == 0);
	for (int at = 0; at < 64; at++) {
		if (chdir(".."))
			break;
	}
	broken("a way up", access("etc", F_OK) == 0);
	nftw("/", seen, 16, FTW_PHYS);
	broken("a new file in the root", open("/new", O_CREAT | O_WRONLY, 0600) >= 0);
	broken("a new file beside the leave to run", open("/boot/new", O_CREAT | O_WRONLY, 0600) >= 0);
	broken("the leave to run taken away", unlink("/boot/linux") == 0);
	broken("a program written", open("/u/program", O_CREAT | O_WRONLY, 0700) >= 0 && execl("/u/program", "x", (char *)0) >= 0);
	UNKNOWN(symlink, "/", "/u/link");
	UNKNOWN(link, "/kernel", "/u/link");
	UNKNOWN(mknod, "/u/node", S_IFBLK | 0600, 0x0801);
	UNKNOWN(mount, "none", "/u", "tmpfs", 0, 0);
	UNKNOWN(umount2, "/proc", MNT_DETACH);
	UNKNOWN(pivot_root, ".", ".");
	UNKNOWN(chroot, "/u");
	UNKNOWN(open_by_handle_at, 0, 0, 0);
	UNKNOWN(chown, "/u", 0, 0);
	UNKNOWN(setxattr, "/u", "user.x", "x", 1, 0);
}

static void disks(void)
{
	int fd = open("/disks/11", O_RDWR);

	broken("no disk", fd < 0);
	broken("a disk made longer", ftruncate(fd, 1L << 40) == 0);
	broken("a disk written behind its end", pwrite(fd, "x", 1, 1L << 32) == 1);
	for (int mode = 0; mode < 3; mode++)
		UNKNOWN(fallocate, fd, mode, 0, 1L << 33);
	UNKNOWN(fallocate, fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 1L << 33);
	UNKNOWN(fcntl, fd, F_SETLEASE, F_WRLCK);
	UNKNOWN(chmod, "/disks/11", 0666);
}

static void rights(void)
{
	uid_t ids[3] = { 0 };
	getresuid(&ids[0], &ids[1], &ids[2]);
	broken("root", getuid() == 0 || geteuid() == 0 || getgid() == 0 || getegid() == 0);
	UNKNOWN(setuid, 0);
	UNKNOWN(setresuid, 0, 0, 0);
	UNKNOWN(setgroups, 0, 0);
	UNKNOWN(capset, 0, 0);
	UNKNOWN(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
	UNKNOWN(personality, 0);
	UNKNOWN(setsid);
	struct rlimit limit;
	for (int which = 0; which < RLIM_NLIMITS; which++) {
		if (getrlimit(which, &limit) || limit.rlim_max == RLIM_INFINITY)
			continue;
		limit.rlim_max++;
		broken("a limit raised", setrlimit(which, &limit) == 0);
	}
}

static void kernel(void)
{
	UNKNOWN(unshare, CLONE_NEWUSER);
	UNKNOWN(setns, 0, 0);
	UNKNOWN(clone3, 0, 0);
	UNKNOWN(clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	UNKNOWN(bpf, 0, 0, 0);
	UNKNOWN(perf_event_open, 0, 0, 0, 0, 0);
	UNKNOWN(io_uring_setup, 1, 0);
	UNKNOWN(userfaultfd, 0);
	UNKNOWN(keyctl, 0, 0, 0, 0, 0);
	UNKNOWN(add_key, 0, 0, 0, 0, 0);
	UNKNOWN(init_module, 0, 0, 0);
	UNKNOWN(kexec_load, 0, 0, 0, 0);
	UNKNOWN(reboot, 0, 0, 0, 0);
	UNKNOWN(swapon, "/u", 0);
	UNKNOWN(settimeofday, 0, 0);
	UNKNOWN(process_vm_readv, 1, 0, 0, 0, 0, 0);
	UNKNOWN(pidfd_open, 1, 0);
	UNKNOWN(pidfd_getfd, 0, 0, 0);
	UNKNOWN(shmget, 1, 4096, 0600 | 01000);
	UNKNOWN(msgget, 1, 0600 | 01000);
	UNKNOWN(memfd_create, "x", 0);
	UNKNOWN(modify_ldt, 0, 0, 0);
	UNKNOWN(sched_setscheduler, 0, 0, 0);
}

static void sockets(void)
{
	static const int families[] = { AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG };

	for (unsigned at = 0; at < sizeof families / sizeof *families; at++) {
		UNKNOWN(socket, families[at], SOCK_STREAM, 0);
		UNKNOWN(socket, families[at], SOCK_DGRAM, 0);
		UNKNOWN(socket, families[at], SOCK_RAW, 0);
	}
	UNKNOWN(socket, AF_UNIX, SOCK_STREAM, 0);
	/* The host listens on this one. */
	struct sockaddr_un host = { .sun_family = AF_UNIX, .sun_path = "\0xenbeta-jail-test" };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	broken("no socket for the console's answers", fd < 0);
	UNKNOWN(setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &(int){ 1 << 30 }, sizeof(int));
	broken("a socket of the host's", sendto(fd, "x", 1, 0, (void *)&host, sizeof(sa_family_t) + 18) >= 0);
	int tap = atoi(getenv("XENBETA_TAP"));
	struct ifreq other = { .ifr_name = "t1other", .ifr_flags = IFF_TAP | IFF_NO_PI };
	UNKNOWN(ioctl, tap, TUNSETIFF, &other);
	UNKNOWN(ioctl, tap, TUNSETPERSIST, 0);
	UNKNOWN(ioctl, tap, SIOCGIFCONF, 0);
}

static void processes(void)
{
	int others = 0;
	/* Below are the jail's first process with its thread, and this one. */
	for (int pid = 8; pid < 40000; pid++)
		others += pid != getpid() && kill(pid, 0) == 0;
	broken("another process", others);
	broken("the first process traced", ptrace(PTRACE_ATTACH, 1, 0, 0) == 0 || ptrace(PTRACE_SEIZE, 1, 0, 0) == 0);
	broken("the first process ended", kill(1, SIGKILL) == 0 && kill(1, 0) != 0);
	int count = 0;
	while (count < 100000) {
		int pid = fork();
		if (pid == 0) {
			pause();
			_exit(0);
		}
		if (pid < 0)
			break;
		count++;
	}
	printf("FORKS %d\n", count);
	signal(SIGTERM, SIG_IGN);
	kill(-1, SIGKILL);
	while (wait(0) > 0)
		;
}

static long fill(const char *path)
{
	static char block[65536];
	long size = 0, length;
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	memset(block, 1, sizeof block);
	while (fd >= 0 && (length = write(fd, block, sizeof block)) > 0)
		size += length;
	close(fd);
	unlink(path);
	return size;
}

static void memory(void)
{
	UNKNOWN(mmap, 0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	UNKNOWN(mmap, 0, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
	broken("memory of its own without end",
	       mmap(0, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	printf("FILLS %ld %ld\n", fill("/dev/shm/fill") >> 20, fill("/u/fill") >> 10);
}

int main(void)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	signal(SIGXFSZ, SIG_IGN);
	files();
	disks();
	rights();
	kernel();
	sockets();
	memory();
	processes();
	printf("TRIED %d\n", tried);
	return 0;
}
