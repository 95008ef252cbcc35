/* SPDX-License-Identifier: MIT */
/*
 * Every byte that lies in shared memory, and nothing else.
 *
 *	0       struct shm_header       constant part, directory; one page
 *	4096    struct shm_member []    one a process
 *	...     schemas                 struct shm_schema each, then strings
 *	...     objects                 each at a multiple of 4096: a ring, plain
 *	                                bytes, a table, or an array of shm_mutex or
 *	                                shm_event_line
 *
 * Numbers are in the byte order of the creator; header.byte_order tells. All
 * offsets are from the start of the segment. Reserved bytes are zero. A number
 * that is asserted here is the format: another one is another format. The page
 * shmring(5) has all of it for readers that do not use the library.
 */
#ifndef LIB_FORMAT_H
#define LIB_FORMAT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* i386 aligns these to 4 unless told. */
typedef uint64_t shm_u64 __attribute__((aligned(8)));
typedef _Atomic(uint64_t) shm_atomic_u64 __attribute__((aligned(8)));
typedef _Atomic(uint32_t) shm_atomic_u32;

#define FORMAT_MAJOR 0 /* becomes 1, frozen, at release 1.0 */
#define FORMAT_MINOR 2 /* 1: without names of values and since */
#define FORMAT_MAGIC "\x93SHMRNG\n" /* 8 bytes, the first not ASCII */
#define FORMAT_BYTE_ORDER 0x01020304u
#define FORMAT_PAGE 4096u /* of the format, whatever the machine's */
#define FORMAT_COUNTERS 5u
#define FORMAT_LINE 128u  /* one writing role a line; two x86 lines: prefetch in pairs */
#define FORMAT_OBJECTS 30u
#define FORMAT_MEMBERS 1022u /* the owner of a record has 10 bits; 0 is nobody */
#define FORMAT_ALIGN 8u	     /* of records */
#define FORMAT_SCHEMA_BYTES (1u << 20) /* most, of all schemas */

/* Byte 2^40 + i is the life of slot i; the one before it, the name's. */
#define FORMAT_LOCK_BYTE ((int64_t)1 << 40)
#define FORMAT_NAME_BYTE (FORMAT_LOCK_BYTE - 1)

struct shm_object {
	uint32_t kind;
	uint32_t flags;
	char name[48]; /* zero terminated */
	shm_u64 offset;
	shm_u64 size;
	shm_u64 schema_hash;   /* 0: untyped */
	uint32_t schema_offset; /* of its struct shm_schema, from header.schema_offset */
	uint32_t reserved;
	shm_u64 param[5]; /* by kind */
};

struct shm_header {
	uint8_t magic[8];
	uint32_t byte_order;
	uint16_t major;
	uint16_t minor;
	uint32_t crc; /* CRC-32C of the constant part and the schemas, this field as 0 */
	uint32_t header_size;
	shm_u64 fingerprint; /* of this file's numbers */
	shm_u64 total_size;
	shm_u64 epoch;	     /* random, never 0 */
	shm_u64 created_ns;  /* CLOCK_REALTIME */
	uint8_t boot_id[16];
	uint32_t creator_pid;
	uint32_t locks; /* FORMAT_LOCKS_* */
	uint32_t members;
	uint32_t objects;
	shm_u64 member_offset;
	shm_u64 schema_offset;
	shm_u64 schema_size;
	uint32_t life; /* FORMAT_LIFE_*: which file's locks prove who is alive */
	uint32_t reserved_life;
	/* Schemas of what is counted, one behind another: ring, cursor, member, mutex, table. */
	uint32_t counters; /* from schema_offset */
	uint32_t counter_kinds;
	/* 128: what changes, on a line of its own. */
	shm_atomic_u32 obsolete;
	uint32_t reserved_line[31];
	/* 256: constant again. */
	struct shm_object directory[FORMAT_OBJECTS];
};

/* The file of the segment itself, or a companion of it: object.c. */
#define FORMAT_LIFE_OWN 0u
#define FORMAT_LIFE_COMPANION 1u

/*
 * What the mutexes are: our own word, which every process understands, or
 * pthread_mutex_t of one C library at one word size.
 */
#define FORMAT_LOCKS_WORD 0u
#define FORMAT_LOCKS_PTHREAD 1u
#define FORMAT_LOCKS(backend, libc, size)                                                          \
	((uint32_t)(backend) | (uint32_t)(libc) << 8 | (uint32_t)(size) << 16)
#define FORMAT_LOCKS_BACKEND(locks) ((locks) & 0xffu)
#define FORMAT_LOCKS_LIBC(locks) ((locks) >> 8 & 0xffu) /* 1: glibc, 2: another */
#define FORMAT_LOCKS_SIZE(locks) ((locks) >> 16)	/* bytes of a pthread_mutex_t */

/* The last one that died in a slot, for people. Written by who holds its byte. */
struct shm_death {
	shm_atomic_u64 deaths; /* in this slot; written last, DEATH_WRITING first */
	shm_u64 noticed_ns; /* CLOCK_REALTIME */
	shm_u64 start_time;
	shm_u64 attached_ns;
	shm_u64 pid_namespace;
	uint32_t pid;
	uint32_t by; /* number of the member that proved it */
	char comm[16];
	char role[16];
	shm_u64 reserved[6];
};

#define DEATH_WRITING UINT64_MAX

/* The slot of a process. But for @state all of it is for people. */
struct shm_member {
	shm_atomic_u32 state; /* enum below */
	uint32_t pid;
	shm_u64 start_time; /* field 22 of /proc/PID/stat: clock ticks since boot */
	shm_u64 pid_namespace;
	shm_u64 attached_ns; /* CLOCK_REALTIME */
	char comm[16];
	char role[16];
	shm_u64 attaches; /* of this slot since creation */
	shm_u64 detaches; /* the others died, but for the one that lives */
	shm_u64 reserved[6];
	/* 128 */
	struct shm_death death;
};

/* Left by a detach that gave everything back; whoever dies leaves USED. */
enum { MEMBER_FREE = 0, MEMBER_USED = 1 };

/*
 * Followed by @fields struct shm_field, @strings bytes of strings and, at a
 * multiple of 8, @enum_names struct shm_enum_name.
 */
struct shm_schema {
	uint32_t size; /* of all this, a multiple of 8 */
	uint32_t record_size;
	uint32_t version;
	uint32_t fields;
	uint32_t strings;
	uint32_t name; /* into the strings */
	shm_u64 hash;
	uint32_t enum_names;
	uint32_t reserved[3];
};

struct shm_field {
	uint32_t name; /* into the strings */
	uint32_t offset;
	uint32_t count;
	uint32_t kind;
	uint32_t unit; /* into the strings; 0: not said */
	uint32_t help; /* the same */
	uint32_t enum_name; /* the first of its values' */
	uint32_t enum_names; /* 0: they have none */
	uint32_t since; /* version; 0: not said */
	uint32_t reserved[3];
};

/* A value, widened to 64 bits by the sign of its kind, and its name. */
struct shm_enum_name {
	shm_u64 value;
	uint32_t name; /* into the strings */
	uint32_t reserved;
};

/* Sleep until something changed; event.h. */
struct shm_event {
	shm_atomic_u32 sequence;
	shm_atomic_u32 sleepers; /* 0 or 1: somebody may sleep */
};

/* One by itself, on a line of its own. */
struct shm_event_line {
	struct shm_event event;
	uint32_t reserved[30];
};

/* A mutex; mutex.c. */
struct shm_mutex {
	shm_atomic_u32 word;	   /* MUTEX_* below */
	shm_atomic_u32 thread;	   /* thread id of the owner; 0: none */
	struct shm_event event;	   /* what waiters sleep on */
	shm_atomic_u64 acquired;   /* times it was taken */
	shm_atomic_u64 waited;	   /* times somebody went to sleep for it */
	shm_atomic_u64 waiting_ns; /* CLOCK_REALTIME when sleepers came; stale without any */
	shm_atomic_u32 last_dead;  /* member number of the last owner that died */
	uint32_t reserved_dead;
	shm_u64 reserved[2];
	/* 64: pthread_mutex_t, where that is the backend; @word is for people then */
	uint8_t pthread[64] __attribute__((aligned(16)));
};

/* @word: owner's member number, flags, owners that died holding it modulo 2^16. */
#define MUTEX_OWNER(word) ((word) & 0x3ffu)
#define MUTEX_RESERVED 0x3c00u
#define MUTEX_DIRTY 0x4000u /* an owner died, and nobody has said that all is well again */
#define MUTEX_LOST 0x8000u  /* unlocked while dirty: not recoverable */
#define MUTEX_DEATHS(word) ((word) >> 16)
#define MUTEX_ONE_DEATH 0x10000u

/*
 * A cursor of a ring: what its consumer has got. Written by its owner only, but
 * for @role and @mode, which who holds the byte of a dead owner may clear. In a
 * queue the first one is the gate of all, and the owner of the take lock writes.
 */
struct shm_cursor {
	shm_atomic_u64 role;	  /* enum below */
	shm_atomic_u64 position;  /* released all below */
	shm_atomic_u64 delivered; /* given to the program: all below */
	shm_atomic_u64 skipped;	  /* records reserved, never committed, passed over */
	shm_atomic_u64 redelivered;
	shm_atomic_u64 journal_position; /* what position, skipped, lost, sequence are about to be */
	shm_atomic_u64 journal_skipped;
	shm_atomic_u64 journal_lost;
	shm_atomic_u64 journal_sequence;
	shm_atomic_u64 journal_bytes;
	shm_atomic_u64 lost;	   /* records dropped or overwritten before it had them */
	shm_atomic_u64 lost_bytes; /* overwritten */
	shm_atomic_u64 sequence;   /* number that the next record should have */
	shm_atomic_u64 mode;	   /* CURSOR_*, 0: the place is free; above, evictions from it */
	shm_u64 reserved[2];
	/* 128 */
	char name[32]; /* zero terminated */
	shm_u64 reserved_name[12];
};

/* Of shm_cursor.mode. */
#define CURSOR_USED 1u
#define CURSOR_GATE 2u	  /* producers wait for it */
#define CURSOR_DURABLE 4u /* stays when its owner is gone */
#define CURSOR_JOINING 8u /* its position is not certain yet: like no cursor, if the owner dies */
#define CURSOR_MODE(mode) ((uint32_t)((mode) & 15))
#define CURSOR_EVICTIONS(mode) ((mode) >> 16)
#define CURSOR_ONE_EVICTION ((uint64_t)1 << 16)

/*
 * A ring: this, then its data. Geometry is in the directory: flags,
 * param[0] capacity, [1] max_record, [2] history, [3] first_position,
 * [4] cursors low 32 bits, mode high 32.
 */
#define FORMAT_RING_DATA 8192u
#define FORMAT_CURSORS 28u
struct shm_ring {
	/* 0: who claims. With a single producer the lock guards the table of cursors only. */
	shm_atomic_u32 lock; /* owner + 1 low 16 bits, repairs high 16 */
	uint32_t reserved_lock;
	shm_atomic_u64 tail;	 /* single producer: some boundary at or below it */
	shm_atomic_u64 sequence; /* that the next record will have; likewise */
	shm_atomic_u64 dropped;	 /* records that producers gave up for lack of room */
	shm_atomic_u64 journal_sequence; /* what sequence and dropped are about to be */
	shm_atomic_u64 journal_dropped;
	shm_u64 reserved_claim[10];
	/* 128: who cleans: the owner of cursor 0, or of the claim lock, or the single producer. */
	shm_atomic_u64 reclaim; /* records at or above are whole */
	shm_atomic_u64 clean;	/* from the tail up to here all is zero */
	shm_u64 reserved_clean[14];
	/* 256: the single producer. */
	shm_atomic_u64 producer; /* role */
	shm_u64 reserved_producer[15];
	/* 384, 512 */
	struct shm_event data;	/* a record was committed */
	uint32_t reserved_data[30];
	struct shm_event space; /* there is room again */
	uint32_t reserved_space[30];
	/* 640: who takes from a queue. */
	shm_atomic_u32 take_lock;   /* as lock */
	shm_atomic_u32 rewind;	    /* not 0: records below take are to be taken again */
	shm_atomic_u64 take;	    /* the next one to be taken is here or beyond */
	shm_atomic_u64 redelivered; /* takes of a record that was taken before */
	shm_atomic_u64 acked;	    /* records that the gate has passed as done */
	shm_atomic_u64 journal_acked;
	shm_u64 reserved_take[11];
	/* 768: seldom. */
	shm_atomic_u64 full; /* times a producer found no room */
	shm_u64 reserved_seldom[31];
	/* 1024 */
	struct shm_cursor cursor[FORMAT_CURSORS];
};

/* A role: member number low 16 bits, 0 nobody; above, owners that died in it. */
#define ROLE_MEMBER(role) ((uint32_t)((role) & 0xffff))
#define ROLE_TAKEOVERS(role) ((role) >> 16)
#define ROLE_ONE_TAKEOVER ((uint64_t)1 << 16)

/*
 * The word a record starts with: payload length 32 bits, type 16, state 4,
 * owner's member number 10, zero 2. All zero: not written yet.
 */
enum {
	WORD_BUSY = 1,	/* claimed; type WORD_CLAIM_PAD if it is to be a PAD */
	WORD_READY = 2, /* committed */
	WORD_SKIP = 3,	/* reserved and given up, or its owner died */
	WORD_PAD = 4,	/* no record: to the end of the ring, or cut off a shorter commit */
	WORD_TAKEN = 5, /* queue: a worker has it; the token says who */
	WORD_DONE = 6,	/* queue: acknowledged */
	WORD_LOST = 7,	/* queue: its worker died or gave it back, at most once */
};
#define WORD_CLAIM_PAD 1u
/*
 * Behind the word, if the ring has them, 8 bytes each in this order: sequence,
 * token, time (CLOCK_REALTIME ns). A PAD has none. The token of a queue: the
 * worker's member number low 16 bits, above how many times it was taken.
 */
#define TOKEN_MEMBER(token) ((uint32_t)((token) & 0xffff))
#define TOKEN_COUNT(token) ((token) >> 16)
#define TOKEN_MAKE(member, count) ((uint64_t)(count) << 16 | (uint64_t)(member))
#define WORD_MAKE(state, owner, type, length)                                  \
	((uint64_t)(owner) << 52 | (uint64_t)(state) << 48 | (uint64_t)(type) << 32 | (uint64_t)(length))
#define WORD_LENGTH(word) ((word) & 0xffffffffu)
#define WORD_TYPE(word) ((uint32_t)((word) >> 32 & 0xffff))
#define WORD_STATE(word) ((uint32_t)((word) >> 48 & 15))
#define WORD_OWNER(word) ((uint32_t)((word) >> 52 & 1023))
#define WORD_ZERO(word) ((word) >> 62)
/* Bytes that a payload of @length takes in a ring whose records start with @header bytes. */
#define RECORD_TOTAL(header, length)                                                           \
	(((uint64_t)(length) + (header) + FORMAT_ALIGN - 1) & ~(uint64_t)(FORMAT_ALIGN - 1))

/*
 * A table: this, its index, its slots. Geometry is in the directory: param[0]
 * slots, [1] TABLE_PARAM_*, [2] bytes in a record, [3] bytes before the key in it
 * low 32 bits, in the key high 32.
 */
#define FORMAT_TABLE_INDEX 512u
struct shm_table {
	struct shm_mutex lock; /* who inserts, removes, mends the index; our own word always */
	/* 128: who changes a record, if somebody watches. */
	struct shm_event event; /* something was changed */
	uint32_t reserved_event[30];
	/* 256: the owner of the lock. */
	shm_atomic_u64 version; /* of the index; odd: it is being built anew */
	shm_atomic_u64 used;	/* slots */
	shm_atomic_u64 graves;	/* entries of the index that are INDEX_GRAVE */
	shm_atomic_u64 hint;	/* where a free slot may be */
	shm_atomic_u64 rebuilds;
	shm_atomic_u64 repairs;
	shm_u64 reserved_lock[10];
	/* 384: seldom. */
	shm_atomic_u64 takeovers; /* locks of slots taken over from the dead */
	shm_u64 reserved_seldom[15];
};

/* Of shm_object.param[1]: mode, is the key text, number of the key's field + 1. */
#define TABLE_PARAM(mode, text, field)                                                         \
	((uint64_t)(mode) | (uint64_t)(text) << 8 | (uint64_t)(field) << 32)
#define TABLE_PARAM_MODE(param) ((uint32_t)((param) & 0xff))
#define TABLE_PARAM_TEXT(param) ((uint32_t)((param) >> 8 & 0xffffff))
#define TABLE_PARAM_FIELD(param) ((uint32_t)((param) >> 32))

/*
 * An entry of the index: hash of the key high 32 bits, slot + 1 low 32. 0: nothing
 * was ever here, what is looked for is not beyond.
 */
#define INDEX_GRAVE ((uint64_t)UINT32_MAX)
#define INDEX_ENTRY(hash, slot) ((uint64_t)(hash) << 32 | ((uint64_t)(slot) + 1))
#define INDEX_HASH(entry) ((uint32_t)((entry) >> 32))
#define INDEX_SLOT(entry) ((uint32_t)(entry)-1)

/*
 * A slot: a mutex of our own word, whose room for another backend is the slot's;
 * then the key, if it is longer than @key; then the record: two copies in an
 * atomic table, each at a multiple of 64.
 */
#define FORMAT_SLOT_KEY 32u
struct shm_slot {
	union {
		struct shm_mutex lock;
		struct {
			uint32_t lock_words[16];
			/* 64 */
			shm_atomic_u64 sequence;   /* atomic: commits; in place: odd inside a change */
			shm_atomic_u64 generation; /* odd: used */
			shm_atomic_u32 hash;	   /* of the key */
			uint32_t reserved;
			shm_u64 reserved_slot;
			uint8_t key[FORMAT_SLOT_KEY];
		};
	};
};

#define FORMAT_AT(type, member, at) \
	_Static_assert(offsetof(struct type, member) == (at), "format: " #type "." #member)
#define FORMAT_IS(type, bytes) _Static_assert(sizeof(struct type) == (bytes), "format: " #type)

FORMAT_IS(shm_object, 128);
FORMAT_AT(shm_object, offset, 56);
FORMAT_AT(shm_object, schema_offset, 80);
FORMAT_AT(shm_object, param, 88);
FORMAT_IS(shm_header, 4096);
FORMAT_AT(shm_header, byte_order, 8);
FORMAT_AT(shm_header, major, 12);
FORMAT_AT(shm_header, crc, 16);
FORMAT_AT(shm_header, fingerprint, 24);
FORMAT_AT(shm_header, total_size, 32);
FORMAT_AT(shm_header, epoch, 40);
FORMAT_AT(shm_header, boot_id, 56);
FORMAT_AT(shm_header, locks, 76);
FORMAT_AT(shm_header, members, 80);
FORMAT_AT(shm_header, member_offset, 88);
FORMAT_AT(shm_header, schema_size, 104);
FORMAT_AT(shm_header, life, 112);
FORMAT_AT(shm_header, obsolete, 128);
FORMAT_AT(shm_header, directory, 256);
FORMAT_IS(shm_member, 256);
FORMAT_AT(shm_member, death, 128);
FORMAT_IS(shm_death, 128);
FORMAT_AT(shm_death, comm, 48);
FORMAT_IS(shm_mutex, FORMAT_LINE);
FORMAT_AT(shm_mutex, event, 8);
FORMAT_AT(shm_mutex, acquired, 16);
FORMAT_AT(shm_mutex, waiting_ns, 32);
FORMAT_AT(shm_mutex, pthread, 64);
FORMAT_AT(shm_member, comm, 32);
FORMAT_AT(shm_member, attaches, 64);
FORMAT_IS(shm_schema, 48);
FORMAT_IS(shm_field, 48);
FORMAT_AT(shm_schema, hash, 24);
FORMAT_AT(shm_field, enum_name, 24);
FORMAT_IS(shm_enum_name, 16);
FORMAT_IS(shm_event, 8);
FORMAT_IS(shm_event_line, FORMAT_LINE);
FORMAT_IS(shm_cursor, 256);
FORMAT_AT(shm_cursor, mode, 104);
FORMAT_AT(shm_cursor, name, 128);
FORMAT_IS(shm_ring, FORMAT_RING_DATA);
FORMAT_AT(shm_ring, tail, 8);
FORMAT_AT(shm_ring, reclaim, 128);
FORMAT_AT(shm_ring, producer, 256);
FORMAT_AT(shm_ring, data, 384);
FORMAT_AT(shm_ring, space, 512);
FORMAT_AT(shm_ring, take_lock, 640);
FORMAT_AT(shm_ring, full, 768);
FORMAT_AT(shm_ring, cursor, 1024);
FORMAT_IS(shm_table, FORMAT_TABLE_INDEX);
FORMAT_AT(shm_table, event, 128);
FORMAT_AT(shm_table, version, 256);
FORMAT_AT(shm_table, takeovers, 384);
FORMAT_IS(shm_slot, FORMAT_LINE);
FORMAT_AT(shm_slot, sequence, 64);
FORMAT_AT(shm_slot, generation, 72);
FORMAT_AT(shm_slot, hash, 80);
FORMAT_AT(shm_slot, key, 96);
_Static_assert(sizeof(shm_atomic_u64) == 8 && _Alignof(shm_atomic_u64) == 8, "format: u64");

/* Two libraries of one format whose layouts differ all the same refuse each other. */
#define FORMAT_FINGERPRINT                                                                     \
	(((uint64_t)sizeof(struct shm_header) << 48) ^ ((uint64_t)sizeof(struct shm_object) << 36) ^ \
	 ((uint64_t)sizeof(struct shm_member) << 24) ^ ((uint64_t)FORMAT_LINE << 12) ^             \
	 ((uint64_t)FORMAT_ALIGN << 8) ^ ((uint64_t)FORMAT_RING_DATA << 30) ^                      \
	 ((uint64_t)sizeof(struct shm_cursor) << 32) ^ (uint64_t)sizeof(struct shm_field))

#endif
