/* SPDX-License-Identifier: MIT */
/*
 * Static probes for tracers (bpftrace, perf, systemtap, gdb): with
 * "configure --enable-usdt" each is a nop and a note of the ELF file, else it is
 * nothing. All are in calls, none in the inline ways of the public headers, and
 * all have three arguments. lib/shmring-deploy.7 says what they mean.
 */
#ifndef LIB_PROBE_H
#define LIB_PROBE_H

#ifdef SHR_USDT
#include <sys/sdt.h>
#define PROBE(name, a, b, c) DTRACE_PROBE3(shmring, name, a, b, c)
#else
#define PROBE(name, a, b, c) ((void)0)
#endif

#endif
