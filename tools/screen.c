/* SPDX-License-Identifier: MIT */
/*
 * shmring-dump top: the terminal. Signals are only taken note of; what they ask for is
 * done in screen_wait(), where alone they are looked at without a gap.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "look.h"
#include "screen.h"

#define ENTER "\033[?1049h\033[?25l\033[?7l\033[2J" /* other screen, no cursor, no wrap */
#define LEAVE "\033[0m\033[?7h\033[?25h\033[?1049l"

static struct {
	struct termios saved;
	sigset_t ours, outside;
	int taken; /* the terminal is as we want it */
	int color;
	char keys[64]; /* read and not used yet */
	size_t key, key_count;
	int escape; /* inside an escape sequence: its bytes so far */
	int parameter;
} screen;

static volatile sig_atomic_t ended, resized, stopped, continued;

static void on_signal(int signal)
{
	switch (signal) {
	case SIGWINCH:
		resized = 1;
		break;
	case SIGTSTP:
		stopped = 1;
		break;
	case SIGCONT:
		continued = 1;
		break;
	default:
		ended = 1;
	}
}

/* Until all is out, or a signal asks for something else. */
static void put(const char *text, size_t size)
{
	while (size && !ended) {
		ssize_t n = write(STDOUT_FILENO, text, size);

		if (n < 0 && errno == EINTR && !stopped)
			continue;
		if (n < 0 && errno != EINTR)
			ended = 1;
		if (n < 0)
			return;
		text += n;
		size -= (size_t)n;
	}
}

static void take(void)
{
	struct termios raw = screen.saved;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	while (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) && errno == EINTR)
		continue;
	screen.taken = 1;
	put(ENTER, strlen(ENTER));
}

static void give_back(void)
{
	pid_t foreground = tcgetpgrp(STDIN_FILENO);
	ssize_t n;

	if (!screen.taken)
		return;
	screen.taken = 0;
	do
		n = write(STDOUT_FILENO, LEAVE, strlen(LEAVE));
	while (n < 0 && errno == EINTR);
	if (foreground >= 0 && foreground != getpgrp())
		return; /* its modes are another's by now */
	while (tcsetattr(STDIN_FILENO, TCSADRAIN, &screen.saved) && errno == EINTR)
		continue;
}

int screen_open(int color)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};
	struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: see put() */

	if (tcgetattr(STDIN_FILENO, &screen.saved))
		return -errno;
	screen.color = color;
	sigprocmask(SIG_SETMASK, NULL, &screen.outside);
	sigemptyset(&screen.ours);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaddset(&screen.ours, signals[i]);
		sigaction(signals[i], &action, NULL);
	}
	atexit(screen_close);
	take();
	return 0;
}

void screen_close(void)
{
	give_back();
}

void screen_size(int *columns, int *rows)
{
	struct winsize size = {0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col || !size.ws_row)
		size = (struct winsize){.ws_col = 80, .ws_row = 24};
	*columns = size.ws_col;
	*rows = size.ws_row;
}

/* Stop as everybody does, with the terminal as it was. */
static void stop(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigset_t only;

	give_back();
	sigaction(SIGTSTP, &action, NULL);
	sigemptyset(&only);
	sigaddset(&only, SIGTSTP);
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &only, NULL); /* here we stand still */
	sigprocmask(SIG_BLOCK, &only, NULL);
	action.sa_handler = on_signal;
	sigaction(SIGTSTP, &action, NULL);
	stopped = 0;
	continued = 1;
}

/* --- Keys ------------------------------------------------------------------------ */

/* The key that byte @c ends, or -1. */
static int key_of(char c)
{
	int first = screen.escape == 1;

	if (c == '\033') {
		screen.escape = 1;
		screen.parameter = 0;
		return -1;
	}
	if (!screen.escape)
		return (unsigned char)c >= ' ' ? (unsigned char)c : -1;
	screen.escape = 2;
	if (first && (c == '[' || c == 'O'))
		return -1;
	if (c >= '0' && c <= '9') {
		screen.parameter = c - '0'; /* of those that count there is one */
		return -1;
	}
	if (c == ';')
		return -1;
	screen.escape = 0;
	return c == 'A'                            ? SCREEN_UP
	       : c == 'B'                          ? SCREEN_DOWN
	       : c == '~' && screen.parameter == 5 ? SCREEN_PAGE_UP
	       : c == '~' && screen.parameter == 6 ? SCREEN_PAGE_DOWN
						   : -1;
}

/* The next of those that were read, or -1. */
static int next_key(void)
{
	int key = -1;

	while (key < 0 && screen.key < screen.key_count)
		key = key_of(screen.keys[screen.key++]);
	return key;
}

/* With our signals blocked: what has one asked for? -1: nothing. */
static int asked(void)
{
	if (ended)
		return SCREEN_END;
	if (stopped)
		stop();
	if (continued) {
		continued = 0;
		take();
		resized = 1;
	}
	if (resized) {
		resized = 0;
		return SCREEN_RESIZE;
	}
	return -1;
}

static int wait_blocked(uint64_t time_ns)
{
	struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};

	for (;;) {
		int key = asked();
		uint64_t now = look_time_ns(), left = now < time_ns ? time_ns - now : 0;
		struct timespec timeout = {(time_t)(left / 1000000000u),
					   (long)(left % 1000000000u)};
		ssize_t n;

		if (key < 0)
			key = next_key();
		if (key >= 0)
			return key;
		if (!left)
			return SCREEN_TIME;
		if (timeout.tv_sec > 3600) /* whatever time_t is */
			timeout.tv_sec = 3600;
		if (ppoll(&fd, 1, &timeout, &screen.outside) <= 0)
			continue;
		n = read(STDIN_FILENO, screen.keys, sizeof(screen.keys));
		if (n <= 0 && !(n < 0 && errno == EINTR))
			return SCREEN_END; /* hung up */
		screen.key = 0;
		screen.key_count = n > 0 ? (size_t)n : 0;
	}
}

int screen_wait(uint64_t time_ns)
{
	int key;

	sigprocmask(SIG_BLOCK, &screen.ours, NULL);
	key = wait_blocked(time_ns);
	sigprocmask(SIG_SETMASK, &screen.outside, NULL);
	return key;
}

/* --- Text ------------------------------------------------------------------------ */

/* The character at @at: its bytes, and columns: two for all that may have two. */
static size_t character(const char *at, int *columns)
{
	unsigned char c = (unsigned char)at[0];
	size_t n = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	*columns = c < 0xe1 ? 1 : 2; /* wide ones begin at U+1100 */
	for (size_t i = 1; i < n; i++)
		if (!at[i])
			return i;
	return n;
}

size_t text_fits(const char *text, int columns, int *taken)
{
	size_t size = 0;

	*taken = 0;
	while (text[size]) {
		int width;
		size_t n = character(text + size, &width);

		if (width > columns - *taken)
			break;
		*taken += width;
		size += n;
	}
	return size;
}

void screen_show(const struct line *lines, int count)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int columns, rows, taken;

	if (!out)
		return;
	screen_size(&columns, &rows);
	for (int i = 0; i < count && i < rows; i++) {
		const struct line *line = &lines[i];

		/* Emptied first: at the right edge the last character would go, too. */
		fprintf(out, "\033[%d;1H\033[K", i + 1);
		if (screen.color && (line->bad || line->bold))
			fputs(line->bad ? "\033[31m" : "\033[1m", out);
		fwrite(line->text, 1, text_fits(line->text, columns, &taken), out);
		fputs("\033[0m", out);
	}
	if (count < rows)
		fprintf(out, "\033[%d;1H\033[J", count + 1);
	fclose(out);
	if (text)
		put(text, size);
	free(text);
}
