package heapnodes

import (
	"context"
	"fmt"
	"syscall"

	"github.com/heapfs/heapfs/uapi"
)

// Extension is what a proposal adds to the ioctls of heap nodes. Several goroutines call it at once.
//
// An error ends the call with the errno that Errno has for it; one that is or wraps an *ExtensionError, with the errno of that. It is
// given to the caller, and nothing is copied out.
type Extension interface {
	// Alloc sees an ALLOC that has passed the kernel's checks and has allocated nothing yet. extra is the struct behind today's fields, as
	// long as Config.AllocSize says; zero as far as the caller's struct is shorter. What Alloc writes there goes back to the caller with a
	// success, as far as its struct and the command's direction reach.
	Alloc(ctx context.Context, n *Node, who Identity, req uapi.AllocRequest, extra []byte) error
	// Ioctl answers a command with a number from 1. data is the argument, as long as the command's size, zero where the command does not
	// have the caller's bytes copied in; arg is the argument itself, for commands without a size. What Ioctl writes to data is copied out
	// with a success if the command says so. ErrInvalid is what a kernel without the proposal answers.
	Ioctl(ctx context.Context, n *Node, who Identity, cmd uapi.Cmd, data []byte, arg uint64) error
}

// ExtensionError is an outcome with an errno of the proposal's choice.
type ExtensionError struct {
	Errno  syscall.Errno
	Reason string // for the events
}

// Error gives the reason.
func (e *ExtensionError) Error() string { return fmt.Sprintf("%s: %v", e.Reason, e.Errno) }

// extra is the part of an ALLOC's argument that a proposal has added.
func (n *Node) extra(data []byte) []byte {
	if n.heaps.cfg.AllocSize <= uapi.AllocSize {
		return nil
	}
	return data[uapi.AllocSize:n.heaps.cfg.AllocSize]
}

// extended answers a command with a number from 1.
func (n *Node) extended(ctx context.Context, c Caller, cmd uapi.Cmd, arg uint64) error {
	x := n.heaps.cfg.Extension
	if x == nil {
		return ErrInvalid
	}
	data := make([]byte, cmd.Size())
	if err := c.Read(data[:cmd.In()], arg); err != nil {
		return err
	}
	if err := x.Ioctl(ctx, n, c.Identity(), cmd, data, arg); err != nil {
		return err
	}
	if cmd.Out() == 0 {
		return nil
	}
	return c.Write(data[:cmd.Out()], arg)
}
