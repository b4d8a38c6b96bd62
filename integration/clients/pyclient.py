#!/usr/bin/env python3
"""A client of DMA-BUF heaps in Python: fcntl and mmap of the standard library, nothing else.

It knows a directory of heap nodes (HEAP_DIR, else /dev/dma_heap); it exits 0 when all checks hold, 1 after a line that
says which does not, 2 without a heap.
"""

import errno
import fcntl
import mmap
import os
import struct
import sys
import threading

ALLOC = 0xC0184800
ALLOC_WITHOUT_HEAP_FLAGS = 0xC0104800
SYNC = 0x40086200
SET_NAME_A = 0x40046201
EXPORT_SYNC_FILE = 0xC0086202
SYNC_READ, SYNC_WRITE, SYNC_RW, SYNC_START, SYNC_END = 1, 2, 3, 0, 4

HEAP_DIR = os.environ.get("HEAP_DIR") or "/dev/dma_heap"


def fail(line, what):
    """One line and status 1, from a thread or a forked child too."""
    sys.stderr.write(f"{os.path.basename(__file__)}:{line}: {what}\n")
    sys.stderr.flush()
    os._exit(1)


def check(holds, what):
    if not holds:
        fail(sys._getframe(1).f_lineno, what)


def unexpected(kind, error, traceback, *_):
    """An error that no check was made for fails like a check, at the line that met it."""
    while traceback.tb_next:
        traceback = traceback.tb_next
    fail(traceback.tb_lineno, f"{kind.__name__}: {error}")


def alloc(heap, length, fd=0, fd_flags=os.O_RDWR | os.O_CLOEXEC, heap_flags=0):
    argument = bytearray(struct.pack("=QIIQ", length, fd, fd_flags, heap_flags))
    fcntl.ioctl(heap, ALLOC, argument, True)
    return struct.unpack("=QIIQ", argument)[1]


def refused(call, want, what):
    try:
        call()
    except OSError as error:
        check(error.errno == want, f"{what}: {error}, want {errno.errorcode[want]}")
    else:
        check(False, f"{what}: succeeds, want {errno.errorcode[want]}")


def sync(fd, flags):
    fcntl.ioctl(fd, SYNC, struct.pack("=Q", flags))


def use_buffer(heap, length, pattern):
    size = -(-length // mmap.PAGESIZE) * mmap.PAGESIZE
    fd = alloc(heap, length)
    check(os.fstat(fd).st_size == size, f"size {os.fstat(fd).st_size}, want {size}")
    check(os.lseek(fd, 0, os.SEEK_END) == size, "SEEK_END is not the size")
    check(not os.get_inheritable(fd), "no CLOEXEC")
    with mmap.mmap(fd, size, mmap.MAP_SHARED) as memory:
        sync(fd, SYNC_START | SYNC_RW)
        check(memory[:] == bytes(size), "a new buffer is not zero")
        memory[:] = bytes([pattern]) * size
        sync(fd, SYNC_END | SYNC_RW)
        with mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ) as second:
            check(second[:] == bytes([pattern]) * size, "two mappings differ")
    fcntl.ioctl(fd, SET_NAME_A, b"python client\0")
    refused(lambda: fcntl.ioctl(fd, SET_NAME_A, b"n" * 32 + b"\0"), errno.EINVAL, "a name of 32 bytes")
    sync_file = struct.unpack("=Ii", fcntl.ioctl(fd, EXPORT_SYNC_FILE, struct.pack("=Ii", SYNC_RW, -1)))[1]
    check(sync_file >= 0 and sync_file != fd, f"sync file {sync_file}")
    os.close(sync_file)
    os.close(fd)


def check_heap(name):
    path = os.path.join(HEAP_DIR, name)
    for flags in (os.O_RDWR, os.O_RDONLY):
        heap = os.open(path, flags | os.O_CLOEXEC)
        for length in (1, 4097, 1 << 20):
            use_buffer(heap, length, 0x5A)
        refused(lambda: alloc(heap, 0), errno.EINVAL, "len 0")
        refused(lambda: alloc(heap, 2**64 - 1), errno.EINVAL, "a len that wraps")
        refused(lambda: alloc(heap, 1, fd=1), errno.EINVAL, "fd 1")
        refused(lambda: alloc(heap, 1, fd_flags=os.O_NONBLOCK), errno.EINVAL, "fd_flags O_NONBLOCK")
        refused(lambda: alloc(heap, 1, heap_flags=1), errno.EINVAL, "heap_flags 1")
        refused(lambda: fcntl.ioctl(heap, ALLOC, 0), errno.EFAULT, "a null argument")
        refused(lambda: os.read(heap, 1), errno.EINVAL, "read of a heap")

        short = fcntl.ioctl(heap, ALLOC_WITHOUT_HEAP_FLAGS, struct.pack("=QII", 5000, 0, os.O_RDONLY))
        fd = struct.unpack("=QII", short)[1]
        check(os.get_inheritable(fd), "CLOEXEC that nobody asked for")
        refused(lambda: mmap.mmap(fd, 8192, mmap.MAP_SHARED), errno.EACCES, "writable mapping of a read-only buffer")
        refused(lambda: sync(fd, SYNC_START), errno.EINVAL, "SYNC without READ and WRITE")
        os.close(fd)
        os.close(heap)


def check_threads(heap):
    def work(number):
        for i in range(5):
            use_buffer(heap, 1 + number * 3000 + i * 500, number + 1)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def check_fork(heap):
    pid = os.fork()
    if pid == 0:
        use_buffer(heap, 10000, 0x33)
        os._exit(0)
    check(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "the child failed")


def main():
    sys.excepthook = unexpected
    threading.excepthook = lambda args: unexpected(*args)
    try:
        heap = os.open(os.path.join(HEAP_DIR, "system"), os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        print(f"open {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    names = sorted(os.listdir(HEAP_DIR))
    for name in names:
        check_heap(name)
    check_threads(heap)
    check_fork(heap)
    os.close(heap)
    print(f"pyclient: {len(names)} heaps: ok")
    return 0


sys.exit(main())
