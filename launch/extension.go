package launch

import "github.com/heapfs/heapfs/heapnodes"

// extension is what Extend was given.
var extension heapnodes.Extension

// Extend makes the heap nodes of every instance answer what a proposal adds to their ioctls. It is for programs that bring their own main
// function, and must be called in it before MaybeChild: the server is another process of the same program, and extends its nodes by
// the same call.
func Extend(x heapnodes.Extension) { extension = x }
