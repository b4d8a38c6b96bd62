// Package control owns the socket by which a running instance tells its state:
// where the socket is, who may connect, the HTTP API on it, and the client
// that the commands use.
//
// The API is plain HTTP/1.1 with JSON over a unix stream socket, so that
// "curl --unix-socket" is a client too. It only reads:
//
//	GET /v1/instance                  one Instance
//	GET /v1/heaps                     array of Heap
//	GET /v1/buffers                   array of Buffer
//	GET /v1/events?from=N&follow=0|1  events, one JSON object on each line
//
// It keeps no account of its own: a Source, which launch implements over
// heapnodes, is asked for every answer, and events come from package events.
// The API is not stable before v1 of heapfs; the form of an event has its own
// version.
package control
