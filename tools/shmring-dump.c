/* SPDX-License-Identifier: MIT */
/*
 * shmring-dump: look at segments without disturbing anybody. It has no verb
 * that writes and knows segments only through shmring/inspect.h, which opens
 * them read-only. records.c has the commands records and follow.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"

static const char usage_text[] =
	"Usage: shmring-dump [OPTION]... [COMMAND [SEGMENT [OBJECT]...]]\n"
	"Show shared-memory segments of shmring, live, without disturbing anybody.\n"
	"\n"
	"Commands:\n"
	"  list                 all segments with a name, System V too (the default)\n"
	"  info SEGMENT         its members, the dead among them, objects and counters\n"
	"  schema SEGMENT       the types of its records\n"
	"  locks SEGMENT        mutexes, and locks of tables, that are held or whose holder\n"
	"                       died, and by whom\n"
	"  stat SEGMENT         its counters, with units and what they mean\n"
	"  blame SEGMENT        who holds up a ring or a table: a slow consumer, a record not\n"
	"                       committed, an update that does not end or was never ended\n"
	"  records SEGMENT      the records that are in its rings and tables\n"
	"  follow SEGMENT       new records as they are committed, and changes of slots\n"
	"\n"
	"SEGMENT is a name such as /hostmon, file:PATH, sysv:KEY, or fd:N. OBJECT picks\n"
	"rings and tables by name.\n"
	"\n"
	"Options:\n"
	"  -o, --output=FORMAT  text (the default), json, or jsonl: one object a line\n"
	"  -n, --last=N         records, follow: begin with the newest N of each ring, the\n"
	"                       last N used slots of each table\n"
	"  -c, --count=N        records, follow: end after N records or changes\n"
	"  -f, --from=WHERE     begin at the oldest record there is, at the first that\n"
	"                       is unread, or with new ones; follow: new, else oldest\n"
	"  -b, --bytes=N        text: show at most N bytes of what has no type (256)\n"
	"      --fail-on-loss   exit 8 if records were used again before they were shown,\n"
	"                       or changes of a slot were told with a later one\n"
	"      --color=WHEN     auto (the default), always or never\n"
	"  -h, --help           this text\n"
	"  -V, --version        the version\n"
	"\n"
	"Exit status: 0 success, 1 other failure, 2 usage, 3 no such segment or object,\n"
	"4 no permission, 5 not a segment or an unknown format, 6 damaged, 8 loss.\n";

int failed(const char *segment, int err)
{
	fflush(stdout);
	fputs("shmring-dump: ", stderr);
	text_string(stderr, segment);
	fputs(": ", stderr);
	text_string(stderr, err == -ENOMEM ? "out of memory" : shr_last_error());
	fputc('\n', stderr);
	switch (-err) {
	case EINVAL:
	case ENAMETOOLONG:
	case EPROTOTYPE:
		return EXIT_USAGE;
	case ENOENT:
		return EXIT_NONE;
	case EACCES:
	case EPERM:
		return EXIT_PERMISSION;
	case EMEDIUMTYPE:
	case EILSEQ:
	case EPROTONOSUPPORT:
	case EPROTO:
		return EXIT_FOREIGN;
	case ENODATA:
	case EUCLEAN:
	case EBADMSG:
		return EXIT_DAMAGED;
	default:
		return EXIT_FAILURE;
	}
}

void show_json(const struct style *style, json_t *json)
{
	if (!json || json_dumpf(json, stdout,
				(style->format == FORMAT_JSON ? JSON_INDENT(2) : JSON_COMPACT) |
					JSON_REAL_PRECISION(17))) {
		fputs("shmring-dump: cannot write JSON\n", stderr);
		exit(EXIT_FAILURE);
	}
	putchar('\n');
	json_decref(json);
}

/* "1234567 bytes (1.2 MiB)" */
void put_size(uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes / 1024;
	int unit = 0;

	printf("%" PRIu64 " bytes", bytes);
	if (bytes < 1024)
		return;
	while (value >= 1024 && unit < 3) {
		value /= 1024;
		unit++;
	}
	printf(" (%.*f %s)", value < 10 ? 1 : 0, value, units[unit]);
}

void put_time(uint64_t time_ns)
{
	time_t seconds = (time_t)(time_ns / 1000000000u);
	struct tm tm;
	char text[32];

	if (localtime_r(&seconds, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
		fputs(text, stdout);
	else
		printf("%" PRIu64 " ns", time_ns);
}

void put_time_ns(uint64_t time_ns)
{
	put_time(time_ns);
	printf(".%09" PRIu64, time_ns % 1000000000u);
}

static int is(const char *option, const char *value)
{
	return !strcmp(option, value);
}

static int usage(const char *sentence, const char *argument)
{
	fputs("shmring-dump: ", stderr);
	fputs(sentence, stderr);
	if (argument) {
		fputs(": ", stderr);
		text_string(stderr, argument);
	}
	fputs("; see shmring-dump --help\n", stderr);
	return EXIT_USAGE;
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

static int take_output(const char *text, struct style *style)
{
	if (is(text, "text"))
		style->format = FORMAT_TEXT;
	else if (is(text, "json"))
		style->format = FORMAT_JSON;
	else if (is(text, "jsonl"))
		style->format = FORMAT_JSONL;
	else
		return usage("unknown output format", text);
	return 0;
}

static int take_from(const char *text, int *from)
{
	if (is(text, "oldest"))
		*from = SHR_WALK_OLDEST;
	else if (is(text, "unread"))
		*from = SHR_WALK_UNREAD;
	else if (is(text, "new"))
		*from = SHR_WALK_NEW;
	else
		return usage("unknown place to begin at", text);
	return 0;
}

static int take_color(const char *text, struct style *style)
{
	const char *no = getenv("NO_COLOR"); /* no-color.org */

	if (is(text, "auto"))
		style->color = isatty(STDOUT_FILENO) && !(no && *no);
	else if (is(text, "always"))
		style->color = 1;
	else if (is(text, "never"))
		style->color = 0;
	else
		return usage("unknown time for colours", text);
	return 0;
}

/* -1: go on; else the exit status. */
static int take_options(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {{"output", required_argument, NULL, 'o'},
						{"last", required_argument, NULL, 'n'},
						{"count", required_argument, NULL, 'c'},
						{"from", required_argument, NULL, 'f'},
						{"bytes", required_argument, NULL, 'b'},
						{"fail-on-loss", no_argument, NULL, 'L'},
						{"color", required_argument, NULL, 'C'},
						{"help", no_argument, NULL, 'h'},
						{"version", no_argument, NULL, 'V'},
						{0}};
	uint64_t bytes = request->style.bytes;
	int option, result = 0;

	while (!result && (option = getopt_long(argc, argv, "o:n:c:f:b:hV", options, NULL)) >= 0) {
		switch (option) {
		case 'o':
			result = take_output(optarg, &request->style);
			break;
		case 'n':
			result = take_number(optarg, &request->last);
			break;
		case 'c':
			result = take_number(optarg, &request->count);
			break;
		case 'f':
			result = take_from(optarg, &request->from);
			break;
		case 'b':
			result = take_number(optarg, &bytes);
			break;
		case 'L':
			request->fail_on_loss = 1;
			break;
		case 'C':
			result = take_color(optarg, &request->style);
			break;
		case 'h':
			fputs(usage_text, stdout);
			return 0;
		case 'V':
			printf("shmring-dump %s\n", shr_version());
			return 0;
		default:
			fputs("shmring-dump: see shmring-dump --help\n", stderr);
			return EXIT_USAGE;
		}
	}
	request->style.bytes = bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX;
	return result ? result : -1;
}

static int run(const char *command, int argc, char **argv, struct request *request)
{
	static const char *const commands[] = {"list",  "info", "schema",  "locks",
					       "blame", "stat", "records", "follow"};
	const size_t count = sizeof(commands) / sizeof(commands[0]);
	struct shr_inspect *inspect = NULL;
	size_t which = 0;
	int err, result;

	while (which < count && !is(command, commands[which]))
		which++;
	if (which == count)
		return usage("unknown command", command);
	if (!which)
		return argc ? usage("list takes no argument", argv[0]) : command_list(&request->style);
	if (!argc)
		return usage("which segment", NULL);
	if (which < 6 && argc > 1)
		return usage("one segment at a time, not also", argv[1]);
	request->follow = is(command, "follow");
	if (request->follow && request->style.format == FORMAT_JSON)
		return usage("follow never ends its JSON: use -o jsonl", NULL);
	if (request->from < 0)
		request->from = request->follow && request->last == UINT64_MAX ? SHR_WALK_NEW
									       : SHR_WALK_OLDEST;
	request->objects = argv + 1;
	request->object_count = argc - 1;
	err = shr_inspect_open(&inspect, argv[0]);
	if (err)
		return failed(argv[0], err);
	result = which == 1   ? command_info(inspect, &request->style, argv[0])
		 : which == 2 ? command_schema(inspect, &request->style, argv[0])
		 : which == 3 ? command_locks(inspect, &request->style, argv[0])
		 : which == 4 ? command_blame(inspect, &request->style, argv[0])
		 : which == 5 ? command_stat(inspect, &request->style, argv[0])
			      : command_records(inspect, request, argv[0]);
	shr_inspect_close(inspect);
	return result;
}

int main(int argc, char **argv)
{
	struct request request = {
		.style = {.bytes = 256}, .from = -1, .last = UINT64_MAX, .count = UINT64_MAX};
	int result;

	take_color("auto", &request.style);
	result = take_options(argc, argv, &request);
	if (result < 0)
		result = optind < argc ? run(argv[optind], argc - optind - 1, argv + optind + 1, &request)
				       : run("list", 0, NULL, &request);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "shmring-dump: cannot write: %s\n", strerror(errno));
		result = result ? result : EXIT_FAILURE;
	}
	return result;
}
