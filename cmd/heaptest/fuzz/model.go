package fuzz

import "math/rand/v2"

// model is what the generator believes to exist. It only steers: where it errs, operations meet what is not there, and both sides
// say so.
type model struct {
	fds     []modelFD
	maps    []modelMap
	live    uint64 // bytes asked for so far
	lastLen uint64
	helper  bool
	room    int // descriptors that may still be opened; -1: as many as one likes
	slow    int // expensive operations so far
}

type modelFD struct {
	id     int16
	target uint8
	access uint8
	helper bool // it is the helper's
	closed bool
	size   uint64
}

type modelMap struct {
	id     int16
	helper bool
	length uint64
	prot   uint64
}

// take says that a descriptor is opened, if there is room for one.
func (m *model) take() bool {
	switch {
	case m.room < 0:
		return true
	case m.room == 0:
		return false
	default:
		m.room--
		return true
	}
}

func (m *model) add(fd modelFD) {
	if fd.helper || m.take() {
		m.fds = append(m.fds, fd)
	}
}

// pick gives the index of a random descriptor that fits, -1 if there is none. Young ones are preferred: old ones have been tried.
func (m *model) pick(rng *rand.Rand, fits func(*modelFD) bool) int {
	var found []int
	for i := range m.fds {
		if fits(&m.fds[i]) {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		return -1
	}
	if rng.IntN(2) == 0 {
		return found[len(found)-1]
	}
	return found[rng.IntN(len(found))]
}

func (m *model) close(i int) {
	if m.fds[i].closed {
		return
	}
	m.fds[i].closed = true
	if !m.fds[i].helper && m.room >= 0 {
		m.room++
	}
}
