// Package runner owns the processes in which rows are tried: one of its own for each row, so that no row can spoil another's
// descriptors, limits or signals, and a limit of time, so that one that hangs is told by name.
package runner
