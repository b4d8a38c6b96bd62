/*
 * otheruid: root opens the heap, then becomes another user (uid 1001, not dumpable any more) and allocates on the
 * descriptor it has. Opening the node itself is refused to that user: nodes are 0600.
 */
#include "check.h"

#include <grp.h>

int main(void)
{
	char path[PATH_MAX];
	int heap = open_system();
	pid_t pid;

	if (geteuid() != 0) {
		fprintf(stderr, "otheruid: must start as root\n");
		return 2;
	}
	CHECK((pid = fork()) >= 0);
	if (pid == 0) {
		context("uid 1001");
		CHECK(setgroups(0, NULL) == 0);
		CHECK(setresgid(1001, 1001, 1001) == 0);
		CHECK(setresuid(1001, 1001, 1001) == 0);
		snprintf(path, sizeof(path), "%s/system", heap_dir());
		CHECK_ERRNO(open(path, O_RDONLY | O_CLOEXEC), EACCES);
		CHECK_ERRNO(open(path, O_RDWR | O_CLOEXEC), EACCES);
		for (int i = 0; i < 20; i++) {
			int fd = alloc(heap, 30000);

			CHECK(fd >= 0);
			use_buffer(fd, 30000, (unsigned char)(i + 1));
			CHECK(ioctl(fd, DMA_BUF_SET_NAME_A, "of another user") == 0);
			CHECK(close(fd) == 0);
		}
		_exit(0);
	}
	wait_child(pid);
	printf("otheruid: ok\n");
	return 0;
}
