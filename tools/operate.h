/* SPDX-License-Identifier: MIT */
/* What the parts of shmring, the program that writes to segments, share. */
#ifndef TOOLS_OPERATE_H
#define TOOLS_OPERATE_H

#include <signal.h>

#include "dump.h"

/* Exit statuses, as of shmring-dump. */
enum {
	EXIT_USAGE = 2,
	EXIT_NONE = 3,
	EXIT_PERMISSION = 4,
	EXIT_FOREIGN = 5,
	EXIT_DAMAGED = 6,
	EXIT_MISMATCH = 7,
};

#define LONG_ONLY  256       /* letters from here on have no short option */
#define SLICE_NS   100000000 /* waits look that often whether a signal has come */
#define NO_COMMAND -1        /* operate_options(): nothing is decided, go on */

/* From one row come the arrays of getopt_long(3) and a line of --help. */
struct option_row {
	int letter;
	const char *name;
	const char *argument; /* NULL: takes none */
	const char *help;
};

struct command {
	const char *name;
	const char *arguments;
	const char *summary;              /* a line in the list of commands */
	void (*more_help)(void);          /* may be NULL */
	const struct option_row *options; /* ends with a letter of 0; may be NULL */
	/* Take an option: 0, or the exit status. */
	int (*take)(void *request, int letter, const char *argument);
	int (*run)(const struct command *command, int argc, char **argv);
};

extern const struct command command_create, command_send, command_recv, command_load, command_rm,
	command_restore, command_repair, command_gc, command_bench;

/*
 * Take the options of @command, and have @least to @most arguments left at argv[optind]:
 * NO_COMMAND, or the exit status.
 */
int operate_options(const struct command *command, int argc, char **argv, int least, int most,
		    void *request);

/* A sentence on stderr, "shmring: " before it, a newline after it. What it is given is escaped. */
__attribute__((format(printf, 1, 2))) void operate_say(const char *format, ...);
/* The same, and the exit status. */
__attribute__((format(printf, 1, 2))) int operate_usage(const char *format, ...);
/* Why a call of the library failed with @err, and the exit status for that. */
int operate_failed(const char *segment, int err);
int operate_status(int err);
int operate_no_memory(void);

/* A number of decimal digits; with @scale k, M or G (of 1,024) may follow. 0, or -EINVAL. */
int operate_number(const char *text, int scale, uint64_t most, uint64_t *number);

/* Permissions in octal digits: 0, or the exit status, told. */
int operate_perms(const char *text, uint32_t *perms);

/* SIGINT and SIGTERM set it. */
extern volatile sig_atomic_t operate_stopped;
void operate_catch_signals(void);

/* --- operate-schema.c: schemas in JSON ----------------------------------------- */

#define SENTENCE 256

/*
 * The schema for the object @object from the file @path, which has what
 * "shmring-dump -o json schema" prints, or one schema of that. It lives as long as
 * *@builder, which is to be freed. 0, or -1 and a sentence in @why.
 */
int schema_load(struct shr_schema_builder **builder, const struct shr_schema **schema,
		const char *path, const char *object, char why[SENTENCE]);

/* --- operate-json.c: records in JSON -------------------------------------------- */

/* What a line of "shmring-dump -o jsonl records" is. */
enum line_kind {
	LINE_RECORD,     /* it has a record */
	LINE_EMPTY,      /* one that was skipped, or not committed: there is none */
	LINE_DONE,       /* one of a queue that needs nobody any more */
	LINE_INCOMPLETE, /* not all of a record, or that there was one */
};

struct line_record {
	unsigned char *payload; /* grows; free() it */
	size_t room;
	size_t size;
	uint16_t type;
};

json_t *line_read(const char *text, size_t size, char why[SENTENCE]);
enum line_kind line_kind(const json_t *line);
/* The bytes of a string or of {"hex": "..."} into *@bytes, for free(). 0, or -1. */
int json_to_bytes(const json_t *json, unsigned char **bytes, size_t *size);
/* The payload of a LINE_RECORD by @schema, NULL: untyped. 0, or -1 and a sentence. */
int line_record(struct line_record *record, const json_t *line, const struct shr_schema *schema,
		char why[SENTENCE]);

/* --- operate-sink.c: where records go -------------------------------------------- */

/* An object of a segment, to put records in. */
struct sink {
	struct shr_object_info object; /* valid while the inspector is open */
	struct shr_ring *ring;
	struct shr_producer *producer;
	struct shr_table *table;
	int told; /* that it is full */
};

/* Index of the object @name; NULL: of the only ring. Else -1 minus the exit status, told. */
int sink_find(const struct shr_inspect *inspect, const char *segment, const char *name);
/* 0, or the exit status, told. Close it in any case. */
int sink_open(struct sink *sink, const struct shr_inspect *inspect, struct shr_segment *segment,
	      const char *name, uint32_t index);
void sink_close(struct sink *sink);
/*
 * Put a record in. With @wait until there is room, or a signal comes: -EINTR.
 * -ENOBUFS: it was dropped, and the ring has counted it. -EAGAIN: full. -EMSGSIZE also:
 * over a record of the table.
 */
int sink_put(struct sink *sink, const void *payload, size_t size, uint16_t type, int wait);

#endif
