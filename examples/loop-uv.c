/* SPDX-License-Identifier: MIT */
/* A ring in a loop of libuv: a uv_poll_t on the cursor's descriptor. */
#include "loop.h"
#include <stdio.h>
#include <uv.h>

struct program {
	struct loop loop;
	int result;
};

static void on_records(uv_poll_t *poll, int status, int events)
{
	struct program *program = poll->data;

	(void)events;
	program->result = status < 0 ? -1 : loop_take(&program->loop);
	if (program->result != 1)
		uv_close((uv_handle_t *)poll, NULL); /* the last one: uv_run() ends */
}

int main(int argc, char **argv)
{
	struct program program = {.result = -1};
	uv_poll_t poll = {.data = &program};
	int fd = loop_open(&program.loop, argc, argv), err = 0;

	if (fd >= 0) {
		err = uv_poll_init(uv_default_loop(), &poll, fd);
		if (!err)
			err = uv_poll_start(&poll, UV_READABLE, on_records);
		if (!err)
			err = uv_run(uv_default_loop(), UV_RUN_DEFAULT);
		if (err)
			fprintf(stderr, "loop-uv: %s\n", uv_strerror(err));
		uv_loop_close(uv_default_loop());
	}
	return loop_close(&program.loop, err ? -1 : program.result);
}
