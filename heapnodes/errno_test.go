package heapnodes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices"
)

func TestErrnoOfEveryOutcome(t *testing.T) {
	rows := []struct {
		err  error
		want syscall.Errno
	}{
		{errors.New("never heard of"), syscall.EIO},
		{io.EOF, syscall.EIO},
		{syscall.ENOSYS, syscall.EIO}, // a caller would take it for an old kernel
		{syscall.EPERM, syscall.EIO},
		{nil, 0},
		{syscall.EINVAL, syscall.EINVAL},
		{ErrInvalid, syscall.EINVAL},
		{ErrFault, syscall.EFAULT},
		{ErrNotTTY, syscall.ENOTTY},
		{ErrBadFD, syscall.EBADF},
		{ErrNoEntry, syscall.ENOENT},
		{ErrNoSet, syscall.ENOENT},
		{ErrInterrupted, syscall.EINTR},
		{ErrCallerFiles, syscall.EMFILE},
		{ErrSystemFiles, syscall.ENFILE},
		{ErrNoMemory, syscall.ENOMEM},
		{backing.ErrNoSpace, syscall.ENOMEM},
		{&backing.NoSpaceError{Pool: "ram"}, syscall.ENOMEM},
		{ErrQuota, syscall.ENOMEM},
		{&devices.LimitError{}, syscall.ENOMEM},
		{ErrExport, syscall.ENOMEM},
		{ErrNoInstaller, syscall.ENOMEM},
		{ErrBusy, syscall.ENOMEM},
		{ErrDenied, syscall.ENOMEM},
		{ErrSlow, syscall.ENOMEM},
		{ErrGone, syscall.EINTR},
	}
	for _, r := range rows {
		assert.Equal(t, r.want, Errno(r.err), "%v", r.err)
		if r.err != nil {
			assert.Equal(t, r.want, Errno(fmt.Errorf("heap %q: %w (more)", "system", r.err)), "%v, wrapped", r.err)
		}
	}
}

func TestAnErrorWithoutAnErrnoIsLogged(t *testing.T) {
	var log bytes.Buffer
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	Errno(nil)
	Errno(ErrQuota)
	assert.Empty(t, log.String())
	Errno(errors.New("never heard of"))
	assert.Contains(t, log.String(), "never heard of")
	assert.Contains(t, log.String(), "level=ERROR")
}

func TestNoRowOfTheTableLeavesTheABI(t *testing.T) {
	abi := []syscall.Errno{
		syscall.EINVAL, syscall.EFAULT, syscall.ENOTTY, syscall.EBADF, syscall.ENOENT, syscall.EINTR, syscall.EMFILE, syscall.ENFILE,
		syscall.ENOMEM,
	}
	for _, row := range errnos {
		assert.Contains(t, abi, row.errno, "%v", row.err)
	}
}
