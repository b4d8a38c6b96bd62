// Package ptrace is the second way to put a descriptor into a caller: for one whose ioctl came by FUSE, whose reply carries bytes
// only. The caller's thread is stopped on its way out of the ioctl, made to receive the descriptor over a socket, and let go.
//
// Two processes share the work. The Door is the server's side: it makes a heapnodes.Caller of a request, keeps a place for each
// tenant, and gives up what takes too long. The agent (Serve) is a process of its own, which does all that touches a caller's
// registers. It outlives a server that is killed, and finishes what it had begun or takes it back: a caller is never left with
// registers that are not its own. It also keeps the server's own wait for its children apart from the stops of callers.
//
// What a command means is heapnodes' affair, the FUSE side is fs', and launch connects the two and starts the agent. The usual
// door of `heapfs run` is deliver/seccomp, which needs none of this; `run` comes here with what its filter does not trap.
package ptrace
