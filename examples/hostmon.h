/* SPDX-License-Identifier: MIT */
/*
 * What hostmon-producer and hostmon-consumer agree on: one segment with two
 * typed rings, "cpu" and "memory".
 *
 * The number of a record is its place. A record takes 8 bytes and its payload,
 * here 128 together. That divides the capacity, so the ring never has to leave
 * bytes over at its end, and as the rings begin at position 0,
 *
 *	sequence = position / 128
 *
 * exactly. A producer that replaces a killed one needs no note of how far that
 * one came, which could be one too many or one too few: the tail of the ring
 * says it. And the consumer can prove that nothing is missing: every record
 * must carry the number of the place where it lies, and the places must be
 * one behind the other.
 */
#include <shmring/shmring.h>

#define HOSTMON_NAME     "/hostmon"
#define HOSTMON_CAPACITY (1 << 20) /* bytes of each ring */
#define HOSTMON_PAYLOAD  120
#define HOSTMON_RECORD   (8 + HOSTMON_PAYLOAD)

enum { CPU, MEMORY, RINGS };
static const char *const hostmon_rings[RINGS] = {"cpu", "memory"};

/* Every sample begins with these two. */
struct sample_head {
	uint64_t time_ns;  /* CLOCK_REALTIME; the same in all samples of a round */
	uint64_t sequence; /* of the record in its ring */
};

/* A line of /proc/stat. */
struct cpu_sample {
	uint64_t time_ns;
	uint64_t sequence;
	char name[8];
	uint64_t user; /* ticks since boot, this and the next nine */
	uint64_t nice;
	uint64_t system;
	uint64_t idle;
	uint64_t iowait;
	uint64_t irq;
	uint64_t softirq;
	uint64_t steal;
	uint64_t guest;
	uint64_t guest_nice;
	int32_t cpu; /* -1: all of them */
	uint32_t ticks_per_s;
	float busy_percent; /* since boot */
	uint16_t line;      /* of the round, from 0 */
	uint8_t first;      /* 1: in the first round of a producer */
	uint8_t last;       /* 1: the last line of the round */
};
SHR_SCHEMA(cpu_sample, 1, time_ns, sequence, name, user, nice, system, idle, iowait, irq, softirq,
	   steal, guest, guest_nice, cpu, ticks_per_s, busy_percent, line, first, last);

/* Of /proc/meminfo, /proc/loadavg and /proc/pressure/memory. */
struct memory_sample {
	uint64_t time_ns;
	uint64_t sequence;
	uint64_t total_kib;
	uint64_t free_kib;
	uint64_t available_kib;
	uint64_t buffers_kib;
	uint64_t cached_kib;
	uint64_t swap_total_kib;
	uint64_t swap_free_kib;
	int64_t change_kib; /* of available_kib since the last round; 0 in the first */
	double load[3];     /* over 1, 5 and 15 minutes */
	uint32_t runnable;
	uint32_t threads;
	float pressure_percent; /* of 10 s somebody waited for memory; -1: not known */
	uint8_t first;          /* 1: in the first round of a producer */
	uint8_t spare[3];
};
SHR_SCHEMA(memory_sample, 1, time_ns, sequence, total_kib, free_kib, available_kib, buffers_kib,
	   cached_kib, swap_total_kib, swap_free_kib, change_kib, load, runnable, threads,
	   pressure_percent, first, spare);

_Static_assert(sizeof(struct cpu_sample) == HOSTMON_PAYLOAD, "its number would not be its place");
_Static_assert(sizeof(struct memory_sample) == HOSTMON_PAYLOAD, "nor this one's");
_Static_assert(HOSTMON_CAPACITY % HOSTMON_RECORD == 0,
	       "a record would not fit the end of the ring");

static const struct shr_schema *const hostmon_schemas[RINGS] = {SHR_SCHEMA_OF(cpu_sample),
								SHR_SCHEMA_OF(memory_sample)};
