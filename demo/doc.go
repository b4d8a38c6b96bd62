// Package demo is the project's story in one screen: one and the same small client asks for a buffer for the video decoder of two
// boards. The client knows a directory of heap nodes and nothing of heapfs; the screen is told from the events.
package demo
