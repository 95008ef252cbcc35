/* SPDX-License-Identifier: MIT */
/*
 * The options of shmring-dump: one table, from which getopt_long() and --help are
 * made. The man page and the completions of shells have lists of their own, which
 * tests/dump-options.sh compares with it.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fields.h"
#include "query.h"
#include "times.h"

#define HELP_COLUMN 23
#define ONLY_LONG   256 /* and more: options without a letter */

enum {
	OPTION_AS = ONLY_LONG,
	OPTION_CURSOR_FILE,
	OPTION_DIFF,
	OPTION_FAIL_ON_LOSS,
	OPTION_ONCE,
	OPTION_RAW,
	OPTION_COLOR,
	OPTION_SINCE,
	OPTION_TIME,
	OPTION_UNTIL
};

static const struct {
	int letter;           /* or ONLY_LONG ... */
	const char *name;     /* the long one */
	const char *argument; /* NULL: has none */
	const char *help;     /* lines */
} table[] = {
	{'r', "read", "IMAGE",
	 "look at an image instead of a segment: a FILE that save\n"
	 "or cp has made, - for standard input, core:FILE, or\n"
	 "core:FILE#SEGMENT where several are in a core dump"},
	{'o', "output", "FORMAT",
	 "text (the default), json, or jsonl: one object a line;\n"
	 "records, follow: also csv or hex;\n"
	 "list: also names, one a line;\n"
	 "stat: openmetrics or prometheus (text format 0.0.4), too"},
	{'n', "last", "N",
	 "records, follow: begin with the newest N of each ring,\n"
	 "the last N used slots of each table"},
	{'c', "count", "N",
	 "records, follow: end after N records or changes; stat -i:\n"
	 "after N looks"},
	{'f', "from", "WHERE",
	 "begin at the oldest record there is, at the first that\n"
	 "is unread, or with new ones; follow: new, else oldest"},
	{OPTION_RAW, "raw", NULL, "records, follow: write the payloads, and nothing else"},
	{OPTION_SINCE, "since", "LIMIT",
	 "records, follow: from this number of a record on, or this\n"
	 "time: 2026-11-25T10:00:00, with Z in UTC; @SECONDS since\n"
	 "1970; or -5m, with s, m, h or d"},
	{OPTION_UNTIL, "until", "LIMIT", "records, follow: up to it"},
	{'q', "query", "EXPR",
	 "records, follow: only those of which EXPR is true, such\n"
	 "as 'price > 99.5 and name ~ \"^A\"'; several: all of them"},
	{'F', "fields", "NAME,...",
	 "records, follow: show only these fields, such as price,\n"
	 "levels[1], @type"},
	{'g', "group", "NAME",
	 "records, follow: at the end a line for each value of\n"
	 "this field with how many records had it"},
	{'k', "groups", "N", "of these, only the N most frequent"},
	{'b', "bytes", "N", "text: show at most N bytes of what has no type (256)"},
	{'i', "interval", "SEC", "stat, top: again every SEC seconds (top: 1), with rates"},
	{'l', "lines", NULL, "stat: one line for each counter"},
	{OPTION_CURSOR_FILE, "cursor-file", "FILE",
	 "follow: go on where the last one with this file stopped"},
	{'R', "rate", "N", "follow: show at most N a second, count the others"},
	{'t', "timeout", "SEC", "follow: end after SEC seconds without a record; or off"},
	{OPTION_ONCE, "once", NULL,
	 "follow: this segment only, not those that replace it or\n"
	 "are to come; top: one screen, as text"},
	{OPTION_FAIL_ON_LOSS, "fail-on-loss", NULL,
	 "exit 8 if records were used again before they were shown,\n"
	 "or changes of a slot were told with a later one"},
	{'d', "directory", "DIR",
	 "instead of /dev/shm: where bare names are, and what list,\n"
	 "stat and top take for all segments"},
	{OPTION_AS, "as", "FORM", "schema: as text, json, or c: structs and SHR_SCHEMA lines"},
	{OPTION_DIFF, "diff", "OTHER",
	 "schema: what differs in OTHER, a segment, or an image as\n"
	 "for -r: a path, -, core:FILE; exit 7 if it does not match"},
	{OPTION_TIME, "time", "STYLE", "text: times are local (the default), utc or unix"},
	{OPTION_COLOR, "color", "WHEN", "auto (the default), always or never"},
	{'h', "help", NULL, "this text"},
	{'V', "version", NULL, "the version"},
};

#define TABLE_COUNT (sizeof(table) / sizeof(table[0]))

void options_help(FILE *out)
{
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		int width = table[i].letter < ONLY_LONG ? fprintf(out, "  -%c, ", table[i].letter)
							: fprintf(out, "      ");

		width += fprintf(out, "--%s%s%s", table[i].name, table[i].argument ? "=" : "",
				 table[i].argument ? table[i].argument : "");
		if (width > HELP_COLUMN - 2) {
			fputc('\n', out);
			width = 0;
		}
		for (const char *line = table[i].help; *line; width = 0) {
			int length = (int)strcspn(line, "\n");

			fprintf(out, "%*s%.*s\n", HELP_COLUMN - width, "", length, line);
			line += length + (line[length] != 0);
		}
	}
}

/* A number of decimal digits. */
static int take_number(const char *text, uint64_t *number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return usage("not a number", text);
	errno = 0;
	*number = strtoull(text, &end, 10);
	return errno || *end ? usage("not a number", text) : 0;
}

/* Seconds, with a point or without. */
static int take_interval(const char *text, uint64_t *ns)
{
	char *end;
	double seconds = strtod(text, &end);

	if (*text < '0' || *text > '9' || *end || !(seconds >= 0.01 && seconds <= 86400))
		return usage("not a number of seconds from 0.01 to 86400", text);
	*ns = (uint64_t)(seconds * 1e9);
	return 0;
}

/* Which of @words, which end with NULL, @text is: its index, or -1. */
static int which(const char *text, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(text, words[i]))
			return i;
	return -1;
}

static int take_output(const char *text, struct style *style)
{
	static const char *const formats[] = {[FORMAT_TEXT] = "text",
					      [FORMAT_JSON] = "json",
					      [FORMAT_JSONL] = "jsonl",
					      [FORMAT_OPENMETRICS] = "openmetrics",
					      [FORMAT_PROMETHEUS] = "prometheus",
					      [FORMAT_NAMES] = "names",
					      [FORMAT_CSV] = "csv",
					      [FORMAT_HEX] = "hex",
					      NULL};
	int format = which(text, formats);

	if (format < 0)
		return usage("unknown output format", text);
	style->format = (enum format)format;
	return 0;
}

static int take_from(const char *text, int *from)
{
	static const char *const places[] = {[SHR_WALK_OLDEST] = "oldest",
					     [SHR_WALK_UNREAD] = "unread",
					     [SHR_WALK_NEW] = "new",
					     NULL};
	int place = which(text, places);

	if (place < 0)
		return usage("unknown place to begin at", text);
	*from = place;
	return 0;
}

static int take_color(const char *text, struct style *style)
{
	static const char *const times[] = {"never", "always", "auto", NULL};
	const char *no = getenv("NO_COLOR"); /* no-color.org */
	int when = which(text, times);

	if (when < 0)
		return usage("unknown time for colours", text);
	style->color = when < 2 ? when : isatty(STDOUT_FILENO) && !(no && *no);
	return 0;
}

static int take_time(const char *text)
{
	static const char *const styles[] = {
		[TIMES_LOCAL] = "local", [TIMES_UTC] = "utc", [TIMES_UNIX] = "unix", NULL};
	int style = which(text, styles);

	if (style < 0)
		return usage("unknown style of times", text);
	time_set_style((enum time_style)style);
	return 0;
}

static int take_as(const char *text, struct request *request)
{
	static const char *const forms[] = {
		[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", "c", NULL};
	int form = which(text, forms);

	if (form < 0)
		return usage("unknown form of a schema", text);
	request->as = 1;
	request->as_c = form > FORMAT_JSON;
	if (!request->as_c)
		request->style.format = (enum format)form;
	return 0;
}

/* Seconds, also 0.5, or off. */
static int take_silence(const char *text, uint64_t *ns)
{
	char *end;
	double seconds = strtod(text, &end);

	*ns = UINT64_MAX;
	if (!strcmp(text, "off"))
		return 0;
	if (*text < '0' || *text > '9' || *end || !(seconds < 1e9))
		return usage("not a number of seconds", text);
	*ns = (uint64_t)(seconds * 1e9);
	return 0;
}

static int take_limit(const char *text, struct limit *limit)
{
	char *end;

	errno = 0;
	limit->kind = LIMIT_SEQUENCE;
	limit->value = strtoull(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && !errno)
		return 0;
	limit->kind = LIMIT_TIME;
	return time_parse(text, &limit->value) ? usage("not a number or a time", text) : 0;
}

static int status_of(int err)
{
	if (err != -ENOMEM)
		return err ? EXIT_USAGE : 0;
	fputs("shmring-dump: out of memory\n", stderr);
	return EXIT_FAILURE;
}

static int take(int option, const char *text, struct request *request)
{
	uint64_t number;
	int err = 0;

	switch (option) {
	case 'r':
		request->image = text;
		return 0;
	case 'o':
		return take_output(text, &request->style);
	case 'n':
		return take_number(text, &request->last);
	case 'c':
		return take_number(text, &request->count);
	case 'f':
		return take_from(text, &request->from);
	case 'b':
		err = take_number(text, &number);
		if (!err)
			request->style.bytes = number < SIZE_MAX ? (size_t)number : SIZE_MAX;
		return err;
	case 'i':
		return take_interval(text, &request->interval_ns);
	case 'l':
		request->lines = 1;
		return 0;
	case 'F':
		return status_of(fields_parse(&request->fields, 'F', text, SIZE_MAX));
	case 'g':
		return status_of(fields_parse(&request->group, 'g', text, 1));
	case 'k':
		return take_number(text, &request->groups);
	case 'q':
		return status_of(query_add(&request->query, text));
	case OPTION_CURSOR_FILE:
		request->cursor_file = text;
		return 0;
	case OPTION_FAIL_ON_LOSS:
		request->fail_on_loss = 1;
		return 0;
	case 'R':
		return take_number(text, &request->rate);
	case 't':
		return take_silence(text, &request->silence_ns);
	case 'd':
		request->directory = text;
		return *text ? 0 : usage("the directory has no name", NULL);
	case OPTION_AS:
		return take_as(text, request);
	case OPTION_DIFF:
		request->diff = text;
		return 0;
	case OPTION_ONCE:
		request->once = 1;
		return 0;
	case OPTION_RAW:
		request->style.format = FORMAT_RAW;
		return 0;
	case OPTION_SINCE:
		return take_limit(text, &request->since);
	case OPTION_UNTIL:
		return take_limit(text, &request->until);
	case OPTION_TIME:
		return take_time(text);
	case OPTION_COLOR:
		return take_color(text, &request->style);
	case 'h':
	case 'V':
		return option;
	default:
		fputs("shmring-dump: see shmring-dump --help\n", stderr);
		return EXIT_USAGE;
	}
}

void options_default(struct request *request)
{
	*request = (struct request){.style = {.bytes = 256},
				    .from = -1,
				    .last = UINT64_MAX,
				    .count = UINT64_MAX,
				    .groups = UINT64_MAX,
				    .rate = UINT64_MAX,
				    .silence_ns = UINT64_MAX};
	take_color("auto", &request->style);
}

int options_take(int argc, char **argv, struct request *request)
{
	struct option options[TABLE_COUNT + 1] = {{0}};
	char letters[2 * TABLE_COUNT + 1] = "", *end = letters;
	int option, result = 0;

	for (size_t i = 0; i < TABLE_COUNT; i++) {
		int argument = table[i].argument ? required_argument : no_argument;

		options[i] = (struct option){table[i].name, argument, NULL, table[i].letter};
		if (table[i].letter >= ONLY_LONG)
			continue;
		*end++ = (char)table[i].letter;
		if (argument)
			*end++ = ':';
	}
	while (!result && (option = getopt_long(argc, argv, letters, options, NULL)) >= 0)
		result = take(option, optarg, request);
	return result;
}
