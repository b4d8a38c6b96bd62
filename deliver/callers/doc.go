// Package callers is what the doors share in dealing with the threads that call: the view of one through /proc (Thread), views that are
// kept between calls (Threads), and the places that keep one user's slow memory from stopping the calls of others (Tenants).
//
// How a call comes in and how a descriptor goes out is each door's own: deliver/seccomp and deliver/ptrace, which do not know each other.
package callers
