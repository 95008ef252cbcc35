/* SPDX-License-Identifier: MIT */
#include "fence.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

int fence_register(void)
{
#ifdef SYS_membarrier
	return !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0);
#else
	return 0;
#endif
}

int fence_heavy(int allowed)
{
	atomic_thread_fence(memory_order_seq_cst);
#ifdef SYS_membarrier
	return allowed && !syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
#else
	(void)allowed;
	return 0;
#endif
}
