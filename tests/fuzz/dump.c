/* SPDX-License-Identifier: MIT */
/*
 * Damaged images before all commands of shmring-dump, in all formats, in this process:
 * the tool's own objects are linked.
 *
 *	fuzz-dump [--runs N] [--seed N] [--only COMMAND] [--save PREFIX]
 *	fuzz-dump [--only COMMAND] IMAGE...
 *
 * A run is one image and one command line. What an image is, its number and --seed say, and
 * nothing else. Each run has to end soon, by itself, with an exit status that a damaged
 * image may have, in little memory, and with no control character in what it says. The
 * images in tests/fuzz/corpus, in which something was found, come first; with IMAGE only
 * those. --save writes each image in which something is found to PREFIX-RUN.
 *
 * The work is done by a child, which tells in shared memory what it is just doing. So
 * whatever becomes of it, its parent knows the run, and goes on with the next.
 */
int shmring_dump_main(int argc, char **argv);
#define main shmring_dump_main
#include "../../tools/shmring-dump.c"
#undef main

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "mutate.h"

#define RUNS        100000
#define CPU_S       5             /* of a run */
#define WALL_S      120           /* the same, on a machine that has much else to do */
#define MEMORY      (256ul << 20) /* more than at the start */
#define FILE_MOST   (16u << 20)   /* that save writes */
#define OUTPUT_MOST (64u << 20)   /* of a run */
#define FAILURES    10            /* are enough */
#define LINES_MAX   128
#define WORDS_MAX   8

/* A command line: what stands before the command, and behind. */
struct line {
	const char *command;
	const char *options[WORDS_MAX];
	int live;  /* the image is a segment, not -r */
	int usage; /* it may ask for what is not in the image */
};

/* Beyond each command in each format. */
static const struct line more_lines[] = {
	{"records", {"-f", "unread", "-o", "jsonl"}, 0, 0},
	{"records", {"-n", "3", "-b", "4"}, 0, 0},
	{"records", {"--fail-on-loss", "--raw"}, 0, 0},
	{"records", {"--since=3", "--until=9"}, 0, 1},
	{"records", {"--since=2000-01-01T00:00:00", "--color=always", "--time=utc"}, 0, 1},
	{"records", {"-q", "u64 > 3 or text ~ \"a\""}, 0, 1},
	{"records", {"-F", "@type,f64[1],key,text"}, 0, 1},
	{"records", {"-g", "@type", "-k", "2"}, 0, 1},
	{"records", {"-g", "text", "-o", "json"}, 0, 1},
	{"stat", {"-l"}, 0, 0},
	{"stat", {"-l", "-o", "jsonl"}, 1, 0},
	{"info", {"--color=always"}, 1, 0},
};

static struct line lines[LINES_MAX];
static int line_count;

/* What parent and child know of each other. */
static struct {
	uint64_t run; /* that is to be done, or is just done */
	int which;    /* of the lines */
	int busy;     /* inside a command */
	int done;     /* all runs */
	char problem[200];
	uint64_t ended[EXIT_LOSS + 1]; /* runs, by exit status */
	size_t size;
	unsigned char image[IMAGE_MAX];
} * shared;

static const char *only, *save_prefix, *image_name;
static uint64_t runs = RUNS, first_seed = 1;
static char segment[64], path[80], saved[96];
static int failures;

/* --- What may be asked of an image ------------------------------------------- */

static void add_line(struct line line)
{
	if (line_count < LINES_MAX && (!only || !strcmp(only, line.command)))
		lines[line_count++] = line;
}

static void add_lines(const struct command *command)
{
	static const char *const formats[] = {"text", "json",        "jsonl",      "csv",
					      "hex",  "openmetrics", "prometheus", "raw"};

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		const int metrics = !strcmp(formats[i], "openmetrics") ||
				    !strcmp(formats[i], "prometheus"),
			  rows = command->run == run_records || command->run == run_follow;
		struct line line = {.command = command->name, .options = {"-o", formats[i]}};

		if ((metrics && command->run != run_stat) || (!metrics && i > 2 && !rows) ||
		    (command->run == run_top && i > 0) ||
		    (command->run == run_follow && !strcmp(formats[i], "json")))
			continue;
		if (!strcmp(formats[i], "raw")) {
			line.options[0] = "--raw";
			line.options[1] = NULL;
		}
		if (command->run == run_follow) { /* once over what is there */
			int n = line.options[1] ? 2 : 1;

			line.options[n++] = "--once";
			line.options[n++] = "--from=oldest";
			line.options[n++] = "--timeout=0";
		}
		if (command->run == run_top)
			line.options[2] = "--once";
		line.live = command->run == run_top || command->run == run_follow ||
			    command->run == run_list;
		add_line(line);
		if (!line.live) {
			line.live = 1;
			add_line(line);
		}
	}
}

static void make_lines(void)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		add_lines(&commands[i]);
	for (size_t i = 0; i < sizeof(more_lines) / sizeof(more_lines[0]); i++)
		add_line(more_lines[i]);
}

/* The words of a command line; how many. */
static int words_of(const struct line *line, const char *words[2 * WORDS_MAX])
{
	int count = 0;

	words[count++] = "shmring-dump";
	for (int i = 0; i < WORDS_MAX && line->options[i]; i++)
		words[count++] = line->options[i];
	if (!line->live) {
		words[count++] = "-r";
		words[count++] = path;
	}
	words[count++] = line->command;
	if (line->live && strcmp(line->command, "list"))
		words[count++] = segment;
	if (!strcmp(line->command, "save"))
		words[count++] = saved;
	words[count] = NULL;
	return count;
}

/* --- The child --------------------------------------------------------------- */

static struct {
	uint64_t bytes;
	int colours; /* are asked for */
	int raw;
	int escape;  /* where in a sequence: 0 outside */
	int before;  /* the byte before */
	int control; /* the first control character, or -1 */
} output;

/* Is @byte, of a sequence that sets a colour, the next one of it? */
static int in_colour(int byte)
{
	if (!output.escape && byte == 033)
		output.escape = 1;
	else if (output.escape == 1 && byte == '[')
		output.escape = 2;
	else if (output.escape == 2 && byte >= '0' && byte <= '9')
		return 1;
	else if (output.escape == 2 && byte == 'm')
		output.escape = 0;
	else
		return 0;
	return 1;
}

/* What the tool writes. C1 controls are U+0080 to U+009F: 0xc2 and a byte below 0xa0. */
static ssize_t take_output(void *cookie, const char *bytes, size_t size)
{
	(void)cookie;
	output.bytes += size;
	for (size_t i = 0; i < size && output.control < 0 && !output.raw; i++) {
		int byte = (unsigned char)bytes[i];

		if (output.colours && in_colour(byte))
			continue;
		if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f ||
		    (output.before == 0xc2 && byte >= 0x80 && byte < 0xa0))
			output.control = byte;
		output.before = byte;
	}
	return (ssize_t)size;
}

static int is_expected(const struct line *line, int status)
{
	switch (status) {
	case 0:
	case EXIT_FOREIGN:
	case EXIT_DAMAGED:
		return 1;
	case EXIT_LOSS:
		return !strcmp(line->options[0], "--fail-on-loss");
	case EXIT_USAGE:
		return line->usage;
	default:
		return 0;
	}
}

static void begin_output(const struct line *line)
{
	memset(&output, 0, sizeof(output));
	output.control = -1;
	for (int i = 0; i < WORDS_MAX && line->options[i]; i++) {
		output.colours |= !strcmp(line->options[i], "--color=always");
		output.raw |= !strcmp(line->options[i], "--raw");
	}
	clearerr(stdout);
}

__attribute__((format(printf, 1, 2))) static void found(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(shared->problem, sizeof(shared->problem), format, arguments);
	va_end(arguments);
	unlink(saved);
	_exit(1);
}

static void set_timers(int cpu, unsigned wall)
{
	struct itimerval timer = {.it_value.tv_sec = cpu};

	setitimer(ITIMER_PROF, &timer, NULL);
	alarm(wall);
}

static void run_line(int which)
{
	const struct line *line = &lines[which];
	const char *words[2 * WORDS_MAX];
	char *argv[2 * WORDS_MAX];
	int status, count = words_of(line, words);

	memcpy(argv, words, sizeof(argv));
	shared->which = which;
	begin_output(line);
	set_timers(CPU_S, WALL_S);
	optind = 0; /* getopt(3): begin anew */
	shared->busy = 1;
	status = shmring_dump_main(count, argv);
	fflush(stdout);
	fflush(stderr);
	shared->busy = 0;
	set_timers(0, 0);
	unlink(saved);
	if (!is_expected(line, status))
		found("exit status %d", status);
	shared->ended[status]++;
	if (output.control >= 0)
		found("a control character is written: 0x%02x", output.control);
	if (output.bytes > OUTPUT_MOST)
		found("%" PRIu64 " bytes are written", output.bytes);
}

/* The image in @shared, as a file. */
static void put_image(int fd)
{
	if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)shared->size) < 0 ||
	    pwrite(fd, shared->image, shared->size, 0) != (ssize_t)shared->size)
		found("cannot write the image: %s", strerror(errno));
}

static int has_sanitizer(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return 1;
#else
	return 0;
#endif
}

/* Bytes of address space in use: the first number of /proc/self/statm, in pages. */
static unsigned long address_space(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (file && fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * (unsigned long)sysconf(_SC_PAGESIZE);
}

static void limit(int resource, rlim_t most)
{
	struct rlimit limit = {most, most};

	setrlimit(resource, &limit);
}

static void child_begin(void)
{
	FILE *null = fopencookie(NULL, "w", (cookie_io_functions_t){.write = take_output});
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (!null || fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
		found("cannot begin");
	close(fd);
	stdout = stderr = null;
	signal(SIGXFSZ, SIG_IGN);
	limit(RLIMIT_FSIZE, FILE_MOST);
	limit(RLIMIT_CORE, 0);
	if (!has_sanitizer())
		limit(RLIMIT_AS, address_space() + MEMORY);
}

static int child_fd(void)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		found("cannot make %s: %s", path, strerror(errno));
	return fd;
}

/* All lines with the image that is there. */
static void child_image(void)
{
	int fd = child_fd();

	child_begin();
	put_image(fd);
	for (; shared->run < (uint64_t)line_count; shared->run++)
		run_line((int)shared->run);
	close(fd);
}

static void child_runs(const struct seed *seeds, size_t count)
{
	int fd = child_fd();

	child_begin();
	for (; shared->run < runs; shared->run++) {
		struct dice dice = {first_seed * 0x9e3779b97f4a7c15u + shared->run};

		dice_roll(&dice);
		shared->size = mutate(shared->image, seeds, count, &dice);
		put_image(fd);
		run_line((int)(shared->run % (uint64_t)line_count));
	}
	close(fd);
}

/* --- The parent -------------------------------------------------------------- */

static void save_image(void)
{
	char name[400];
	int fd;

	if (!save_prefix)
		return;
	snprintf(name, sizeof(name), "%s-%" PRIu64, save_prefix, shared->run);
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, shared->image, shared->size) != (ssize_t)shared->size)
		printf("# cannot write %s: %s\n", name, strerror(errno));
	else
		printf("# saved as %s\n", name);
	if (fd >= 0)
		close(fd);
}

static void tell(int status)
{
	const char *words[2 * WORDS_MAX];
	int count = words_of(&lines[shared->which], words);

	if (!shared->problem[0] && WIFSIGNALED(status))
		snprintf(shared->problem, sizeof(shared->problem), "signal %d%s%s",
			 WTERMSIG(status),
			 WTERMSIG(status) == SIGPROF || WTERMSIG(status) == SIGALRM ? ": it hangs"
										    : "",
			 shared->busy ? "" : ", not in shmring-dump");
	else if (!shared->problem[0])
		snprintf(shared->problem, sizeof(shared->problem), "it calls exit(%d)",
			 WEXITSTATUS(status));
	if (image_name)
		printf("# %s: %s:", image_name, shared->problem);
	else
		printf("# --seed=%" PRIu64 ", run %" PRIu64 ": %s:", first_seed, shared->run,
		       shared->problem);
	for (int i = 0; i < count; i++)
		printf(" %s", words[i]);
	putchar('\n');
	if (!image_name)
		save_image();
	failures++;
}

/* Children, one after another, until all is done. */
static void run_children(const struct seed *seeds, size_t count)
{
	shared->run = 0;
	shared->done = 0;
	while (!shared->done && failures < FAILURES) {
		int status;
		pid_t pid;

		fflush(stdout);
		shared->problem[0] = '\0';
		shared->busy = 0;
		pid = fork();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL); /* not without its parent */
			if (image_name)
				child_image();
			else
				child_runs(seeds, count);
			shared->done = 1;
			exit(0); /* where a sanitizer tells what was not freed */
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid) {
			printf("Bail out! cannot fork: %s\n", strerror(errno));
			break;
		}
		if (!shared->done || status)
			tell(status);
		shared->run++;
	}
	unlink(path);
	unlink(saved);
}

static void run_image(const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, shared->image, IMAGE_MAX);

	if (fd >= 0)
		close(fd);
	if (size < 0) {
		printf("# %s: %s\n", name, strerror(errno));
		failures++;
		return;
	}
	shared->size = (size_t)size;
	image_name = name;
	run_children(NULL, 0);
	image_name = NULL;
}

/* Those that once found something; their number. */
static int run_corpus(void)
{
	const char *top = getenv("top_srcdir");
	struct dirent **entries = NULL;
	char name[400];
	int count, some = 0;

	snprintf(name, sizeof(name), "%s/tests/fuzz/corpus", top ? top : ".");
	count = scandir(name, &entries, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s/tests/fuzz/corpus/%s", top ? top : ".",
			 entries[i]->d_name);
		if (strstr(entries[i]->d_name, ".img")) {
			run_image(name);
			some++;
		}
		free(entries[i]);
	}
	free(entries);
	return some;
}

static void result(int number, const char *what, uint64_t count)
{
	printf("%sok %d - %s: %" PRIu64 "\n", failures ? "not " : "", number, what, count);
	fflush(stdout);
}

static int take_options(int argc, char **argv)
{
	static const struct option options[] = {{"runs", required_argument, NULL, 'n'},
						{"seed", required_argument, NULL, 's'},
						{"only", required_argument, NULL, 'o'},
						{"save", required_argument, NULL, 'w'},
						{0}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 'n')
			runs = strtoull(optarg, NULL, 10);
		else if (option == 's')
			first_seed = strtoull(optarg, NULL, 10);
		else if (option == 'o')
			only = optarg;
		else if (option == 'w')
			save_prefix = optarg;
		else
			return -1;
	}
	return optind;
}

int main(int argc, char **argv)
{
	struct seed seeds[SEEDS_MAX] = {{0}};
	int images = take_options(argc, argv), before;
	size_t count;

	if (images < 0)
		return EXIT_USAGE;
	make_lines();
	if (!line_count)
		return usage("unknown command", only);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return EXIT_FAILURE;
	setenv("TZ", "UTC", 1);
	snprintf(segment, sizeof(segment), "/shmring-fuzz-dump-%d", (int)getpid());
	snprintf(path, sizeof(path), "/dev/shm%s", segment);
	snprintf(saved, sizeof(saved), "%s-saved", path);
	puts(images < argc ? "1..1" : "1..3");
	if (images < argc) {
		for (int i = images; i < argc; i++)
			run_image(argv[i]);
		result(1, "images", (uint64_t)(argc - images));
		return failures ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	result(1, "images in which something was found before", (uint64_t)run_corpus());
	count = seeds_make(seeds);
	before = failures;
	failures = 0;
	/* As they are. */
	for (size_t i = 0; i < count; i++) {
		memcpy(shared->image, seeds[i].image, seeds[i].size);
		shared->size = seeds[i].size;
		image_name = seeds[i].what;
		run_children(NULL, 0);
	}
	image_name = NULL;
	result(2, "images that nobody has changed", count);
	before += failures;
	failures = 0;
	memset(shared->ended, 0, sizeof(shared->ended));
	run_children(seeds, count);
	/* Most that end with 0 were looked at as a whole; with 5 or 6 not always. */
	for (int i = 0; i <= EXIT_LOSS; i++)
		if (shared->ended[i])
			printf("# exit status %d: %" PRIu64 "\n", i, shared->ended[i]);
	result(3, "changed images", runs);
	for (size_t i = 0; i < count; i++)
		free(seeds[i].image);
	return before + failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
