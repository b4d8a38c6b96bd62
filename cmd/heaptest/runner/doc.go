// Package runner owns the processes in which rows are tried, so that no row can spoil another's descriptors, limits or signals: one of
// its own for each row, or for several that leave no traces. A limit of time tells one that hangs by name.
package runner
