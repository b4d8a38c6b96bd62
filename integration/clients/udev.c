// udev SUBSYSTEM...: what libudev tells of the devices of a subsystem, a line each: name, path in sysfs, node, number, and an attribute; then,
// for each path, whether the device is found again by it.
#include <libudev.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

static const char *or_none(const char *s)
{
	return s ? s : "none";
}

static int list(struct udev *udev, const char *subsystem)
{
	struct udev_enumerate *e = udev_enumerate_new(udev);
	struct udev_list_entry *entry;
	int bad = 0;

	if (!e || udev_enumerate_add_match_subsystem(e, subsystem) < 0 || udev_enumerate_scan_devices(e) < 0)
		return 1;
	udev_list_entry_foreach(entry, udev_enumerate_get_list_entry(e)) {
		const char *path = udev_list_entry_get_name(entry);
		struct udev_device *d = udev_device_new_from_syspath(udev, path);
		struct udev_device *again;

		if (!d) {
			printf("%s: no device\n", path);
			bad = 1;
			continue;
		}
		again = udev_device_new_from_subsystem_sysname(udev, subsystem, udev_device_get_sysname(d));
		printf("%s %s %s %u:%u %s %s\n", udev_device_get_sysname(d), path, or_none(udev_device_get_devnode(d)),
		       major(udev_device_get_devnum(d)), minor(udev_device_get_devnum(d)),
		       or_none(udev_device_get_sysattr_value(d, "power/control")),
		       again && !strcmp(udev_device_get_syspath(again), path) ? "found" : "lost");
		if (again)
			udev_device_unref(again);
		udev_device_unref(d);
	}
	udev_enumerate_unref(e);
	return bad;
}

int main(int argc, char **argv)
{
	struct udev *udev = udev_new();
	int i, bad = !udev;

	for (i = 1; i < argc && !bad; i++)
		bad = list(udev, argv[i]);
	if (udev)
		udev_unref(udev);
	return bad;
}
