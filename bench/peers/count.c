/*
 * Counts what a relay does, for LD_PRELOAD: functions of libc that make a system call, and calls of
 * Python functions. It costs some nanoseconds each, so no ptrace changes the size of batches.
 *
 * The counters are in a file that others map: UDPRELAY_BENCH_COUNTERS. sitecustomize.py passes
 * count_calls to PyEval_SetProfile.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { SYSTEM, PYTHON, C, COUNTERS };

static uint64_t unseen[COUNTERS], *counters = unseen;

__attribute__((constructor)) static void map_counters(void)
{
	const char *name = getenv("UDPRELAY_BENCH_COUNTERS");
	int file = name ? open(name, O_RDWR) : -1;
	void *shared = file >= 0 ? mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
	if (shared != MAP_FAILED)
		counters = shared;
}

/* A Py_tracefunc; 0 is PyTrace_CALL, 4 is PyTrace_C_CALL. */
int count_calls(void *self, void *frame, int what, void *arg)
{
	(void)self, (void)frame, (void)arg;
	if (what == 0)
		counters[PYTHON]++;
	else if (what == 4)
		counters[C]++;
	return 0;
}

/* All take at most six integers or pointers, which 64-bit Linux passes in registers. */
#define COUNTED(name)                                                            \
	long name(long a, long b, long c, long d, long e, long f)                \
	{                                                                        \
		static long (*next)(long, long, long, long, long, long);         \
		if (!next)                                                       \
			*(void **)&next = dlsym(RTLD_NEXT, #name);               \
		counters[SYSTEM]++;                                              \
		return next(a, b, c, d, e, f);                                   \
	}

COUNTED(recvmmsg)
COUNTED(recvmsg)
COUNTED(recvfrom)
COUNTED(__recvfrom_chk)
COUNTED(recv)
COUNTED(__recv_chk)
COUNTED(sendmmsg)
COUNTED(sendmsg)
COUNTED(sendto)
COUNTED(send)
COUNTED(epoll_wait)
COUNTED(epoll_pwait)
COUNTED(epoll_ctl)
COUNTED(poll)
COUNTED(__poll_chk)
COUNTED(ppoll)
COUNTED(read)
COUNTED(__read_chk)
COUNTED(readv)
COUNTED(write)
COUNTED(writev)
COUNTED(getsockopt)
COUNTED(setsockopt)
COUNTED(ioctl)
COUNTED(timerfd_settime)
COUNTED(nanosleep)
COUNTED(clock_nanosleep)
