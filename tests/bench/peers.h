/* SPDX-License-Identifier: MIT */
/* shmring-bench: the peers' queues, and ours in C++: a list of each file. */
#ifndef TESTS_BENCH_PEERS_H
#define TESTS_BENCH_PEERS_H

#include "queue.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const struct queue cxx_queues[]; /* ours: cxx.cc */
extern const struct queue kernel_queues[], qb_queues[], ck_queues[], rte_queues[], zmq_queues[],
	boost_queues[], atomic_queue_queues[];

#ifdef __cplusplus
}
#endif

#endif
