package launch

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/heapfs/heapfs/internal/leaktest"
)

// executeRole is the environment variable that turns this binary into one that becomes the command in its arguments.
const executeRole = "HEAPFS_TEST_EXECUTE"

// TestMain fails on what the tests leave behind.
func TestMain(m *testing.M) {
	if os.Getenv(executeRole) != "" {
		os.Unsetenv(executeRole)
		err := execute(os.Args[1:])
		var e *Error
		if !errors.As(err, &e) {
			fmt.Println("no *Error:", err)
			os.Exit(1)
		}
		fmt.Print(e)
		os.Exit(e.Code)
	}
	os.Exit(leaktest.Run(m))
}
