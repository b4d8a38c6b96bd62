// Package judge compares heapfs with real kernels: it holds the tests of `make test-vm`.
//
// Each kernel of vm.Kernels is booted once, and every part of the table parts (parts_test.go) adds its steps to that boot: a part says
// on which kernels it runs, what it brings into the machine, and what its steps must have said. To add to the suite, write a part in a
// file of its own and name it in the table. What needs a machine to itself (because it breaks it) is a test of its own: see bad_test.go.
//
// HEAPFS_VM says what runs: "smoke" (the kernels and parts marked so), "full", or nothing at all when it is not set, as in `go test ./...`.
// How machines are made and judged is package vm's affair.
package judge
