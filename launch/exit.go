package launch

import (
	"errors"
	"fmt"
)

// Exit codes of `heapfs run`, beside CMD's own.
const (
	// CodeFailed: heapfs itself could not start.
	CodeFailed = 125
	// CodeNotExecutable: CMD cannot be executed.
	CodeNotExecutable = 126
	// CodeNotFound: CMD is not found.
	CodeNotFound = 127
	// codeSignal is added to the number of the signal that ended CMD.
	codeSignal = 128
)

// Error is a failure of heapfs itself, with the exit code that it calls for.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// failure makes an Error with CodeFailed, unless err is one already.
func failure(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeFailed, Err: err}
}

// hint joins what failed with what to do about it, on one line.
func hint(err error, next string) error { return fmt.Errorf("%w: %s", err, next) }
