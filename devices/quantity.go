package devices

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a length, size or alignment in bytes. It reads `256MiB`, `64K`,
// `4096` and `0x1000`, is written to YAML with the largest exact binary unit
// and to JSON as a plain number.
type Bytes uint64

// Address is a physical or bus address in bytes. It reads what Bytes reads, is
// written to YAML as hexadecimal and to JSON as a plain number.
type Address uint64

// Offset is a difference of addresses in bytes. It reads what Bytes reads, with
// a - before it or without, is written to YAML as hexadecimal and to JSON as a
// plain number.
type Offset int64

// ErrQuantity is the reason of every refusal by ParseBytes.
var ErrQuantity = errors.New("expected bytes as a number, as 0x hex, or with KiB, MiB, GiB or TiB")

// units in descending order, so that String finds the largest exact one. The
// short forms are the kernel's (memparse: K is 1024); there is no KB or MB,
// whose meaning people disagree on.
var units = []struct {
	name, short string
	shift       uint
}{
	{"TiB", "T", 40},
	{"GiB", "G", 30},
	{"MiB", "M", 20},
	{"KiB", "K", 10},
}

// ParseBytes reads a number of bytes: decimal, 0x hexadecimal, or decimal with
// one of the suffixes KiB, MiB, GiB, TiB or K, M, G, T (binary as well, as on
// the kernel's command line). No sign, fraction, space or leading zero.
func ParseBytes(text string) (Bytes, error) {
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		n, err := strconv.ParseUint(digits, 16, 64)
		return Bytes(n), quantityError(text, err)
	}
	digits, shift := text, uint(0)
	for _, u := range units {
		if d, ok := strings.CutSuffix(text, u.name); ok {
			digits, shift = d, u.shift
			break
		}
		if d, ok := strings.CutSuffix(text, u.short); ok {
			digits, shift = d, u.shift
			break
		}
	}
	// A leading zero is octal to some readers and decimal to others.
	if len(digits) > 1 && digits[0] == '0' {
		return 0, quantityError(text, strconv.ErrSyntax)
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err == nil && n > ^uint64(0)>>shift {
		err = strconv.ErrRange
	}
	return Bytes(n << shift), quantityError(text, err)
}

func quantityError(text string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%q does not fit 64 bits: %w", text, ErrQuantity)
	default:
		return fmt.Errorf("%q is no size: %w", text, ErrQuantity)
	}
}

// String gives the shortest exact form: 256MiB, 4097.
func (b Bytes) String() string {
	for _, u := range units {
		if b != 0 && uint64(b)&(1<<u.shift-1) == 0 {
			return strconv.FormatUint(uint64(b)>>u.shift, 10) + u.name
		}
	}
	return strconv.FormatUint(uint64(b), 10)
}

// MarshalYAML writes the form of String.
func (b Bytes) MarshalYAML() ([]byte, error) { return []byte(b.String()), nil }

// String gives hexadecimal with 0x.
func (a Address) String() string { return fmt.Sprintf("0x%x", uint64(a)) }

// MarshalYAML writes the form of String.
func (a Address) MarshalYAML() ([]byte, error) { return []byte(a.String()), nil }

// ParseOffset reads what ParseBytes reads, with a - before it or without. The
// error is ErrQuantity.
func ParseOffset(text string) (Offset, error) {
	digits, negative := strings.CutPrefix(text, "-")
	n, err := ParseBytes(digits)
	if err == nil && n > math.MaxInt64 {
		err = quantityError(text, strconv.ErrRange)
	}
	if err != nil {
		return 0, err
	}
	if negative {
		return -Offset(n), nil
	}
	return Offset(n), nil
}

// String gives hexadecimal with 0x, and a - before it where it is negative.
func (o Offset) String() string {
	if o < 0 {
		return fmt.Sprintf("-0x%x", -uint64(o))
	}
	return fmt.Sprintf("0x%x", uint64(o))
}

// MarshalYAML writes the form of String.
func (o Offset) MarshalYAML() ([]byte, error) { return []byte(o.String()), nil }
