/* SPDX-License-Identifier: MIT */
/* Peer: rte_ring of DPDK without its environment, one producer or several (HTS), and bursts. */
#include "peers.h"

#include <rte_config.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

static void init(struct rte_ring *ring, size_t size, unsigned int flags)
{
	if (rte_ring_init(ring, "bench", (unsigned int)(RING_BYTES / size), flags))
		die_plain("rte_ring_init fails");
}

static void single_init(void *object, size_t size)
{
	init(object, size, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static void several_init(void *object, size_t size)
{
	init(object, size, RING_F_MP_HTS_ENQ | RING_F_SC_DEQ);
}

static ALWAYS int single_push(void *object, const void *message, size_t size)
{
	return !rte_ring_sp_enqueue_elem(object, (void *)(uintptr_t)message, (unsigned int)size);
}

static ALWAYS int single_pop(void *object, void *buffer, size_t size)
{
	return !rte_ring_sc_dequeue_elem(object, buffer, (unsigned int)size);
}

static ALWAYS uint64_t burst_push(void *object, void *messages, size_t size, uint64_t count)
{
	return rte_ring_sp_enqueue_burst_elem(object, messages, (unsigned int)size,
					      (unsigned int)count, NULL);
}

static ALWAYS uint64_t burst_pop(void *object, void *buffer, size_t size, uint64_t count)
{
	return rte_ring_sc_dequeue_burst_elem(object, buffer, (unsigned int)size,
					      (unsigned int)count, NULL);
}

/* By the flags of the ring. */
static ALWAYS int several_push(void *object, const void *message, size_t size)
{
	return !rte_ring_enqueue_elem(object, (void *)(uintptr_t)message, (unsigned int)size);
}

static ALWAYS uint64_t several_burst_push(void *object, void *messages, size_t size, uint64_t count)
{
	return rte_ring_enqueue_burst_elem(object, messages, (unsigned int)size,
					   (unsigned int)count, NULL);
}

QUEUE_EACH(rte, single_push, single_pop, size, 0)
QUEUE_PAIR(rte, single_push, single_pop, size)
QUEUE_BATCHES(rte_burst, burst_push, burst_pop, size, 0)
QUEUE_EACH(rte_several, several_push, single_pop, size, 1)
QUEUE_BATCHES(rte_several_burst, several_burst_push, burst_pop, size, 1)

const struct queue rte_queues[] = {
	{.name = "rte_ring",
	 .style = STYLE_INLINE,
	 .init = single_init,
	 .put = rte_put,
	 .take = rte_take,
	 .pair = rte_pair},
	{.name = "rte_ring, bursts",
	 .style = STYLE_BATCH,
	 .init = single_init,
	 .put = rte_burst_put,
	 .take = rte_burst_take},
	{.name = "rte_ring HTS",
	 .style = STYLE_INLINE,
	 .several = 1,
	 .init = several_init,
	 .put = rte_several_put,
	 .take = rte_several_take},
	{.name = "rte_ring HTS, bursts",
	 .style = STYLE_BATCH,
	 .several = 1,
	 .init = several_init,
	 .put = rte_several_burst_put,
	 .take = rte_several_burst_take},
	{.name = NULL},
};
