// Package report owns docs/conformance.md: it merges runs of the suite, the closed list of deviations and a text of its own into the
// document.
package report
