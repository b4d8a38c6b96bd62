// Package events owns the one stream of events that everything a user sees is
// made from: the file of --events, the control socket, reports.
//
// It owns the form of an event (Event, its JSON and the committed
// schema.json), the numbering, the bounded backlog, the sinks that get each
// line before Emit returns, and the subscribers that may be slow without ever
// holding up an ALLOC.
//
// What is worth an event is decided in heapnodes and launch. How events leave
// the process over a socket is in control. docs/events.md describes each kind
// and each field for readers of the lines.
package events
