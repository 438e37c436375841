/*
 * Loaded into every UML process that the agent starts. `build.rs` compiles it, the agent carries it.
 *
 * 1. The guest's tap. UML opens /dev/net/tun by name; a jailed one has no such file, and no leave to open a tap. It gets the
 *    descriptor that its jailer opened, whose number is in XENBETA_TAP. Without that variable nothing is changed.
 * 2. No guest code outlives its guest's kernel. UML traces the processes that run the guest's programs, and once it is
 *    killed they would run on as processes of the host: PTRACE_O_EXITKILL ends them with it.
 * 3. Processors with AMX. UML before 6.12 keeps 2696 bytes of a guest program's extended registers, and the host's kernel
 *    takes back only as many as the processor has (11008 with AMX), so that the guest dies in its first program
 *    ("put_fp_registers"). What is given back is filled up with zeros: the state of registers that no program in the guest
 *    was given leave to use.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { TUNSETIFF = 0x400454ca };

static int tap(void)
{
	const char *number = getenv("XENBETA_TAP");

	return number ? atoi(number) : -1;
}

static int open_at(const char *path, int flags, unsigned mode)
{
	if (tap() >= 0 && strcmp(path, "/dev/net/tun") == 0)
		return fcntl(tap(), F_DUPFD, 0);
	return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static unsigned mode_of(int flags, va_list arguments)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, unsigned) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list arguments;
	va_start(arguments, flags);
	unsigned mode = mode_of(flags, arguments);
	va_end(arguments);
	return open_at(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list arguments;
	va_start(arguments, flags);
	unsigned mode = mode_of(flags, arguments);
	va_end(arguments);
	return open_at(path, flags | O_LARGEFILE, mode);
}

int __open_2(const char *path, int flags)
{
	return open_at(path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
	return open_at(path, flags | O_LARGEFILE, 0);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	va_start(arguments, request);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);

	/* Done by the jailer, for this tap and no other. */
	if (request == TUNSETIFF && tap() >= 0)
		return 0;
	return syscall(SYS_ioctl, fd, request, argument);
}

enum {
	PEEKTEXT = 1, PEEKUSER = 3, OLDSETOPTIONS = 21,
	SETOPTIONS = 0x4200, GETREGSET = 0x4204, SETREGSET = 0x4205,
	EXITKILL = 1 << 20, NT_XSTATE = 0x202,
};

/* UML traces from one thread only. */
static char whole[65536] __attribute__((aligned(64)));
static size_t size;

static long set_xstate(long pid, struct iovec *given)
{
	struct iovec wide = { whole, sizeof whole };

	if (!size) {
		if (syscall(SYS_ptrace, GETREGSET, pid, NT_XSTATE, &wide) == 0)
			size = wide.iov_len;
		memset(whole, 0, sizeof whole);
	}
	if (given->iov_len >= size)
		return syscall(SYS_ptrace, SETREGSET, pid, NT_XSTATE, given);
	memcpy(whole, given->iov_base, given->iov_len);
	wide.iov_len = size;
	return syscall(SYS_ptrace, SETREGSET, pid, NT_XSTATE, &wide);
}

long ptrace(int request, ...)
{
	va_list arguments;
	va_start(arguments, request);
	long pid = va_arg(arguments, long);
	void *address = va_arg(arguments, void *);
	void *data = va_arg(arguments, void *);
	va_end(arguments);

	if (request == SETREGSET && (long)address == NT_XSTATE)
		return set_xstate((int)pid, data);
	if (request == SETOPTIONS || request == OLDSETOPTIONS)
		return syscall(SYS_ptrace, SETOPTIONS, (long)(int)pid, address, (long)data | EXITKILL);
	if (request >= PEEKTEXT && request <= PEEKUSER) {
		/* The system call stores the word; the library's function returns it. */
		long word;
		long result = syscall(SYS_ptrace, request, (long)(int)pid, address, &word);
		if (result < 0)
			return result;
		errno = 0;
		return word;
	}
	return syscall(SYS_ptrace, request, (long)(int)pid, address, data);
}
