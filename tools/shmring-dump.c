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
#include <unistd.h>

#include "fields.h"
#include "image.h"
#include "options.h"
#include "progress.h"
#include "query.h"

const char tool_name[] = "shmring-dump";

int failed(const char *segment, int err)
{
	fflush(stdout);
	progress_clear();
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
	if (!json ||
	    json_write(json, stdout, style->format == FORMAT_JSON ? JSON_INDENT(2) : JSON_COMPACT)) {
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

int usage(const char *sentence, const char *argument)
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

static int run_list(int argc, char **argv, struct request *request)
{
	if (request->image)
		return usage("list is of all segments, not of an image: use info", NULL);
	return argc ? usage("list takes no argument", argv[0]) : command_list(request);
}

/*
 * What a command is about: the image of -r, or the segment that is its first argument,
 * which is taken away. 0, or the exit status after a message.
 */
static int open_segment(struct shr_inspect **inspect, int *argc, char ***argv,
			const struct request *request, const char **name)
{
	int err;

	*name = request->image;
	if (request->image)
		return image_open(inspect, request->image);
	if (!*argc)
		return usage("which segment", NULL);
	*name = **argv;
	++*argv;
	--*argc;
	err = shr_inspect_open(inspect, *name);
	return err ? failed(*name, err) : 0;
}

/* An option that follow has and records has not, if one is given. */
static const char *of_follow(const struct request *request)
{
	return request->cursor_file                ? "--cursor-file"
	       : request->once                     ? "--once"
	       : request->rate != UINT64_MAX       ? "--rate"
	       : request->silence_ns != UINT64_MAX ? "--timeout"
						   : NULL;
}

/* Of records. 0, or the exit status after a message. */
static int check_format(const struct request *request)
{
	if (request->group && request->style.format >= FORMAT_CSV)
		return usage("-g has text, json and jsonl only", NULL);
	if (request->style.format == FORMAT_RAW && isatty(STDOUT_FILENO))
		return usage("--raw does not write to a terminal", NULL);
	return 0;
}

static int run_records(int argc, char **argv, struct request *request)
{
	const char *name, *option = of_follow(request);
	int result =
		option ? usage("records does not have this option", option) : check_format(request);

	if (!result)
		result = open_segment(&request->opened, &argc, &argv, request, &name);
	if (result)
		return result;
	if (request->from < 0)
		request->from = SHR_WALK_OLDEST;
	request->objects = argv;
	request->object_count = argc;
	result = command_records(request, name);
	shr_inspect_close(request->opened);
	return result;
}

/* Of any number of segments, again and again. */
static int run_stat(int argc, char **argv, struct request *request)
{
	enum format format = request->style.format;
	char *image = (char *)(uintptr_t)request->image;
	int result;

	if (request->interval_ns && format != FORMAT_TEXT && format != FORMAT_JSONL)
		return usage("stat -i shows text or jsonl", NULL);
	if (!image)
		return command_stat(request, argc, argv);
	if (argc)
		return usage("one segment at a time, not also", argv[0]);
	result = image_open(&request->opened, image);
	if (!result)
		result = command_stat(request, 1, &image);
	shr_inspect_close(request->opened);
	return result;
}

static int run_top(int argc, char **argv, struct request *request)
{
	if (request->image)
		return usage("nothing happens any more in an image: use stat", NULL);
	if (request->style.format != FORMAT_TEXT)
		return usage("top has text only; stat has the same numbers", NULL);
	return command_top(request, argc, argv);
}

static int run_schema(int argc, char **argv, struct request *request)
{
	struct shr_inspect *inspect = NULL;
	const char *name;
	int result;

	if (argc > !request->image)
		return usage("one segment at a time, not also", argv[!request->image]);
	if (request->diff && request->as_c)
		return usage("--diff shows text or JSON", NULL);
	result = open_segment(&inspect, &argc, &argv, request, &name);
	if (!result)
		result = command_schema(inspect, request, name);
	shr_inspect_close(inspect);
	return result;
}

static int run_save(int argc, char **argv, struct request *request)
{
	struct shr_inspect *inspect = NULL;
	const char *name;
	int result;

	if (argc < 1 + !request->image)
		return usage("save which segment to which file", NULL);
	if (argc > 1 + !request->image)
		return usage("one file at a time, not also", argv[1 + !request->image]);
	result = open_segment(&inspect, &argc, &argv, request, &name);
	if (!result)
		result = command_save(inspect, name, argv[0]);
	shr_inspect_close(inspect);
	return result;
}

static int run_follow(int argc, char **argv, struct request *request)
{
	int result;

	request->follow = 1;
	if (request->image)
		return usage("nothing happens any more in an image: use records", NULL);
	if (request->style.format == FORMAT_JSON)
		return usage("follow never ends its JSON: use -o jsonl", NULL);
	if (!argc)
		return usage("which segment", NULL);
	result = check_format(request);
	if (result)
		return result;
	/* A descriptor leads to no other segment. */
	if (!strncmp(argv[0], "fd:", 3))
		request->once = 1;
	if (request->from < 0)
		request->from = request->last == UINT64_MAX && request->since.kind == LIMIT_NONE
					? SHR_WALK_NEW
					: SHR_WALK_OLDEST;
	request->objects = argv + 1;
	request->object_count = argc - 1;
	return command_records(request, argv[0]);
}

/*
 * The commands. @look has one segment, open; @run what comes after the command, and
 * opens itself what it wants.
 */
static const struct command {
	const char *name;
	const char *argument; /* NULL: has none */
	const char *help;     /* lines */
	int (*look)(const struct shr_inspect *inspect, const struct style *style,
		    const char *segment);
	int (*run)(int argc, char **argv, struct request *request);
} commands[] = {
	{"list", NULL, "all segments with a name, System V too (the default)", NULL, run_list},
	{"info", "SEGMENT", "its members, the dead among them, objects and counters", command_info,
	 NULL},
	{"schema", "SEGMENT", "the types of its records", NULL, run_schema},
	{"locks", "SEGMENT",
	 "mutexes, and locks of tables, that are held or whose\n"
	 "holder died, and by whom",
	 command_locks, NULL},
	{"stat", "[SEGMENT]...",
	 "counters, with units and what they mean; of all segments\n"
	 "if none is named",
	 NULL, run_stat},
	{"blame", "SEGMENT",
	 "who holds up a ring or a table: a slow consumer, a record\n"
	 "not committed, an update that does not end",
	 command_blame, NULL},
	{"top", "[SEGMENT]...", "the same live on a terminal: rates, lags, who died", NULL,
	 run_top},
	{"check", "SEGMENT",
	 "is anything damaged, or left by the dead for the next\n"
	 "one to mend; of a segment in use, too",
	 command_check, NULL},
	{"save", "SEGMENT FILE",
	 "an image of it, to look at later: with -r FILE in the\n"
	 "place of SEGMENT",
	 NULL, run_save},
	{"records", "SEGMENT", "the records that are in its rings and tables", NULL, run_records},
	{"follow", "SEGMENT", "new records as they are committed, and changes of slots", NULL,
	 run_follow},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void help(void)
{
	puts("Usage: shmring-dump [OPTION]... [COMMAND [SEGMENT [OBJECT]...]]\n"
	     "Show shared-memory segments of shmring, live, without disturbing anybody.\n"
	     "\n"
	     "Commands:");
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const char *argument = commands[i].argument ? commands[i].argument : "";
		const char *line = commands[i].help;
		int width = printf("  %s %s", commands[i].name, argument);

		for (; *line; width = 0) {
			int length = (int)strcspn(line, "\n");

			printf("%*s%.*s\n", 23 - width, "", length, line);
			line += length + (line[length] != 0);
		}
	}
	puts("\n"
	     "SEGMENT is a name such as /hostmon, file:PATH, sysv:KEY, or fd:N. OBJECT picks\n"
	     "rings and tables by name.\n"
	     "\n"
	     "Options:");
	options_help(stdout);
	puts("\n"
	     "Exit status: 0 success, 1 other failure, 2 usage, 3 no such segment or object,\n"
	     "4 no permission, 5 not a segment or an unknown format, 6 damaged,\n"
	     "7 types that do not go together, 8 loss.");
}

static int run_look(const struct command *command, int argc, char **argv, struct request *request)
{
	struct shr_inspect *inspect = NULL;
	const char *name;
	int result;

	if (argc > !request->image)
		return usage("one segment at a time, not also", argv[!request->image]);
	request->style.still = request->image != NULL;
	result = open_segment(&inspect, &argc, &argv, request, &name);
	if (!result) {
		progress_begin();
		shr_inspect_on_progress(inspect, progress_bytes, NULL);
		result = command->look(inspect, &request->style, name);
	}
	shr_inspect_close(inspect);
	return result;
}

/* 0, or the exit status after a message. */
static int check_command(const struct command *command, const struct request *request)
{
	enum format format = request->style.format;
	int metrics = format == FORMAT_OPENMETRICS || format == FORMAT_PROMETHEUS;

	if (metrics && command->run != run_stat)
		return usage("only stat has this format; not", command->name);
	if ((request->as || request->diff) && command->run != run_schema)
		return usage("only schema has --as and --diff; not", command->name);
	if (format == FORMAT_NAMES && command->run != run_list)
		return usage("only list has this format; not", command->name);
	if (format >= FORMAT_CSV && command->run != run_records && command->run != run_follow)
		return usage("only records and follow have this format; not", command->name);
	return 0;
}

/*
 * With -d: names of segments among @argv are those of files in that directory from here
 * on. What unplace() takes.
 */
static char **place(const struct command *command, const struct request *request, int argc,
		    char **argv)
{
	int many = command->run == run_stat || command->run == run_top, count = many ? argc : 1;
	char **placed = NULL;

	if (!request->directory || request->image || !command->argument || !argc)
		return NULL;
	placed = calloc((size_t)argc, sizeof(*placed));
	for (int i = 0; placed && i < count; i++) {
		placed[i] = name_in_directory(request, argv[i]);
		if (placed[i])
			argv[i] = placed[i];
	}
	return placed;
}

static void unplace(char **placed, int argc)
{
	for (int i = 0; placed && i < argc; i++)
		free(placed[i]);
	free(placed);
}

static int run(const char *name, int argc, char **argv, struct request *request)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command *command = &commands[i];
		char **placed;
		int result;

		if (strcmp(name, command->name))
			continue;
		result = check_command(command, request);
		if (result)
			return result;
		placed = place(command, request, argc, argv);
		result = command->run ? command->run(argc, argv, request)
				      : run_look(command, argc, argv, request);
		unplace(placed, argc);
		return result;
	}
	return usage("unknown command", name);
}

int main(int argc, char **argv)
{
	struct request request;
	int result;

	text_whole_lines();
	options_default(&request);
	result = options_take(argc, argv, &request);
	if (result == 'h') {
		help();
		result = 0;
	} else if (result == 'V') {
		printf("shmring-dump %s\n", shr_version());
		result = 0;
	} else if (!result && optind < argc) {
		result = run(argv[optind], argc - optind - 1, argv + optind + 1, &request);
	} else if (!result) {
		result = run("list", 0, NULL, &request);
	}
	query_free(request.query);
	fields_free(request.fields);
	fields_free(request.group);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "shmring-dump: cannot write: %s\n", strerror(errno));
		result = result ? result : EXIT_FAILURE;
	}
	return result;
}
