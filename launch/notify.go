package launch

import (
	"fmt"
	"net"
	"os"
)

// notify tells the service manager of a state, as sd_notify(3) does: READY=1 or STOPPING=1. Where nobody asked to be told, it does nothing.
func notify(state string) error {
	const variable = "NOTIFY_SOCKET"
	name := os.Getenv(variable)
	if name == "" {
		return nil
	}
	// A name that begins with @ is of the abstract namespace, for the net package too.
	if name[0] != '/' && name[0] != '@' {
		return fmt.Errorf("%s=%q: neither a path nor an abstract name", variable, name)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		return fmt.Errorf("%s: %w", variable, err)
	}
	defer func() { _ = conn.Close() }() // a datagram is sent or not by then
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("%s: %w", variable, err)
	}
	return nil
}
