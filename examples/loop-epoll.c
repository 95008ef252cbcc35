/* SPDX-License-Identifier: MIT */
/* A ring in a loop of epoll(7). epoll-serve.c has more in its loop: clients, signals. */
#include "loop.h"
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct loop loop;
	int epoll = epoll_create1(EPOLL_CLOEXEC), fd = loop_open(&loop, argc, argv);
	int result = fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) ? -1 : 1;

	while (result == 1)
		if (epoll_wait(epoll, &event, 1, -1) == 1)
			result = loop_take(&loop);
		else if (errno != EINTR)
			result = -1;
	close(epoll);
	return loop_close(&loop, result);
}
