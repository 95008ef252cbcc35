/* SPDX-License-Identifier: MIT */
/*
 * shmring: make segments, send and receive records, mend and remove. This file has
 * what is common to the commands, each of which is in an operate-*.c.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "operate.h"
#include "progress.h"

const char tool_name[] = "shmring";

#define OPTIONS_MAX 16 /* rows of a command */
#define HELP_COLUMN 26

static const struct command *const commands[] = {&command_create, &command_send,    &command_recv,
						 &command_load,   &command_restore, &command_repair,
						 &command_gc,     &command_rm,      &command_bench};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

volatile sig_atomic_t operate_stopped;

static void stop(int signal)
{
	(void)signal;
	operate_stopped = 1;
}

void operate_catch_signals(void)
{
	struct sigaction action = {.sa_handler = stop};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* --- Messages ------------------------------------------------------------------ */

__attribute__((format(printf, 1, 0))) static void say(const char *format, va_list arguments,
						      const char *end)
{
	char text[4096];

	vsnprintf(text, sizeof(text), format, arguments);
	fflush(stdout);
	progress_clear();
	fputs("shmring: ", stderr);
	text_string(stderr, text);
	fputs(end, stderr);
}

void operate_say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(format, arguments, "\n");
	va_end(arguments);
}

int operate_usage(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(format, arguments, "; see shmring --help\n");
	va_end(arguments);
	return EXIT_USAGE;
}

int operate_status(int err)
{
	switch (-err) {
	case 0:
		return 0;
	case EINVAL:
	case ENAMETOOLONG:
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
	case EPROTOTYPE:
		return EXIT_MISMATCH;
	default:
		return EXIT_FAILURE;
	}
}

int operate_failed(const char *segment, int err)
{
	operate_say("%s: %s", segment, err == -ENOMEM ? "out of memory" : shr_last_error());
	return operate_status(err);
}

int operate_no_memory(void)
{
	operate_say("out of memory");
	return EXIT_FAILURE;
}

/* --- Options -------------------------------------------------------------------- */

static const struct option_row common_options[] = {
	{'h', "help", NULL, "this text"}, {'V', "version", NULL, "the version"}, {0}};

int operate_number(const char *text, int scale, uint64_t most, uint64_t *number)
{
	static const char letters[] = "kMG";
	unsigned long long value;
	char *end, *letter;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	letter = scale && *end ? strchr(letters, *end) : NULL;
	for (int i = letter ? (int)(letter - letters) + 1 : 0; i > 0; i--) {
		if (value > UINT64_MAX / 1024)
			return -EINVAL;
		value *= 1024;
	}
	if (errno || end[letter ? 1 : 0] || value > most)
		return -EINVAL;
	*number = value;
	return 0;
}

int operate_perms(const char *text, uint32_t *perms)
{
	char *end;
	unsigned long value = strtoul(text, &end, 8);

	if (*text < '0' || *text > '7' || *end || !value || value > 07777)
		return operate_usage("%s are no permissions: octal digits, as of chmod", text);
	*perms = (uint32_t)value;
	return 0;
}

static void help_rows(const struct option_row *row)
{
	for (; row && row->letter; row++) {
		int width;

		if (row->letter < LONG_ONLY)
			printf("  -%c, ", row->letter);
		else
			fputs("      ", stdout);
		width = printf("--%s%s%s", row->name, row->argument ? "=" : "",
			       row->argument ? row->argument : "");
		width = width < HELP_COLUMN - 6 ? HELP_COLUMN - 6 - width : 1;
		printf("%*s %s\n", width, "", row->help);
	}
}

static void help_of(const struct command *command)
{
	printf("Usage: shmring %s [OPTION]... %s\n%s\n\nOptions:\n", command->name,
	       command->arguments, command->summary);
	help_rows(command->options);
	help_rows(common_options);
	if (command->more_help)
		command->more_help();
}

static void help(void)
{
	puts("Usage: shmring COMMAND [OPTION]... SEGMENT ...\n"
	     "Make shared-memory segments of shmring, use them and mend them by hand.\n"
	     "\n"
	     "Commands:");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("  %-8s %s\n", commands[i]->name, commands[i]->summary);
	puts("\n"
	     "shmring COMMAND --help tells the rest. To look without changing anything:\n"
	     "shmring-dump.\n"
	     "\n"
	     "Exit status: 0 success, 1 other failure, 2 usage, 3 no such segment or object,\n"
	     "4 no permission, 5 not a segment or an unknown format, 6 damaged, 7 the records\n"
	     "are of another type.");
}

int operate_options(const struct command *command, int argc, char **argv, int least, int most,
		    void *request)
{
	struct option options[OPTIONS_MAX + 1] = {0};
	char letters[2 * OPTIONS_MAX + 1] = "";
	size_t count = 0, used = 0;
	int option, err;

	for (int common = 0; common < 2; common++) {
		const struct option_row *row = common ? common_options : command->options;

		for (; row && row->letter && count < OPTIONS_MAX; row++) {
			options[count++] = (struct option){
				row->name, row->argument ? required_argument : no_argument, NULL,
				row->letter};
			if (row->letter >= LONG_ONLY)
				continue;
			letters[used++] = (char)row->letter;
			if (row->argument)
				letters[used++] = ':';
		}
	}
	while ((option = getopt_long(argc, argv, letters, options, NULL)) >= 0) {
		switch (option) {
		case 'h':
			help_of(command);
			return 0;
		case 'V':
			printf("shmring %s\n", shr_version());
			return 0;
		case '?':
			fprintf(stderr, "shmring: see shmring %s --help\n", command->name);
			return EXIT_USAGE;
		default:
			err = command->take(request, option, optarg);
			if (err)
				return err;
		}
	}
	if (argc - optind < least || argc - optind > most)
		return operate_usage("%s: %s", command->name,
				     argc - optind < least ? "which segment"
							   : "too many arguments");
	return NO_COMMAND;
}

static int run(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "-h") || !strcmp(what, "--help")) {
		help();
		return 0;
	}
	if (!strcmp(what, "-V") || !strcmp(what, "--version")) {
		printf("shmring %s\n", shr_version());
		return 0;
	}
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(what, commands[i]->name))
			continue;
		argv[1] = argv[0]; /* whose name getopt_long() says */
		return commands[i]->run(commands[i], argc - 1, argv + 1);
	}
	return *what ? operate_usage("unknown command %s", what) : operate_usage("which command");
}

int main(int argc, char **argv)
{
	char name[] = "shmring";
	int result, broken;

	text_whole_lines();
	/* A reader that has gone away is no failure to tell of: EPIPE. */
	signal(SIGPIPE, SIG_IGN);
	if (argc)
		argv[0] = name;
	result = run(argc, argv);
	errno = 0;
	broken = fflush(stdout) || ferror(stdout);
	if (broken && errno && errno != EPIPE) {
		operate_say("cannot write: %s", strerror(errno));
		result = result ? result : EXIT_FAILURE;
	}
	return result;
}
