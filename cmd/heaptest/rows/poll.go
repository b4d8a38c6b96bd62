package rows

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// The bits of poll that x/sys has no names for.
const (
	pollRdNorm = 0x40
	pollRdBand = 0x80
	pollWrNorm = 0x100
	pollWrBand = 0x200
)

// pollNames are the bits of poll's answer.
var pollNames = []struct {
	bit  int16
	name string
}{
	{unix.POLLIN, "in"}, {unix.POLLPRI, "pri"}, {unix.POLLOUT, "out"}, {unix.POLLERR, "err"}, {unix.POLLHUP, "hup"},
	{unix.POLLNVAL, "nval"}, {pollRdNorm, "rdnorm"}, {pollRdBand, "rdband"}, {pollWrNorm, "wrnorm"},
	{pollWrBand, "wrband"},
}

func pollText(bits int16) string {
	var names []string
	for _, p := range pollNames {
		if bits&p.bit != 0 {
			names = append(names, p.name)
		}
	}
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, "|")
}

// poll asks without waiting.
func poll(fd int, events int16) string {
	p := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		_, err := unix.Poll(p, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return errName(err)
		}
		return pollText(p[0].Revents)
	}
}

// pollTable makes the rows of one kind of file.
func pollTable(id, what string, open func(c *Case) int) []Row {
	var rows []Row
	for _, e := range []struct {
		id     string
		events int16
	}{
		{"in", unix.POLLIN}, {"out", unix.POLLOUT}, {"in-out", unix.POLLIN | unix.POLLOUT}, {"pri", unix.POLLPRI}, {"none", 0},
		{"rdnorm", pollRdNorm}, {"wrnorm", pollWrNorm}, {"all", 0x3DF},
	} {
		rows = append(rows, Row{ID: id + "-poll-" + e.id, What: "poll of " + what + " for " + pollText(e.events),
			Try: func(c *Case) string { return poll(open(c), e.events) }})
	}
	for _, e := range []struct {
		id     string
		events uint32
	}{{"in", unix.EPOLLIN}, {"out", unix.EPOLLOUT}, {"in-out-edge", unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLET}, {"none", 0}} {
		rows = append(rows, Row{ID: id + "-epoll-" + e.id, What: fmt.Sprintf("EPOLL_CTL_ADD of %s for events %#x, and epoll_wait", what, e.events),
			Try: func(c *Case) string { return epoll(open(c), e.events) }})
	}
	return append(rows,
		Row{ID: id + "-select", What: "select of " + what + " for reading, writing and exceptions", Try: func(c *Case) string {
			fd := open(c)
			var r, w, x unix.FdSet
			r.Set(fd)
			w.Set(fd)
			x.Set(fd)
			n, err := unix.Select(fd+1, &r, &w, &x, &unix.Timeval{})
			if err != nil {
				return errName(err)
			}
			return each(named("ready", n), named("read", r.IsSet(fd)), named("write", w.IsSet(fd)), named("except", x.IsSet(fd)))
		}},
		Row{ID: id + "-epoll-mod-del", What: "EPOLL_CTL_MOD and EPOLL_CTL_DEL of " + what + " that was not added", Try: func(c *Case) string {
			fd, set := open(c), epollSet()
			mod := unix.EpollCtl(set, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: unix.EPOLLIN})
			return each(errName(mod), errName(unix.EpollCtl(set, unix.EPOLL_CTL_DEL, fd, nil)))
		}},
	)
}

func epollSet() int {
	return get[int]("epoll_create1")(unix.EpollCreate1(unix.EPOLL_CLOEXEC))
}

func epoll(fd int, events uint32) string {
	set := epollSet()
	if err := unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		return errName(err)
	}
	return each("0", epollWait(set))
}

// epollWait asks without waiting.
func epollWait(set int) string {
	ready := make([]unix.EpollEvent, 4)
	for {
		n, err := unix.EpollWait(set, ready, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return errName(err)
		}
		if n == 0 {
			return "nothing"
		}
		return pollText(int16(ready[0].Events))
	}
}
