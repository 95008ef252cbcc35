/* SPDX-License-Identifier: MIT */
/*
 * A ring in a main loop of GLib: a GSource that watches the cursor's descriptor. What it
 * calls back gets its turn between all else that is in the loop.
 */
#include "loop.h"
#include <glib.h>

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
	(void)source;
	return callback(data);
}

/* No prepare and no check: what is watched is ready when its descriptor is. */
static GSourceFuncs functions = {.dispatch = dispatch};

struct program {
	struct loop loop;
	GMainLoop *main;
	int result;
};

static gboolean on_records(gpointer data)
{
	struct program *program = data;

	program->result = loop_take(&program->loop);
	if (program->result == 1)
		return G_SOURCE_CONTINUE;
	g_main_loop_quit(program->main);
	return G_SOURCE_REMOVE;
}

int main(int argc, char **argv)
{
	struct program program = {.result = -1};
	int fd = loop_open(&program.loop, argc, argv);
	GSource *source;

	if (fd < 0)
		return loop_close(&program.loop, -1);
	program.main = g_main_loop_new(NULL, FALSE);
	source = g_source_new(&functions, sizeof(*source));
	g_source_add_unix_fd(source, fd, G_IO_IN);
	g_source_set_callback(source, on_records, &program, NULL);
	g_source_attach(source, NULL);
	g_main_loop_run(program.main);
	g_source_destroy(source);
	g_source_unref(source);
	g_main_loop_unref(program.main);
	return loop_close(&program.loop, program.result);
}
