/*
 * For hosts whose processor has AMX: User Mode Linux before 6.12 keeps 2696 bytes of a guest program's extended
 * registers, and the host's kernel takes back only as many as the processor has (11008 with AMX), so that the guest dies
 * in its first program ("put_fp_registers"). Loaded into the UML process (`preload` in the agent's configuration), this
 * fills up what is given back with zeros: the state of registers that no program in the guest was given leave to use.
 *
 *     cc -O2 -shared -fPIC -o xstate.so xstate.c
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PEEKTEXT = 1, PEEKUSER = 3, GETREGSET = 0x4204, SETREGSET = 0x4205, NT_XSTATE = 0x202 };

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
